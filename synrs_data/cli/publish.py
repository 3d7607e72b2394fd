"""`publish`: finished builds on the Hugging Face Hub."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from synrs_data.events import Event
    from synrs_data.hub.publish import Published

_LINE_EVERY_S = 10.0


def publish(
    builds: Annotated[
        list[Path], typer.Argument(metavar="OUT...", help="Build folders, each becomes a config.")
    ],
    repo: Annotated[str, typer.Argument(metavar="USER/NAME", help="Dataset repository.")],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    create_pr: Annotated[
        bool,
        typer.Option("--create-pr", help="Propose it in a pull request, also to somebody else's repository."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show files, bytes and commits; send nothing. Needs no token.")
    ] = False,
) -> None:
    """Publish finished builds as configs of one dataset, in one commit, and read the listing back."""
    from synrs_data.hub.publish import publish as run
    from synrs_data.hub.session import check_endpoint

    # The Hub's client reads the variable when it is imported, and fails with a traceback.
    check_endpoint()
    _keep_quiet()

    done = run(
        builds,
        repo,
        private=private,
        create_pr=create_pr,
        dry_run=dry_run,
        listeners=[_Lines()],
    )
    for line in _plan_lines(done, repo, create_pr=create_pr) if dry_run else _result_lines(done, repo):
        typer.echo(line)


def _keep_quiet() -> None:
    """Leave the Hub's bars to terminals; elsewhere our own lines say how far it is."""
    if not sys.stderr.isatty():
        from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

        disable_progress_bars()


class _Lines:
    """Says in plain lines how far a publish is."""

    def __init__(self) -> None:
        self._files = self._bytes = self._total = self._size = self._read = 0
        self._last = time.monotonic()

    def __call__(self, event: Event) -> None:
        match event["event"]:
            case "warning":
                self._say(f"warning: {event['text']}")
            case "checking":
                self._say(f"checking {event['files']} files")
            case "checked":
                self._read += event["bytes"]
                if time.monotonic() - self._last >= _LINE_EVERY_S:
                    self._say(f"{_size(self._read)} are as promised")
            case "uploading":
                self._files, self._bytes, self._total, self._size = 0, 0, event["files"], event["bytes"]
                self._say(f"uploading {event['files']} files, {_size(event['bytes'])}")
            case "uploaded":
                self._files += event["files"]
                self._bytes += event["bytes"]
                if self._files < self._total and time.monotonic() - self._last < _LINE_EVERY_S:
                    return
                self._say(
                    f"{self._files}/{self._total} files, {_size(self._bytes)} of {_size(self._size)} are there"
                )
            case "hub_waits":
                self._say(f"the Hub answers {event['reason']}, next try in {event['seconds']:.0f} s")
            case "overtaken":
                self._say("somebody else committed in between, reading the repository again")

    def _say(self, text: str) -> None:
        self._last = time.monotonic()
        typer.echo(text, err=True)


def _plan_lines(done: Published, repo: str, *, create_pr: bool) -> list[str]:
    """Return what a publish would do."""
    plan = done.plan
    unchanged = len(plan.files) - len(plan.new) - len(plan.changed)
    lines = [f"new       {path}  {_size(plan.files[path].size)}" for path in plan.new]
    lines += [f"changed   {path}  {_size(plan.files[path].size)}" for path in plan.changed]
    lines += [f"deleted   {path}" for path in plan.deleted]
    lines += [f"kept      config {config}, of another publish" for config in plan.kept]
    total = sum(file.size for file in plan.sent)
    commits = 0 if plan.is_empty else 1
    place = "in a pull request on" if create_pr else "to"
    lines.append(
        f"{len(plan.new)} new, {len(plan.changed)} changed, {unchanged} unchanged, {len(plan.deleted)} deleted; "
        f"at most {_size(total)} to send; {commits} commit{'' if commits == 1 else 's'} {place} {done.url}"
    )
    if not done.commit:
        lines.append(f"the repository {repo} would be made")
    return lines


def _result_lines(done: Published, repo: str) -> list[str]:
    """Return where the dataset is and how to load it."""
    samples = ", ".join(f"{config} {count:,}" for config, count in done.samples.items())
    said = "published at" if done.made else "already published at"
    lines = [f"{said} {done.commit}: {samples} samples", done.url]
    revision = "" if done.pull_request is None else f', revision="refs/pr/{done.pull_request}"'
    return lines + [f'load_dataset("{repo}", "{config}"{revision})' for config in done.samples]


def _size(count: int) -> str:
    """Return a number of bytes for people."""
    if count < 1024:
        return f"{count} B"
    power = min((count.bit_length() - 1) // 10, 4)
    return f"{count / 1024**power:.1f} {('KiB', 'MiB', 'GiB', 'TiB')[power - 1]}"
