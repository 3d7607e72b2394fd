"""What all protocols share, nearest neighbours and the linear probe; the latter two against scikit-learn."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from synrs_data.errors import RecipeError, UserError
from synrs_data.evaluate.protocols import PROTOCOLS, Samples, make_protocol
from synrs_data.evaluate.protocols.base import LOWEST, describe_protocols

linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
threadpoolctl = pytest.importorskip("threadpoolctl", reason="scikit-learn is not installed")
neighbors = pytest.importorskip("sklearn.neighbors", reason="scikit-learn is not installed")

CLASSES, WIDTH = 4, 12
CENTRES = np.random.default_rng(7).normal(size=(CLASSES, WIDTH))


def features(count: int, seed: int, labels: NDArray[np.int64] | None = None, noise: float = 1.0) -> Samples:
    """Return features around one centre a class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES if labels is None else labels
    inputs = (CENTRES[labels] + rng.normal(scale=noise, size=(count, WIDTH))).astype(np.float32)
    return Samples(inputs, labels, np.zeros(count, dtype=np.bool_))


def images(count: int, classes: int = CLASSES) -> Samples:
    rng = np.random.default_rng(0)
    labels = np.arange(count) % classes
    pixels = rng.integers(0, 60, (count, 16, 16, 3)) + 60 * labels[:, None, None, None]
    return Samples(pixels.astype(np.uint8), labels, np.zeros(count, dtype=np.bool_))


NOTHING = features(0, 0)


def score(
    text: str, train: Samples, test: NDArray[Any], validation: Samples = NOTHING
) -> NDArray[np.float32]:
    return make_protocol(text, "cpu").fit_predict(train, validation, test, CLASSES, text=None, seed=0)


def normalised(values: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True), dtype=np.float64)


# --- all protocols


def test_protocols_are_listed_without_importing_what_they_train_with() -> None:
    code = (
        "import sys; from synrs_data.evaluate.protocols.base import describe_protocols; describe_protocols();"
        "print(*{'torch', 'sklearn', 'timm'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_protocol_is_made_by_its_name_and_every_option_is_described(name: str) -> None:
    assert make_protocol(name, "cpu").name == name
    options = dict(describe_protocols())[name]
    assert all(field.description for field in options.model_fields.values())


def test_options_of_a_protocol_are_read_from_its_text() -> None:
    assert make_protocol("linear-probe:c=0.1,refit=train+validation", "cpu").options.model_dump() == {
        "c": 0.1,
        "c_low": 0.01,
        "c_high": 1000.0,
        "c_count": 11,
        "refit": "train+validation",
        "normalise": True,
        "max_iterations": 1000,
        "tolerance": 1e-4,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("linear-prob", "unknown protocol 'linear-prob'.*\n.*linear-probe"),
        ("knn:neighbours=3", "unknown key 'neighbours'"),
        ("knn:k", "'k' is no KEY=VALUE"),
        ("knn:k=0", "'k': .*greater than or equal to 1"),
        ("knn:temperature=nan", "'temperature'"),
        ("linear-probe:c_low=10,c_high=1", "c_low 10.0 is not below c_high 1.0"),
        ("from-scratch:augmentation=mixup", "flip-crop, cutout or cutmix"),
        ("from-scratch:augmentation=cutout+cutout", "comes twice"),
    ],
)
def test_a_wrong_protocol_is_one_message_that_names_the_fault(text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        make_protocol(text, "cpu")


def changed(samples: Samples, **values: NDArray[Any]) -> Samples:
    kept = {name: getattr(samples, name) for name in ("inputs", "labels", "synthetic")}
    return Samples(**(kept | values))


NAN = np.full((8, WIDTH), np.nan, dtype=np.float32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.take(np.arange(0)), "nothing to train on"),
        (lambda s: changed(s, labels=s.labels + 1), "train has the labels 1 to 4"),
        (lambda s: changed(s, labels=s.labels - 1), "train has the labels -1 to 2"),
        (lambda s: changed(s, labels=s.labels[:5]), "8 inputs, 5 labels and 8 origins"),
        (
            lambda s: changed(s, inputs=s.inputs[:, :5]),
            r"an item of test has the shape \(12,\), one of train \(5,\)",
        ),
        (lambda s: changed(s, inputs=NAN), "train has features that are not finite"),
        (lambda s: changed(s, inputs=s.inputs.astype(np.uint8)), "train is uint8"),
    ],
)
@pytest.mark.parametrize("name", ["linear-probe", "knn"])
def test_data_that_a_protocol_cannot_use_are_refused(
    name: str, change: Callable[[Samples], Samples], message: str
) -> None:
    good = features(8, 1)
    score(name, good, good.inputs)
    with pytest.raises(UserError, match=message):
        score(name, change(good), good.inputs)


def test_features_are_refused_where_images_are_wanted() -> None:
    with pytest.raises(UserError, match="train is float32 of shape"):
        score("from-scratch:steps=1", features(8, 1), features(8, 2).inputs)


@pytest.mark.parametrize("name", ["linear-probe", "knn", "from-scratch:steps=3,batch=8"])
@pytest.mark.parametrize("present", [(0, 2, 3), (1, 3), (2,)])
def test_a_class_without_training_items_has_the_lowest_score_and_all_scores_are_finite(
    name: str, present: tuple[int, ...]
) -> None:
    data = images(16) if name.startswith("from-scratch") else features(16, 1)
    train = data.take(np.isin(data.labels, present))
    found = score(name, train, data.inputs, validation=data.take(np.arange(0)))
    missing = sorted(set(range(CLASSES)) - set(present))
    assert found.shape == (16, CLASSES)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert (found[:, missing] == LOWEST).all()
    assert (found[:, list(present)] > LOWEST).all()


