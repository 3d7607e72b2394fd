"""Super-resolution metrics: PSNR and SSIM as pyiqa and by hand, ids with their configuration, misfits."""

from __future__ import annotations

import builtins
import math
import urllib.error
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from synrs_data.errors import MissingExtraError, RecipeError, UserError
from synrs_data.evaluate.super_resolution.enlarge import enlarge
from synrs_data.evaluate.super_resolution.fidelity import luma, psnr, ssim
from synrs_data.evaluate.super_resolution.metrics import MetricId, MetricSet
from synrs_data.resampling import shrink
from tests.evaluate.sr_images import realsr, scene

Pixels = NDArray[np.uint8]

THEIRS: dict[str, tuple[str, dict[str, Any]]] = {
    "psnr-y": ("psnr", {"test_y_channel": True, "color_space": "ycbcr"}),
    "psnr-y@crop4": ("psnr", {"test_y_channel": True, "color_space": "ycbcr", "crop_border": 4}),
    "psnr-rgb": ("psnr", {}),
    "ssim-y": ("ssim", {"color_space": "ycbcr"}),
    "ssim-y@crop4": ("ssim", {"color_space": "ycbcr", "crop_border": 4}),
    "ssim-rgb": ("ssimc", {}),
}


def noisy(image: Pixels, sigma: float, seed: int = 0) -> Pixels:
    noise = np.random.default_rng(seed).normal(0, sigma, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def agree_with_pyiqa(pairs: list[tuple[Pixels, Pixels]], names: tuple[str, ...]) -> None:
    pyiqa = pytest.importorskip("pyiqa", reason="the extra `iqa` is not installed")
    import torch

    def tensor(image: Pixels) -> Any:
        return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None].float() / 255

    theirs = {name: pyiqa.create_metric(THEIRS[name][0], device="cpu", **THEIRS[name][1]) for name in names}
    metrics = MetricSet(names)
    for image, high in pairs:
        found = metrics.measure(high, image, high)
        for name, metric in theirs.items():
            assert found[name] == pytest.approx(float(metric(tensor(image), tensor(high))), abs=1e-4), name


def test_psnr_and_ssim_agree_with_pyiqa_on_generated_images() -> None:
    high = scene(0)
    inverse = 255 - high
    agree_with_pyiqa(
        [(noisy(high, sigma), high) for sigma in (0, 0.7, 5, 60)] + [(inverse, high)], tuple(THEIRS)
    )


def test_psnr_and_ssim_agree_with_pyiqa_on_the_real_pairs() -> None:
    pairs = realsr()
    if not pairs:
        pytest.skip("the shared RealSR pairs are not here")
    # A window of each: whole ones take a minute, and nothing else.
    images = [(enlarge(low, 4, "bicubic")[:256, :256], high[:256, :256]) for low, high in pairs]
    agree_with_pyiqa(images, ("psnr-y", "ssim-y"))


def test_luma_is_that_of_bt_601_with_its_offset() -> None:
    ends = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0]]], dtype=np.uint8)
    assert luma(ends).ravel() == pytest.approx([16.0, 235.0, 81.481])


def test_psnr_of_a_known_error_is_that_of_the_formula() -> None:
    high = np.full((12, 12, 3), 100, dtype=np.uint8)
    image = high + np.uint8(10)
    assert psnr(image, high, on_luma=False) == pytest.approx(20 * math.log10(25.5), abs=1e-4)
    # Grey levels change luma by 219 of 255.
    assert psnr(image, high, on_luma=True) == pytest.approx(20 * math.log10(25.5 * 255 / 219), abs=1e-4)


def test_psnr_of_equal_images_is_80_and_their_ssim_1() -> None:
    high = scene(1, 32)
    for on_luma in (False, True):
        assert psnr(high, high, on_luma=on_luma) == pytest.approx(80)
        assert ssim(high, high, on_luma=on_luma) == pytest.approx(1)


def test_a_crop_leaves_out_the_border_alone() -> None:
    high = scene(2, 32)
    image = high.copy()
    image[:4], image[-4:], image[:, :4], image[:, -4:] = 0, 0, 0, 0
    assert psnr(image, high, on_luma=True, border=4) == pytest.approx(80)
    assert psnr(image, high, on_luma=True, border=3) < 40
    assert ssim(image, high, on_luma=False, border=4) == pytest.approx(1)
    assert ssim(image, high, on_luma=False, border=3) < 1


def test_ssim_of_flat_images_is_its_brightness_term() -> None:
    first, second = (np.full((16, 16, 3), level, dtype=np.uint8) for level in (50, 200))
    c1 = (0.01 * 255) ** 2
    expected = (2 * 50 * 200 + c1) / (50**2 + 200**2 + c1)
    assert ssim(first, second, on_luma=False) == pytest.approx(expected)


