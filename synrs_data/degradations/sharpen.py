"""Unsharp masking of high-resolution images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synrs_data.degradations.filtering import filtered_separably
from synrs_data.degradations.kernels import gaussian

if TYPE_CHECKING:
    import torch


def sharpened(image: torch.Tensor, weight: float, radius: int, threshold: float) -> torch.Tensor:
    """Return an image sharpened where it differs from its blurred self.

    With r = image - blurred, m = 1 where 255 |r| > threshold and 0 elsewhere, and s = m blurred:
    s * clip(image + weight * r) + (1 - s) * image (github.com/XPixelGroup/BasicSR at 8d56e3a,
    basicsr/utils/img_process_util.py, `USMSharp`). The blur is Gaussian on `radius` pixels along a side, one more if
    that is even, with OpenCV's standard deviation for such a kernel, 0.3 * ((size - 1) / 2 - 1) + 0.8
    (modules/imgproc/src/smooth.dispatch.cpp, `getGaussianKernel`).

    Args:
        image: (3, height, width), 0 to 1.
        weight: How much.
        radius: Pixels along a side of the kernel.
        threshold: In grey levels of 255.
    """
    import torch

    size = radius + 1 - radius % 2
    sigma = max(0.3 * ((size - 1) / 2 - 1) + 0.8, 0.1)
    line = gaussian(size, sigma).sum(axis=0)
    rest = image - filtered_separably(image, line)
    mask = filtered_separably((rest.abs() * 255 > threshold).float(), line)
    sharp = torch.add(image, rest, alpha=weight).clamp_(0, 1)
    return image + mask * (sharp - image)
