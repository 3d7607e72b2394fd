"""What a build folder tells of its build, from files alone: also while it runs and after a crash."""

from __future__ import annotations

import fcntl
import json
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import UnionType
from typing import Any

import polars as pl

from synrs_data.build.state import read_recipe
from synrs_data.errors import BuildFolderError, VerificationError
from synrs_data.events import read_events
from synrs_data.recipe_file import complete
from synrs_data.shards.folder import BuildFolder
from synrs_data.shards.manifest import read_manifest


@dataclass(frozen=True, slots=True)
class Status:
    """Where a build stands.

    Attributes:
        state: "running", "stopped" (by a kill, an error or `--shards`) or "finished".
        candidates: Images that are made, of `wanted`.
        wanted: Images that the recipe asks for.
        shards: Shards that are done, of `planned`.
        planned: Shards that the recipe asks for.
        images_per_second: Over the last run's batches; None before the first.
        generate_s: Seconds in the generator, over all runs and workers.
        score_s: Seconds in the filters, likewise.
        accepted: Samples packed; None before packing.
        rejected: Candidates by the rule that left them out.
        failures: Reason of each failed try, newest last, at most ten.
        quarantined: Reason by shard.
    """

    state: str
    candidates: int
    wanted: int
    shards: int
    planned: int
    images_per_second: float | None
    generate_s: float
    score_s: float
    accepted: int | None
    rejected: dict[str, int]
    failures: list[str]
    quarantined: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    def text(self) -> str:
        """Return lines for people."""
        rate = (
            ""
            if self.images_per_second is None
            else f", {self.images_per_second:.2f} images/s in the last run"
        )
        lines = [
            f"{self.state}: {self.candidates} of {self.wanted} images in {self.shards} of {self.planned} shards{rate}",
            f"time in the generator {self.generate_s:.0f} s, in the filters {self.score_s:.0f} s (all workers)",
        ]
        if self.accepted is not None:
            reasons = ", ".join(f"{count} by {rule}" for rule, count in self.rejected.items()) or "none"
            lines.append(f"packed {self.accepted}, left out: {reasons}")
        lines += [f"failed: {reason}" for reason in self.failures]
        lines += [f"in quarantine: shard {shard}: {reason}" for shard, reason in self.quarantined.items()]
        return "\n".join(lines)


def read_status(root: Path) -> Status:
    """Return where the build of a folder stands.

    Raises:
        BuildFolderError: The folder holds no build.
        VerificationError: Its recipe is damaged.
    """
    folder = BuildFolder(root)
    if not folder.recipe.is_file():
        raise BuildFolderError(
            "holds no build", where=str(root), fix="give the folder that `build --out` was given"
        )
    recipe = complete(read_recipe(folder), folder=root, where=str(folder.recipe))
    planned = -(-recipe.candidates // recipe.shard_size)
    done = [
        marker["samples"]
        for path in sorted(folder.candidates.glob("*.done.json"))
        if isinstance((marker := _json(path)).get("samples"), int)
    ]
    events = [event for event in read_events(folder.events) if _is_whole(event)]
    batches = [event for event in events if event["event"] == "batch"]
    manifest: dict[str, Any] = {}
    with suppress(VerificationError):
        manifest = read_manifest(folder)
    return Status(
        state="running" if _is_locked(folder) else "finished" if manifest else "stopped",
        candidates=sum(done),
        wanted=recipe.candidates,
        shards=len(done),
        planned=planned,
        images_per_second=_rate(events),
        generate_s=sum(event["generate_s"] for event in batches),
        score_s=sum(event["score_s"] for event in batches),
        accepted=sum(split["samples"] for split in manifest["splits"].values()) if manifest else None,
        rejected=_rejections(folder) if manifest else {},
        failures=[
            f"shard {event['shard']}, try {event['attempt']}: {event['reason']}"
            for event in events
            if event["event"] == "shard_failed"
        ][-10:],
        quarantined={
            str(values.get("shard", path.name)): values.get("reason", "")
            for path in sorted(folder.candidates.glob("*.failed.json"))
            if (values := _json(path))
        },
    )


_FIELDS: dict[str, dict[str, type | UnionType]] = {
    "batch": {"images": int, "generate_s": int | float, "score_s": int | float},
    "generation_started": {"pending": int},
    "shard_failed": {"shard": int, "attempt": int, "reason": str},
}


def _is_whole(event: dict[str, Any]) -> bool:
    """Return whether an event has the fields that are counted here: its line may be damaged."""
    fields = {"time": int | float, **_FIELDS.get(str(event["event"]), {})}
    return all(isinstance(event.get(name), kind) for name, kind in fields.items())


def _rate(events: list[dict[str, Any]]) -> float | None:
    starts = [
        i for i, event in enumerate(events) if event["event"] == "generation_started" and event["pending"]
    ]
    last = events[starts[-1] :] if starts else []
    batches = [event for event in last if event["event"] == "batch"]
    if not batches:
        return None
    seconds = batches[-1]["time"] - last[0]["time"]
    return float(sum(event["images"] for event in batches) / max(seconds, 1e-3))


def _rejections(folder: BuildFolder) -> dict[str, int]:
    try:
        rules = pl.read_parquet(folder.rejects, columns=["rule"])["rule"].to_list()
    except (OSError, pl.exceptions.PolarsError):
        return {}
    return dict(Counter(rules).most_common())


def _json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _is_locked(folder: BuildFolder) -> bool:
    try:
        with (folder.root / ".lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