def test_samples_are_taken_and_joined_in_order() -> None:
    samples = features(6, 1)
    joined = samples.take(np.array([3, 1])).joined(samples.take(samples.labels == 0))
    assert joined.labels.tolist() == [3, 1, 0, 0]
    assert np.array_equal(joined.inputs, samples.inputs[[3, 1, 0, 4]])


# --- nearest neighbours


@pytest.mark.parametrize("k", [1, 5, 20])
@pytest.mark.parametrize("weights", ["uniform", "softmax"])
def test_shares_of_neighbours_votes_are_those_of_scikit_learn(k: int, weights: str) -> None:
    train, test = features(60, 1, noise=3), features(40, 2, noise=3)
    theirs = neighbors.KNeighborsClassifier(
        k,
        metric="cosine",
        weights="uniform" if weights == "uniform" else lambda distances: np.exp((1 - distances) / 0.07),
    ).fit(train.inputs, train.labels)
    ours = score(f"knn:k={k},weights={weights}", train, test.inputs)
    assert np.allclose(ours, theirs.predict_proba(test.inputs), atol=1e-4)
    assert np.array_equal(ours.argmax(axis=1), theirs.predict(test.inputs))


def test_more_neighbours_than_items_are_all_items_and_a_low_temperature_does_not_overflow() -> None:
    train, test = features(8, 1), features(8, 2)
    everyone = score("knn:k=1000,weights=uniform", train, test.inputs)
    assert np.allclose(everyone, 0.25)
    nearest = score("knn:k=8,temperature=1e-6", train, test.inputs)
    assert np.allclose(nearest, score("knn:k=1", train, test.inputs))


# --- linear probe


@pytest.mark.parametrize("c", [0.1, 10.0])
@pytest.mark.parametrize("present", [(0, 1, 2, 3), (1, 2)])
def test_probabilities_of_the_linear_probe_are_those_of_scikit_learn(
    c: float, present: tuple[int, ...]
) -> None:
    data, test = features(80, 1, noise=2), features(40, 2)
    train = data.take(np.isin(data.labels, present))
    theirs = linear_model.LogisticRegression(C=c, tol=1e-8, max_iter=5000)
    theirs.fit(normalised(train.inputs), train.labels)
    ours = score(f"linear-probe:c={c},tolerance=1e-8", train, test.inputs)
    expected = theirs.predict_proba(normalised(test.inputs))
    assert np.allclose(np.exp(ours[:, list(present)]), expected, atol=1e-4)


def blas_threads() -> set[int]:
    return {each["num_threads"] for each in threadpoolctl.threadpool_info() if each["user_api"] == "blas"}


@pytest.mark.parametrize(("small", "threads"), [(2**24, 1), (0, 2)])
def test_small_fits_take_one_thread_and_leave_others_theirs(
    monkeypatch: pytest.MonkeyPatch, small: int, threads: int
) -> None:
    monkeypatch.setattr("synrs_data.evaluate.protocols.linear_probe._SMALL", small)
    during: list[set[int]] = []
    fit = linear_model.LogisticRegression.fit

    def watched(self: Any, *data: Any) -> Any:
        during.append(blas_threads())
        return fit(self, *data)

    monkeypatch.setattr(linear_model.LogisticRegression, "fit", watched)
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        score("linear-probe", features(40, 1), features(8, 2).inputs, features(8, 3))
        assert during == [{threads}] * 11
        assert blas_threads() == {2}


def test_the_grid_of_c_comes_to_the_fits_that_scikit_learn_makes_one_by_one() -> None:
    train, validation, test = features(60, 4, noise=1.5), features(60, 54, noise=1.5), features(80, 3)
    grid, right, expected = np.geomspace(1e-2, 1e3, 11), [], []
    for c in grid:
        model = linear_model.LogisticRegression(C=c, tol=1e-8, max_iter=5000)
        model.fit(normalised(train.inputs), train.labels)
        right.append(model.score(normalised(validation.inputs), validation.labels))
        expected.append(model.predict_proba(normalised(test.inputs)))
    best = int(np.argmax(right))
    assert 0 < best < 10, "the data must make a middle C win"
    ours = score("linear-probe:tolerance=1e-8", train, test.inputs, validation)
    assert np.allclose(np.exp(ours), expected[best], atol=1e-4)


def test_of_equal_validation_accuracies_and_without_validation_the_smallest_c_wins() -> None:
    train, test = features(40, 1, noise=0.1), features(40, 2, noise=0.1)
    smallest = score("linear-probe:c=0.01", train, test.inputs)
    assert np.array_equal(score("linear-probe", train, test.inputs, validation=test), smallest)
    assert np.array_equal(score("linear-probe", train, test.inputs), smallest)


def test_validation_items_are_fitted_only_if_asked() -> None:
    train, validation, test = features(20, 1, noise=2), features(20, 2, noise=2), features(40, 3)
    alone = score("linear-probe:c=1", train, test.inputs)
    assert np.array_equal(score("linear-probe:c=1", train, test.inputs, validation), alone)
    both = score("linear-probe:c=1,refit=train+validation", train, test.inputs, validation)
    assert np.allclose(both, score("linear-probe:c=1", train.joined(validation), test.inputs), atol=1e-6)
    assert not np.allclose(both, alone, atol=1e-2)


def test_features_are_normalised_unless_told_otherwise() -> None:
    train, test = features(40, 1), features(40, 2)
    longer = changed(train, inputs=train.inputs * np.float32(3))
    assert np.allclose(
        score("linear-probe:c=1", train, test.inputs), score("linear-probe:c=1", longer, test.inputs)
    )
    raw = "linear-probe:c=1,normalise=false"
    assert not np.allclose(score(raw, train, test.inputs), score(raw, longer, test.inputs), atol=1e-2)