def test_images_of_other_sizes_and_too_small_ones_are_refused() -> None:
    with pytest.raises(UserError, match="20 x 16 pixels is compared with one of 16 x 16"):
        psnr(np.zeros((16, 20, 3), np.uint8), np.zeros((16, 16, 3), np.uint8), on_luma=True)
    with pytest.raises(UserError, match="nothing inside a border of 8"):
        psnr(np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16, 3), np.uint8), on_luma=True, border=8)
    with pytest.raises(UserError, match="SSIM needs 11 pixels a side, and 10 x 10 are left"):
        ssim(np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16, 3), np.uint8), on_luma=True, border=3)


@pytest.mark.parametrize(
    ("text", "family", "name", "border"),
    [
        ("psnr-y@crop4", "psnr", "y", 4),
        ("ssim-rgb", "ssim", "rgb", 0),
        ("pyiqa:clipiqa+_vitL14_512@crop12", "pyiqa", "clipiqa+_vitL14_512", 12),
        ("opensr-omission", "opensr", "omission", 16),
    ],
)
def test_an_id_says_the_whole_configuration(text: str, family: str, name: str, border: int) -> None:
    assert MetricId.parse(text) == MetricId(text, family, name, border)


@pytest.mark.parametrize(
    "text",
    ["psnr", "psnr-y@crop0", "psnr-y@4", "ssim-yuv", "opensr-beauty", "opensr-omission@crop4", "pyiqa:", ""],
)
def test_an_unknown_id_is_refused_with_those_there_are(text: str) -> None:
    with pytest.raises(
        RecipeError, match=r"is no metric of super-resolution\n.*psnr-y.*opensr-hallucination"
    ):
        MetricSet([text])


def test_metrics_that_come_twice_or_not_at_all_are_refused() -> None:
    with pytest.raises(RecipeError, match="the metric ssim-y appears twice"):
        MetricSet(["ssim-y", "psnr-y", "ssim-y"])
    with pytest.raises(RecipeError, match="there are no metrics"):
        MetricSet([])


def test_records_tell_crop_colour_and_direction() -> None:
    psnr_record, opensr_record = MetricSet(["psnr-y@crop4", "opensr-hallucination"]).records()
    assert (psnr_record.direction, psnr_record.unit) == ("higher", "dB")
    assert psnr_record.configuration["crop"] == 4
    assert "BT.601" in psnr_record.configuration["color"]
    assert opensr_record.direction == "lower"
    assert opensr_record.configuration["follows"] == "opensr-test 1.3.3"


def test_a_metric_of_pyiqa_is_measured_inside_its_crop_and_recorded_whole() -> None:
    pytest.importorskip("pyiqa", reason="the extra `iqa` is not installed")
    high = scene(3)
    image = high.copy()
    image[:8] = 0
    metrics = MetricSet(["pyiqa:psnr@crop8", "pyiqa:psnr", "psnr-rgb"])
    found = metrics.measure(high, image, high)
    assert found["pyiqa:psnr@crop8"] == pytest.approx(80, abs=0.01)
    assert found["pyiqa:psnr"] == pytest.approx(found["psnr-rgb"], abs=1e-4)
    record = metrics.records()[0]
    assert record.configuration["options"] == {"type": "PSNR", "test_y_channel": False}
    assert record.configuration["library"].startswith("pyiqa ")
    assert record.configuration["weights_sha256"] is None


def test_a_metric_of_pyiqa_that_is_unknown_or_of_sets_is_refused() -> None:
    pytest.importorskip("pyiqa", reason="the extra `iqa` is not installed")
    with pytest.raises(RecipeError, match=r"no metric 'lpipss' of an image\n.*lpips"):
        MetricSet(["pyiqa:lpipss"])
    with pytest.raises(RecipeError, match="no metric 'fid' of an image"):
        MetricSet(["pyiqa:fid"])


def test_weights_that_cannot_be_fetched_are_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    pyiqa = pytest.importorskip("pyiqa", reason="the extra `iqa` is not installed")

    def fail(*args: Any, **options: Any) -> None:
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(pyiqa, "create_metric", fail)
    with pytest.raises(UserError, match=r"the weights of the metric lpips cannot be loaded: .*no route"):
        MetricSet(["psnr-y", "pyiqa:lpips"])


def test_without_pyiqa_its_metrics_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"the metric pyiqa:lpips needs .*'iqa'"):
        MetricSet(["pyiqa:lpips"])


def test_our_own_metrics_need_no_pyiqa(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def refuse(name: str, *args: Any) -> Any:
        assert not name.startswith("pyiqa")
        return original(name, *args)

    monkeypatch.setattr(builtins, "__import__", refuse)
    high = scene(4)
    [low] = shrink([high], "matlab", 4)
    found = MetricSet(["psnr-y", "ssim-y", "opensr-spectral"]).measure(low, enlarge(low, 4, "bicubic"), high)
    assert all(math.isfinite(value) for value in found.values())
