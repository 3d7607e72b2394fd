"""The generator `diffusers` on a pipeline of random weights: what decides an image, and what is refused."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from synrs_data.errors import RecipeError, WeightsError
from synrs_data.generators.diffusion import DiffusersGenerator, DiffusersOptions
from synrs_data.geo import GeoRecord
from synrs_data.sample import Request

SIZE = 16


def request(prompt: str, seed: int) -> Request:
    return Request(prompt=prompt, label=0, seed=seed, geo=GeoRecord())


REQUESTS = [request("a forest", 1), request("a river", 2), request("a lake", 2**63 - 1)]


def generator(folder: Path, **options: Any) -> DiffusersGenerator:
    return DiffusersGenerator(
        DiffusersOptions(model=str(folder), **{"steps": 2, "guidance_scale": 3.0} | options)
    )


def loaded(folder: Path, **options: Any) -> DiffusersGenerator:
    made = generator(folder, **options)
    made.load("cpu")
    return made


@pytest.fixture(scope="module")
def two_steps(tiny_pipeline: Path) -> DiffusersGenerator:
    return loaded(tiny_pipeline)


def differ(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    """Return whether two images are others, not only rounded in another way."""
    return int(np.abs(one.astype(int) - other.astype(int)).max()) > 4


def test_one_image_a_request_of_the_size_of_the_pipeline(two_steps: DiffusersGenerator) -> None:
    images = two_steps.generate(REQUESTS)
    assert [(image.shape, image.dtype) for image in images] == [((SIZE, SIZE, 3), np.dtype(np.uint8))] * 3
    assert all(image.std() > 1 for image in images)


def test_the_same_requests_give_the_same_bytes_again_and_in_another_instance(
    two_steps: DiffusersGenerator, tiny_pipeline: Path
) -> None:
    first = two_steps.generate(REQUESTS)
    other = loaded(tiny_pipeline)
    other.generate([request("a warm-up", 5)])
    for images in (two_steps.generate(REQUESTS), other.generate(REQUESTS)):
        assert all(np.array_equal(a, b) for a, b in zip(first, images, strict=True))


def test_another_seed_or_prompt_is_another_image(two_steps: DiffusersGenerator) -> None:
    base, seed, prompt = two_steps.generate(
        [request("a forest", 1), request("a forest", 2), request("zzz 9 zzz 9 zzz", 1)]
    )
    assert differ(base, seed)
    assert not np.array_equal(base, prompt)


def test_a_seed_belongs_to_its_request_wherever_it_stands(two_steps: DiffusersGenerator) -> None:
    forward = two_steps.generate(REQUESTS)
    backward = two_steps.generate(REQUESTS[::-1])[::-1]
    [alone] = two_steps.generate(REQUESTS[:1])
    for one, other in zip(forward, backward, strict=True):
        assert not differ(one, other)
    assert not differ(alone, forward[0])
    assert differ(forward[0], forward[1])


def test_the_global_seed_of_torch_changes_nothing(two_steps: DiffusersGenerator) -> None:
    import torch

    first = two_steps.generate(REQUESTS[:1])
    torch.manual_seed(4711)
    assert np.array_equal(first[0], two_steps.generate(REQUESTS[:1])[0])


def test_the_identity_says_what_was_effective(tiny_pipeline: Path) -> None:
    made = generator(tiny_pipeline, negative_prompt="clouds", batch_size=3)
    identity = made.load("cpu")
    assert identity.model == tiny_pipeline.name
    assert identity.revision == "local"
    assert identity.sha256 == made.digest()
    assert identity.family == "StableDiffusionPipeline"
    assert identity.scheduler == "DDIMScheduler"
    assert (identity.steps, identity.guidance_scale) == (2, 3.0)
    assert identity.negative_prompt == "clouds"
    assert identity.license == "unknown"
    assert identity.parameters["dtype"] == "float32"
    assert identity.parameters["batch_size"] == made.batch_size == 3


def test_what_the_recipe_leaves_open_is_the_default_of_the_pipeline(tiny_pipeline: Path) -> None:
    identity = generator(tiny_pipeline, steps=None, guidance_scale=None).load("cpu")
    assert (identity.steps, identity.guidance_scale) == (50, 7.5)


def test_the_licence_comes_from_the_card(tiny_pipeline: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_pipeline, tmp_path / "model")
    (tmp_path / "model" / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n")
    assert generator(tmp_path / "model").load("cpu").license == "cc-by-4.0"


@pytest.mark.parametrize("name", ["EulerAncestralDiscreteScheduler", "DPMSolverMultistepScheduler"])
def test_a_scheduler_is_chosen_by_name_and_changes_the_image(
    tiny_pipeline: Path, two_steps: DiffusersGenerator, name: str
) -> None:
    made = generator(tiny_pipeline, scheduler=name)
    assert made.load("cpu").scheduler == name
    assert not np.array_equal(made.generate(REQUESTS[:1])[0], two_steps.generate(REQUESTS[:1])[0])


@pytest.mark.parametrize("name", ["DDIMSchedular", "UNet2DConditionModel", "os"])
def test_an_unknown_scheduler_is_answered_with_the_known(tiny_pipeline: Path, name: str) -> None:
    with pytest.raises(RecipeError, match=f"'generator.scheduler': '{name}' is unknown") as caught:
        generator(tiny_pipeline, scheduler=name).load("cpu")
    assert "DDIMScheduler" in caught.value.fix


def test_guidance_steps_and_size_change_the_image(tiny_pipeline: Path, two_steps: DiffusersGenerator) -> None:
    [base] = two_steps.generate(REQUESTS[:1])
    changes: list[dict[str, Any]] = [{"guidance_scale": 30.0}, {"steps": 4}, {"width": 24, "height": 8}]
    for options in changes:
        [other] = loaded(tiny_pipeline, **options).generate(REQUESTS[:1])
        assert not np.array_equal(base, other), options
    assert other.shape == (8, 24, 3)


def test_the_negative_prompt_reaches_the_pipeline(
    tiny_pipeline: Path, two_steps: DiffusersGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = loaded(tiny_pipeline, negative_prompt="zzz 9 zzz 9")
    asked: list[dict[str, Any]] = []
    pipeline = made._pipeline

    def spy(**call: Any) -> Any:
        asked.append(call)
        return pipeline(**call)

    monkeypatch.setattr(made, "_pipeline", spy)
    monkeypatch.setattr(made, "_told", True)
    images = made.generate(REQUESTS)
    assert asked[0]["negative_prompt"] == ["zzz 9 zzz 9"] * 3
    assert asked[0]["prompt"] == [item.prompt for item in REQUESTS]
    assert [own.initial_seed() for own in asked[0]["generator"]] == [item.seed for item in REQUESTS]
    assert not np.array_equal(images[0], two_steps.generate(REQUESTS)[0])


def test_a_knob_that_the_pipeline_lacks_is_an_error(tiny_pipeline: Path) -> None:
    with pytest.raises(RecipeError, match="StableDiffusionPipeline has no 'true_cfg_scale'"):
        generator(tiny_pipeline, true_cfg_scale=4.0).load("cpu")


class _Pipeline:
    """A pipeline with few knobs."""

    unet = object()

    def __call__(self, prompt: Sequence[str], num_inference_steps: int = 4) -> None: ...


class _Transformer:
    config = {"guidance_embeds": False}  # noqa: RUF012 - as diffusers has it


class _TrueGuidance:
    """A pipeline such as Qwen-Image's, whose `guidance_scale` does nothing."""

    transformer = _Transformer()

    def __call__(
        self,
        prompt: Sequence[str],
        negative_prompt: str | None = None,
        true_cfg_scale: float = 4.0,
        guidance_scale: float | None = None,
    ) -> None: ...


