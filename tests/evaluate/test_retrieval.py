"""Recall at k: as clip_benchmark computes it, with ties in a defined order and intervals over images."""

from __future__ import annotations

from itertools import permutations
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from synrs_data.evaluate.other_tasks import RetrievalMetricName
from synrs_data.evaluate.retrieval import (
    KS,
    Direction,
    Recalls,
    Truth,
    Variant,
    chance,
    parse_metric,
    rank,
    similarities,
)

WAYS: list[tuple[Direction, Variant]] = [
    ("i2t", "strict"),
    ("t2i", "strict"),
    ("i2t", "dedup-caption"),
    ("t2i", "dedup-caption"),
]


def truth_of(captions: list[list[str]]) -> Truth:
    return Truth(
        tuple(f"{number}.jpg" for number in range(len(captions))),
        tuple(text for texts in captions for text in texts),
        np.repeat(np.arange(len(captions)), [len(texts) for texts in captions]),
    )


def recalls(truth: Truth, cosines: NDArray[np.float32]) -> Recalls:
    return Recalls(truth, {way: rank(cosines, truth, *way).first for way in WAYS})


def random_test(seed: int = 0, images: int = 40) -> tuple[Truth, NDArray[np.float32], NDArray[np.float32]]:
    """Return a truth of one to five captions an image, some of them alike, and features near their images'."""
    rng = np.random.default_rng(seed)
    texts = [
        [f"text {rng.integers(60)}" if rng.random() < 0.4 else f"own {image} {place}" for place in range(count)]
        for image, count in enumerate(rng.integers(1, 6, images))
    ]  # fmt: skip
    truth = truth_of(texts)
    features = rng.normal(size=(images, 8)).astype(np.float32)
    words = {text: rng.normal(size=8) for text in truth.captions}
    captions = np.stack([words[text] for text in truth.captions]) + features[truth.owners]
    return truth, features, captions.astype(np.float32)


def theirs(scores: NDArray[np.float32], positive: NDArray[np.bool_], k: int) -> float:
    """Return clip_benchmark's recall of queries (rows)."""
    import torch
    from clip_benchmark.metrics.zeroshot_retrieval import batchify, recall_at_k

    found = batchify(recall_at_k, torch.from_numpy(scores), torch.from_numpy(positive), 16, "cpu", k=k)
    return float((found > 0).float().mean())


@pytest.mark.parametrize("seed", range(3))
def test_strict_recalls_are_those_of_clip_benchmark(seed: int) -> None:
    truth, images, texts = random_test(seed)
    cosines = similarities(images, texts)
    positive = truth.owners[:, None] == np.arange(len(truth.images))
    ours = recalls(truth, cosines)
    six = []
    for k in KS:
        t2i = theirs(cosines.T.copy(), positive, k)
        i2t = theirs(cosines, positive.T.copy(), k)
        assert ours.value(f"t2i-r@{k}") == pytest.approx(t2i, abs=1e-6)
        assert ours.value(f"i2t-r@{k}") == pytest.approx(i2t, abs=1e-6)
        six += [t2i, i2t]
    assert ours.value("mean-recall") == pytest.approx(np.mean(six), abs=1e-6)
    assert 0.05 < ours.value("mean-recall") < 0.95


def test_deduplicated_recalls_are_those_of_clip_benchmark_with_equal_captions_as_positives() -> None:
    truth, images, _ = random_test()
    words = {text: np.random.default_rng(list(text.encode())).normal(size=8) for text in truth.captions}
    cosines = similarities(images, np.stack([words[text] for text in truth.captions]))
    texts = sorted(set(truth.captions), key=truth.captions.index)
    has = np.zeros((len(texts), len(truth.images)), dtype=np.bool_)
    for text, owner in zip(truth.captions, truth.owners, strict=True):
        has[texts.index(text), owner] = True
    assert has.sum() > len(texts)
    first = [truth.captions.index(text) for text in texts]
    ours = recalls(truth, cosines)
    for k in KS:
        i2t = theirs(cosines[:, first].copy(), has.T.copy(), k)
        t2i = theirs(cosines.T.copy(), has[[texts.index(text) for text in truth.captions]], k)
        assert ours.value(f"i2t-r@{k}:dedup-caption") == pytest.approx(i2t, abs=1e-6)
        assert ours.value(f"t2i-r@{k}:dedup-caption") == pytest.approx(t2i, abs=1e-6)


