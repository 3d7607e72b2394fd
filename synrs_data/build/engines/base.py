"""The protocol of engines, and the rule for shards that fail."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from synrs_data import files
from synrs_data.build.plan import BuildPlan
from synrs_data.errors import QuarantineError
from synrs_data.events import EventLog
from synrs_data.shards.folder import BuildFolder

HOPELESS = 3
"""Shards in quarantine before any is made, after which a build stops."""

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


@dataclass(slots=True)
class Ledger:
    """What became of the shards of a run.

    Attributes:
        job: The run.
        done: How many shards were made.
        failed: Shards in quarantine.
    """

    job: Job
    done: int = 0
    failed: list[int] = field(default_factory=list)

    def made(self, shard: int, **facts: object) -> None:
        """Record a shard that is done."""
        self.done += 1
        self.job.events.emit("shard_done", shard=shard, **facts)

    def missed(self, shard: int, attempt: int, reason: str, trace: str) -> bool:
        """Record a failed try and return whether the shard may be tried again; if not, it is in quarantine.

        Raises:
            QuarantineError: The first shards all failed, so the rest would too.
        """
        self.job.events.emit("shard_failed", shard=shard, attempt=attempt, reason=reason, trace=trace)
        if attempt < TRIES:
            return True
        files.write_text(self.job.folder.failed(shard), json.dumps({"shard": shard, "reason": reason}) + "\n")
        self.job.events.emit("quarantined", shard=shard, reason=reason)
        self.failed.append(shard)
        if not self.done and len(self.failed) == HOPELESS and len(self.job.shards) > HOPELESS:
            raise QuarantineError(
                f"the first {HOPELESS} shards failed in every try, so the build stops: {reason}",
                where=str(self.job.folder.root),
                fix="`--engine inline` shows the failure in this process; mend it and run the same command again",
            )
        return False
