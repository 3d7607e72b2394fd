"""Baselines of super-resolution: each gives what its own library gives, and says what it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from synrs_data import files
from synrs_data.errors import MethodError, RecipeError, UserError, WeightsError
from synrs_data.evaluate.super_resolution.enlarge import enlarge
from synrs_data.evaluate.super_resolution.network import ResidualNetwork, save_network
from synrs_data.evaluate.super_resolution.training import NetworkOptions
from synrs_data.evaluate.super_resolution.upscalers import UPSCALERS, Upscaler, checked_outputs, make_upscaler
from tests.evaluate.sr_images import scene
from tests.tiny_upscaler import compact_state, write_upscaler

Pixels = NDArray[np.uint8]

IMAGES = [scene(0, 16), scene(1, 16)[:12]]


def outputs(upscaler: Upscaler, scale: int, images: Sequence[Pixels] = IMAGES) -> list[Pixels]:
    return list(checked_outputs(upscaler.name, images, upscaler.enlarge(images, scale), scale))


@pytest.mark.parametrize("kernel", ["bicubic", "lanczos"])
@pytest.mark.parametrize("definition", ["matlab", "pillow"])
def test_interpolation_is_that_of_enlarge_and_names_its_definition(kernel: Any, definition: Any) -> None:
    upscaler = make_upscaler(kernel, {"definition": definition})
    for image, found in zip(IMAGES, outputs(upscaler, 3), strict=True):
        assert np.array_equal(found, enlarge(image, 3, kernel, definition))
    record = upscaler.record()
    assert record.weights_sha256 is None
    assert record.trained_on == ()
    assert record.preprocessing == {"kernel": kernel, "definition": definition}
    assert upscaler.name == (kernel if definition == "matlab" else f"{kernel}-pillow")


def test_spandrel_gives_what_its_network_gives(tmp_path: Path) -> None:
    pytest.importorskip("spandrel", reason="the extra `sr` is not installed")
    from synrs_data.models.spandrel_model import Upscaler as Network

    path = write_upscaler(tmp_path / "my net.pth", compact_state())
    upscaler = make_upscaler("spandrel", {"model": str(path), "trained_on": "df2k+ost"})
    for image, found in zip(IMAGES, outputs(upscaler, 4), strict=True):
        assert np.array_equal(found, Network(path).upscale(image))
    record = upscaler.record()
    assert (record.name, record.method) == ("my-net", "spandrel")
    assert record.weights_sha256 == files.sha256(path)
    assert record.preprocessing["architecture"] == "RealESRGAN Compact"
    assert record.trained_on == ("df2k", "ost")


def test_spandrel_in_tiles_without_overlap_of_what_is_kept_is_refused() -> None:
    with pytest.raises(RecipeError, match="all overlap: it must be more than 32"):
        make_upscaler("spandrel", {"model": "x.pth", "tile": 16})


def test_a_model_of_another_scale_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("spandrel", reason="the extra `sr` is not installed")
    path = write_upscaler(tmp_path / "x2.pth", compact_state(scale=2))
    with pytest.raises(UserError, match="images 2 times as large, and the benchmark's scale is 4"):
        outputs(make_upscaler("spandrel", {"model": str(path)}), 4)


def test_missing_weights_are_named_without_a_recipe(tmp_path: Path) -> None:
    upscaler = make_upscaler("spandrel", {"model": str(tmp_path / "none.pth")})
    with pytest.raises(WeightsError) as caught:
        upscaler.record()
    assert "none.pth" in str(caught.value)
    assert not caught.value.where.startswith("generator")


def test_the_residual_network_comes_from_its_file(tmp_path: Path) -> None:
    network = ResidualNetwork(NetworkOptions(scale=2, channels=4, blocks=1))
    path = tmp_path / "ours.safetensors"
    save_network(path, network)
    upscaler = make_upscaler("residual", {"file": str(path)})
    for image, found in zip(IMAGES, outputs(upscaler, 2), strict=True):
        assert np.array_equal(found, network.enlarge(image))
    record = upscaler.record()
    assert record.weights_sha256 == files.sha256(path)
    assert record.preprocessing["network"] == {"scale": 2, "channels": 4, "blocks": 1}
    assert record.trained_on is None
    with pytest.raises(UserError, match="2 times as large, and the benchmark's scale is 4"):
        outputs(upscaler, 4)


def test_a_pipeline_of_diffusers_gives_what_the_generator_gives(tiny_pipeline: Path, tmp_path: Path) -> None:
    from tests.tiny_upscale_pipeline import write_x4

    folder = write_x4(tiny_pipeline, tmp_path / "x4")
    values = {"model": str(folder), "steps": 2, "guidance_scale": 3.0, "noise_level": 20, "seed": 5}
    first, second = outputs(make_upscaler("diffusers-upscale", values), 4)
    assert first.shape == (64, 64, 3)
    assert second.shape == (48, 64, 3)
    again = outputs(make_upscaler("diffusers-upscale", values), 4)
    assert np.array_equal(again[0], first)
    assert np.array_equal(again[1], second)
    other = outputs(make_upscaler("diffusers-upscale", values | {"seed": 6}), 4)
    assert not np.array_equal(other[0], first)
    # Each image has noise of its own.
    twice = outputs(make_upscaler("diffusers-upscale", values), 4, [IMAGES[0], IMAGES[0]])
    assert not np.array_equal(twice[0], twice[1])
    record = make_upscaler("diffusers-upscale", values).record()
    assert record.preprocessing["pipeline"] == "StableDiffusionUpscalePipeline"
    assert (record.preprocessing["steps"], record.preprocessing["noise_level"]) == (2, 20)
    assert record.weights_sha256 is not None


def test_an_unknown_baseline_or_option_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"unknown baseline 'bicubick'(.|\n)*bicubic"):
        make_upscaler("bicubick", {})
    with pytest.raises(RecipeError, match="unknown key 'definitoin', did you mean 'definition'"):
        make_upscaler("bicubic", {"definitoin": "pillow"})
    with pytest.raises(RecipeError, match="the key 'model' is missing"):
        make_upscaler("spandrel", {})


def test_every_name_is_a_class_with_options() -> None:
    import importlib

    for target in UPSCALERS.values():
        module, _, attribute = target.partition(":")
        assert getattr(importlib.import_module(module), attribute).Options.model_config["extra"] == "forbid"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([(32, 32, 3)], "gave 1 of 2 images"),
        ([(32, 32, 3), (24, 32, 3), (24, 32, 3)], "gave more than 2 images"),
        ([(32, 32, 3), (32, 32, 3)], r"the shape \(32, 32, 3\) and type uint8, not \(24, 32, 3\)"),
        ([(32, 32)], r"the shape \(32, 32\)"),
    ],
)
def test_outputs_that_do_not_fit_are_the_baselines_fault(given: list[tuple[int, ...]], message: str) -> None:
    def made() -> Iterator[Pixels]:
        yield from (np.zeros(shape, np.uint8) for shape in given)

    with pytest.raises(MethodError, match=message):
        list(checked_outputs("theirs", IMAGES, made(), 2))
