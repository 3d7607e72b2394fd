"""Zero-shot against the functions of LAION's clip_benchmark: on the same features, and on images with one model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from synrs_data.evaluate import Classification, evaluate, load_classification
from synrs_data.evaluate.data import open_data
from synrs_data.evaluate.feature_cache import FeatureCache
from synrs_data.evaluate.parts import labels_digest, prompts_digest
from synrs_data.evaluate.run import make_baseline
from synrs_data.models.encoder import encoder_folder
from tests.evaluate.tiny import SHARED, features_values, images_values, write_benchmark, write_features

zeroshot = pytest.importorskip(
    "clip_benchmark.metrics.zeroshot_classification", reason="clip_benchmark is not installed"
)


@pytest.fixture(autouse=True)
def numbers_of_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clip_benchmark 1.6.2 take the float of an array of one, which NumPy 2.4 refuses."""
    monkeypatch.setattr(zeroshot, "float", lambda value: float(np.asarray(value).item()), raising=False)


Tensors = dict[str, NDArray[Any]]


class Saved(torch.nn.Module):
    """A model whose features are given: an image is its row, a text its number."""

    def __init__(self, images: NDArray[Any], texts: NDArray[Any]) -> None:
        super().__init__()
        self._images, self._texts = (torch.from_numpy(each.astype(np.float32)) for each in (images, texts))

    def encode_image(self, rows: torch.Tensor) -> torch.Tensor:
        return self._images[rows]

    def encode_text(self, rows: torch.Tensor) -> torch.Tensor:
        return self._texts[rows]


class Rows(Dataset[tuple[int, int]]):
    """Images as rows, with their labels and the names of the classes."""

    def __init__(self, labels: NDArray[np.int64], classes: list[str]) -> None:
        self._labels, self.classes = labels, classes

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, row: int) -> tuple[int, int]:
        return row, int(self._labels[row])


def numbers(texts: list[str]) -> torch.Tensor:
    """Return what a tokenizer would: here texts are numbers."""
    return torch.tensor([int(text) for text in texts])


def theirs(tensors: Tensors) -> tuple[NDArray[Any], dict[str, float]]:
    """Return clip_benchmark's cosines and metrics."""
    texts = tensors["text_features"]
    prompts, classes, width = texts.shape
    model = Saved(tensors["image_features"], texts.reshape(-1, width))
    of_class = {str(c): [str(c + classes * prompt) for prompt in range(prompts)] for c in range(classes)}
    loader = DataLoader(Rows(tensors["labels"], list(of_class)), batch_size=64)
    weights = zeroshot.zero_shot_classifier(model, numbers, list(of_class), of_class, "cpu", amp=False)
    logits, _ = zeroshot.run_classification(model, weights, loader, "cpu", amp=False)
    found = zeroshot.evaluate(model, loader, numbers, list(of_class), of_class, "cpu", amp=False)
    return logits.numpy() / 100, found


def agrees(benchmark: Classification, file: Path, tensors: Tensors, out: Path) -> None:
    expected, metrics = theirs(tensors)
    baseline = make_baseline(f"features:file={file}", "cpu")
    scores = baseline.score(benchmark, None, FeatureCache(out)).values
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-6)
    found = {
        each.name: each.value for each in evaluate(benchmark, baseline, out, device="cpu").arms[0].metrics
    }
    assert 0.2 < metrics["acc1"] < 0.99
    assert found["top1"] == pytest.approx(metrics["acc1"], abs=1e-6)
    assert found["mean-per-class"] == pytest.approx(metrics["mean_per_class_recall"], abs=1e-6)


@pytest.mark.parametrize("classes", [3, 12])
def test_generated_features_score_as_in_clip_benchmark(tmp_path: Path, classes: int) -> None:
    rng = np.random.default_rng(classes)
    # Classes of different size, so that top-1 and the mean over classes differ.
    labels = np.repeat(np.arange(classes), np.arange(1, classes + 1) * 10).astype(np.int64)
    centres, count = rng.normal(size=(classes, 32)), len(labels)
    tensors: Tensors = {
        "image_features": (centres[labels] * 0.4 + rng.normal(size=(count, 32))).astype(np.float32) * 3,
        "labels": labels,
        "text_features": (centres + rng.normal(size=(5, classes, 32))).astype(np.float32),
    }
    names, prompts = [f"class {n}" for n in range(classes)], tuple(f"prompt {n}" for n in range(5))
    values = features_values(
        dataset={"count": count, "labels_sha256": labels_digest(names, labels.tolist())},
        classes=names,
        prompts={"name": "own", "count": 5, "sha256": prompts_digest(prompts)},
    )
    metadata = {"classes": json.dumps(names), "prompts": json.dumps(prompts)}
    file = write_features(tmp_path / "m.safetensors", tensors, metadata)
    agrees(load_classification(str(write_benchmark(tmp_path, values))), file, tensors, tmp_path / "result")


@pytest.mark.skipif(not (SHARED / "whurs19_features").is_dir(), reason="the shared features are not here")
@pytest.mark.parametrize("model", ["clip-vit-b-32", "remoteclip-vit-b-32"])
def test_published_features_score_as_in_clip_benchmark(tmp_path: Path, model: str) -> None:
    from safetensors.numpy import load_file

    file = SHARED / "whurs19_features" / f"{model}.safetensors"
    agrees(load_classification("whurs19-features"), file, load_file(file), tmp_path)


def test_images_score_as_in_clip_benchmark_with_the_same_model(tmp_path: Path) -> None:
    import open_clip
    from PIL import Image

    benchmark = load_classification(str(write_benchmark(tmp_path, images_values(tmp_path))))
    test = open_data(benchmark).test
    name = f"local-dir:{encoder_folder('eurosat-tiny-clip')}"
    model, _, transform = open_clip.create_model_and_transforms(name)
    pixels = [transform(Image.fromarray(image)) for _, image in sorted(test.read(), key=lambda pair: pair[0])]
    pairs: Any = list(zip(pixels, test.labels.tolist(), strict=True))
    loader: DataLoader[Any] = DataLoader(pairs, batch_size=3)
    weights = zeroshot.zero_shot_classifier(
        model.eval(),
        open_clip.get_tokenizer(name),
        [label.phrase for label in benchmark.classes],
        [template.replace("{label}", "{c}") for template in benchmark.templates()],
        "cpu",
        amp=False,
    )
    logits, target = zeroshot.run_classification(model, weights, loader, "cpu", amp=False)
    scores = make_baseline("eurosat-tiny-clip", "cpu").score(
        benchmark, open_data(benchmark), FeatureCache(tmp_path)
    )
    assert target.tolist() == scores.items.labels.tolist()
    # A batch of three and one of four differ in the last bits.
    np.testing.assert_allclose(scores.values, logits.numpy() / 100, rtol=0, atol=1e-6)
    assert np.ptp(scores.values, axis=0).min() > 0.01
