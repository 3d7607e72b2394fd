"""Zero-shot from saved features: the arithmetic, and every way in which a file may not be the benchmark's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synrs_data.errors import RecipeError, UserError
from synrs_data.evaluate import Classification, evaluate, load_classification
from synrs_data.evaluate.feature_cache import FeatureCache
from synrs_data.evaluate.run import make_baseline
from tests.evaluate.tiny import (
    CLASSES,
    LABELS,
    PROMPTS,
    SHARED,
    WIDTH,
    features_values,
    tensors,
    write_benchmark,
    write_features,
)


def unit(vector: Any) -> Any:
    return vector / sum(float(x) ** 2 for x in vector) ** 0.5


def plain_scores(values: dict[str, Any], rule: str) -> list[list[float]]:
    """Compute cosines one at a time."""
    scores = []
    for image in values["image_features"].astype(np.float64):
        row = []
        for label in range(values["text_features"].shape[1]):
            texts = values["text_features"][:, label].astype(np.float64)
            if rule == "normalise-mean-normalise":
                texts = [unit(text) for text in texts]
            row.append(float(np.dot(unit(image), unit(sum(texts) / len(texts)))))
        scores.append(row)
    return scores


@pytest.mark.parametrize("rule", ["normalise-mean-normalise", "mean-normalise"])
def test_scores_are_those_of_a_plain_computation(tmp_path: Path, rule: str) -> None:
    benchmark = load_classification(str(write_benchmark(tmp_path, features_values(ensemble=rule))))
    file = write_features(tmp_path / "m.safetensors")
    scores = make_baseline(f"features:file={file}", "cpu").score(benchmark, None, FeatureCache())
    np.testing.assert_allclose(scores.values, plain_scores(tensors(), rule), atol=1e-6)
    assert scores.items.labels.tolist() == LABELS


def test_the_two_ensembles_differ() -> None:
    first, second = (
        np.array(plain_scores(tensors(), rule)) for rule in ("normalise-mean-normalise", "mean-normalise")
    )
    assert np.abs(first - second).max() > 1e-3


def test_half_precision_is_read(tmp_path: Path, benchmark: Classification) -> None:
    half = {name: values.astype(np.float16) for name, values in tensors().items() if name != "labels"}
    file = write_features(tmp_path / "half.safetensors", half)
    found = make_baseline(f"features:file={file}", "cpu").score(benchmark, None, FeatureCache()).values
    np.testing.assert_allclose(found, plain_scores(half, benchmark.ensemble), atol=1e-6)


@pytest.mark.parametrize(
    ("changed", "metadata", "message"),
    [
        ({"image_features": np.zeros((5, WIDTH), np.float32)}, {}, r"image_features has the shape \(5, 8\)"),
        ({"image_features": np.ones((6, 4), np.float32)}, {}, r"image_features has the shape \(6, 4\)"),
        ({"text_features": np.ones((3, 3, WIDTH), np.float32)}, {}, r"text_features has the shape \(3, 3, 8\)"),
        ({"text_features": np.ones((3, WIDTH), np.float32)}, {}, r"text_features has the shape \(3, 8\)"),
        ({"labels": np.zeros((6, 1), np.int64)}, {}, r"labels has the shape \(6, 1\)"),
        ({"labels": np.zeros(6, np.float32)}, {}, "labels is F32, not I64 or I32"),
        ({"image_features": np.ones((6, WIDTH), np.int32)}, {}, "image_features is I32"),
        ({"image_features": np.full((6, WIDTH), np.nan, np.float32)}, {}, "image_features has values that are not"),
        ({"labels": np.array([0, 1, 2, 2, 1, 3])}, {}, "has labels from 0 to 3, and 3 classes"),
        ({"labels": np.array([0, 1, 2, 2, 1, 1])}, {}, "its 6 items are not the 6 of 'tiny': the sha256 of"),
        ({}, {"classes": json.dumps(["field", "sea", "town"])}, "its class 1 is 'sea', that of the benchmark"),
        ({}, {"classes": json.dumps([*CLASSES[:2], 3])}, "`classes` and `prompts` are not lists of texts"),
        ({}, {"classes": "field, lake, town"}, "`classes` and `prompts` are not lists of texts"),
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit_is_refused(
    tmp_path: Path, benchmark: Classification, changed: dict[str, Any], metadata: dict[str, str], message: str
) -> None:
    file = write_features(tmp_path / "m.safetensors", changed, metadata)
    with pytest.raises(UserError, match=message) as caught:
        make_baseline(f"features:file={file}", "cpu").score(benchmark, None, FeatureCache())
    assert caught.value.where == str(file)


def test_other_labels_are_refused_with_both_hashes(tmp_path: Path, benchmark: Classification) -> None:
    file = write_features(tmp_path / "m.safetensors", {"labels": np.array([*LABELS[:5], 1])})
    with pytest.raises(UserError, match="sha256") as caught:
        make_baseline(f"features:file={file}", "cpu").score(benchmark, None, FeatureCache())
    assert getattr(benchmark.dataset, "labels_sha256") in caught.value.what  # noqa: B009 - a union of two datasets


def test_other_prompts_are_refused_with_both_hashes(tmp_path: Path, benchmark: Classification) -> None:
    file = write_features(tmp_path / "m.safetensors", metadata={"prompts": json.dumps(["x", PROMPTS[1]])})
    with pytest.raises(RecipeError, match="these 2 prompts are not the 2 of the benchmark") as caught:
        make_baseline(f"features:file={file}", "cpu").score(benchmark, None, FeatureCache())
    assert benchmark.prompts.sha256 in caught.value.what


def test_fewer_classes_are_refused(tmp_path: Path, benchmark: Classification) -> None:
    changed = {"text_features": tensors()["text_features"][:, :2], "labels": np.zeros(6, np.int64)}
    file = write_features(tmp_path / "m.safetensors", changed, {"classes": json.dumps(CLASSES[:2])})
    with pytest.raises(UserError, match="it has 2 classes, the benchmark has 3"):
        make_baseline(f"features:file={file}", "cpu").score(benchmark, None, FeatureCache())


def test_what_is_no_safetensors_or_lacks_parts_is_refused(tmp_path: Path, benchmark: Classification) -> None:
    from safetensors.numpy import save_file

    file = tmp_path / "m.safetensors"
    save_file({"labels": np.zeros(3, np.int64)}, file)
    with pytest.raises(UserError, match="has no image_features, text_features, the metadata `classes`"):
        make_baseline(f"features:file={file}", "cpu").score(benchmark, None, FeatureCache())
    whole = write_features(tmp_path / "whole.safetensors").read_bytes()
    for content in (b"", b"not at all", whole[: len(whole) // 2]):
        file.write_bytes(content)
        with pytest.raises(UserError, match="cannot be read as safetensors"):
            make_baseline(f"features:file={file}", "cpu").score(benchmark, None, FeatureCache())


def test_a_missing_file_is_named_with_what_to_do(tmp_path: Path, benchmark: Classification) -> None:
    for text, message in (
        ("features", "needs a file"),
        (f"features:file={tmp_path / 'absent'}", "there is no such file"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            make_baseline(text, "cpu").score(benchmark, None, FeatureCache())
        assert caught.value.fix == "make the features anew"


def test_a_path_in_the_benchmark_is_taken_from_its_folder(tmp_path: Path) -> None:
    write_features(tmp_path / "m.safetensors")
    values = features_values(dataset={"path": "m.safetensors"})
    benchmark = load_classification(str(write_benchmark(tmp_path, values)))
    assert (
        make_baseline("features", "cpu").score(benchmark, None, FeatureCache()).record.model
        == "m.safetensors"
    )


@pytest.mark.parametrize(
    ("option", "trained_on", "in_domain"),
    [("", None, None), ("other", ("other",), False), ("other+tinyset", ("other", "tinyset"), True)],
)
def test_what_a_model_was_trained_on_marks_its_domain(
    tmp_path: Path,
    benchmark: Classification,
    option: str,
    trained_on: tuple[str, ...] | None,
    in_domain: bool | None,
) -> None:
    file = write_features(tmp_path / "m.safetensors")
    text = f"features:file={file}" + (f",trained_on={option}" if option else "")
    record = make_baseline(text, "cpu").score(benchmark, None, FeatureCache()).record
    assert (record.trained_on, record.in_domain) == (trained_on, in_domain)


@pytest.mark.skipif(not (SHARED / "whurs19_features").is_dir(), reason="the shared features are not here")
@pytest.mark.parametrize(("model", "percent"), [("clip-vit-b-32", 81.29), ("remoteclip-vit-b-32", 95.22)])
def test_published_features_give_the_published_accuracy(tmp_path: Path, model: str, percent: float) -> None:
    from safetensors.numpy import load_file

    file = SHARED / "whurs19_features" / f"{model}.safetensors"
    benchmark = load_classification("whurs19-features")
    baseline = make_baseline(f"features:file={file}", "cpu")
    result = evaluate(benchmark, baseline, tmp_path, device="cpu")
    assert (result.n, result.arms[0].metrics[0].name) == (1005, "top1")
    assert round(result.arms[0].metrics[0].value * 100, 2) == percent
    values = load_file(file)
    chosen = {**values, "image_features": values["image_features"][::50]}
    expected = plain_scores(chosen, benchmark.ensemble)
    np.testing.assert_allclose(
        baseline.score(benchmark, None, FeatureCache()).values[::50], expected, atol=1e-6
    )


def test_a_benchmark_of_features_takes_no_images(tmp_path: Path, benchmark: Classification) -> None:
    baseline = make_baseline(f"features:file={write_features(tmp_path / 'm.safetensors')}", "cpu")
    with pytest.raises(UserError, match="'tiny' has no images, only features"):
        evaluate(benchmark, baseline, tmp_path / "r", data=str(tmp_path), device="cpu")
