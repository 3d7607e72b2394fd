"""`blockiness`: known values, and real images through JPEG of many qualities."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from synrs_data.filters.base import Batch
from synrs_data.filters.blockiness import Blockiness, BlockinessOptions
from synrs_data.recipe import Threshold
from synrs_data.registry import lookup
from synrs_data.vocabulary import load_label_set
from tests.real_textures import ucmerced

Pixels = NDArray[np.uint8]


def score(*images: Pixels) -> list[float]:
    scorer = Blockiness(BlockinessOptions(), load_label_set("eurosat"))
    batch = Batch(images=images, captions=[""] * len(images), labels=[0] * len(images), device="cpu")
    return [float(value) for value in scorer.score(batch)["blockiness"]]


def compressed(image: Pixels, quality: int) -> Pixels:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return np.array(Image.open(stream))


def blocks(step: int, offset: int = 0) -> Pixels:
    """Return a chess board of 8x8 fields that differ by `step` levels."""
    places = (np.arange(64) + offset) // 8
    levels = 100 + step * ((places[:, None] + places[None, :]) % 2)
    return np.repeat(levels.astype(np.uint8)[..., None], 3, axis=2)


def smooth(seed: int = 0) -> Pixels:
    coarse = np.random.default_rng(seed).integers(60, 200, (9, 9, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((144, 144), Image.Resampling.BICUBIC)
    noise = np.random.default_rng(seed).normal(0, 3, (144, 144, 3))
    return np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8)


def test_flat_images_have_one_and_pure_blocks_their_step_over_the_floor() -> None:
    assert score(np.full((64, 64, 3), 90, dtype=np.uint8)) == [1.0]
    assert score(blocks(1), blocks(40)) == [pytest.approx(1.5 / 0.5), pytest.approx(40.5 / 0.5)]


def test_noise_has_one() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    assert score(noise) == [pytest.approx(1, abs=0.03)]


def test_blocks_are_counted_from_the_corner() -> None:
    assert score(blocks(40, offset=3))[0] < 1
    assert score(blocks(40, offset=3)[5:, 5:])[0] > 50


def test_rows_and_columns_count_alike() -> None:
    image = smooth()
    found = score(compressed(image, 20), np.ascontiguousarray(compressed(image, 20).transpose(1, 0, 2)))
    assert found[0] == pytest.approx(found[1])


def test_scores_rise_as_the_quality_of_jpeg_falls() -> None:
    image = smooth()
    found = score(image, *(compressed(image, quality) for quality in (95, 75, 50, 30, 10)))
    assert found == sorted(found)
    assert found[0] == pytest.approx(1, abs=0.1)
    assert found[-1] > 1.3


def test_lossless_aerial_images_pass_and_strong_jpeg_fails() -> None:
    images = ucmerced(3)
    limit = Blockiness(BlockinessOptions(), load_label_set("eurosat")).thresholds()["blockiness"]
    assert limit == Threshold(max=1.3)
    shares = {
        quality: np.mean([value > 1.3 for value in score(*(compressed(image, quality) for image in images))])
        for quality in (95, 90, 50, 30, 10)
    }
    assert max(score(*images)) < 1.1
    assert shares[95] == shares[90] == 0
    assert shares[50] > 0.4
    assert shares[30] > 0.85
    assert shares[10] == 1


@pytest.mark.parametrize(("height", "width"), [(1, 1), (8, 8), (7, 20), (9, 9)])
def test_images_of_a_block_or_less_have_finite_scores(height: int, width: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert np.isfinite(score(image)).all()


def test_an_image_of_one_block_has_one() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert score(image) == [1.0]


def test_it_is_registered_and_columns_are_what_is_scored() -> None:
    assert lookup("filters", "blockiness") is Blockiness
    assert list(Blockiness.columns) == ["blockiness"]
    assert Blockiness(BlockinessOptions(), load_label_set("eurosat")).digest() == ""
