"""Sharpening is basicsr's unsharp masking."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from synrs_data.degradations.sharpen import sharpened
from synrs_data.resources import shipped


def real(side: int) -> Any:
    file = shipped("builders", "sources", "eurosat", "Industrial", "Industrial_1081.jpg")
    picture = PillowImage.open(file).convert("RGB").resize((side, side), PillowImage.Resampling.BICUBIC)
    return np.asarray(picture, dtype=np.float32) / 255


@pytest.mark.parametrize("side", [64, 200])
def test_it_is_the_formula_with_opencvs_blur(side: int) -> None:
    import torch

    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    image = real(side)
    found = sharpened(torch.from_numpy(image).permute(2, 0, 1), 0.5, 50, 10).permute(1, 2, 0).numpy()
    border = cv2.BORDER_REFLECT_101
    rest = image - cv2.GaussianBlur(image, (51, 51), 0, borderType=border)
    mask = cv2.GaussianBlur((np.abs(rest) * 255 > 10).astype(np.float32), (51, 51), 0, borderType=border)
    theirs = mask * np.clip(image + 0.5 * rest, 0, 1) + (1 - mask) * image
    # A pixel on the threshold may fall to either side: 0.0025 of the mask, and a hundredth of a level.
    assert np.abs(found - theirs).max() < 0.1 / 255
    assert np.abs(found - image).mean() > 0.5 / 255


def test_an_even_image_stays_as_it_is() -> None:
    import torch

    image = torch.full((3, 40, 30), 0.3)
    assert sharpened(image, 0.5, 50, 10).numpy() == pytest.approx(image.numpy(), abs=1e-6)


def test_images_smaller_than_the_kernel_are_sharpened_too() -> None:
    import torch

    image = torch.rand((3, 5, 16), generator=torch.Generator().manual_seed(0))
    found = sharpened(image, 0.5, 50, 10)
    assert found.shape == image.shape
    assert found.std() > image.std()
