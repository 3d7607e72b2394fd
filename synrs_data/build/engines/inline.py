"""The engine `inline`: every shard in this process, one after the other; for debugging."""

from __future__ import annotations

import traceback

from synrs_data.build.engines.base import TRIES, Job, quarantine
from synrs_data.build.worker import ShardWorker
from synrs_data.errors import SynrsError


class InlineEngine:
    """Runs shards in this process."""

    def run(self, job: Job) -> list[int]:
        """Make the shards; see `Engine.run`."""
        worker = ShardWorker(job.plan, job.folder, job.devices[0], job.events.emit)
        return [shard for shard in job.shards if not self._try(worker, job, shard)]

    def _try(self, worker: ShardWorker, job: Job, shard: int) -> bool:
        for attempt in range(1, TRIES + 1):
            try:
                worker.run_shard(shard)
            except SynrsError:
                raise
            except Exception as error:  # noqa: BLE001 - a method's own bug costs one shard, not the build
                reason = f"{type(error).__name__}: {error}"
                trace = traceback.format_exc()
                job.events.emit("shard_failed", shard=shard, attempt=attempt, reason=reason, trace=trace)
            else:
                job.events.emit("shard_done", shard=shard)
                return True
        quarantine(job, shard, reason)
        return False
