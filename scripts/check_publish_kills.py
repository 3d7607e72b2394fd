"""Release check: a publish killed at random moments ends as one commit that holds exactly what was built.

    python scripts/check_publish_kills.py [--rounds 30] [--seed 0]

Builds two small painted datasets and publishes them together to an empty loopback Hub (`tests/hub`), each time killing
the process group with SIGKILL a random while after a random request, until one ends by itself; then begins a new
round. After each round every file must have the sha256 of what was built, the main branch must have exactly one commit
of ours, and no commit that the Hub ever made may hold less than all files.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.hub.server import Hub
    from tests.hub.store import Commit

REPOSITORY = Path(__file__).resolve().parents[1]
PLUGIN = str(REPOSITORY / "tests" / "plugin")
sys.path[:0] = [str(REPOSITORY), PLUGIN]

OWNER, REPO = "alice", "alice/scenes"
ROOT_FILES = {"README.md", "croissant.json"}
LONGEST_S = 300.0


class Publishing:
    """Publishes of the same builds, from an empty Hub on."""

    def __init__(self, hub: Hub, roots: list[Path], home: Path) -> None:
        self._hub, self._roots, self._home = hub, roots, home
        self._token = ""

    def begin(self) -> None:
        """Forget all that was published."""
        self._hub.reset()
        self._token = self._hub.add_token(OWNER)

    def run(self, requests: int | None = None, seconds: float = 0.0) -> tuple[bool, int]:
        """Publish once; return whether it ended by itself, and how many requests came.

        Args:
            requests: SIGKILL comes after so many requests have arrived, answered or not; None lets it end.
            seconds: How long after the last of them.
        """
        before = len(self._hub.requests())
        process = subprocess.Popen(
            [sys.executable, "-m", "synrs_data", "publish", *map(str, self._roots), REPO],
            env={**self._hub.env(self._home, self._token), "PYTHONPATH": PLUGIN},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            process_group=0,
        )
        while requests and process.poll() is None:
            with contextlib.suppress(TimeoutError):
                self._hub.wait_for(count=before + requests, timeout=0.05)
                break
        try:
            process.wait(seconds if requests else LONGEST_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        _, said = process.communicate()
        ended = process.returncode == 0
        if not ended and (process.returncode != -signal.SIGKILL or not requests):
            sys.exit(f"it failed by itself with {process.returncode}:\n{said.decode(errors='replace')}")
        return ended, len(self._hub.requests()) - before


def faults(hub: Hub, expected: Mapping[str, str], *, ended: bool) -> list[str]:
    """Return what is wrong with the repository.

    Args:
        hub: The Hub.
        expected: sha256 by path of every file of the builds.
        ended: Whether a publish ended by itself; before, there may be no repository, or no commit of ours.
    """
    try:
        repo = hub.repo(f"datasets/{REPO}")
    except KeyError:
        return ["there is no repository"] if ended else []
    found = []
    for commit in repo.commits.values():
        if commit.title != "initial commit":
            found += [f"commit {commit.oid[:7]} {text}" for text in _differences(commit, expected)]
    ours = [commit for commit in repo.history() if commit.title.startswith("Publish ")]
    if len(ours) > 1 or (ended and not ours):
        found.append(f"main has {len(ours)} commits of ours")
    if ended and len(repo.commits) != 2:
        found.append(f"there are {len(repo.commits)} commits, not the Hub's first one and ours")
    if ended:
        found += [f"main {text}" for text in _differences(repo.resolve(), expected)]
    return found


def _differences(commit: Commit, expected: Mapping[str, str]) -> list[str]:
    wanted = expected.keys() | ROOT_FILES
    there = {path: digest for path, digest in commit.sha256.items() if path != ".gitattributes"}
    lacking = sorted(wanted - there.keys())
    strange = sorted(there.keys() - wanted)
    other = sorted(path for path, digest in expected.items() if there.get(path, digest) != digest)
    named = {"lacks": lacking, "has besides": strange, "has with other contents": other}
    return [f"{what}: {', '.join(paths)}" for what, paths in named.items() if paths]


def main() -> None:
    """Run the check; exit 1 at the first fault."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    from synrs_data.build.run import build
    from tests.hub.publishing import pairs, published_hashes, scenes
    from tests.hub.server import Hub

    chance = random.Random(chosen.seed)
    hub = Hub()
    hub.start()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        configs = {"scene-caption": scenes(), "lr-hr": pairs()}
        roots = {
            config: build(recipe, place / config, engine="inline").folder.root
            for config, recipe in configs.items()
        }
        expected = {
            path: digest
            for config, root in roots.items()
            for path, digest in published_hashes(root, config).items()
        }
        publishing = Publishing(hub, list(roots.values()), place / "home")
        publishing.begin()
        _, requests = publishing.run()
        refuse("undisturbed", faults(hub, expected, ended=True))
        print(f"undisturbed: {len(expected)} files of two builds, {requests} requests", flush=True)
        total = 0
        for number in range(chosen.rounds):
            publishing.begin()
            kills, ended = list[str](), False
            while not ended:
                # Moments of the clock alone would nearly all lie in the client's imports. Some lie behind the last
                # request, as a round must come to an end.
                moment = (
                    chance.randint(1, requests + 2),
                    chance.choice((0.0, 0.003, 0.03, 0.3)) * chance.random(),
                )
                ended, _ = publishing.run(*moment)
                what = f"round {number + 1} after {len(kills) + 1} starts"
                refuse(what, faults(hub, expected, ended=ended))
                if not ended:
                    kills.append(reached(hub))
            hub.check()
            total += len(kills)
            print(
                f"round {number + 1}: {len(kills)} kills ({', '.join(kills) or 'none'}), one commit",
                flush=True,
            )
        print(
            f"{chosen.rounds} rounds, {total} kills: all files equal those built, one commit each", flush=True
        )
    hub.stop()


def reached(hub: Hub) -> str:
    """Return the last request of a publish that was killed, less its names."""
    last = hub.requests()[-1]
    kept = [part for part in last.path.split("/") if part and not any(sign.isdigit() for sign in part)]
    return f"{last.method} {'/'.join(kept[:2] if last.cdn else kept[-2:])}"


def refuse(what: str, found: list[str]) -> None:
    """Exit 1 if something is wrong."""
    if found:
        sys.exit(f"{what}: {'; '.join(found)}")


if __name__ == "__main__":
    main()
