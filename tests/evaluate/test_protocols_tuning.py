"""Classifier tuning against the arithmetic of its first step, its batches, and the choice of an epoch."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from numpy.typing import NDArray

from synrs_data.errors import UserError
from synrs_data.evaluate.protocols import Samples, make_protocol
from synrs_data.evaluate.protocols.classifier_tuning import ClassifierTuningOptions, _Batches
from synrs_data.evaluate.protocols.training import Choice, checkpoints, cosine, epochs_of, stream_of

CLASSES, WIDTH = 3, 8
RNG = np.random.default_rng(3)
_RAW = RNG.normal(size=(CLASSES, WIDTH))
TEXT: NDArray[np.float32] = (_RAW / np.linalg.norm(_RAW, axis=1, keepdims=True)).astype(np.float32)
TEST = RNG.normal(size=(50, WIDTH)).astype(np.float32)


def samples(count: int, synthetic: NDArray[np.bool_] | bool, *, seed: int = 0, shift: int = 0) -> Samples:
    """Return items near their class's text; with `shift` their labels are another class's."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    inputs = TEXT[labels] + rng.normal(scale=0.2, size=(count, WIDTH))
    origins = np.broadcast_to(np.asarray(synthetic), (count,)).copy()
    return Samples(inputs.astype(np.float32), (labels + shift) % CLASSES, origins)


def score(
    options: str, train: Samples, validation: Samples, test: NDArray[np.float32] = TEST, seed: int = 0
) -> NDArray[np.float32]:
    protocol = make_protocol(f"classifier-tuning:{options}", "cpu")
    return protocol.fit_predict(train, validation, test, CLASSES, text=TEXT, seed=seed)


def unit(values: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True), dtype=np.float64)


def softmax(values: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), dtype=np.float64)


NOTHING = samples(0, False)


@pytest.mark.parametrize(
    ("origins", "lr"), [([False] * 7, 1e-3), ([True] * 7, 2e-3), ([False, True, True] * 2 + [True], 1e-3)]
)
def test_the_first_step_is_that_of_the_paper(origins: list[bool], lr: float) -> None:
    train = samples(7, np.array(origins), shift=1)
    inputs, start = unit(train.inputs), 5.0 * unit(TEXT)
    logits = inputs @ start.T
    hard, soft = np.eye(CLASSES)[train.labels], softmax(logits / 2.0)
    gradient, bias_gradient = np.zeros_like(start), np.zeros(CLASSES)
    for synthetic in (False, True):
        mine = train.synthetic == synthetic
        if mine.any():
            target = 0.5 * hard + 0.5 * soft if synthetic else hard
            errors = (softmax(logits) - target)[mine] / mine.sum()
            gradient += errors.T @ inputs[mine]
            bias_gradient += errors.sum(axis=0)
    # The first step of Adam is the sign of the gradient, which clipping does not change.
    weights = start * (1 - lr * 0.1) - lr * np.sign(gradient)
    biases = -lr * np.sign(bias_gradient)
    expected = softmax(unit(TEST) @ weights.T + biases)
    found = score("steps=1,logit_scale=5", train, NOTHING)
    assert np.allclose(np.exp(found), expected, atol=2e-6)
    assert not np.allclose(np.exp(found), softmax(unit(TEST) @ start.T), atol=1e-5)


def test_a_head_that_is_not_tuned_is_the_zero_shot_classifier() -> None:
    found = score("lr=1e-12,weight_decay=0,epochs=1", samples(9, True), NOTHING)
    assert np.allclose(found, np.log(softmax(100 * unit(TEST) @ unit(TEXT).T)), atol=2e-3)


def test_soft_targets_hold_the_head_back_where_synthetic_labels_are_wrong() -> None:
    train, truth = samples(60, True, shift=1), samples(60, False, seed=5)

    def right(options: str) -> float:
        found = score(f"logit_scale=5,lr=0.02,batch_synthetic=8,{options}", train, NOTHING, truth.inputs)
        return float(np.mean(found.argmax(axis=1) == truth.labels))

    assert right("soft=1") == 1.0
    assert right("soft=0") < 0.5


