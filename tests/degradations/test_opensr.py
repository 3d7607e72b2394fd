"""`opensr-degradation`: which parts of the package run, from one seed an image, leaving nothing behind."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from synrs_data.degradations.opensr import OpenSr, OpenSrOptions
from synrs_data.errors import MissingExtraError, UserError
from synrs_data.registry import lookup

Pixels = NDArray[np.uint8]
needs_package = pytest.mark.skipif(
    importlib.util.find_spec("opensr_degradation") is None, reason="the extra opensr is not installed"
)
HISTOGRAMS = "vae_histogram_matching"


def opensr(**values: Any) -> OpenSr:
    method = OpenSr(OpenSrOptions.model_validate(values))
    method.load("cpu")
    return method


def scene(seed: int = 0, height: int = 48, width: int = 64) -> Pixels:
    """Return smooth patches, different in each channel."""
    cells = np.random.default_rng(seed).integers(30, 220, (height // 8, width // 8, 3), dtype=np.uint8)
    return cells.repeat(8, axis=0).repeat(8, axis=1)


def blurred_and_sampled(image: Pixels) -> NDArray[np.float64]:
    """Return what 13-tap Gaussians, borders mirrored without the edge, and bilinear sampling by 4 give."""
    planes = []
    for place, sigma in enumerate((3.0, 2.9, 2.9)):
        taps = np.exp(-(np.arange(-6, 7) ** 2) / (2 * sigma**2))
        taps /= taps.sum()
        plane = image[..., place].astype(np.float64)
        for _ in range(2):
            padded = np.pad(plane, ((6, 6), (0, 0)), mode="reflect")
            plane = sum(tap * padded[at : at + len(plane)] for at, tap in enumerate(taps)).T
        planes.append((plane[1::4, 1::4] + plane[2::4, 1::4] + plane[1::4, 2::4] + plane[2::4, 2::4]) / 4)
    return np.stack(planes, axis=2)


@needs_package
def test_without_noise_it_is_the_packages_blur_and_bilinear_sampling() -> None:
    image = scene()
    method = opensr(noise=False)
    found = method.degrade([image], [method.draw(0, 48, 64)])[0]
    assert found.shape == (12, 16, 3)
    assert np.abs(found - blurred_and_sampled(image)).max() < 0.51


@needs_package
def test_noise_is_that_of_sentinel_2_within_a_hundredth_of_reflectance() -> None:
    image = scene(height=128, width=128)
    clean = opensr(noise=False).degrade([image], [{"opensr.seed": 1}])[0].astype(int)
    noisy = opensr().degrade([image], [{"opensr.seed": 1}])[0].astype(int)
    difference = noisy - clean
    # The table's noise lies within 0.0101, 2.6 levels.
    assert np.abs(difference).max() <= 4
    assert 0.3 < difference.std() < 2


@needs_package
def test_an_image_alone_and_among_others_gives_the_same_bytes_and_another_seed_does_not() -> None:
    for reflectance in ("identity", HISTOGRAMS):
        method = opensr(reflectance=reflectance)
        images = [scene(seed) for seed in range(3)]
        drawn = [method.draw(seed, 48, 64) for seed in range(3)]
        together = method.degrade(images, drawn)
        again = opensr(reflectance=reflectance)
        for image, parameters, small in zip(images, drawn, together, strict=True):
            np.testing.assert_array_equal(again.degrade([image], [parameters])[0], small)
        assert (method.degrade(images[:1], drawn[1:2])[0] != together[0]).any()


@needs_package
def test_the_random_states_of_numpy_and_torch_are_put_back() -> None:
    import torch

    method = opensr(reflectance=HISTOGRAMS)

    def after(*, degraded: bool) -> tuple[float, float]:
        np.random.seed(4)
        torch.manual_seed(4)
        if degraded:
            method.degrade([scene()], [{"opensr.seed": 9}])
        return float(np.random.random()), float(torch.rand(1))

    assert after(degraded=True) == after(degraded=False)


@needs_package
def test_the_random_states_are_put_back_when_the_package_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    method = opensr()

    def fail(image: object) -> None:
        np.random.random()
        torch.rand(1)
        raise RuntimeError("boom")

    monkeypatch.setattr(method._pipe, "forward", fail)
    np.random.seed(4)
    torch.manual_seed(4)
    with pytest.raises(RuntimeError, match="boom"):
        method.degrade([scene()], [{"opensr.seed": 9}])
    found = float(np.random.random()), float(torch.rand(1))
    np.random.seed(4)
    torch.manual_seed(4)
    assert found == (float(np.random.random()), float(torch.rand(1)))


@needs_package
def test_histograms_are_those_of_sentinel_2_which_is_darker_in_blue() -> None:
    image = scene(height=128, width=128)
    drawn = [{"opensr.seed": 3}]
    plain = opensr().degrade([image], drawn)[0].mean(axis=(0, 1))
    red, green, blue = opensr(reflectance=HISTOGRAMS).degrade([image], drawn)[0].mean(axis=(0, 1))
    assert blue < green < red < plain.min()


@needs_package
def test_white_is_the_reflectance_stored_as_255() -> None:
    image = scene()
    full = opensr(noise=False).degrade([image], [{"opensr.seed": 0}])[0].astype(float)
    half = opensr(noise=False, white=0.5).degrade([image], [{"opensr.seed": 0}])[0].astype(float)
    np.testing.assert_allclose(half, np.minimum(2 * full, 255), atol=1.01)


@needs_package
def test_hr_is_the_image_that_came_in() -> None:
    image = scene()
    method = opensr(reflectance=HISTOGRAMS)
    before = image.copy()
    assert method.prepare([image])[0] is image
    method.degrade([image], [{"opensr.seed": 0}])
    np.testing.assert_array_equal(image, before)


@needs_package
def test_too_small_an_image_is_one_message() -> None:
    with pytest.raises(UserError, match="4 x 8 pixels is too small"):
        opensr().degrade([np.zeros((8, 4, 3), dtype=np.uint8)], [{"opensr.seed": 0}])
    assert opensr().degrade([np.zeros((8, 8, 3), dtype=np.uint8)], [{"opensr.seed": 0}])[0].shape == (2, 2, 3)


@needs_package
def test_draws_are_a_seed_and_the_digest_is_of_what_is_used() -> None:
    method = OpenSr(OpenSrOptions())
    assert method.draw(5, 8, 8) == method.draw(5, 64, 64) != method.draw(6, 8, 8)
    assert 0 <= int(method.draw(2**63 - 1, 8, 8)["opensr.seed"]) < 2**32
    assert method.scale == 4
    assert method.distributions() == {}
    digests = {
        OpenSr(OpenSrOptions.model_validate(values)).digest()
        for values in ({}, {"noise": False}, {"reflectance": HISTOGRAMS})
    }
    assert len(digests) == 3


@needs_package
def test_a_package_without_its_models_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = OpenSr(OpenSrOptions())
    spec = importlib.util.spec_from_file_location("opensr_degradation", tmp_path / "__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(UserError, match="cannot be read") as caught:
        method.digest()
    assert "model_noise.pt" in caught.value.where


@needs_package
def test_a_package_that_cannot_be_imported_is_told_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    # What a missing einops or pkg_resources does.
    monkeypatch.setitem(sys.modules, "opensr_degradation", None)
    with pytest.raises(MissingExtraError, match=r"synrs-data\[opensr\]"):
        OpenSr.load(object.__new__(OpenSr), "cpu")


def test_without_the_package_the_command_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"synrs-data\[opensr\]"):
        OpenSr(OpenSrOptions())


@pytest.mark.parametrize("values", [{"white": 0}, {"white": 1.5}, {"reflectance": "vae"}, {"scale": 4}])
def test_impossible_options_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        OpenSrOptions.model_validate(values)


def test_it_is_registered_by_name() -> None:
    assert lookup("degradations", "opensr-degradation") is OpenSr
