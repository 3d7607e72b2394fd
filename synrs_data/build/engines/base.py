"""The protocol of engines, and the rule for shards that fail."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from synrs_data import files
from synrs_data.build.plan import BuildPlan
from synrs_data.events import EventLog
from synrs_data.shards.folder import BuildFolder

TRIES = 3
"""Times a shard is tried before it is put in quarantine; the second time on another worker."""


@dataclass(frozen=True, slots=True)
class Job:
    """Shards to make.

    Attributes:
        plan: The build.
        folder: Where it goes.
        shards: Numbers of the shards, in order.
        devices: Device of each worker.
        events: Told of everything.
    """

    plan: BuildPlan
    folder: BuildFolder
    shards: Sequence[int]
    devices: Sequence[str]
    events: EventLog


class Engine(Protocol):
    """Runs shards somewhere."""

    def run(self, job: Job) -> list[int]:
        """Make the shards and return those that failed in every try.

        Raises:
            SynrsError: Something the user must mend first, such as missing weights or a full disk.
        """
        ...


def quarantine(job: Job, shard: int, reason: str) -> None:
    """Record a shard that failed in every try; the next build tries it again."""
    files.write_text(job.folder.failed(shard), json.dumps({"shard": shard, "reason": reason}) + "\n")
    job.events.emit("quarantined", shard=shard, reason=reason)
