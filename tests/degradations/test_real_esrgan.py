"""`real-esrgan` makes LR images that come again from HR and parameters, of the right size, whatever is beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage

from synrs_data.degradations.real_esrgan import RealEsrgan, RealEsrganOptions
from synrs_data.registry import lookup
from synrs_data.resources import shipped

Pixels = NDArray[np.uint8]

PRESETS = ["real-esrgan-x4", "real-esrgan-x2", "resshift", "bsrgan"]
SIZES = [(64, 64), (68, 100), (16, 16), (20, 132), (96, 64)]


def method(preset: str, **options: Any) -> RealEsrgan:
    made = RealEsrgan(RealEsrganOptions(preset=preset, **options))
    made.load("cpu")
    return made


def pictures(sizes: list[tuple[int, int]]) -> list[Pixels]:
    files = sorted(shipped("builders", "sources", "eurosat").rglob("*.jpg"))[::11]
    return [
        np.asarray(
            PillowImage.open(file).convert("RGB").resize((width, height), PillowImage.Resampling.BICUBIC)
        )
        for (height, width), file in zip(sizes, files, strict=False)
    ]


def test_the_registry_knows_it() -> None:
    assert lookup("degradations", "real-esrgan") is RealEsrgan


@pytest.mark.parametrize("preset", PRESETS)
def test_an_image_has_the_same_bytes_alone_and_in_any_batch(preset: str) -> None:
    made = method(preset)
    images = pictures(SIZES * 3)
    drawn = [made.draw(seed, *image.shape[:2]) for seed, image in enumerate(images)]
    before = [image.copy() for image in images]
    together = made.degrade(images, drawn)
    # As a reader of the dataset has them: from JSON, in another process's instance, in other company.
    stored = [json.loads(json.dumps(values, sort_keys=True)) for values in drawn]
    other = method(preset)
    alone = [other.degrade([image], [values])[0] for image, values in zip(images, stored, strict=True)]
    order = np.random.default_rng(0).permutation(len(images))[:7]
    some = other.degrade([images[place] for place in order], [stored[place] for place in order])
    assert all(np.array_equal(a, b) for a, b in zip(together, alone, strict=True))
    assert all(np.array_equal(together[place], b) for place, b in zip(order, some, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(images, before, strict=True))


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("size", [(68, 100), (16, 16), (4, 4), (4, 60), (132, 20)])
def test_lr_images_are_smaller_by_exactly_the_scale(preset: str, size: tuple[int, int]) -> None:
    made = method(preset)
    image = np.random.default_rng(1).integers(0, 256, (*size, 3)).astype(np.uint8)
    drawn = [made.draw(seed, *size) for seed in range(24)]
    for found in made.degrade([image] * len(drawn), drawn):
        assert found.shape == (size[0] // made.scale, size[1] // made.scale, 3)
        assert found.dtype == np.uint8
        assert found.flags.c_contiguous


@pytest.mark.parametrize("preset", PRESETS)
def test_no_images_give_no_images(preset: str) -> None:
    made = method(preset)
    assert made.degrade([], []) == []
    assert made.prepare([]) == []


@pytest.mark.parametrize("preset", PRESETS)
def test_lr_images_are_degraded_views_of_their_hr_images(preset: str) -> None:
    made = method(preset)
    image = pictures([(128, 128)])[0]
    # A bright quarter, so that an image that is flipped, turned or shifted shows.
    image = np.clip(image * 0.6, 0, 255).astype(np.uint8)
    image[:64, 64:] += 90
    side = 128 // made.scale
    shrunk = np.asarray(PillowImage.fromarray(image).resize((side, side), PillowImage.Resampling.BOX))
    drawn = [made.draw(seed, 128, 128) for seed in range(40)]
    found = np.stack(made.degrade([image] * len(drawn), drawn)).astype(float)
    agreement = [np.corrcoef(one.ravel(), shrunk.ravel())[0, 1] for one in found]
    assert min(agreement) > 0.3
    assert np.median(agreement) > 0.85
    assert abs(found.mean() - shrunk.mean()) < 6
    assert len({one.tobytes() for one in found}) == len(found)


def test_a_preset_sharpens_and_stores_sharpened_images_unless_told_otherwise() -> None:
    images = pictures([(64, 64), (40, 68)])
    for preset in PRESETS:
        sharp = preset.startswith("real-esrgan")
        for option, expected in ((None, sharp), (True, True), (False, False)):
            prepared = method(preset, sharpen=option).prepare(images)
            changed = [not np.array_equal(a, b) for a, b in zip(images, prepared, strict=True)]
            assert changed == [expected, expected]
            assert [image.shape for image in prepared] == [image.shape for image in images]
            assert all(image.dtype == np.uint8 for image in prepared)


def test_sharpened_images_have_more_contrast_and_do_not_hang_on_each_other() -> None:
    images = pictures([(64, 64), (64, 64)])
    made = method("real-esrgan-x4")
    together = made.prepare(images)
    assert np.array_equal(together[1], made.prepare(images[1:])[0])
    assert together[0].std() > images[0].std()


def test_read_only_images_are_taken_and_left_as_they_are() -> None:
    image = pictures([(64, 64)])[0].copy()
    image.flags.writeable = False
    made = method("real-esrgan-x4")
    copy = image.copy()
    prepared = made.prepare([image])
    prepared[0].flags.writeable = False
    assert made.degrade(prepared, [made.draw(1, 64, 64)])[0].shape == (16, 16, 3)
    assert np.array_equal(image, copy)


def test_a_step_of_one_kind_does_what_it_says(tmp_path: Path) -> None:
    """A preset without noise and compression is the mean of 4 x 4 pixels, rounded."""
    path = tmp_path / "area.yaml"
    path.write_text(
        "kind: second-order\nscale: 4\nsharpen: false\nusm: {weight: 0.5, radius: 50, threshold: 10}\n"
        "steps: [{step: resize, name: r, relative_to: lr, factor: 1, modes: [area]}]\n"
    )
    made = method(str(path))
    image = pictures([(64, 64)])[0]
    found = made.degrade([image], [made.draw(0, 64, 64)])[0]
    means = image.reshape(16, 4, 16, 4, 3).mean(axis=(1, 3))
    assert np.abs(found - means).max() <= 0.5 + 1e-4


def test_the_steps_are_done_in_the_order_that_was_drawn() -> None:
    made = method("real-esrgan-x4")
    image = pictures([(128, 128)])[0]
    drawn = made.draw(3, 128, 128)
    first, second = (drawn | {"final.order": order} for order in ("back jpeg2", "jpeg2 back"))
    assert not np.array_equal(made.degrade([image], [first])[0], made.degrade([image], [second])[0])


@pytest.mark.parametrize("name", ["noise1.seed", "blur1.size", "jpeg1.quality", "resize3.mode"])
def test_every_value_that_is_drawn_decides_the_image(name: str) -> None:
    made = method("real-esrgan-x4")
    image = pictures([(128, 128)])[0]
    drawn = made.draw(5, 128, 128) | {
        "resize2.kind": "up", "resize2.scale": 1.15, "resize3.mode": "area", "jpeg1.quality": 60.0,
    }  # fmt: skip
    drawn |= {"blur1.kind": "iso", "blur1.size": 21, "blur1.sigma_x": 3.0}
    others: dict[str, str | int | float] = {
        "noise1.seed": 1, "blur1.size": 7, "jpeg1.quality": 31.0, "resize3.mode": "bicubic",
    }  # fmt: skip
    assert not np.array_equal(
        made.degrade([image], [drawn])[0], made.degrade([image], [drawn | {name: others[name]}])[0]
    )


@pytest.mark.parametrize("words", ["CUDA out of memory", "DefaultCPUAllocator: can't allocate memory"])
def test_too_little_memory_is_a_memory_error(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    import torch

    from synrs_data.degradations import real_esrgan

    kind = torch.OutOfMemoryError if "CUDA" in words else RuntimeError

    def fail(*_: Any) -> Any:
        raise kind(words)

    monkeypatch.setattr(real_esrgan, "run", fail)
    made = method("real-esrgan-x4")
    with pytest.raises(MemoryError, match="memory"):
        made.degrade(pictures([(64, 64)]), [made.draw(0, 64, 64)])


@pytest.mark.gpu
def test_a_gpu_gives_the_same_bytes_alone_and_in_a_batch() -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    made = RealEsrgan(RealEsrganOptions(preset="real-esrgan-x4"))
    made.load("cuda")
    images = pictures(SIZES)
    drawn = [made.draw(seed, *image.shape[:2]) for seed, image in enumerate(images)]
    together = made.degrade(images, drawn)
    alone = [made.degrade([image], [values])[0] for image, values in zip(images, drawn, strict=True)]
    assert all(np.array_equal(a, b) for a, b in zip(together, alone, strict=True))
