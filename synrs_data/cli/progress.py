"""Progress of a build: a bar on a terminal, plain lines elsewhere, JSON on request."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from synrs_data.events import Event, Listener

_LINE_EVERY_S = 10.0


@contextmanager
def show(candidates: int, *, as_json: bool) -> Iterator[Listener]:
    """Yield a listener that shows events.

    Args:
        candidates: How many images the whole build makes; 0 if it makes none.
        as_json: Print one JSON object an event to standard output.
    """
    if as_json:
        yield lambda event: print(json.dumps(event), flush=True)
        return
    console = Console(stderr=True)
    if not console.is_terminal or not candidates:
        yield _Lines(candidates)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[facts]}"),
    )
    with Progress(*columns, console=console) as progress:
        yield _Bar(progress, progress.add_task("loading", total=candidates, facts=""))


class Tally:
    """Counts what batches report: images, how many pass the thresholds, and the rate since generation began."""

    def __init__(self) -> None:
        self.done = 0
        self._new = 0
        self._accepted: int | None = 0
        self._since = time.monotonic()
        self._batches = 0

    def update(self, event: Event) -> bool:
        """Take one event; return whether it changed the counts."""
        if event["event"] == "generation_started":
            self.done = event["samples_done"]
            self._since = time.monotonic()
            return True
        if event["event"] == "loaded" and not self._new:
            # Loading a model is no measure of the rate.
            self._since = time.monotonic()
        if event["event"] != "batch":
            return False
        self.done += event["images"]
        self._new += event["images"]
        self._batches += 1
        accepted = event.get("accepted")
        self._accepted = None if accepted is None or self._accepted is None else self._accepted + accepted
        return True

    def facts(self, total: int) -> str:
        """Return rate, accepted share and time left, as far as they are known."""
        rate = self._new / max(time.monotonic() - self._since, 1e-9)
        # The first batch also pays for what filters load, so it says little about the rate.
        if self._batches < 2:
            return ""
        parts = [f"{rate:.1f} images/s"]
        if self._accepted is not None:
            parts.append(f"{100 * self._accepted / self._new:.0f} % pass")
        parts.append(f"{clock((total - self.done) / rate)} left")
        return ", ".join(parts)


class _Bar:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task
        self._tally = Tally()
        self._total = int(progress.tasks[0].total or 0)

    def __call__(self, event: Event) -> None:
        if self._tally.update(event):
            self._progress.update(
                self._task,
                completed=self._tally.done,
                description="generating" if event["event"] == "batch" else "loading",
                facts=self._tally.facts(self._total),
            )
        elif note := sentence(event):
            self._progress.console.print(note, markup=False, highlight=False)


class _Lines:
    def __init__(self, total: int) -> None:
        self._total = total
        self._tally = Tally()
        self._last = 0.0

    def __call__(self, event: Event) -> None:
        changed = self._tally.update(event)
        # Only a rebuild says how many it makes: a part of what the build did.
        self._total = event.get("samples_wanted", self._total)
        if changed and event["event"] == "batch" and time.monotonic() - self._last >= _LINE_EVERY_S:
            self._last = time.monotonic()
            print(
                f"{self._tally.done}/{self._total} images, {self._tally.facts(self._total)}", file=sys.stderr
            )
        elif note := sentence(event):
            print(note, file=sys.stderr)


def sentence(event: Event) -> str:
    """Return an event in words, empty for those that need none."""
    match event["event"]:
        case "shard_failed":
            return f"shard {event['shard']} failed in try {event['attempt']}: {event['reason']}"
        case "quarantined":
            return f"shard {event['shard']} is in quarantine: {event['reason']}"
        case "shard_damaged":
            return f"shard {event['shard']} is damaged and will be made again"
        case "sliced":
            return f"too little memory for {event['images']} images at once, halved"
        case "unreadable":
            return f"source image {event['image']} cannot be used: {event['reason'] or 'see its sample'}"
        case "packed":
            return f"packed {event['samples']} samples, {event['rejected']} candidates left out"
    return ""


def clock(seconds: float) -> str:
    """Return a duration as 1:02:03 or 2:03."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"
