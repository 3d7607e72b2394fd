"""The event stream survives a crash in the middle of a line."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from synrs_data.errors import BuildFolderError
from synrs_data.events import Event, EventLog, read_events


def test_events_come_back_in_order_with_their_fields(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    before = time.time()
    log = EventLog(path)
    log.emit("shard_done", shard=3)
    log.emit("note", text="Zürich\nsecond line")
    first, second = read_events(path)
    assert (first["event"], first["shard"]) == ("shard_done", 3)
    assert second["text"] == "Zürich\nsecond line"
    assert before - 0.01 <= first["time"] <= second["time"] <= time.time() + 0.01
    assert len(path.read_text().splitlines()) == 2


def test_every_listener_hears_every_event_even_without_a_file() -> None:
    heard: list[Event] = []
    again: list[Event] = []
    log = EventLog(None, heard.append, again.append)
    log.emit("a", n=1)
    log.emit("b")
    assert [event["event"] for event in heard] == ["a", "b"]
    assert again == heard


def test_a_line_that_a_crash_cut_short_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    log.emit("first")
    log.emit("town", name="Zürich")
    whole = path.read_bytes()
    start = whole.index(b"\n") + 1
    for end in range(start, len(whole) - 1):
        path.write_bytes(whole[:end])
        assert [event["event"] for event in read_events(path)] == ["first"], end


def test_the_event_after_a_cut_line_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    EventLog(path).emit("first")
    path.write_bytes(path.read_bytes() + b'{"time": 1, "eve')
    log = EventLog(path)
    log.emit("build_started")
    log.emit("second")
    assert [event["event"] for event in read_events(path)] == ["first", "build_started", "second"]
    assert b"\n\n" not in path.read_bytes()


@pytest.mark.parametrize("line", ["5", "[]", '{"event": "x"}', '{"time": 1}', "\0\0", ""])
def test_a_line_that_is_no_event_is_skipped(tmp_path: Path, line: str) -> None:
    path = tmp_path / "events.jsonl"
    good: dict[str, Any] = {"time": 1.0, "event": "good"}
    path.write_text(f"{line}\n{json.dumps(good)}\n")
    assert list(read_events(path)) == [good]


def test_a_file_that_is_not_there_has_no_events(tmp_path: Path) -> None:
    assert list(read_events(tmp_path / "events.jsonl")) == []


def test_a_full_disk_is_one_message(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    (tmp_path / "events.jsonl").symlink_to("/dev/full")
    with pytest.raises(BuildFolderError, match="disk is full"):
        EventLog(tmp_path / "events.jsonl").emit("a")
    assert os.path.islink(tmp_path / "events.jsonl")  # noqa: PTH114 - the device itself is untouched