def test_of_equal_cosines_the_first_in_the_benchmark_wins() -> None:
    truth = truth_of([["a", "b"], ["c"], ["d"]])
    ranking = rank(np.ones((3, 4), dtype=np.float32), truth, "i2t", "strict")
    assert ranking.found.tolist() == [[0, 1, 2, 3]] * 3
    assert ranking.first.tolist() == [1, 3, 4]
    assert rank(np.ones((3, 4), dtype=np.float32), truth, "t2i", "strict").first.tolist() == [1, 1, 2, 3]


def test_an_equal_caption_of_another_image_is_right_only_when_captions_are_deduplicated() -> None:
    truth = truth_of([["grass"], ["grass"], ["lake"]])
    cosines = np.array([[0.9, 0.9, 0.1], [0.8, 0.8, 0.7], [0.0, 0.0, 0.5]], dtype=np.float32)
    found = recalls(truth, cosines)
    # The second image finds the first one's "grass" before its own; both "grass" find the first, "lake" the second.
    assert found.value("i2t-r@1") == pytest.approx(2 / 3)
    assert found.value("t2i-r@1") == pytest.approx(1 / 3)
    assert found.value("i2t-r@1:dedup-caption") == 1
    assert truth.candidates("i2t", "dedup-caption").tolist() == [0, 2]
    assert found.value("t2i-r@1:dedup-caption") == pytest.approx(2 / 3)


def test_captions_are_named_by_their_image_and_place() -> None:
    assert truth_of([["a", "b"], ["c"]]).caption_keys() == ("0.jpg#0", "0.jpg#1", "1.jpg#0")


def test_intervals_draw_images_with_all_of_their_captions() -> None:
    # Half of the images find nothing, and so do all their captions: as uncertain as 20 queries, not as 100.
    truth = truth_of([[f"{image} {place}" for place in range(5)] for image in range(20)])
    images = np.where(np.arange(20) < 10, 1, 11)
    found = Recalls(truth, {("i2t", "strict"): images, ("t2i", "strict"): images[truth.owners]})
    low, high = found.interval("i2t-r@10", seed=3)
    assert found.interval("t2i-r@10", seed=3) == pytest.approx((low, high))
    assert found.value("t2i-r@10") == 0.5
    # A binomial of 20 trials of 1/2 has its 2.5 % and 97.5 % points at 6 and 14.
    assert (low, high) == pytest.approx((0.3, 0.7), abs=0.051)
    assert (
        found.interval("i2t-r@10", seed=3) == (low, high) != found.interval("i2t-r@10", seed=4, replicates=37)
    )


def test_images_with_more_captions_weigh_more_from_text_to_image() -> None:
    truth = truth_of([["a", "b", "c"], ["d"]])
    first = {("i2t", "strict"): np.array([1, 2]), ("t2i", "strict"): np.array([1, 1, 1, 2])}
    found = Recalls(truth, first)  # type: ignore[arg-type]
    assert found.value("t2i-r@1") == 0.75
    assert found.value("i2t-r@1") == 0.5


@pytest.mark.parametrize("metric", ["i2t-r@1", "t2i-r@1", "i2t-r@1:dedup-caption", "t2i-r@1:dedup-caption"])
def test_chance_is_the_mean_over_every_order(metric: str) -> None:
    truth = truth_of([["a", "b"], ["a"], ["c"]])
    variant, ((direction, k),) = parse_metric(metric)
    right = truth.right(direction, variant)
    hits = [
        right[query, list(order[:k])].any()
        for query in range(len(right))
        for order in permutations(range(right.shape[1]))
    ]
    assert chance(truth, metric) == pytest.approx(np.mean(hits))


def test_chance_of_ten_of_fewer_candidates_is_one() -> None:
    assert chance(truth_of([["a"], ["b"]]), "i2t-r@10") == 1


@pytest.mark.parametrize("metric", get_args(RetrievalMetricName))
def test_every_metric_that_a_benchmark_may_name_is_computed(metric: str) -> None:
    truth, images, texts = random_test()
    found = recalls(truth, similarities(images, texts))
    low, high = found.interval(metric, seed=0, replicates=50)
    assert 0 <= low <= high <= 1
    assert low - 0.1 < found.value(metric) < high + 0.1


def test_features_of_no_length_are_not_numbers() -> None:
    assert np.isnan(similarities(np.zeros((1, 3)), np.ones((1, 3)))).all()