def test_the_epoch_is_chosen_on_validation_and_without_it_the_last_one_is_taken() -> None:
    train, validation, truth = (
        samples(60, True, shift=1),
        samples(30, False, seed=4),
        samples(60, False, seed=5),
    )
    options = "logit_scale=5,lr=0.02,soft=0,batch_synthetic=8"

    def right(held_out: Samples) -> float:
        found = score(options, train, held_out, truth.inputs)
        return float(np.mean(found.argmax(axis=1) == truth.labels))

    assert right(validation) > right(NOTHING) + 0.5


def test_the_same_seed_gives_the_same_scores_and_another_seed_others() -> None:
    train, validation = samples(40, np.arange(40) % 3 > 0), samples(9, False, seed=4)
    options = "batch_real=4,batch_synthetic=8,epochs=3,logit_scale=5"
    first = score(options, train, validation)
    assert np.array_equal(first, score(options, train, validation))
    assert not np.array_equal(first, score(options, train, validation, seed=1))


@pytest.mark.parametrize("text", [None, TEXT[:2], TEXT[:, :5], TEXT * np.nan])
def test_text_features_that_are_missing_or_do_not_fit_are_refused(text: NDArray[np.float32] | None) -> None:
    protocol = make_protocol("classifier-tuning", "cpu")
    assert protocol.needs_text
    with pytest.raises(UserError, match="text feature"):
        protocol.fit_predict(samples(6, True), NOTHING, TEST, CLASSES, text=text, seed=0)


def test_an_epoch_is_one_of_the_synthetic_items_with_real_ones_that_start_anew() -> None:
    train = samples(50, np.arange(50) >= 6)
    options = ClassifierTuningOptions(batch_real=4, batch_synthetic=16)
    batches = _Batches(train, options, np.random.default_rng(0))
    assert (batches.epoch, batches.has_real) == (3, True)
    for _ in range(2):
        real, synthetic = zip(*(batches.next() for _ in range(3)), strict=True)
        assert [len(part) for part in synthetic] == [16, 16, 12]
        assert sorted(np.concatenate(synthetic)) == list(range(6, 50))
        assert [len(part) for part in real] == [4, 2, 4]
        assert sorted(np.concatenate(real[:2])) == list(range(6))


def test_an_epoch_of_real_items_alone_has_their_size_of_batch() -> None:
    batches = _Batches(samples(50, False), ClassifierTuningOptions(), np.random.default_rng(0))
    assert batches.epoch == 2
    assert [len(part) for part in batches.next()] == [32, 0]


# --- what protocols that train by gradient share


def test_a_stream_has_full_batches_and_every_item_once_in_each_round() -> None:
    items = np.array([10, 20, 30], dtype=np.int64)
    batches = list(islice(stream_of(items, 5, np.random.default_rng(0)), 6))
    assert {len(batch) for batch in batches} == {5}
    rounds = np.concatenate(batches).reshape(10, 3)
    assert (np.sort(rounds, axis=1) == items).all()
    assert len({tuple(order) for order in rounds.tolist()}) > 1


def test_epochs_end_with_a_short_batch() -> None:
    batches = list(islice(epochs_of(np.arange(5), 3, np.random.default_rng(0)), 4))
    assert [len(batch) for batch in batches] == [3, 2, 3, 2]
    assert sorted(np.concatenate(batches[:2])) == sorted(np.concatenate(batches[2:])) == list(range(5))


def test_the_cosine_falls_from_one_to_zero() -> None:
    assert [cosine(step, 4) for step in range(5)] == pytest.approx(
        [1, 0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5, 0]
    )


@pytest.mark.parametrize(
    ("steps", "count", "expected"), [(300, 5, {60, 120, 180, 240, 300}), (3, 5, {1, 2, 3}), (7, 1, {7})]
)
def test_checkpoints_are_spread_evenly_and_the_last_step_is_one(
    steps: int, count: int, expected: set[int]
) -> None:
    assert checkpoints(steps, count) == expected


def test_accuracy_chooses_first_then_cross_entropy_then_time() -> None:
    labels = np.array([0, 1])
    unsure, sure = np.array([[0.1, 0], [0, 0.1]]), np.array([[5.0, 0], [0, 5.0]])
    half = np.array([[50.0, 0], [50.0, 0]])
    choice = Choice(labels)
    assert [choice.better(logits) for logits in (half, unsure, half, sure, sure, unsure)] == [
        True,
        True,
        False,
        True,
        False,
        False,
    ]
    assert all(Choice(np.empty(0, dtype=np.int64)).better(np.empty((0, 2))) for _ in range(2))
