"""JPEG agrees with Pillow's libjpeg, and with DiffJPEG as a plain program computes it."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage

from synrs_data.degradations.jpeg import Codec, compressed, quantisation
from synrs_data.resources import shipped

Pixels = NDArray[np.uint8]


def real() -> Pixels:
    file = shipped("builders", "sources", "eurosat", "Residential", "Residential_1135.jpg")
    enlarged = PillowImage.open(file).convert("RGB").resize((128, 128), PillowImage.Resampling.BICUBIC)
    return np.asarray(enlarged)


def synthetic() -> Pixels:
    """Ramps, edges in colour and noise, of sides that no block divides."""
    rows, columns = np.mgrid[0:61, 0:83]
    image = np.stack([rows * 4, columns * 3, 255 - rows * 2 - columns], axis=-1)
    image[20:40, 30:60] = [250, 20, 60]
    image[:, 70:] += np.random.default_rng(0).integers(-40, 40, (61, 13, 3))
    return np.asarray(np.clip(image, 0, 255), dtype=np.uint8)


def pillow(image: Pixels, quality: int) -> NDArray[np.float64]:
    data = io.BytesIO()
    PillowImage.fromarray(image).save(data, "JPEG", quality=quality)
    return np.asarray(PillowImage.open(data)).astype(np.float64)


def ours(image: Pixels, quality: float, codec: Codec) -> NDArray[np.float64]:
    import torch

    pixels = torch.tensor(image).permute(2, 0, 1)[None].float() / 255
    found = compressed(pixels, [quality], codec)[0].permute(1, 2, 0)
    return found.double().numpy() * 255


@pytest.mark.parametrize("quality", [1, 10, 30, 49, 50, 51, 75, 95, 100])
def test_tables_of_libjpeg_are_those_that_pillow_writes(quality: int) -> None:
    data = io.BytesIO()
    PillowImage.fromarray(real()).save(data, "JPEG", quality=quality)
    written = PillowImage.open(data).quantization  # type: ignore[attr-defined]
    luma, chroma = quantisation(quality, "libjpeg")
    assert np.array_equal(luma.ravel(), written[0])
    assert np.array_equal(chroma.ravel(), written[1])


@pytest.mark.parametrize(("picture", "mean", "most"), [(real, 0.2, 11.0), (synthetic, 0.2, 15.0)])
def test_libjpeg_is_pillow_to_a_fraction_of_a_level(picture: Any, mean: float, most: float) -> None:
    """Over all qualities from 30 to 95: the mean absolute difference, and the largest, in levels of 255.

    Measured: mean 0.11 and 0.06 over all qualities, 0.17 and 0.17 at the worst; largest 10 and 14.

    Where the integer transforms of libjpeg put a coefficient on the other side of a half, a whole block differs.
    """
    image = picture()
    for quality in range(30, 96):
        difference = np.abs(ours(image, quality, "libjpeg") - pillow(image, quality))
        assert difference.mean() < mean, quality
        assert difference.max() <= most, quality
        # What is compared is far less than what compression changes.
        loss = np.abs(pillow(image, quality) - image).mean()
        assert difference.mean() < 0.2 * loss, quality


def test_diffjpeg_is_within_a_few_levels_of_pillow_and_loses_as_much() -> None:
    """Its chroma is repeated where Pillow's is interpolated: measured 1.6 levels in the mean of all qualities."""
    image = real()
    for quality in (30, 60, 95):
        assert np.abs(ours(image, quality, "diffjpeg") - pillow(image, quality)).mean() < 2.2
        mine = np.abs(ours(image, quality, "diffjpeg") - image).mean()
        assert mine == pytest.approx(np.abs(pillow(image, quality) - image).mean(), rel=0.15)


