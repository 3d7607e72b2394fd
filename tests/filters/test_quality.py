"""`quality`: measures with known values, and metrics of pyiqa by name."""

from __future__ import annotations

import importlib.util
from urllib.error import URLError

import numpy as np
import pytest
from numpy.typing import NDArray

from synrs_data.errors import MissingExtraError, RecipeError, UserError
from synrs_data.filters.base import Batch
from synrs_data.filters.quality import Quality, QualityOptions
from synrs_data.recipe import Threshold
from synrs_data.vocabulary import load_label_set

Image = NDArray[np.uint8]
needs_pyiqa = pytest.mark.skipif(
    importlib.util.find_spec("pyiqa") is None, reason="the extra iqa is not installed"
)
# pyiqa and what it imports warn on their own account.
quietly = pytest.mark.filterwarnings("ignore")


def quality(*metrics: str) -> Quality:
    return Quality(QualityOptions(metrics=metrics), load_label_set("eurosat"))


def score(scorer: Quality, *images: Image) -> dict[str, list[float]]:
    batch = Batch(images=images, captions=["x"] * len(images), labels=[0] * len(images), device="cpu")
    return {name: [float(value) for value in values] for name, values in scorer.score(batch).items()}


def grey(levels: NDArray[np.uint8]) -> Image:
    return np.repeat(levels[..., None], 3, axis=2)


FLAT = np.full((64, 64, 3), 90, dtype=np.uint8)
HALVES = grey(np.repeat(np.array([[40], [200]], dtype=np.uint8), 64, axis=1).repeat(32, axis=0))
EVERY_LEVEL = grey(np.arange(256, dtype=np.uint8).reshape(16, 16))
NOISE: Image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
BURNT = np.concatenate([np.full((32, 64, 3), 255, dtype=np.uint8), np.full((32, 64, 3), 90, dtype=np.uint8)])
DARK = np.zeros((64, 64, 3), dtype=np.uint8)
RED = np.tile(np.array([255, 0, 0], dtype=np.uint8), (64, 64, 1))


def test_entropy_is_that_of_the_grey_levels() -> None:
    found = score(quality(), FLAT, HALVES, EVERY_LEVEL, NOISE)["quality_entropy"]
    assert found[:3] == [0.0, 1.0, 8.0]
    assert 7 < found[3] < 8
    assert str(found[0]) == "0.0"


def test_entropy_uses_the_luma_weights_of_bt_601() -> None:
    # 0.299 * 255 is 76: red and a grey of 76 are one level.
    mixed = np.concatenate([RED, np.full((64, 64, 3), 76, dtype=np.uint8)])
    assert score(quality(), mixed)["quality_entropy"] == [0.0]


def test_clipped_is_the_share_of_pixels_at_an_end_in_every_channel() -> None:
    assert score(quality(), FLAT, BURNT, DARK, RED)["quality_clipped"] == [0.0, 0.5, 1.0, 0.0]


def test_contrast_is_the_standard_deviation_of_grey() -> None:
    assert score(quality(), FLAT, HALVES)["quality_contrast"] == [0.0, 80.0]


def test_flat_and_burnt_images_fail_the_thresholds_and_scenes_pass() -> None:
    thresholds = quality().thresholds()
    assert thresholds == {"quality_entropy": Threshold(min=1.5), "quality_clipped": Threshold(max=0.2)}
    found = score(quality(), FLAT, BURNT, NOISE)

    def passes(place: int) -> bool:
        return found["quality_entropy"][place] >= 1.5 and found["quality_clipped"][place] <= 0.2

    assert [passes(place) for place in range(3)] == [False, False, True]


def test_columns_are_what_is_scored() -> None:
    scorer = quality()
    assert list(scorer.columns) == list(score(scorer, NOISE))
    assert scorer.digest() == ""


def test_metrics_without_the_extra_are_told_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"synrs-data\[iqa\]"):
        quality("piqe")
    assert list(quality().columns) == list(Quality.columns)


@needs_pyiqa
@quietly
def test_a_metric_by_name_is_a_column_of_finite_numbers() -> None:
    scorer = quality("piqe")
    assert list(scorer.columns) == [*Quality.columns, "quality_piqe"]
    smooth = NOISE // 8 + np.arange(64, dtype=np.uint8)[:, None, None] * 2
    found = score(scorer, NOISE, smooth, FLAT)["quality_piqe"]
    assert all(0 <= value <= 100 for value in found)
    assert len(set(found)) == 3
    assert found == score(scorer, NOISE, smooth, FLAT)["quality_piqe"]
    assert found[:1] == score(quality("piqe"), NOISE)["quality_piqe"]


@needs_pyiqa
@quietly
@pytest.mark.parametrize("name", ["piqee", "psnr", "os"])
def test_an_unknown_metric_or_one_with_a_reference_is_refused(name: str) -> None:
    with pytest.raises(RecipeError, match=f"'{name}' is no no-reference metric") as caught:
        quality(name)
    assert "piqe" in caught.value.fix


@needs_pyiqa
@quietly
def test_a_metric_whose_weights_cannot_be_fetched_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    import pyiqa

    def fail(name: str, device: str) -> None:
        raise URLError("no network")

    monkeypatch.setattr(pyiqa, "create_metric", fail)
    with pytest.raises(UserError, match="musiq") as caught:
        score(quality("musiq"), NOISE)
    assert "no network" in str(caught.value)
