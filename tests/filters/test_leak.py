"""`leak`: a copy of a real image is found, wherever the real images lie, and bad sources are told."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage

from synrs_data.errors import UserError
from synrs_data.filters.base import Batch
from synrs_data.filters.leak import Leak, LeakOptions, read_images
from synrs_data.recipe import Threshold
from synrs_data.vocabulary import load_label_set
from tests.filters.stub import stub_encoder
from tests.filters.test_perceptual_hash import encoded, scene

Image = NDArray[np.uint8]


def leak(real: Path, *, embedding: bool = False) -> Leak:
    return Leak(LeakOptions(real=str(real), embedding=embedding), load_label_set("eurosat"))


def score(scorer: Leak, *images: Image) -> dict[str, list[float]]:
    batch = Batch(images=images, captions=["x"] * len(images), labels=[0] * len(images), device="cpu")
    return {name: [float(value) for value in values] for name, values in scorer.score(batch).items()}


def png(image: Image) -> bytes:
    out = io.BytesIO()
    PillowImage.fromarray(image).save(out, "PNG")
    return out.getvalue()


def write_folder(folder: Path, seeds: range) -> Path:
    for seed in seeds:
        path = folder / f"class-{seed % 2}" / f"{seed}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(scene(seed)))
    (folder / "labels.csv").write_text("not an image")
    return folder


def write_tar(path: Path, seeds: range) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for seed in seeds:
            for name, data in ((f"{seed:09d}.jpg.png", png(scene(seed))), (f"{seed:09d}.json", b"{}")):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return path


def test_an_exact_copy_has_distance_zero_and_another_image_is_far(tmp_path: Path) -> None:
    scorer = leak(write_folder(tmp_path, range(5)))
    found = score(scorer, scene(3), scene(77), encoded(scene(4), 75))["leak_hash_distance"]
    assert found[0] == 0
    assert found[1] > 10
    assert found[2] <= 4


def test_the_default_threshold_rejects_copies_and_keeps_others(tmp_path: Path) -> None:
    scorer = leak(write_folder(tmp_path, range(5)))
    assert scorer.thresholds() == {"leak_hash_distance": Threshold(min=5)}
    copy, other = score(scorer, scene(3), scene(77))["leak_hash_distance"]
    assert copy < 5 <= other


def test_a_copy_has_similarity_one_and_is_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = stub_encoder(monkeypatch)
    scorer = leak(write_folder(tmp_path, range(70)), embedding=True)
    found = score(scorer, scene(3), scene(177))["leak_similarity"]
    assert found[0] == pytest.approx(1, abs=1e-6)
    real = encoder.images([scene(seed) for seed in range(70)])
    assert found[1] == pytest.approx(float((encoder.images([scene(177)]) @ real.T).max()), abs=1e-6)
    assert found[1] < 0.999
    assert max(encoder.batches) <= 70


def test_without_the_encoder_there_is_no_column_for_it(tmp_path: Path) -> None:
    write_folder(tmp_path, range(2))
    assert list(leak(tmp_path).columns) == list(score(leak(tmp_path), scene(0))) == ["leak_hash_distance"]
    assert list(leak(tmp_path, embedding=True).columns) == ["leak_hash_distance", "leak_similarity"]


def test_a_folder_of_images_a_tar_and_a_folder_of_tars_are_the_same_source(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images", range(4))
    one = write_tar(tmp_path / "one.tar", range(4))
    write_tar(tmp_path / "tars" / "test-00000.tar", range(2))
    write_tar(tmp_path / "tars" / "test-00001.tar", range(2, 4))
    expected = sorted(scene(seed).tobytes() for seed in range(4))
    for source in (folder, one, tmp_path / "tars"):
        assert sorted(image.tobytes() for image in read_images(source)) == expected
        assert score(leak(source), scene(3))["leak_hash_distance"] == [0.0]


def test_images_are_read_as_rgb_and_names_in_any_case(tmp_path: Path) -> None:
    PillowImage.new("L", (8, 8), 7).save(tmp_path / "a.PNG")
    PillowImage.new("RGBA", (8, 8), (1, 2, 3, 4)).save(tmp_path / "b.png")
    PillowImage.new("P", (8, 8)).save(tmp_path / "c.png")
    PillowImage.new("RGB", (8, 8)).save(tmp_path / "d.TIF")
    assert [image.shape for image in read_images(tmp_path)] == [(8, 8, 3)] * 4


@pytest.mark.parametrize("kind", ["empty", "gone", "no images", "a text file"])
def test_a_source_without_images_is_one_message(tmp_path: Path, kind: str) -> None:
    source = tmp_path / "real"
    if kind != "gone":
        source.mkdir()
    if kind in ("no images", "a text file"):
        (source / "a.txt").write_text("")
    source = source / "a.txt" if kind == "a text file" else source
    for ask in (leak(source).digest, lambda: score(leak(source), scene(0))):
        with pytest.raises(UserError, match="there are no images") as caught:
            ask()
        assert caught.value.where == str(source)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not an image",
        png(scene(0))[:200],
        b"\x89PNG\r\n\x1a\n" + b"\0" * 64,
        b"RIFF\0\0\0\0WEBP",
        b"II*\0\xff\xff\xff\x7f",
    ],
    ids=lambda data: f"{len(data)} bytes",
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_file_that_is_no_whole_image_is_named(tmp_path: Path, data: bytes, packed: bool) -> None:
    if packed:
        with tarfile.open(tmp_path / "a.tar", "w") as tar:
            info = tarfile.TarInfo("000000001.png")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    else:
        (tmp_path / "000000001.png").write_bytes(data)
    with pytest.raises(UserError, match="cannot be read as an image") as caught:
        list(read_images(tmp_path))
    assert "000000001.png" in caught.value.where


def test_a_broken_tar_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"no tar")
    with pytest.raises(UserError, match="cannot be read as a tar"):
        list(read_images(tmp_path))
    data = write_tar(tmp_path / "a.tar", range(3)).read_bytes()
    (tmp_path / "a.tar").write_bytes(data[:5000])
    with pytest.raises(UserError):
        list(read_images(tmp_path))


def test_links_and_folders_in_a_tar_are_passed_over(tmp_path: Path) -> None:
    with tarfile.open(write_tar(tmp_path / "a.tar", range(2)), "a") as tar:
        for name, kind in (
            ("link.png", tarfile.SYMTYPE),
            ("hard.png", tarfile.LNKTYPE),
            ("folder.png", tarfile.DIRTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
    assert len(list(read_images(tmp_path / "a.tar"))) == 2


def test_the_digest_stands_for_the_images_not_for_their_folder(tmp_path: Path) -> None:
    first = leak(write_folder(tmp_path / "a", range(3))).digest()
    assert leak(write_folder(tmp_path / "b", range(3))).digest() == first
    assert leak(write_folder(tmp_path / "c", range(4))).digest() != first
    path: Any = tmp_path / "b" / "class-0" / "0.png"
    path.write_bytes(png(scene(99)))
    assert leak(tmp_path / "b").digest() != first


def test_it_says_with_how_many_real_images_it_compared(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(png(scene(number)))
    scorer = leak(tmp_path)
    assert scorer.compared is None
    score(scorer, scene(9))
    assert scorer.compared == 3
