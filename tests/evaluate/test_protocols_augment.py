"""Augmentation against what it may and may not change in an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from synrs_data.evaluate.protocols import augment as module
from synrs_data.evaluate.protocols.augment import Kind, augment, cutmix, cutout, flip_crop

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

KINDS: list[Kind] = ["flip-crop", "cutout"]
IMAGES = np.random.default_rng(0).integers(0, 256, (300, 16, 16, 3)).astype(np.uint8)


def orientations(image: NDArray[Any]) -> list[NDArray[Any]]:
    """Return the eight of a square image (height, width, channels)."""
    return [
        turned
        for flipped in (image, image[:, ::-1])
        for turned in (np.rot90(flipped, quarter) for quarter in range(4))
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_depends_on_images_kind_and_seed_alone(kind: Kind) -> None:
    before = IMAGES.copy()
    first = augment(IMAGES, kind, 5)
    torch.manual_seed(1)
    assert np.array_equal(first, augment(IMAGES, kind, 5))
    assert not np.array_equal(first, augment(IMAGES, kind, 6))
    assert np.array_equal(IMAGES, before)
    assert first.shape == IMAGES.shape
    assert first.dtype == np.uint8
    assert (first != IMAGES).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_no_image_gives_no_copy(kind: Kind) -> None:
    assert augment(IMAGES[:0], kind, 0).shape == (0, 16, 16, 3)


def test_whole_crops_are_the_eight_orientations_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AREA", (1.0, 1.0))
    monkeypatch.setattr(module, "RATIO", (1.0, 1.0))
    same = np.repeat(IMAGES[:1], 200, axis=0)
    wanted = [found.tobytes() for found in orientations(IMAGES[0])]
    places = [wanted.index(copy.tobytes()) for copy in augment(same, "flip-crop", 0)]
    assert set(places) == set(range(8))


def test_images_that_are_not_square_are_flipped_and_not_turned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AREA", (1.0, 1.0))
    monkeypatch.setattr(module, "RATIO", (1.0, 1.0))
    image = IMAGES[0, :8]
    wanted = [part.tobytes() for part in (image, image[::-1], image[:, ::-1], image[::-1, ::-1])]
    copies = augment(np.repeat(image[None], 60, axis=0), "flip-crop", 0)
    assert {wanted.index(copy.tobytes()) for copy in copies} == set(range(4))


def test_a_crop_keeps_at_least_half_of_the_image_and_leaves_no_border() -> None:
    ramp = np.arange(64, dtype=np.float32)
    grid = torch.from_numpy(np.stack(np.meshgrid(ramp, ramp))[None].repeat(200, axis=0))
    found = flip_crop(grid, np.random.default_rng(0)).numpy()
    spans = np.ptp(found.reshape(200, 2, -1), axis=2)
    shares = (spans + 1).prod(axis=1) / 64**2
    assert 0.45 < shares.min() < 0.6
    assert 0.9 < shares.max() < 1.05
    ratios = (spans[:, 0] + 1) / (spans[:, 1] + 1)
    assert 0.7 < ratios.min() < 0.9 < 1.1 < ratios.max() < 1.43


def test_cutout_is_a_square_of_half_the_side_that_the_border_may_cut_off() -> None:
    found = cutout(torch.ones(400, 3, 16, 16), np.random.default_rng(0)).numpy()
    assert (found[:, 0] == found[:, 1]).all()
    zeros = found[:, 0] == 0
    heights, widths = zeros.any(axis=2).sum(axis=1), zeros.any(axis=1).sum(axis=1)
    assert (zeros.sum(axis=(1, 2)) == heights * widths).all()
    assert {heights.min(), heights.max(), widths.min(), widths.max()} == {4, 8}
    assert zeros.any(axis=0).all(), "every pixel may be cut"


def test_cutout_of_bytes_is_filled_with_the_mean_colour() -> None:
    copies = augment(IMAGES, "cutout", 0)
    cut = (copies != IMAGES).any(axis=3)
    assert 0.1 < cut.mean() < 0.26
    assert {tuple(pixel) for pixel in copies[cut].tolist()} == {
        tuple(np.rint(IMAGES.mean(axis=(0, 1, 2))).astype(int).tolist())
    }


def test_cutmix_takes_one_rectangle_from_the_partner_and_weighs_labels_by_its_pixels() -> None:
    random, shares = np.random.default_rng(0), []
    values = torch.arange(8, dtype=torch.float32)[:, None, None, None].expand(8, 3, 16, 16)
    for _ in range(200):
        mixed, partners, share = cutmix(values, random)
        assert sorted(partners) == list(range(8))
        for index, partner in enumerate(partners):
            own, other = mixed[index] == index, mixed[index] == int(partner)
            assert (own | other).all()
            if index != partner:
                assert float(own.float().mean()) == pytest.approx(share)
        shares.append(share)
    # Of a uniform share, more is left where the border cuts the rectangle off.
    assert 0.5 < float(np.mean(shares)) < 0.75
    assert min(shares) < 0.3
    assert max(shares) > 0.95
    assert values[3].eq(3).all(), "the batch that was given is not changed"


@pytest.mark.parametrize("change", [flip_crop, cutout, cutmix])
def test_batches_are_augmented_by_the_generator_alone(change: Callable[..., Any]) -> None:
    batch = torch.from_numpy(IMAGES[:8].transpose(0, 3, 1, 2).astype(np.float32))
    first, again = (change(batch, np.random.default_rng(2)) for _ in range(2))
    pair = (first[0], again[0]) if isinstance(first, tuple) else (first, again)
    assert torch.equal(*pair)
