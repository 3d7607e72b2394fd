"""Shards are a function of their samples, every reader reads them, and a damaged one is told."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from synrs_data.errors import VerificationError
from synrs_data.sample import sample_key
from synrs_data.shards import Span, TarWriter, members, read_sample, sample_bytes
from synrs_data.shards.tar import ForwardReader, parse_sample, read_span, stream_members

Sample = dict[str, bytes]


def samples(count: int) -> list[Sample]:
    found = []
    for index in range(count):
        out = io.BytesIO()
        pixels = np.random.default_rng(index).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        PillowImage.fromarray(pixels).save(out, "JPEG", quality=95)
        record = {"key": sample_key(index), "caption": f"ein Fluß {index}", "seed": 2**62 + index, "share": 0.5 * index,
                  "synthetic": True, "scores": {"ruler_mean": float(index)}}  # fmt: skip
        found.append(
            {
                "txt": record["caption"].encode(),  # type: ignore[attr-defined]
                "jpg": out.getvalue(),
                "json": json.dumps(record, ensure_ascii=False).encode(),
                "cls": str(index % 3).encode(),
            }
        )
    return found


def write(path: Path, items: list[Sample]) -> list[Span]:
    with path.open("wb") as file:
        writer = TarWriter(file)
        spans = [writer.write(sample_bytes(sample_key(i), fields)) for i, fields in enumerate(items)]
        writer.close()
    return spans


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    write(tmp_path / "train-00000.tar", samples(7))
    return tmp_path / "train-00000.tar"


def add(
    tar: tarfile.TarFile, name: str, data: bytes = b"x", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = len(data) if kind == tarfile.REGTYPE else 0
    tar.addfile(info, io.BytesIO(data))


def test_the_bytes_depend_on_nothing_but_the_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.tar", samples(3))
    old = os.umask(0o077)
    try:
        monkeypatch.setattr("time.time", lambda: 4e9)
        monkeypatch.setattr("os.getuid", lambda: 4711)
        monkeypatch.setenv("USER", "somebody")
        # Another order of the fields is the same sample.
        write(tmp_path / "b.tar", [dict(reversed(fields.items())) for fields in samples(3)])
    finally:
        os.umask(old)
    data = (tmp_path / "a.tar").read_bytes()
    assert data == (tmp_path / "b.tar").read_bytes()
    assert len(data) % tarfile.RECORDSIZE == 0


def test_the_bytes_never_change_between_versions(tmp_path: Path) -> None:
    write(tmp_path / "a.tar", [{"txt": b"a forest", "cls": b"1"}, {"txt": b"", "cls": b"0" * 512}])
    digest = hashlib.sha256((tmp_path / "a.tar").read_bytes()).hexdigest()
    assert digest == "073138ed97687ecea04fabebb930ff7c478735c40e4b9a9e884a5ab854a1d7f5"


def test_members_are_ustar_without_owner_or_time_and_sorted(shard: Path) -> None:
    with tarfile.open(shard) as tar:
        infos = tar.getmembers()
    assert [info.name for info in infos[:5]] == [
        "000000000.cls", "000000000.jpg", "000000000.json", "000000000.txt", "000000001.cls",
    ]  # fmt: skip
    for info in infos:
        assert (info.mtime, info.uid, info.gid, info.uname, info.gname) == (0, 0, 0, "", "")
        assert info.mode == 0o644
        assert info.isreg()
        assert info.pax_headers == {}
    assert shard.read_bytes()[257:265] == b"ustar\x0000"


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 10_000])
def test_a_sample_of_any_size_is_whole_blocks_and_comes_back(tmp_path: Path, size: int) -> None:
    fields = {"bin": os.urandom(size), "txt": b"x"}
    assert len(sample_bytes("000000001", fields)) % 512 == 0
    [span] = write(tmp_path / "a.tar", [fields])
    assert read_sample(tmp_path / "a.tar", span) == fields
    assert list(members(tmp_path / "a.tar")) == [("000000000", fields)]


def test_a_span_is_the_sample_and_packing_copies_it(tmp_path: Path, shard: Path) -> None:
    items = samples(7)
    spans = write(tmp_path / "again.tar", items)
    assert spans[0].offset == 0
    assert all(a.offset + a.length == b.offset for a, b in pairwise(spans))
    for index, span in enumerate(spans):
        assert read_span(shard, span) == sample_bytes(sample_key(index), items[index])
        assert read_sample(shard, span) == items[index]


@pytest.mark.parametrize("key", ["1", "0000000001", "00000000a", "000.00001", "", "../../../x", "٠٠٠٠٠٠٠٠١"])
def test_a_key_is_nine_digits(key: str) -> None:
    with pytest.raises(ValueError, match="nine digits"):
        sample_bytes(key, {"txt": b""})


def test_an_archive_without_samples_is_whole(tmp_path: Path) -> None:
    write(tmp_path / "a.tar", [])
    assert list(members(tmp_path / "a.tar")) == []
    assert (tmp_path / "a.tar").stat().st_size == tarfile.RECORDSIZE


def test_tarfile_reads_equal_fields(shard: Path) -> None:
    found: dict[str, Sample] = {}
    with tarfile.open(shard) as tar:
        for info in tar:
            key, _, name = info.name.partition(".")
            content = tar.extractfile(info)
            assert content is not None
            found.setdefault(key, {})[name] = content.read()
    assert [found[sample_key(i)] for i in range(7)] == samples(7)


# webdataset leaves each shard that it has read to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_webdataset_reads_equal_fields(shard: Path) -> None:
    import webdataset

    rows = list(webdataset.WebDataset(str(shard), shardshuffle=False))
    assert [row["__key__"] for row in rows] == [sample_key(i) for i in range(7)]
    for row, fields in zip(rows, samples(7), strict=True):
        assert {name: row[name] for name in fields} == fields


@pytest.mark.parametrize("streaming", [False, True])
def test_datasets_reads_equal_images_and_types(shard: Path, tmp_path: Path, streaming: bool) -> None:
    from datasets import Image, load_dataset

    rows = load_dataset(
        "webdataset",
        data_files={"train": [str(shard)]},
        split="train",
        streaming=streaming,
        cache_dir=str(tmp_path / "cache"),
    ).cast_column("jpg", Image(decode=False))
    found: list[dict[str, Any]] = list(rows)
    assert len(found) == 7
    for row, fields in zip(found, samples(7), strict=True):
        assert hashlib.sha256(row["jpg"]["bytes"]).digest() == hashlib.sha256(fields["jpg"]).digest()
        record = json.loads(fields["json"])
        assert row["json"] == record
        assert {name: type(value) for name, value in row["json"].items()} == {
            name: type(value) for name, value in record.items()
        }
        assert row["txt"] == record["caption"]
        assert row["cls"] == int(fields["cls"])


def test_a_tar_that_is_cut_anywhere_is_told(shard: Path) -> None:
    data = shard.read_bytes()
    end = max(span for span in range(0, len(data), 512) if any(data[span : span + 512])) + 512
    cuts = [0, 1, 511, 512, 513, *range(600, end, 997), end - 1, end, end + 512, end + 1023]
    for cut in cuts:
        shard.write_bytes(data[:cut])
        with pytest.raises(VerificationError, match="no whole tar"):
            list(members(shard))
    shard.write_bytes(data[: end + 1024])
    assert len(list(members(shard))) == 7


def test_a_damaged_header_is_told_and_not_taken_for_the_end(shard: Path) -> None:
    data = shard.read_bytes()
    with tarfile.open(shard) as tar:
        places = [info.offset for info in tar]
    for place in places:
        for at in (0, 100, 124, 148, 156, 257, 345):
            broken = bytearray(data)
            broken[place + at] ^= 1
            shard.write_bytes(broken)
            with pytest.raises(VerificationError):
                list(members(shard))


def test_bytes_after_the_end_are_told(shard: Path) -> None:
    shard.write_bytes(shard.read_bytes() + b"more")
    with pytest.raises(VerificationError, match="damaged or cut short at byte"):
        list(members(shard))


HOSTILE: dict[str, list[dict[str, Any]]] = {
    "a key that comes back": [{"name": f"00000000{key}.txt"} for key in "121"],
    "a field that comes back": [{"name": "000000001.txt"}] * 2,
    "a key that is no number": [{"name": "scene.txt"}],
    "a key in a folder": [{"name": "a/000000001.txt"}],
    "an absolute path": [{"name": "/etc/passwd.txt"}],
    "a path that leads out": [{"name": "../../000000001.txt"}],
    "a name of two lines": [{"name": "000000001\n.txt"}],
    "no field": [{"name": "000000001"}],
    "a folder": [{"name": "000000001.d", "kind": tarfile.DIRTYPE}],
    "a link out": [{"name": "000000001.txt", "kind": tarfile.SYMTYPE, "link": "../../etc/passwd"}],
    "a hard link to nothing": [{"name": "000000001.txt", "kind": tarfile.LNKTYPE, "link": "gone.txt"}],
    "a device": [{"name": "000000001.txt", "kind": tarfile.CHRTYPE}],
    "a pipe": [{"name": "000000001.txt", "kind": tarfile.FIFOTYPE}],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_an_archive_that_is_no_sequence_of_samples_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "hostile.tar"
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for member in HOSTILE[name]:
            add(tar, **member)
    with pytest.raises(VerificationError) as caught:
        list(members(path))
    assert caught.value.where == str(path)


def test_a_link_to_another_member_is_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "hostile.tar"
    with tarfile.open(path, "w") as tar:
        add(tar, "000000001.txt", b"secret")
        add(tar, "000000001.json", kind=tarfile.SYMTYPE, link="000000001.txt")
    with pytest.raises(VerificationError, match=r"'000000001\.json' is no field"):
        list(members(path))


def test_a_member_of_negative_size_is_refused_and_read_once(tmp_path: Path) -> None:
    info = tarfile.TarInfo("000000001.txt")
    info.size = -512
    header = info.tobuf(tarfile.GNU_FORMAT)
    (tmp_path / "a.tar").write_bytes(header + bytes(2048))
    with pytest.raises(VerificationError):
        list(members(tmp_path / "a.tar"))
    with pytest.raises(VerificationError):
        parse_sample(header + bytes(512), where="x")


@pytest.mark.parametrize("data", [b"", b"not a tar at all", bytes(100), os.urandom(2048)], ids=len)
def test_a_file_that_is_no_tar_is_told(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(data)
    with pytest.raises(VerificationError, match="no whole tar"):
        list(members(tmp_path / "a.tar"))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match="no whole tar"):
        list(members(tmp_path / "gone.tar"))


def test_a_span_that_holds_no_whole_sample_is_told(shard: Path) -> None:
    blocks = sample_bytes("000000001", {"txt": b"x" * 2000, "cls": b"1"})
    assert parse_sample(blocks, where="x") == {"txt": b"x" * 2000, "cls": b"1"}
    for end in (0, 100, 512, 600, 1100, 1536, 3000):
        with pytest.raises(VerificationError):
            parse_sample(blocks[:end], where="x")
    with pytest.raises(VerificationError):
        read_sample(shard, Span(256, 1024))
    with pytest.raises(VerificationError):
        read_sample(shard, Span(shard.stat().st_size + 512, 1024))


class Endless:
    """A tar of many large samples that is made while it is read."""

    def __init__(self, samples: int, size: int) -> None:
        self._parts = self._make(samples, size)
        self._rest = b""
        self.total = 0

    def _make(self, samples: int, size: int) -> Iterator[bytes]:
        for number in range(samples):
            yield sample_bytes(sample_key(number), {"jpg": bytes([number % 251]) * size, "json": b"{}"})
        # The end of an archive of this length.
        yield b"\0" * (1024 + -(self.total + 1024) % tarfile.RECORDSIZE)

    def read(self, size: int, /) -> bytes:
        while not self._rest and (part := next(self._parts, b"")):
            self._rest = part
            self.total += len(part)
        found, self._rest = self._rest[:size], self._rest[size:]
        return found


def test_a_stream_is_read_with_one_sample_in_memory() -> None:
    source = ForwardReader(Endless(64, 2**20))
    tracemalloc.start()
    try:
        found = [len(fields["jpg"]) for _, fields in stream_members(source, where="a stream")]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found == [2**20] * 64
    assert source.size > 64 * 2**20
    assert peak < 10 * 2**20
