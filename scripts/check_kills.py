"""Release check: a build killed at random moments ends with the bytes of an undisturbed one.

    python scripts/check_kills.py [--kills 20] [--recipe quickstart] [--set KEY=VALUE]...

Builds the recipe undisturbed with `inline`, `local --workers 1` and `local --workers 2`; then starts it again and again
in another folder, each time killing driver and workers with SIGKILL after a random while, until it has been killed
often enough; then lets it finish. Every final file of the four builds must have the same sha256.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def command(recipe: str, out: Path, settings: list[str], *options: str) -> list[str]:
    """Return the command line of a build."""
    overrides = [word for text in settings for word in ("--set", text)]
    return [sys.executable, "-m", "synrs_data", "build", recipe, "--out", str(out), *overrides, *options]


def hashes(out: Path) -> dict[str, str]:
    """Return the sha256 of every file of a build that is not a log or a lock."""
    files = sorted(
        path for path in out.rglob("*") if path.is_file() and path.name not in ("events.jsonl", ".lock")
    )
    return {path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def main() -> None:
    """Run the check; exit 1 if any byte differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", default="quickstart")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], dest="settings")
    chosen = parser.parse_args()
    chance = random.Random(chosen.seed)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        started = time.monotonic()
        calm = place / "inline"
        subprocess.run(command(chosen.recipe, calm, chosen.settings, "--engine", "inline"), check=True)
        longest = time.monotonic() - started
        expected = hashes(calm)
        for workers in ("1", "2"):
            out = place / f"local-{workers}"
            subprocess.run(command(chosen.recipe, out, chosen.settings, "--workers", workers), check=True)
            report(f"local --workers {workers}", hashes(out), expected)
        out, killed = place / "killed", 0
        while killed < chosen.kills:
            process = subprocess.Popen(
                command(chosen.recipe, out, chosen.settings, "--workers", "2"), start_new_session=True
            )
            try:
                process.wait(timeout=chance.uniform(0.5, min(longest, 20)))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                killed += 1
            else:
                # It finished between two kills: what is left to disturb is packing, so that begins anew.
                (out / "manifest.json").unlink()
                next(out.glob("candidates/*.done.json")).unlink()
        subprocess.run(command(chosen.recipe, out, chosen.settings), check=True)
        report(f"killed {killed} times", hashes(out), expected)


def report(what: str, found: dict[str, str], expected: dict[str, str]) -> None:
    """Print whether two builds are equal; exit 1 if they are not."""
    differ = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
    print(f"{what}: {len(expected) - len(differ)} of {len(expected)} files equal those of inline", flush=True)
    if differ:
        sys.exit(f"differ: {', '.join(differ)}")


if __name__ == "__main__":
    main()
