"""Memorisation, leaks and captions: what is found, what is not, and against which floor."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from synrs_data.errors import UserError
from synrs_data.evaluate.distribution.clip_score import caption_agreement
from synrs_data.evaluate.distribution.leaks import BITS, Marks, find_leaks, pixel_digest
from synrs_data.evaluate.distribution.memorisation import (
    FLOOR_SHARE,
    nearest_to_training,
    own_distances,
    training_neighbours,
)
from synrs_data.evaluate.distribution.samples import Features
from synrs_data.filters.perceptual_hash import perceptual_hash

stats = pytest.importorskip("scipy.stats", reason="SciPy is not installed")


def cloud(n: int, seed: int, width: int = 8) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(n, width))


def textures(count: int, seed: int = 0) -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(seed)
    return [
        np.kron(rng.integers(0, 256, (8, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8) for _ in range(count)
    ]


def marks(images: list[NDArray[np.uint8]]) -> Marks:
    hashes = np.array([perceptual_hash(image) for image in images], dtype=np.uint64)
    return Marks(tuple(pixel_digest(image) for image in images), hashes)


def test_how_often_images_are_nearer_than_held_out_ones_is_the_mann_whitney_statistic() -> None:
    rng = np.random.default_rng(0)
    ours, floor = rng.integers(0, 9, 70) / 4, rng.integers(1, 11, 50) / 4
    found = nearest_to_training(ours, floor)
    expected = stats.mannwhitneyu(floor, ours).statistic / (70 * 50)
    assert found.nearer == pytest.approx(expected, abs=1e-12)
    assert found.low < found.nearer < found.high
    assert (found.median, found.floor_median) == (np.median(ours), np.median(floor))
    assert found.below_limit == np.mean(ours < np.quantile(floor, FLOOR_SHARE))


def test_the_interval_of_nearer_covers_one_half_where_both_are_alike() -> None:
    hits = 0
    for trial in range(200):
        rng = np.random.default_rng(trial)
        found = nearest_to_training(rng.random(60), rng.random(40))
        hits += found.low <= 0.5 <= found.high
    assert 0.90 <= hits / 200 <= 0.99


def test_new_images_are_as_near_as_held_out_ones_and_copies_are_nearer() -> None:
    training, held_out, new = cloud(300, 0), cloud(200, 1), cloud(200, 2)
    own = own_distances(training)
    floor = training_neighbours(held_out, training, own)
    fresh = training_neighbours(new, training, own)
    found = nearest_to_training(fresh.distances, floor.distances)
    assert found.low <= 0.5 <= found.high
    assert abs(float(fresh.authentic.mean() - floor.authentic.mean())) < 0.12
    copied = np.concatenate([training[:100] + cloud(100, 3) * 0.01, new[:100]])
    copies = training_neighbours(copied, training, own)
    found = nearest_to_training(copies.distances, floor.distances)
    assert found.low > 0.5
    assert found.below_limit == pytest.approx(0.5, abs=0.05)
    assert not copies.authentic[:100].any()
    assert copies.authentic.mean() < floor.authentic.mean() / 2 + 0.1


def test_authentic_is_farther_than_the_training_image_from_its_own_nearest_one() -> None:
    training = np.array([[0.0, 0.0], [1.0, 0.0], [5.0, 0.0], [5.0, 0.0]])
    images = np.array([[0.0, 0.4], [0.0, 3.0], [0.0, 0.0], [5.0, 0.0], [5.0, 0.5], [0.0, -1.0]])
    found = training_neighbours(images, training, own_distances(training))
    assert found.rows[:3].tolist() == [0, 0, 0]
    assert found.ratios.tolist() == [0.4, 3.0, 0.0, 0.0, np.inf, 1.0]
    assert found.authentic.tolist() == [False, True, False, False, True, False]


def test_copies_of_test_images_are_found_by_pixels_and_by_hash_and_new_ones_are_not() -> None:
    test, new = textures(6), textures(5, seed=1)
    brighter = np.clip(test[2].astype(int) + 3, 0, 255).astype(np.uint8)
    found = find_leaks(marks([new[0], test[4], brighter, new[1]]), marks(test))
    assert found.exact.tolist() == [False, True, False, False]
    assert found.near.tolist() == [False, True, True, False]
    assert found.nearest[1:3].tolist() == [4, 2]
    assert found.distance[1] == 0
    assert found.distance[2] <= BITS < min(found.distance[[0, 3]])


def test_the_same_pixels_in_another_shape_are_no_copy_and_twins_of_one_hash_are_told_apart() -> None:
    image = textures(1)[0]
    assert pixel_digest(image[:32]) != pixel_digest(image[:32].reshape(64, 32, 3))
    flat = [np.full((16, 16, 3), value, dtype=np.uint8) for value in (10, 20)]
    found = find_leaks(marks([flat[1]]), marks(flat))
    assert (found.exact.tolist(), found.nearest.tolist()) == ([True], [1])


def pairs(n: int, kinds: int, noise: float) -> tuple[Features, Features, list[str]]:
    """Return features of images near those of their captions, which come again."""
    rng = np.random.default_rng(0)
    texts = rng.normal(size=(kinds, 16)) + 2
    which = rng.integers(0, kinds, n)
    return (
        texts[which] + noise * rng.normal(size=(n, 16)),
        texts[which],
        [f"caption {kind}" for kind in which],
    )


def test_captions_that_fit_are_above_their_null_and_shuffled_ones_are_not() -> None:
    images, texts, captions = pairs(200, 12, 0.5)
    found = caption_agreement(images, texts, captions, seed=0)
    assert found.low > 0.1
    assert (found.n, found.captions) == (200, 12)
    assert found.difference == pytest.approx(found.mean - found.null, abs=0.02)
    assert 0 < found.null_deviation < 0.05
    order = np.random.default_rng(1).permutation(200)
    wrong = caption_agreement(images, texts[order], [captions[row] for row in order], seed=0)
    assert wrong.low < 0.03
    assert abs(wrong.difference) < 0.1 * found.difference + 0.03


def test_the_null_is_the_mean_cosine_with_captions_of_another_text() -> None:
    images, texts, captions = pairs(40, 4, 1.0)
    rows = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in (images, texts)]
    cosines = rows[0] @ rows[1].T
    other = np.array(captions)[:, None] != np.array(captions)
    found = caption_agreement(images, texts, captions, seed=0, shuffles=2000)
    assert found.mean == pytest.approx(float(np.diag(cosines).mean()), abs=1e-12)
    assert found.null == pytest.approx(float(cosines[other].mean()), abs=0.01)
    gains = [cosines[i, i] - cosines[i, other[i]].mean() for i in range(40)]
    assert found.difference == pytest.approx(float(np.mean(gains)), abs=0.01)


def test_the_mean_is_the_cosine_similarity_of_torch() -> None:
    functional = pytest.importorskip("torch.nn.functional", reason="torch is not installed")
    import torch

    images, texts, captions = pairs(30, 5, 0.4)
    score = functional.cosine_similarity(torch.from_numpy(images), torch.from_numpy(texts)).mean()
    assert caption_agreement(images, texts, captions, seed=0).mean == pytest.approx(float(score), abs=1e-12)


def test_captions_that_are_all_alike_or_too_few_are_refused() -> None:
    images, texts, captions = pairs(10, 3, 0.5)
    with pytest.raises(UserError, match="the same caption"):
        caption_agreement(images, texts, ["a"] * 10, seed=0)
    with pytest.raises(UserError, match="10 images have 9 captions"):
        caption_agreement(images, texts[:9], captions[:9], seed=0)
    with pytest.raises(UserError, match="no direction"):
        caption_agreement(images * 0, texts, captions, seed=0)
