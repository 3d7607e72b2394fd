"""Consistency, synthesis and correctness of a super-resolved image: the measures of opensr-test, on RGB.

Aybar, Montero, Donike, Kalaitzis and Gomez-Chova, "A comprehensive benchmark for optical remote sensing image
super-resolution", IEEE GRSL 21 (2024), by the package opensr-test 1.3.3 (main.py, correctness.py, distance.py,
utils.py, config.py) with its defaults: distances by pixel, a border of 16 cut off, the normalised difference as
distance of correctness. What differs from the package:

- Images are 8-bit RGB, whose levels divided by 255 stand for reflectances.
- Shifts are measured by `synrs_data.filters.registration`, not by scikit-image's phase correlation to a fiftieth of a
  pixel, and one is taken out before the comparison only if it can be told from none (its standard error is at most a
  tenth of a pixel, and it is four of them or more).
- 64-bit numbers.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from synrs_data.errors import UserError
from synrs_data.filters.registration import Shift, shift_between

Reflectance = NDArray[np.float64]
"""Levels of 0 to 1, (height, width, 3)."""

BORDER = 16
"""High-resolution pixels at each side that are not looked at."""

SCORE, TEMPERATURE, QUANTILE = 0.05, 0.25, 0.75
"""lambda of all three distances, temperature of their softmin, share of the pixels whose reference distance is below
the threshold (config.py: `im_score`, `om_score`, `ha_score`, `correctness_temperature`; main.py: "auto75")."""

LARGEST_SHIFT = 5.0
"""In pixels; a shift beyond it is taken for a failed registration (config.py: `spatial_threshold_distance`)."""

DIRECTIONS = {
    "reflectance": "lower",
    "spectral": "lower",
    "spatial": "lower",
    "synthesis": "higher",
    "hallucination": "lower",
    "omission": "lower",
    "improvement": "higher",
}
"""What is measured, and which direction is better; a high synthesis alone is no merit."""

_MEASURED, _TOLD = 0.1, 4.0


def measures(low: NDArray[np.uint8], image: NDArray[np.uint8], high: NDArray[np.uint8]) -> dict[str, float]:
    """Return every measure of `DIRECTIONS`.

    | name | what | range |
    |---|---|---|
    | reflectance | mean absolute difference of LR and SR brought down | 0 to 1 |
    | spectral | mean angle between their colours, black ones left out | 0 to 90 degrees |
    | spatial | length of the shift between them | 0 to 5 LR pixels; NaN if none can be measured |
    | synthesis | mean absolute difference of LR enlarged and harmonised SR | 0 to 1 |
    | hallucination, omission, improvement | mean share of each; together 1 | 0 to 1; NaN if all images are equal |

    Args:
        low: LR, (height, width, 3).
        image: SR, (height * scale, width * scale, 3).
        high: HR, of the same shape.

    Raises:
        UserError: Nothing is left inside the border.
    """
    scale = high.shape[0] // low.shape[0]
    lr, sr, hr = (_inside(x, part, scale) for x, part in ((low, 1), (image, scale), (high, scale)))
    down, up = _resized(sr, lr.shape), _resized(lr, hr.shape)
    harmonised = _aligned(matched(sr, hr), hr)
    found = {
        "reflectance": float(np.abs(lr - down).mean()),
        "spectral": spectral_angle(lr, down),
        "spatial": _length(shift_between(lr.mean(axis=2), down.mean(axis=2))),
        "synthesis": float(np.abs(up - harmonised).mean()),
    }
    return found | correctness(up, harmonised, hr)


def correctness(up: Reflectance, image: Reflectance, high: Reflectance) -> dict[str, float]:
    """Return the shares of hallucination, omission and improvement.

    With the normalised difference d of two images, d_ref = d(up, high), d_im = d(image, high) / d_ref,
    d_om = d(image, up) / d_ref and H = d_im + d_om - 1, the distances are

        improvement    d_im + d_om (1 - exp(-0.05 H))
        omission       d_om + d_im (1 - exp(-0.05 H))
        hallucination  exp(-0.05 d_im d_om)

    and the shares their softmin at a temperature of 0.25, over the pixels where any d is above the 75th percentile of
    d_ref: opensr_test/correctness.py, main.py.

    Args:
        up: LR enlarged.
        image: SR, harmonised.
        high: HR; all of one shape.
    """
    reference, to_high, to_low = _difference(up, high), _difference(image, high), _difference(image, up)
    rank = max(int(QUANTILE * reference.size), 1) - 1
    threshold = np.partition(reference, rank, axis=None)[rank]
    used = (reference > threshold) | (to_high > threshold) | (to_low > threshold)
    if not used.any():
        return dict.fromkeys(("hallucination", "omission", "improvement"), math.nan)
    # Where LR enlarged is exact and SR is not, both distances are infinite, and all of it is hallucinated.
    with np.errstate(divide="ignore", invalid="ignore"):
        d_im, d_om = to_high[used] / reference[used], to_low[used] / reference[used]
        excess = 1 - np.exp(-SCORE * (d_im + d_om - 1))
        distances = np.stack([np.exp(-SCORE * d_im * d_om), d_om + d_im * excess, d_im + d_om * excess])
        shares = np.exp(-distances / TEMPERATURE)
        shares /= shares.sum(axis=0)
    hallucination, omission, improvement = np.nanmean(shares, axis=1)
    return {
        "hallucination": float(hallucination),
        "omission": float(omission),
        "improvement": float(improvement),
    }


def spectral_angle(first: Reflectance, second: Reflectance) -> float:
    """Return the mean angle between the colours of two images in degrees; pixels that are black in one are left out."""
    norms = np.linalg.norm(first, axis=2) * np.linalg.norm(second, axis=2)
    seen = norms > 0
    if not seen.any():
        return math.nan
    cosines = (first * second).sum(axis=2)[seen] / norms[seen]
    return float(np.degrees(np.arccos(np.clip(cosines, -1, 1))).mean())


def matched(image: Reflectance, reference: Reflectance) -> Reflectance:
    """Return an image whose channels have the histograms of the reference's.

    Levels go to those of the same quantile, between levels of the reference in a straight line: scikit-image's
    `match_histograms` (skimage/exposure/histogram_matching.py).
    """
    found = np.empty_like(image)
    for channel in range(image.shape[2]):
        _, places, counts = np.unique(image[..., channel], return_inverse=True, return_counts=True)
        levels, known = np.unique(reference[..., channel], return_counts=True)
        quantiles = np.cumsum(counts) / counts.sum()
        values = np.interp(quantiles, np.cumsum(known) / known.sum(), levels)
        found[..., channel] = values[places.reshape(image.shape[:2])]
    return found


def _inside(image: NDArray[np.uint8], part: int, scale: int) -> Reflectance:
    """Return levels of 0 to 1 inside the border, which is whole in low-resolution pixels.

    Args:
        image: LR, SR or HR.
        part: Pixels of the image in one low-resolution pixel, along a side.
        scale: The scale.
    """
    border = BORDER // scale * part
    height, width = image.shape[:2]
    if min(height, width) <= 2 * border + part:
        raise UserError(
            f"an image of {width} x {height} pixels has next to nothing inside the border of {border} that opensr cuts",
            fix="use larger test images, or leave out the opensr metrics",
        )
    return image[border : height - border, border : width - border].astype(np.float64) / 255


def _difference(first: Reflectance, second: Reflectance) -> NDArray[np.float64]:
    """Return the normalised difference of each pixel, mean over channels (distance.py, `FractionalDifference`)."""
    found: NDArray[np.float64] = (np.abs(first - second) / (first + second + 1e-8)).mean(axis=2)
    return found


def _resized(image: Reflectance, shape: tuple[int, ...]) -> Reflectance:
    """Return an image of another size, bilinear with antialiasing (torch's `interpolate`, utils.py)."""
    rows, columns = (_triangle(image.shape[axis], shape[axis]) for axis in (0, 1))
    return np.asarray(
        np.einsum("ow,hwc->hoc", columns, np.tensordot(rows, image, axes=1), optimize=True), dtype=np.float64
    )


@lru_cache(maxsize=64)
def _triangle(size: int, wanted: int) -> NDArray[np.float64]:
    """Return the weights of one axis, (wanted, size): triangles, stretched to bring down, rows adding up to 1."""
    ratio = size / wanted
    centres = (np.arange(wanted) + 0.5)[:, None] * ratio
    found = np.maximum(0, 1 - np.abs(np.arange(size)[None, :] + 0.5 - centres) / max(1.0, ratio))
    return np.asarray(found / found.sum(axis=1, keepdims=True), dtype=np.float64)


def _aligned(image: Reflectance, reference: Reflectance) -> Reflectance:
    """Return an image moved onto the reference, bilinear with its border continued, if a shift can be told."""
    shift = shift_between(reference.mean(axis=2), image.mean(axis=2))
    length = math.hypot(shift.x, shift.y)
    if not (shift.error <= _MEASURED and _TOLD * shift.error <= length <= LARGEST_SHIFT):
        return image
    for axis, by in ((0, shift.y), (1, shift.x)):
        places = np.arange(image.shape[axis]) + by
        before = np.floor(places).astype(np.int64)
        share = (places - before).reshape(-1, 1, 1) if axis == 0 else (places - before).reshape(1, -1, 1)
        near, far = (
            np.take(image, np.clip(before + step, 0, image.shape[axis] - 1), axis=axis) for step in (0, 1)
        )
        image = (1 - share) * near + share * far
    return image


def _length(shift: Shift) -> float:
    length = math.hypot(shift.x, shift.y)
    return length if math.isfinite(shift.error) and length <= LARGEST_SHIFT else math.nan
