"""`pair-agreement`: equal pairs, shifted ones, those that were meant to be, and metrics of pyiqa."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from synrs_data.degradations.downsample import Area, AreaOptions, Bicubic, BicubicOptions
from synrs_data.degradations.sensor import Sensor, SensorOptions
from synrs_data.errors import MissingExtraError, RecipeError, UserError
from synrs_data.filters.base import Batch
from synrs_data.filters.pair_agreement import PairAgreement, PairAgreementOptions
from synrs_data.recipe import Threshold
from synrs_data.registry import lookup
from synrs_data.vocabulary import load_label_set
from tests.real_textures import ucmerced

Pixels = NDArray[np.uint8]
needs_pyiqa = pytest.mark.skipif(
    importlib.util.find_spec("pyiqa") is None, reason="the extra iqa is not installed"
)
quietly = pytest.mark.filterwarnings("ignore")


def agreement(**values: Any) -> PairAgreement:
    return PairAgreement(PairAgreementOptions.model_validate(values), load_label_set("eurosat"))


def score(
    scorer: PairAgreement,
    high: Sequence[Pixels],
    low: Sequence[Pixels],
    drawn: Sequence[Mapping[str, Any]] | None = None,
) -> dict[str, list[float]]:
    count = len(high)
    batch = Batch(
        images=high,
        captions=[""] * count,
        labels=[0] * count,
        device="cpu",
        lr=low,
        scale=4,
        degradations=drawn if drawn is not None else [{}] * count,
    )
    return {name: [float(value) for value in values] for name, values in scorer.score(batch).items()}


def texture(seed: int = 0, size: int = 192) -> Pixels:
    """Return a texture whose spectrum falls off as that of natural images."""
    frequency = np.fft.fftfreq(size)
    radius = np.maximum(np.hypot(frequency[:, None], frequency[None, :]), 1 / size)
    white = np.random.default_rng(seed).normal(size=(3, size, size))
    planes = np.fft.ifft2(np.fft.fft2(white.mean(axis=0) + 0.1 * white) / radius**1.2).real
    levels = 128 + 40 * (planes - planes.mean()) / planes.std()
    image: Pixels = np.clip(levels, 0, 255).astype(np.uint8).transpose(1, 2, 0).copy()
    return image


def bicubic(*images: Pixels) -> list[Pixels]:
    return Bicubic(BicubicOptions()).degrade(images, [{}] * len(images))


def sensed(*images: Pixels, **changes: float) -> tuple[list[Pixels], list[Mapping[str, Any]]]:
    method = Sensor(SensorOptions())
    drawn: list[Mapping[str, Any]] = [
        {**method.draw(seed, *image.shape[:2]), **changes} for seed, image in enumerate(images)
    ]
    return method.degrade(images, drawn), drawn


def test_a_bicubic_pair_agrees_in_full_and_an_area_one_by_its_own_kernel() -> None:
    image = texture()
    found = score(agreement(), [image], bicubic(image))
    assert found == {"pair_psnr": [100.0], "pair_ssim": [pytest.approx(1)], "pair_shift": [0.0]}
    area = Area(AreaOptions()).degrade([image], [{}])
    assert score(agreement(kernel="area"), [image], area)["pair_psnr"] == [100.0]
    assert score(agreement(), [image], area)["pair_psnr"][0] < 60


@pytest.mark.parametrize(("x", "y"), [(0.25, 0.0), (0.0, -0.5), (1.0, 1.0), (-2.0, 0.25)])
def test_a_shift_that_nobody_asked_for_is_scored_and_one_that_was_is_not(x: float, y: float) -> None:
    image = texture()
    low, drawn = sensed(image, **{"shift.x": x, "shift.y": y})
    hidden = [{name: value for name, value in drawn[0].items() if not name.startswith("shift.")}]
    unasked = score(agreement(), [image], low, hidden)["pair_shift"][0]
    assert unasked == pytest.approx(np.hypot(x, y), abs=0.03)
    assert score(agreement(), [image], low, drawn)["pair_shift"][0] < 0.03


def test_shifts_of_single_bands_that_were_asked_for_are_none() -> None:
    image = texture()
    low, drawn = sensed(image, **{"band_shift.g.x": 0.4, "band_shift.r.y": -0.3})
    assert score(agreement(), [image], low, drawn)["pair_shift"][0] < 0.05
    assert score(agreement(), [image], low, [{}])["pair_shift"][0] > 0.15


def test_a_pair_that_lies_one_lr_pixel_apart_fails_the_thresholds_and_a_whole_one_passes() -> None:
    thresholds = agreement().thresholds()
    assert thresholds == {"pair_shift": Threshold(max=0.1), "pair_psnr": Threshold(min=10.0)}
    image = texture()
    fine = bicubic(image)[0]
    off = bicubic(np.roll(image, 4, axis=1))[0]
    dark = np.zeros_like(fine)
    found = score(agreement(), [image] * 3, [fine, off, dark])
    assert [shift <= 0.1 for shift in found["pair_shift"]] == [True, False, True]
    assert [psnr >= 10 for psnr in found["pair_psnr"]] == [True, True, False]


def test_flat_images_and_pure_noise_have_no_shift() -> None:
    random = np.random.default_rng(0)
    flat = np.full((128, 128, 3), 90, dtype=np.uint8)
    noisy = random.integers(80, 100, (32, 32, 3), dtype=np.uint8)
    low = [flat[:32, :32], noisy, noisy]
    found = score(agreement(), [flat, flat, random.integers(80, 100, (128, 128, 3), dtype=np.uint8)], low)
    assert found["pair_shift"] == [0.0, 0.0, 0.0]
    assert all(np.isfinite(value) for values in found.values() for value in values)


def test_heavy_noise_and_blur_give_no_shift_to_reject() -> None:
    random = np.random.default_rng(0)
    high = [texture(seed) for seed in range(24)]
    blurred = [sensed(image, **{f"psf.{band}.sigma": 1.0 for band in "rgb"})[0][0] for image in high]
    low = [np.clip(image + random.normal(0, 25, image.shape), 0, 255).astype(np.uint8) for image in blurred]
    found = score(agreement(), high, low, [sensed(image)[1][0] for image in high])
    assert max(found["pair_shift"]) < 0.35
    assert sum(shift > 0.1 for shift in found["pair_shift"]) <= 2
    assert min(found["pair_psnr"]) > 10


def test_real_images_by_the_shipped_sensor_agree() -> None:
    images = ucmerced(9)
    low, drawn = sensed(*images)
    found = score(agreement(), images, low, drawn)
    assert max(found["pair_shift"]) < 0.1
    assert min(found["pair_psnr"]) > 20


def test_it_scores_pairs_alone_and_columns_are_what_is_scored() -> None:
    assert PairAgreement.needs_pairs is True
    assert lookup("filters", "pair-agreement") is PairAgreement
    scorer = agreement()
    assert list(scorer.columns) == list(score(scorer, [texture()], bicubic(texture())))
    assert scorer.digest() == ""


def test_images_of_several_sizes_are_scored_in_order() -> None:
    images = [texture(0), texture(1, 96), texture(2)]
    low = bicubic(*images)
    low[1] = np.clip(low[1].astype(int) + 40, 0, 255).astype(np.uint8)
    found = score(agreement(), images, low)["pair_psnr"]
    assert found[0] == found[2] == 100
    assert found[1] < 20


def test_metrics_without_the_extra_are_told_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"synrs-data\[iqa\]"):
        agreement(metrics=["gmsd"])
    assert list(agreement().columns) == list(PairAgreement.columns)


@needs_pyiqa
@quietly
def test_a_metric_by_name_is_a_column_beside_our_own() -> None:
    image, other = texture(), texture(7)
    scorer = agreement(metrics=["psnr", "gmsd"])
    assert list(scorer.columns) == [*PairAgreement.columns, "pair_iqa_psnr", "pair_iqa_gmsd"]
    found = score(scorer, [image, image], [bicubic(image)[0], bicubic(other)[0]])
    assert found["pair_iqa_psnr"][1] == pytest.approx(found["pair_psnr"][1], abs=1e-3)
    assert found["pair_iqa_gmsd"][0] == pytest.approx(0, abs=1e-3) != found["pair_iqa_gmsd"][1]
    assert all(np.isfinite(value) for values in found.values() for value in values)


@needs_pyiqa
@quietly
@pytest.mark.parametrize("name", ["gmsdd", "piqe", "os"])
def test_an_unknown_metric_or_one_without_a_reference_is_refused(name: str) -> None:
    with pytest.raises(RecipeError, match=f"'{name}' is no full-reference metric") as caught:
        agreement(metrics=[name])
    assert "gmsd" in caught.value.fix
    assert "pair-agreement.metrics" in caught.value.where


@needs_pyiqa
@quietly
def test_a_metric_that_wants_larger_images_is_one_message() -> None:
    image = texture(0, 64)
    with pytest.raises(UserError, match="ms_ssim cannot score images of 16 x 16 pixels"):
        score(agreement(metrics=["ms_ssim"]), [image], bicubic(image))


@needs_pyiqa
@quietly
@pytest.mark.parametrize(
    ("value", "lower_better", "expected"),
    [
        (float("inf"), False, 80.0),
        (float("nan"), False, 0.0),
        (float("inf"), True, 80.0),
        (float("-inf"), True, 0.0),
    ],
)
def test_what_is_not_finite_is_the_end_of_the_range_that_it_means(
    monkeypatch: pytest.MonkeyPatch, value: float, lower_better: bool, expected: float
) -> None:
    import pyiqa

    class Endless:
        score_range = "0, 80"

        def __init__(self) -> None:
            self.lower_better = lower_better

        def __call__(self, *images: object) -> float:
            return value

    monkeypatch.setattr(pyiqa, "create_metric", lambda name, device: Endless())
    image = texture()
    assert score(agreement(metrics=["psnr"]), [image], bicubic(image))["pair_iqa_psnr"] == [expected]
