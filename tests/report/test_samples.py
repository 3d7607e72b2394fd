"""The picture of a card: every label has its place, pairs stand side by side, and the bytes are always the same."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage

from synrs_data.errors import VerificationError
from synrs_data.report import BuildFacts, samples_picture
from synrs_data.report.samples import MOST_BYTES, grid
from synrs_data.shards import TarWriter, sample_bytes
from synrs_data.shards.folder import BuildFolder
from tests.report.fake_build import make_build, shuffled, tiny_image

COLOURS = ((200, 30, 30), (30, 180, 30), (30, 30, 200))


def plain_image(index: int) -> bytes:
    """Return an image of its label's colour, for the three labels of a fake build."""
    out = io.BytesIO()
    PillowImage.new("RGB", (16, 16), COLOURS[index % 3]).save(out, "JPEG", quality=95)
    return out.getvalue()


def pixels(content: bytes) -> NDArray[np.int64]:
    with PillowImage.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB")).astype(np.int64)


def share_of(picture: NDArray[np.int64], colour: tuple[int, int, int]) -> float:
    """Return the share of the pixels that are about of a colour."""
    return float((np.abs(picture - np.array(colour)).max(axis=2) < 30).mean())


def test_every_label_is_shown_about_as_much(tmp_path: Path) -> None:
    folder, facts = make_build(tmp_path / "build", image=plain_image, verdict=lambda index: ("", ""))
    picture = pixels(samples_picture(folder, facts))

    shares = [share_of(picture, colour) for colour in COLOURS]
    assert min(shares) > 0.2
    assert max(shares) - min(shares) < 0.01
    assert 900 <= picture.shape[1] <= 1100
    assert (grid(facts).labels, grid(facts).of, grid(facts).samples) == (3, 3, 24)


def test_the_bytes_depend_on_no_order_of_rows_and_rejected_candidates_are_not_shown(tmp_path: Path) -> None:
    folder, facts = make_build(tmp_path / "build", splits={"train": 0.5, "test": 0.5})
    content = samples_picture(folder, facts)

    assert samples_picture(folder, shuffled(facts)) == content
    (folder.candidates / "00000.tar").unlink()
    assert samples_picture(folder, facts) == content


def test_labels_without_samples_have_no_place(tmp_path: Path) -> None:
    folder, facts = make_build(
        tmp_path / "build", image=plain_image, verdict=lambda index: ("", "") if index % 3 else ("rule", "no")
    )
    picture = pixels(samples_picture(folder, facts))

    assert share_of(picture, COLOURS[0]) == 0
    assert min(share_of(picture, colour) for colour in COLOURS[1:]) > 0.2
    assert grid(facts).of == 2


def test_a_large_label_set_of_noise_stays_small(tmp_path: Path) -> None:
    names = [
        f"a label with a very long name that no block has room for, number {number}" for number in range(200)
    ]
    folder, facts = make_build(
        tmp_path / "build",
        labels=names,
        candidates=200,
        verdict=lambda index: ("", ""),
        image=lambda index: tiny_image(index, side=128),
    )
    content = samples_picture(folder, facts)

    assert len(content) <= MOST_BYTES
    assert (grid(facts).labels, grid(facts).of) == (64, 200)
    assert 900 <= pixels(content).shape[1] <= 1100


def test_the_picture_says_that_it_is_synthetic(tmp_path: Path) -> None:
    folder, facts = make_build(tmp_path / "build")
    with PillowImage.open(io.BytesIO(samples_picture(folder, facts))) as image:
        exif = image.getexif()
    assert "Synthetic images" in exif[0x010E]
    assert exif[0x0131].startswith("synrs-data")


def make_pairs(root: Path, low: NDArray[np.uint8], high: NDArray[np.uint8]) -> tuple[BuildFolder, BuildFacts]:
    """Return a build of three times the same pair."""
    folder, facts = make_build(root / "build", labels=["scene"], candidates=3, verdict=lambda index: ("", ""))
    recipe: dict[str, Any] = facts.recipe.model_dump() | {
        "task": "lr-hr",
        "degradation": {"method": "bicubic"},
        "image": {"format": "png"},
    }
    rows = []
    with (folder.data / "train-00000.tar").open("wb") as file:
        writer = TarWriter(file)
        for row in facts.packed.to_dicts():
            fields = {"lr.png": _png(low), "hr.png": _png(high), "json": b"{}"}
            span = writer.write(sample_bytes(row["key"], fields))
            rows.append(row | {"offset": span.offset, "length": span.length})
        writer.close()
    packed = pl.DataFrame(rows, schema=facts.packed.schema)
    return folder, replace(facts, packed=packed, recipe=type(facts.recipe).model_validate(recipe))


def _png(image: NDArray[np.uint8]) -> bytes:
    out = io.BytesIO()
    PillowImage.fromarray(image).save(out, "PNG")
    return out.getvalue()


def test_of_a_pair_the_low_resolution_stands_left_in_blocks_of_one_colour(tmp_path: Path) -> None:
    low = np.random.default_rng(1).integers(0, 2, (16, 16, 1), dtype=np.uint8).repeat(3, axis=2) * 255
    high = np.full((64, 64, 3), 128, np.uint8)
    folder, facts = make_pairs(tmp_path, low, high)

    picture = pixels(samples_picture(folder, facts))

    left, right = picture[5:261, 5:261], picture[5:261, 266:522]
    # JPEG moves colours a little; blocks of 16 x 16 are black or white as in the LR.
    middles = left.reshape(16, 16, 16, 16, 3).mean(axis=(1, 3))
    assert np.abs(middles - low).max() < 25
    assert np.abs(right - 128).max() < 12


def test_a_large_pair_is_cut_to_the_same_part(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 200).astype(np.uint8)
    low = np.broadcast_to(ramp[None, :, None], (200, 200, 3)).copy()
    high = low.repeat(4, axis=0).repeat(4, axis=1)
    folder, facts = make_pairs(tmp_path, low, high)

    picture = pixels(samples_picture(folder, facts))

    left, right = picture[5:261, 5:261], picture[5:261, 266:522]
    assert np.abs(left - right).max() < 20
    assert left[:, 0].mean() == pytest.approx(ramp[68], abs=8)


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    folder, facts = make_build(tmp_path / "build")
    (folder.data / "train-00000.tar").write_bytes(b"")
    with pytest.raises(VerificationError, match=r"train-00000\.tar"):
        samples_picture(folder, facts)
