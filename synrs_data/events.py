"""The event stream: one JSON object a line in `events.jsonl`, from which progress, `status` and logs are made.

Every event has `time` (seconds since 1970), `event` (its kind) and the fields of its kind. Lines are only
appended; a crash can cut the last one short, so a reader skips what is not JSON.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from synrs_data.files import writable

Event = dict[str, Any]
Listener = Callable[[Event], None]


class EventLog:
    """Appends events to a file and hands each to the listeners.

    Args:
        path: The file; None for listeners alone.
        listeners: Called with each event, in order.
    """

    def __init__(self, path: Path | None, *listeners: Listener) -> None:
        self._path = path
        self._listeners = listeners
        if path is not None:
            _end_last_line(path)

    def emit(self, event: str, **fields: object) -> None:
        """Append one event; values must be of JSON's types."""
        record: Event = {"time": round(time.time(), 3), "event": event, **fields}
        if self._path is not None:
            with writable(self._path), self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
        for listener in self._listeners:
            listener(record)


def _end_last_line(path: Path) -> None:
    """End a line that a crash cut short, or the next event would be lost with it."""
    if path.is_file() and path.stat().st_size:
        with writable(path), path.open("rb+") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")


def read_events(path: Path) -> Iterator[Event]:
    """Yield the events of a file, oldest first, without lines that a crash cut short."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(record, dict) and "event" in record and "time" in record:
                yield record
