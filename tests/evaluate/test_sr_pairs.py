"""Pairs: from two folders, from tars of ours, degraded from one source or a table, and what cannot be a pair."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from synrs_data.errors import RecipeError, UserError
from synrs_data.evaluate.super_resolution.degraded_pairs import DegradedImages
from synrs_data.evaluate.super_resolution.pairs import PackedPairs, PairedFolders
from synrs_data.resampling import shrink
from tests.evaluate.sr_images import DATA, scene, write_images
from tests.image_sources.samples import member, write_tar

Pixels = NDArray[np.uint8]

HIGH = {name: scene(number, 16) for number, name in enumerate(("a", "b", "c"))}
LOW = {name: shrink([image], "matlab", 4)[0] for name, image in HIGH.items()}


def png(image: Pixels) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG")
    return out.getvalue()


def folders(tmp_path: Path, low: dict[str, Pixels], high: dict[str, Pixels]) -> tuple[str, str]:
    return (
        str(write_images(tmp_path / "lr", {f"{name}.png": image for name, image in low.items()})),
        str(write_images(tmp_path / "hr", {f"{name}.png": image for name, image in high.items()})),
    )


def test_folders_are_matched_by_name_whatever_the_ending(tmp_path: Path) -> None:
    low, high = folders(tmp_path, LOW, HIGH)
    (tmp_path / "hr" / "b.png").unlink()
    Image.fromarray(HIGH["b"]).save(tmp_path / "hr" / "b.webp", lossless=True)
    source = PairedFolders(low, high, 4)
    assert source.keys == ("a", "b", "c")
    for pair in source.read():
        assert np.array_equal(pair.lr, LOW[pair.key])
        assert np.array_equal(pair.hr, HIGH[pair.key])
    assert [pair.key for pair in source.read(["c", "a"])] == ["c", "a"]


def test_an_image_without_a_partner_is_named_and_order_does_without_names(tmp_path: Path) -> None:
    low, high = folders(tmp_path, {f"{name}x4": image for name, image in LOW.items()}, HIGH)
    with pytest.raises(UserError, match="'a' has no low-resolution image, and 5 more have no partner"):
        list(PairedFolders(low, high, 4).read())
    source = PairedFolders(low, high, 4, match="order")
    assert [pair.key for pair in source.read()] == ["a", "b", "c"]
    assert all(np.array_equal(pair.lr, LOW[pair.key]) for pair in source.read())
    (tmp_path / "lr" / "ax4.png").unlink()
    with pytest.raises(UserError, match="hold 2 low- and 3 high-resolution images"):
        list(PairedFolders(low, high, 4, match="order").read())


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    low, high = folders(tmp_path, LOW, HIGH)
    Image.fromarray(HIGH["a"]).save(tmp_path / "hr" / "a.webp")
    with pytest.raises(UserError, match="has two images of the name 'a'"):
        list(PairedFolders(low, high, 4).read())


def test_high_resolution_is_cut_to_a_multiple_and_no_further(tmp_path: Path) -> None:
    larger = {name: np.pad(image, ((0, 3), (0, 1), (0, 0))) for name, image in HIGH.items()}
    [first, *_] = PairedFolders(*folders(tmp_path / "x", LOW, larger), 4).read()
    assert np.array_equal(first.hr, HIGH["a"])
    larger = {name: np.pad(image, ((0, 4), (0, 0), (0, 0))) for name, image in HIGH.items()}
    with pytest.raises(UserError, match="'a' have 4 x 4 and 16 x 20 pixels, which is not a scale of 4"):
        list(PairedFolders(*folders(tmp_path / "y", LOW, larger), 4).read())
    with pytest.raises(UserError, match="which is not a scale of 2"):
        list(PairedFolders(*folders(tmp_path / "z", LOW, HIGH), 2).read())


def test_missing_folders_and_corrupt_images_are_named(tmp_path: Path) -> None:
    low, high = folders(tmp_path, LOW, HIGH)
    with pytest.raises(UserError, match="no such file or folder"):
        list(PairedFolders(str(tmp_path / "none"), high, 4).read())
    (tmp_path / "lr" / "b.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"b\.png: cannot be read as an image"):
        list(PairedFolders(low, high, 4).read())
    with pytest.raises(UserError, match="there is no pair 'd'"):
        list(PairedFolders(low, high, 4).read(["d"]))


def test_a_digest_changes_with_any_image(tmp_path: Path) -> None:
    low, high = folders(tmp_path, LOW, HIGH)
    first = PairedFolders(low, high, 4).digest()
    assert PairedFolders(low, high, 4).digest() == first
    Image.fromarray(HIGH["a"]).save(tmp_path / "hr" / "b.png")
    assert PairedFolders(low, high, 4).digest() != first


def test_packed_pairs_are_told_by_their_fields_and_split(tmp_path: Path) -> None:
    for split, names in (("train", ("a", "b")), ("test", ("c",))):
        parts = []
        for number, name in enumerate(names):
            parts += [
                member(f"{number:09d}.hr.png", png(HIGH[name])),
                member(f"{number:09d}.json", b"{}"),
                member(f"{number:09d}.lr.png", png(LOW[name])),
            ]
        write_tar(tmp_path / f"{split}-00000.tar", *parts)
    everything = PackedPairs(str(tmp_path), 4)
    assert everything.keys == (
        "test-00000.tar:000000000",
        "train-00000.tar:000000000",
        "train-00000.tar:000000001",
    )
    train = PackedPairs(str(tmp_path), 4, split="train")
    found = list(train.read())
    assert [np.array_equal(pair.lr, LOW[name]) for pair, name in zip(found, "ab", strict=True)] == [True] * 2
    assert [np.array_equal(pair.hr, HIGH[name]) for pair, name in zip(found, "ab", strict=True)] == [True] * 2
    with pytest.raises(UserError, match="no shards of the split 'validation'"):
        list(PackedPairs(str(tmp_path), 4, split="validation").read())


def test_packed_samples_without_their_partner_are_refused(tmp_path: Path) -> None:
    write_tar(
        tmp_path / "x.tar",
        member("000000000.hr.png", png(HIGH["a"])),
        member("000000000.lr.png", png(LOW["a"])),
        member("000000001.hr.png", png(HIGH["b"])),
    )
    with pytest.raises(UserError, match=r"'x\.tar:000000001' has no low-resolution image\n"):
        list(PackedPairs(str(tmp_path / "x.tar"), 4).read())


def test_images_are_degraded_by_name_after_cutting(tmp_path: Path) -> None:
    images = {f"{name}.png": np.pad(image, ((0, 3), (0, 2), (0, 0))) for name, image in HIGH.items()}
    source = DegradedImages(str(write_images(tmp_path / "hr", images)), {"method": "bicubic", "scale": 4})
    assert source.scale == 4
    assert source.keys == ("a.png", "b.png", "c.png")
    for pair in source.read():
        assert np.array_equal(pair.hr, HIGH[pair.key[0]])
        assert np.array_equal(pair.lr, LOW[pair.key[0]])


def test_what_a_degradation_draws_depends_on_seed_and_key_alone(tmp_path: Path) -> None:
    folder = str(write_images(tmp_path / "hr", {f"{name}.png": scene(9, 32) for name in ("a", "b")}))
    spec = {"method": "real-esrgan", "preset": "real-esrgan-x4"}
    first, second = DegradedImages(folder, spec).read()
    assert not np.array_equal(first.lr, second.lr)
    [alone] = DegradedImages(folder, spec).read(["b.png"])
    assert np.array_equal(alone.lr, second.lr)
    [other] = DegradedImages(folder, spec, seed=1).read(["b.png"])
    assert not np.array_equal(other.lr, second.lr)


def table(tmp_path: Path, text: str = "path,label,split\nhr/a.png,x,train\nhr/b.png,x,test\n") -> str:
    write_images(tmp_path / "hr", {f"{name}.png": image for name, image in HIGH.items()})
    (tmp_path / "list.csv").write_text(text)
    return str(tmp_path / "list.csv")


def test_a_table_gives_the_images_of_a_split(tmp_path: Path) -> None:
    path, bicubic = table(tmp_path), {"method": "bicubic", "scale": 4}
    [pair] = DegradedImages(path, bicubic, split="test").read()
    assert pair.key == "hr/b.png"
    assert np.array_equal(pair.hr, HIGH["b"])
    assert len(DegradedImages(path, bicubic).keys) == 2
    tests = DegradedImages(path, bicubic, split="test").digest()
    assert tests != DegradedImages(path, bicubic, split="train").digest()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\nhr/a.png,x\n", "line 2 has no path or no split"),
        ("path,split\nhr/a.png,test,more\n", "line 2 has no path or no split"),
        ("path,split\nhr/a.png,train\n", "no row of the split 'test'"),
        ("path,split\nhr/z.png,test\nhr/a.png,test\n", "1 of 2 images are not there: hr/z.png"),
    ],
)
def test_a_faulty_table_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        list(DegradedImages(table(tmp_path, text), {"method": "bicubic"}, split="test").read())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: DegradedImages(root, {"method": "bicubick"}), "unknown method 'bicubick'"),
        (lambda root: DegradedImages(root, {"method": "bicubic", "factor": 4}), "factor"),
    ],
)
def test_an_unknown_degradation_or_option_is_refused(
    tmp_path: Path, make: Callable[[str], DegradedImages], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        make(str(tmp_path))


def test_a_missing_table_a_split_of_a_folder_and_tiny_images_are_refused(tmp_path: Path) -> None:
    bicubic = {"method": "bicubic", "scale": 4}
    with pytest.raises(UserError, match="no such table"):
        list(DegradedImages(str(tmp_path / "none.csv"), bicubic).read())
    folder = str(write_images(tmp_path / "hr", {"a.png": HIGH["a"][:3]}))
    with pytest.raises(UserError, match="only a table has splits"):
        list(DegradedImages(folder, bicubic, split="test").read())
    with pytest.raises(UserError, match=r"'a.png' is smaller than 4 pixels"):
        list(DegradedImages(folder, bicubic).read())


def test_the_shared_tables_and_pairs_are_read_as_they_lie() -> None:
    path = DATA / "ucmerced" / "sr_hr_lossless.csv"
    if not path.is_file():
        pytest.skip("the shared UC Merced tiles are not here")
    source = DegradedImages(str(path), {"method": "bicubic", "scale": 4}, split="test")
    assert len(source.keys) == 42
    [pair] = source.read(source.keys[:1])
    assert (pair.lr.shape, pair.hr.shape) == ((64, 64, 3), (256, 256, 3))
    realsr = PairedFolders(str(DATA / "realsr_pairs" / "lr"), str(DATA / "realsr_pairs" / "hr"), 4)
    assert len(realsr.keys) == 10
