"""The engine `local`: spawned processes on this machine, one a GPU or several on the CPU.

The driver sends shard numbers and receives small messages over a pipe a worker; images never cross. A worker
that dies is replaced; its shard is tried again, on another worker if there is one. A worker whose driver dies
notices within a second and ends.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from synrs_data.build.engines.base import Job, Ledger
from synrs_data.build.plan import BuildPlan
from synrs_data.build.worker import ShardWorker
from synrs_data.errors import SynrsError
from synrs_data.shards.folder import BuildFolder

_CONTEXT = multiprocessing.get_context("spawn")


@dataclass(slots=True)
class _Worker:
    number: int
    process: BaseProcess
    pipe: Connection
    shard: int | None = None


@dataclass(slots=True)
class _Task:
    shard: int
    attempt: int = 1
    avoid: int | None = None


@dataclass(slots=True)
class _State:
    ledger: Ledger
    waiting: deque[_Task]
    running: dict[int, _Task] = field(default_factory=dict)


class LocalEngine:
    """Runs shards in spawned processes."""

    def run(self, job: Job) -> list[int]:
        """Make the shards; see `Engine.run`."""
        state = _State(Ledger(job), deque(_Task(shard) for shard in job.shards))
        with _workers(job) as workers:
            while state.waiting or state.running:
                for worker in workers:
                    _give(worker, state, len(workers))
                ready = wait([w.pipe for w in workers] + [w.process.sentinel for w in workers])
                for position, worker in enumerate(workers):
                    # What a worker said before it died counts, so its pipe is emptied first.
                    if worker.pipe in ready:
                        _listen(worker, job, state)
                    if worker.process.sentinel in ready and not worker.process.is_alive():
                        _listen(worker, job, state)
                        _bury(worker, state)
                        workers[position] = _start(job, worker.number)
        return sorted(state.ledger.failed)


def _give(worker: _Worker, state: _State, count: int) -> None:
    """Give an idle worker the first task that it may have."""
    free = (task for task in state.waiting if count == 1 or task.avoid != worker.number)
    if worker.shard is not None or (task := next(free, None)) is None:
        return
    state.waiting.remove(task)
    worker.shard = task.shard
    state.running[task.shard] = task
    # One that died while idle has its sentinel ready, and `_bury` gives the shard back.
    with suppress(OSError):
        worker.pipe.send(task.shard)


def _listen(worker: _Worker, job: Job, state: _State) -> None:
    try:
        while worker.pipe.poll():
            kind, content = worker.pipe.recv()
            if kind == "event":
                job.events.emit(content.pop("event"), worker=worker.number, **content)
            elif kind == "error":
                raise content
            else:
                assert worker.shard is not None
                task = state.running.pop(worker.shard)
                worker.shard = None
                if kind == "done":
                    state.ledger.made(task.shard, worker=worker.number)
                else:
                    _retry(task, worker, state, *content)
    except (EOFError, OSError):
        return


def _bury(worker: _Worker, state: _State) -> None:
    worker.pipe.close()
    if worker.shard is not None:
        task = state.running.pop(worker.shard)
        _retry(task, worker, state, f"worker ended with exit code {worker.process.exitcode}", "")


def _retry(task: _Task, worker: _Worker, state: _State, reason: str, trace: str) -> None:
    if state.ledger.missed(task.shard, task.attempt, reason, trace):
        # At the front, so that a fault of all shards is known after a few of them.
        state.waiting.appendleft(_Task(task.shard, task.attempt + 1, worker.number))


@contextmanager
def _workers(job: Job) -> Iterator[list[_Worker]]:
    workers = [_start(job, number) for number in range(len(job.devices))]
    try:
        yield workers
        for worker in workers:
            # A worker waits for its next shard; a closed pipe tells it to end by itself.
            worker.pipe.close()
            worker.process.join(timeout=10)
    finally:
        for worker in workers:
            if worker.process.is_alive():
                worker.process.terminate()
        for worker in workers:
            worker.process.join()


def _start(job: Job, number: int) -> _Worker:
    ours, theirs = _CONTEXT.Pipe()
    process = _CONTEXT.Process(
        target=_work, args=(theirs, job.plan, job.folder, job.devices[number], os.getpid()), daemon=True
    )
    with _without_interrupts():
        process.start()
    theirs.close()
    return _Worker(number, process, ours)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach, not even while they import: the driver ends them."""
    # Otherwise the first start would start the tracker too, which lets signals through again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end(*_: object) -> None:
    """Raise, because an exception, unlike the default death, lets open files and semaphores be given back."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(143)


def _work(pipe: Connection, plan: BuildPlan, folder: BuildFolder, device: str, driver: int) -> None:
    threading.Thread(target=_end_with, args=(driver,), daemon=True).start()
    signal.signal(signal.SIGTERM, _end)

    def report(event: str, **fields: object) -> None:
        pipe.send(("event", {"event": event, **fields}))

    worker = ShardWorker(plan, folder, device, report)
    while True:
        try:
            shard = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            worker.run_shard(shard)
        except SynrsError as error:
            pipe.send(("error", error))
        except BrokenPipeError:
            return
        except Exception as error:  # noqa: BLE001 - a method's own bug costs one shard, not the build
            pipe.send(("failed", (f"{type(error).__name__}: {error}", traceback.format_exc())))
        else:
            pipe.send(("done", None))


def _end_with(driver: int) -> None:
    while os.getppid() == driver:
        time.sleep(0.5)
    os._exit(1)
