"""The engine `inline`: every shard in this process, one after the other; for debugging."""

from __future__ import annotations

import traceback

from synrs_data.build.engines.base import TRIES, Job, Ledger
from synrs_data.build.worker import ShardWorker
from synrs_data.errors import SynrsError


class InlineEngine:
    """Runs shards in this process."""

    def run(self, job: Job) -> list[int]:
        """Make the shards; see `Engine.run`."""
        worker = ShardWorker(job.plan, job.folder, job.devices[0], job.events.emit)
        ledger = Ledger(job)
        for shard in job.shards:
            self._run_shard(worker, ledger, shard)
        return ledger.failed

    def _run_shard(self, worker: ShardWorker, ledger: Ledger, shard: int) -> None:
        for attempt in range(1, TRIES + 1):
            try:
                worker.run_shard(shard)
            except SynrsError:
                raise
            except Exception as error:  # noqa: BLE001 - a method's own bug costs one shard, not the build
                ledger.missed(shard, attempt, f"{type(error).__name__}: {error}", traceback.format_exc())
            else:
                ledger.made(shard)
                return
