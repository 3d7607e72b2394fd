"""`bicubic` and `area` against kernels written out, Pillow and OpenCV."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from synrs_data.degradations.downsample import Area, AreaOptions, Bicubic, BicubicOptions
from synrs_data.registry import lookup
from synrs_data.resampling import shrink, weights

Pixels = NDArray[np.uint8]


def noise(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def keys(x: float) -> float:
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def imresize_column(column: list[int], scale: int) -> list[int]:
    """MATLAB's imresize of one column by 1 / scale, as its source says it: indices from 1, borders mirrored."""
    found = []
    for out in range(1, len(column) // scale + 1):
        centre = out * scale + 0.5 * (1 - scale)
        total = share = 0.0
        for place in range(math.floor(centre - 2 * scale) - 1, math.ceil(centre + 2 * scale) + 2):
            weight = keys((centre - place) / scale) / scale
            mirrored = place
            while not 1 <= mirrored <= len(column):
                mirrored = 1 - mirrored if mirrored < 1 else 2 * len(column) + 1 - mirrored
            total += weight * column[mirrored - 1]
            share += weight
        found.append(min(max(math.floor(round(total / share, 9) + 0.5), 0), 255))
    return found


def imresize(image: Pixels, scale: int) -> Pixels:
    planes = []
    for channel in range(3):
        rows = np.array([imresize_column(list(map(int, line)), scale) for line in image[..., channel].T]).T
        planes.append(np.array([imresize_column(list(map(int, line)), scale) for line in rows]))
    return np.stack(planes, axis=2).astype(np.uint8)


def degrade(method: Area, *images: Pixels) -> list[Pixels]:
    return method.degrade(images, [method.draw(0, *image.shape[:2]) for image in images])


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_bicubic_is_matlabs_imresize_written_out_in_loops(scale: int) -> None:
    image = noise(2 * scale * 3, 5 * scale)
    found = degrade(Bicubic(BicubicOptions(scale=scale)), image)[0]
    assert found.shape == (6, 5, 3)
    np.testing.assert_array_equal(found, imresize(image, scale))


def test_bicubic_mirrors_borders_further_than_the_image_is_long() -> None:
    image = noise(4, 4)
    np.testing.assert_array_equal(degrade(Bicubic(BicubicOptions()), image)[0], imresize(image, 4))


@pytest.mark.parametrize("kernel", ["matlab", "pillow"])
def test_bicubic_leaves_constants_and_ramps(kernel: str) -> None:
    method = Bicubic(BicubicOptions.model_validate({"kernel": kernel}))
    flat = np.full((32, 32, 3), 77, dtype=np.uint8)
    ramp = np.tile((np.arange(64, dtype=np.uint8) * 2)[:, None, None], (1, 32, 3))
    found_flat, found_ramp = degrade(method, flat, ramp)
    assert (found_flat == 77).all()
    # The mean of four steps of 2 from 8 i is 8 i + 3.
    assert (found_ramp[2:-2, 0, 0] == np.arange(2, 14) * 8 + 3).all()


def test_weights_are_the_stretched_kernel_and_add_up_to_one() -> None:
    found = weights("matlab", 64, 4)
    assert np.allclose(found.sum(axis=1), 1, atol=1e-15)
    expected = [keys((place - 33.5) / 4) / 4 for place in range(24, 44)]
    assert np.allclose(found[8, 24:44], expected, atol=1e-15)
    assert found[8, 30] == found[8, 37] > 0 > found[8, 27]
    with pytest.raises(ValueError, match="65 pixels are no multiple of 4"):
        weights("area", 65, 4)


@pytest.mark.parametrize("scale", [2, 4, 5, 16])
def test_pillows_bicubic_is_pillows(scale: int) -> None:
    image = noise(5 * scale, 7 * scale)
    found = degrade(Bicubic(BicubicOptions(scale=scale, kernel="pillow")), image)[0]
    expected = Image.fromarray(image).resize((7, 5), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(found, np.asarray(expected))


def test_both_bicubics_differ_at_borders_alone() -> None:
    smooth = np.tile(np.linspace(20, 230, 64).astype(np.uint8)[:, None, None], (1, 64, 3))
    matlab, pillow = (
        degrade(Bicubic(BicubicOptions(kernel=kernel)), smooth)[0].astype(int)
        for kernel in ("matlab", "pillow")
    )
    assert np.abs(matlab - pillow)[3:-3].max() <= 1
    assert (matlab != pillow)[[0, -1]].all()


@pytest.mark.parametrize("scale", [2, 3, 4, 7])
def test_area_is_the_block_mean_with_halves_up(scale: int) -> None:
    image = noise(6 * scale, 4 * scale)
    blocks = image.reshape(6, scale, 4, scale, 3).astype(np.int64).sum(axis=(1, 3))
    expected = (2 * blocks + scale**2) // (2 * scale**2)
    np.testing.assert_array_equal(degrade(Area(AreaOptions(scale=scale)), image)[0], expected)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_area_is_opencvs_except_on_ties(scale: int) -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    image = noise(24 * scale, 24 * scale)
    found = degrade(Area(AreaOptions(scale=scale)), image)[0].astype(int)
    theirs = cv2.resize(image, (24, 24), interpolation=cv2.INTER_AREA)
    ties = (
        2 * image.reshape(24, scale, 24, scale, 3).astype(int).sum(axis=(1, 3)) % (2 * scale**2) == scale**2
    )
    np.testing.assert_array_equal(found[~ties], theirs[~ties])
    assert np.abs(found - theirs).max() <= 1


@pytest.mark.parametrize(
    "method",
    [
        Area(AreaOptions(scale=3)),
        Bicubic(BicubicOptions(scale=3)),
        Bicubic(BicubicOptions(scale=3, kernel="pillow")),
    ],
    ids=["area", "matlab", "pillow"],
)
def test_an_image_alone_and_among_others_gives_the_same_bytes(method: Area) -> None:
    images = [noise(48, 48, 1), noise(24, 48, 2), *(noise(48, 48, seed) for seed in range(3, 9))]
    together = degrade(method, *images)
    for image, small in zip(images, together, strict=True):
        np.testing.assert_array_equal(degrade(method, image)[0], small)


def test_nothing_is_drawn_and_hr_stays() -> None:
    method = Bicubic(BicubicOptions())
    image = noise(8, 8)
    assert json.dumps(method.draw(3, 8, 8)) == "{}"
    assert method.distributions() == {}
    assert method.digest() == ""
    assert method.scale == 4
    assert method.prepare([image])[0] is image


def test_read_only_images_are_taken() -> None:
    image = noise(8, 8)
    image.setflags(write=False)
    assert degrade(Area(AreaOptions()), image)[0].shape == (2, 2, 3)


@pytest.mark.parametrize(
    "values", [{"scale": 1}, {"scale": 17}, {"scale": 2.5}, {"kernel": "lanczos"}, {"x": 1}]
)
def test_impossible_options_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        BicubicOptions.model_validate(values)


def test_too_little_memory_is_a_memory_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def fail(*tensors: object) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 1 byte")

    monkeypatch.setattr(torch, "matmul", fail)
    with pytest.raises(MemoryError, match="can't allocate memory"):
        degrade(Area(AreaOptions()), noise(8, 8))


def test_another_error_of_torch_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def fail(*tensors: object) -> None:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(torch, "matmul", fail)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        degrade(Area(AreaOptions()), noise(8, 8))


def test_both_are_registered_by_name() -> None:
    assert lookup("degradations", "bicubic") is Bicubic
    assert lookup("degradations", "area") is Area


def test_shrinking_nothing_gives_nothing() -> None:
    assert shrink([], "area", 4) == []