class _NoDenoiser:
    def __call__(self, prompt: Sequence[str]) -> None: ...


@pytest.mark.parametrize(
    ("pipeline", "options", "error", "expected"),
    [
        (_Pipeline(), {"guidance_scale": 3.0}, RecipeError, "has no 'guidance_scale'"),
        (_Pipeline(), {"width": 64}, RecipeError, "has no 'width'"),
        (_Pipeline(), {"negative_prompt": "clouds"}, RecipeError, "has no 'negative_prompt'"),
        (_TrueGuidance(), {"guidance_scale": 3.0}, RecipeError, "ignores 'guidance_scale'"),
        (_NoDenoiser(), {}, WeightsError, "has no denoiser"),
    ],
)
def test_knobs_that_do_nothing_are_refused_before_an_hour_is_lost(
    pipeline: object, options: dict[str, Any], error: type[Exception], expected: str
) -> None:
    from synrs_data.generators.diffusion import _call_options

    with pytest.raises(error, match=expected):
        _call_options(pipeline, DiffusersOptions(model="x", **options))


def test_knobs_that_are_there_are_passed() -> None:
    from synrs_data.generators.diffusion import _call_options

    assert _call_options(_Pipeline(), DiffusersOptions(model="x", steps=3)) == {"num_inference_steps": 3}
    options = DiffusersOptions(model="x", true_cfg_scale=2.0, negative_prompt="clouds")
    assert _call_options(_TrueGuidance(), options) == {"true_cfg_scale": 2.0, "negative_prompt": "clouds"}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"model": "x", "steps": 0},
        {"model": "x", "guidance_scale": -1},
        {"model": "x", "guidance_scale": float("nan")},
        {"model": "x", "width": 20},
        {"model": "x", "height": 0},
        {"model": "x", "dtype": "int8"},
        {"model": "x", "batch_size": 0},
        {"model": "x", "cfg": 3},
    ],
    ids=str,
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DiffusersOptions(**options)


def test_the_digest_needs_no_loading_and_missing_weights_are_told(
    tiny_pipeline: Path, tmp_path: Path
) -> None:
    assert len(generator(tiny_pipeline).digest()) == 64
    with pytest.raises(WeightsError):
        generator(tmp_path / "gone").digest()
    with pytest.raises(WeightsError, match=r"it has no model_index\.json"):
        generator(tmp_path).load("cpu")


def test_a_caption_that_is_cut_is_told_once(tiny_pipeline: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = loaded(tiny_pipeline)
    with caplog.at_level(logging.WARNING, logger="synrs_data"):
        made.generate(REQUESTS)
        assert not [record for record in caplog.records if record.name.startswith("synrs_data")]
        for seed in (1, 2):
            made.generate([request("a very long caption of many, many letters", seed)])
    [record] = [record for record in caplog.records if record.name.startswith("synrs_data")]
    assert "reads 16 tokens" in record.getMessage()
    assert "a very long caption" in record.getMessage()


def test_memory_that_runs_out_is_a_memory_error(
    two_steps: DiffusersGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def fail(**call: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.\nmore")

    monkeypatch.setattr(two_steps, "_pipeline", fail)
    with pytest.raises(MemoryError, match=r"^CUDA out of memory\.$"):
        two_steps.generate(REQUESTS)


def test_channels_last_gives_the_same_image_up_to_rounding(
    tiny_pipeline: Path, two_steps: DiffusersGenerator
) -> None:
    images = loaded(tiny_pipeline, channels_last=True).generate(REQUESTS)
    assert not any(differ(a, b) for a, b in zip(images, two_steps.generate(REQUESTS), strict=True))
