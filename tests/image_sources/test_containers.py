"""Damaged and hostile tars and parquet files are refused by name, and harm nothing."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from synrs_data.errors import UserError
from synrs_data.image_sources import ImageSource
from tests.image_sources.samples import encoded, member, plain_tar, write_parquet, write_tar


def names(location: Path) -> list[str]:
    return [image.name for image in ImageSource(str(location)).images]


def test_every_cut_before_the_end_blocks_is_refused(tmp_path: Path) -> None:
    path = plain_tar(tmp_path / "x.tar", count=2)
    content = path.read_bytes()
    last = max(image.offset + (image.size or 0) for image in ImageSource(str(path)).images) + 1024
    assert not any(content[last + 512 :])
    for stop in range(0, last + 1024, 256):
        path.write_bytes(content[:stop])
        with pytest.raises(UserError, match="is no whole"):
            names(path)


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path: Path) -> None:
    path = plain_tar(tmp_path / "x.tar", count=4)
    content = bytearray(path.read_bytes())
    place = content.index(b"0002.png")
    content[place + 150] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged at or after byte"):
        names(path)


def test_two_tars_in_one_file_are_refused(tmp_path: Path) -> None:
    path = plain_tar(tmp_path / "x.tar")
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(UserError, match="damaged at or after byte"):
        names(path)


@pytest.mark.parametrize("content", [b"no tar" * 500, b"\x1f\x8b" + b"x" * 600, b""])
def test_what_is_no_plain_tar_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(UserError, match=r"x\.tar: is no whole, uncompressed tar"):
        names(tmp_path)


def test_a_compressed_tar_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w:gz") as tar:
        info, content = member("a.png", encoded(1))
        tar.addfile(info, io.BytesIO(content))
    with pytest.raises(UserError, match="is no whole, uncompressed tar"):
        names(tmp_path)


def test_one_name_twice_is_refused(tmp_path: Path) -> None:
    for first, second in (("a.png", "a.png"), ("a.png", "./a.png")):
        path = write_tar(tmp_path / "x.tar", member(first, encoded(1)), member(second, encoded(2)))
        with pytest.raises(UserError, match=r"a\.png' comes twice"):
            names(path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused_as_images_and_ignored_otherwise(tmp_path: Path, kind: bytes) -> None:
    good = member("a.png", encoded(1))
    path = write_tar(tmp_path / "x.tar", good, member("link", type=kind, linkname="/etc/passwd"))
    assert names(path) == ["x.tar:a.png"]
    path = write_tar(tmp_path / "x.tar", good, member("b.png", type=kind, linkname="a.png"))
    with pytest.raises(UserError, match=r"'b\.png' is no plain file"):
        names(path)


def test_a_folder_that_is_named_like_an_image_is_none(tmp_path: Path) -> None:
    path = write_tar(
        tmp_path / "x.tar", member("d.png", type=tarfile.DIRTYPE), member("d.png/a.png", encoded(1))
    )
    assert names(path) == ["x.tar:d.png/a.png"]


@pytest.mark.parametrize("name", ["../a.png", "/etc/a.png", "x/../../a.png"])
def test_names_that_lead_out_of_the_archive_are_refused(tmp_path: Path, name: str) -> None:
    path = write_tar(tmp_path / "x.tar", member(name, encoded(1)))
    with pytest.raises(UserError, match="leads out of the archive"):
        names(path)


def test_a_sparse_member_is_refused(tmp_path: Path) -> None:
    info, content = member("a.png", encoded(1), type=tarfile.GNUTYPE_SPARSE)
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    # One piece of the file: offset 0, all bytes; then the whole size (GNU tar manual, "Old GNU Format").
    header[386:410] = b"%011o\0%011o\0" % (0, len(content))
    header[483:495] = b"%011o\0" % len(content)
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    path = tmp_path / "x.tar"
    path.write_bytes(bytes(header) + content + b"\0" * (-len(content) % 512 + 1024))
    with pytest.raises(UserError, match=r"'a\.png' is no plain file"):
        names(path)


def test_a_negative_size_is_refused(tmp_path: Path) -> None:
    path = plain_tar(tmp_path / "x.tar", count=2)
    content = bytearray(path.read_bytes())
    place = content.index(b"0001.png")
    content[place + 124 : place + 136] = b"\xff" * 10 + b"\xf8\x00"
    content[place + 148 : place + 156] = b"        "
    content[place + 148 : place + 156] = b"%06o\0 " % sum(content[place : place + 512])
    path.write_bytes(content)
    with pytest.raises(UserError, match="negative size"):
        names(path)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nb  0.png", "a\\nb  0.png"),
        ("\x1b[31mred.png", "\\x1b[31mred.png"),
        ("\u202egnp.x.png", "\\u202egnp.x.png"),
        ("sea \u00e4\u6d77.png", "sea \u00e4\u6d77.png"),
        ("$(rm -rf x); 'a' \"b\" %s {0}.png", "$(rm -rf x); 'a' \"b\" %s {0}.png"),
        ("\udcff.png", "\\udcff.png"),
    ],
)
def test_hostile_names_are_only_names(tmp_path: Path, name: str, shown: str) -> None:
    source = ImageSource(str(write_tar(tmp_path / "x.tar", member(name, encoded(1)))))
    assert [image.name for image in source.images] == [f"x.tar:{shown}"]
    assert source.images[0].read() == encoded(1)
    assert len(source.digest()) == 64
    assert source.images[0].where.encode().isascii() == shown.isascii()


def test_a_very_long_name_is_refused_in_short(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", member("a" * 100_000 + ".png", encoded(1)))
    with pytest.raises(UserError, match=r"a name of 100,004 characters") as caught:
        names(path)
    assert len(str(caught.value)) < 500


def test_a_file_name_that_is_no_text_is_only_a_name(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "\udcfe\n.png").write_bytes(encoded(1))
    source = ImageSource(str(tmp_path / "real"))
    assert [image.name for image in source.images] == ["\\udcfe\\n.png"]
    assert len(source.digest()) == 64


@pytest.mark.parametrize("kept", [0, 3, 100, 400, -1, -200])
def test_a_parquet_file_that_is_cut_is_refused_by_name(tmp_path: Path, kept: int) -> None:
    path = write_parquet(tmp_path / "x.parquet", [encoded(1), encoded(2)])
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"x\.parquet: is no whole parquet file"):
        names(tmp_path)


def test_damaged_pages_of_parquet_are_an_error_and_no_crash(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", [encoded(number) for number in range(8)])
    images = ImageSource(str(path)).images
    content = bytearray(path.read_bytes())
    content[4:40] = b"\xff" * 36
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"x\.parquet: is no whole parquet file"):
        images[0].read()