def plain_diffjpeg(image: Pixels, quality: float) -> NDArray[np.float64]:
    """DiffJPEG block by block, as basicsr/utils/diffjpeg.py says it, with SciPy's transforms."""
    fft = pytest.importorskip("scipy.fft", reason="SciPy is not installed")
    luma, chroma = quantisation(50, "libjpeg")  # the tables of the standard
    factor = (5000 / quality if quality < 50 else 200 - 2 * quality) / 100
    height, width = image.shape[:2]
    padded = np.zeros((-(-height // 16) * 16, -(-width // 16) * 16, 3))
    padded[:height, :width] = image
    red, green, blue = np.moveaxis(padded, 2, 0)
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    planes = [y, -0.168736 * red - 0.331264 * green + 0.5 * blue + 128]
    planes += [0.5 * red - 0.418688 * green - 0.081312 * blue + 128]
    found = []
    for plane, table in zip(planes, (luma.T, chroma, chroma), strict=True):
        if plane is not y:
            plane = plane.reshape(len(plane) // 2, 2, -1, 2).mean(axis=(1, 3))
        out = np.empty_like(plane)
        for row in range(0, plane.shape[0], 8):
            for column in range(0, plane.shape[1], 8):
                place = np.s_[row : row + 8, column : column + 8]
                coefficients = fft.dctn(plane[place] - 128, norm="ortho") / (table * factor)
                out[place] = fft.idctn(np.round(coefficients) * table * factor, norm="ortho") + 128
        found.append(out if plane.shape == y.shape else out.repeat(2, 0).repeat(2, 1))
    y, cb, cr = found[0], found[1] - 128, found[2] - 128
    rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1)
    return np.asarray(np.clip(rgb[:height, :width], 0, 255))


@pytest.mark.parametrize("picture", [real, synthetic])
@pytest.mark.parametrize("quality", [30.0, 47.3, 50.0, 71.9, 95.0])
def test_diffjpeg_is_what_a_plain_program_computes(picture: Any, quality: float) -> None:
    difference = np.abs(ours(picture(), quality, "diffjpeg") - plain_diffjpeg(picture(), quality))
    # A coefficient on a half may fall to either side; it moves the 256 pixels of a block of chroma at most.
    assert (difference > 0.01).mean() < 0.01
    assert difference.mean() < 0.01


@pytest.mark.parametrize("codec", ["diffjpeg", "libjpeg"])
def test_images_of_a_batch_have_qualities_of_their_own(codec: Codec) -> None:
    import torch

    pixels = torch.tensor(np.stack([real(), real()[::-1], real().transpose(1, 0, 2)]))
    pixels = pixels.permute(0, 3, 1, 2).float() / 255
    qualities = [35.0, 60.0, 90.0]
    together = compressed(pixels, qualities, codec)
    for place, quality in enumerate(qualities):
        alone = compressed(pixels[place : place + 1], [quality], codec)[0]
        assert (together[place] - alone).abs().mean() < 1e-4
    losses = (together - pixels).abs().mean(dim=(1, 2, 3))
    assert losses[0] > losses[1] > losses[2]


@pytest.mark.parametrize("codec", ["diffjpeg", "libjpeg"])
@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (3, 40), (17, 16)])
def test_any_size_comes_back_as_it_was(codec: Codec, shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 128, dtype=np.uint8)
    found = ours(image, 90, codec)
    assert found.shape == image.shape
    if codec == "libjpeg":
        assert np.abs(found - pillow(image, 90)).max() < 1e-4


@pytest.mark.parametrize("codec", ["diffjpeg", "libjpeg"])
def test_values_outside_the_range_are_clipped_first(codec: Codec) -> None:
    import torch

    bright = torch.full((1, 3, 16, 16), 1.4)
    assert compressed(bright, [80.0], codec).numpy() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("codec", ["diffjpeg", "libjpeg"])
def test_the_images_that_are_given_stay_as_they_are(codec: Codec) -> None:
    import torch

    pixels = torch.rand((1, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    before = pixels.clone()
    compressed(pixels, [40.0], codec)
    assert torch.equal(pixels, before)
