"""Perceptual hashes: the same for the same picture, and pairs are found without comparing all."""

from __future__ import annotations

import io
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage

from synrs_data.filters.perceptual_hash import (
    Hashes,
    close_pairs,
    from_texts,
    nearest_distance,
    perceptual_hash,
    to_text,
)


def scene(seed: int, size: int = 64) -> NDArray[np.uint8]:
    """Return a picture of large blocks, as fields are."""
    blocks = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    picture = PillowImage.fromarray(blocks).resize((size, size), PillowImage.Resampling.BICUBIC)
    return np.asarray(picture)


def encoded(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    out = io.BytesIO()
    PillowImage.fromarray(image).save(out, "JPEG", quality=quality)
    return np.asarray(PillowImage.open(out))


def distance(first: int, second: int) -> int:
    return (first ^ second).bit_count()


@pytest.mark.parametrize("quality", [95, 75, 50])
def test_a_picture_saved_again_is_within_four_bits(quality: int) -> None:
    for seed in range(20):
        image = scene(seed)
        assert distance(perceptual_hash(image), perceptual_hash(encoded(image, quality))) <= 4


def test_a_picture_of_another_size_is_within_four_bits() -> None:
    for seed in range(10):
        assert distance(perceptual_hash(scene(seed, 64)), perceptual_hash(scene(seed, 96))) <= 4


def test_other_pictures_are_far_apart() -> None:
    hashes = [perceptual_hash(scene(seed)) for seed in range(40)]
    assert min(distance(a, b) for a, b in combinations(hashes, 2)) > 10


def test_flat_pictures_have_one_hash_whatever_their_colour() -> None:
    flat = {perceptual_hash(np.full((64, 64, 3), value, dtype=np.uint8)) for value in (1, 77, 200, 255)}
    assert len(flat) == 1


def test_pictures_of_one_pixel_or_one_line_have_a_hash() -> None:
    for shape in ((1, 1, 3), (1, 64, 3), (64, 1, 3)):
        assert 0 <= perceptual_hash(np.zeros(shape, dtype=np.uint8)) < 2**64


def test_the_hash_of_a_picture_never_changes_between_versions() -> None:
    rows, columns = np.indices((64, 64))
    waves = np.stack([rows * columns % 251, rows * 3 % 251, columns * columns % 251], axis=2).astype(np.uint8)
    assert to_text(perceptual_hash(waves)) == "80020f1f3f3f7c3c"


def test_hashes_come_back_from_their_texts() -> None:
    values = [0, 1, 2**63, 2**64 - 1]
    assert [len(to_text(value)) for value in values] == [16] * 4
    assert from_texts([to_text(value) for value in values]).tolist() == values
    assert from_texts([]).dtype == np.uint64


def random_hashes(count: int, seed: int) -> Hashes:
    """Return hashes of which many are equal to another or a few bits from it."""
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 2**64, count // 8, dtype=np.uint64)
    hashes = base[rng.integers(0, len(base), count)]
    for place in range(0, count, 2):
        for bit in rng.choice(64, rng.integers(1, 13), replace=False):
            hashes[place] ^= np.uint64(1) << np.uint64(bit)
    return hashes


def brute_force(hashes: Hashes, most: int) -> set[tuple[int, int]]:
    values = hashes.tolist()
    pairs = combinations(range(len(values)), 2)
    return {(i, j) for i, j in pairs if distance(values[i], values[j]) <= most}


@pytest.mark.parametrize("most", [0, 1, 4, 10, 16])
@pytest.mark.parametrize("seed", [0, 1])
def test_close_pairs_are_those_of_comparing_all(most: int, seed: int) -> None:
    hashes = random_hashes(300, seed)
    found = [tuple(pair) for pairs in close_pairs(hashes, most) for pair in pairs.tolist()]
    assert all(i < j for i, j in found)
    assert set(found) == brute_force(hashes, most)
    assert len(set(found)) > 50


@pytest.mark.parametrize("most", [0, 4])
def test_equal_hashes_are_all_pairs(most: int) -> None:
    hashes = np.full(600, 2**64 - 1, dtype=np.uint64)
    found = {tuple(pair) for pairs in close_pairs(hashes, most) for pair in pairs.tolist()}
    assert len(found) == 600 * 599 // 2


@pytest.mark.parametrize("count", [0, 1])
def test_there_are_no_pairs_of_none_or_one(count: int) -> None:
    assert list(close_pairs(np.zeros(count, dtype=np.uint64), 4)) == []


def test_the_nearest_distance_is_that_of_comparing_all() -> None:
    own, others = random_hashes(600, 2), random_hashes(50, 3)
    expected = [min(distance(int(a), int(b)) for b in others) for a in own]
    assert nearest_distance(own, others).tolist() == expected
    assert nearest_distance(own, others, at_once=7).tolist() == expected
    assert nearest_distance(own[:0], others).tolist() == []
