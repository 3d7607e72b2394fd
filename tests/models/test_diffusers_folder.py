"""A pipeline folder is loaded whole or not at all, and nothing in it is executed."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synrs_data.errors import WeightsError
from synrs_data.models import locate

WEIGHTS = {
    "unet": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
    "text_encoder": "model.safetensors",
}
PICKLES = {
    "unet": "diffusion_pytorch_model.bin",
    "vae": "diffusion_pytorch_model.bin",
    "text_encoder": "pytorch_model.bin",
}


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self._trace}",)


@pytest.fixture
def folder(tiny_pipeline: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_pipeline, tmp_path / "model"))


def load(folder: Path) -> Any:
    import torch

    from synrs_data.models.diffusers_folder import load_pipeline

    return load_pipeline(locate(str(folder)), dtype=torch.float32)


def refused(folder: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        load(folder)
    assert caught.value.exit_code == 2
    assert caught.value.fix
    return str(caught.value)


def edit_weights(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, {"format": "pt"})


def edit_index(folder: Path, **values: object) -> None:
    path = folder / "model_index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_whole_pipeline_is_loaded_with_its_weights(folder: Path) -> None:
    import torch
    from safetensors.torch import load_file

    pipeline = load(folder)
    assert type(pipeline).__name__ == "StableDiffusionPipeline"
    for component in WEIGHTS:
        own = getattr(pipeline, component).state_dict()
        saved = load_file(folder / component / WEIGHTS[component])
        assert saved.keys() <= own.keys() | {f"text_model.{name}" for name in own}
        name = sorted(saved)[0]
        assert torch.equal(saved[name], own.get(name, own.get(f"text_model.{name}")))


@pytest.mark.parametrize("component", WEIGHTS)
def test_weights_that_would_be_dropped_are_an_error_that_names_them(folder: Path, component: str) -> None:
    import torch

    extra = {f"metadata_embedding.{i}.linear_1.weight": torch.ones(2) for i in range(28)}
    edit_weights(folder / component / WEIGHTS[component], lambda tensors: tensors.update(extra))
    text = refused(folder)
    assert "28 tensors would be dropped: metadata_embedding.0.linear_1.weight, " in text
    assert "and 25 more" in text
    assert str(folder / component) in text


@pytest.mark.parametrize("component", WEIGHTS)
def test_weights_that_would_be_random_are_an_error_that_names_them(folder: Path, component: str) -> None:
    names: list[str] = []

    def drop(tensors: dict[str, Any]) -> None:
        names.append(sorted(tensors)[0])
        del tensors[names[0]]

    edit_weights(folder / component / WEIGHTS[component], drop)
    assert f"1 tensors are missing and would be random: {names[0]}" in refused(folder)


@pytest.mark.parametrize("component", WEIGHTS)
def test_weights_of_another_shape_are_an_error(folder: Path, component: str) -> None:
    import torch

    def grow(tensors: dict[str, Any]) -> None:
        name = sorted(tensors)[0]
        tensors[name] = torch.zeros([size + 1 for size in tensors[name].shape])

    edit_weights(folder / component / WEIGHTS[component], grow)
    assert str(folder / component) in refused(folder)


@pytest.mark.parametrize("component", WEIGHTS)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_weights_that_are_cut_short_are_an_error(folder: Path, component: str, share: float) -> None:
    path = folder / component / WEIGHTS[component]
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert str(folder / component) in refused(folder)


@pytest.mark.parametrize("component", WEIGHTS)
def test_a_pointer_of_git_lfs_is_an_error(folder: Path, component: str) -> None:
    path = folder / component / WEIGHTS[component]
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
    assert str(folder / component) in refused(folder)


@pytest.mark.parametrize("component", WEIGHTS)
@pytest.mark.parametrize("style", ["plain", "zip"])
def test_a_pickle_with_code_is_refused_and_not_run(
    folder: Path, tmp_path: Path, component: str, style: str
) -> None:
    import torch

    (folder / component / WEIGHTS[component]).unlink()
    path = folder / component / PICKLES[component]
    evil = {"weight": Evil(tmp_path / "trace")}
    if style == "zip":
        torch.save(evil, path)
    else:
        path.write_bytes(pickle.dumps(evil, protocol=2))
    text = refused(folder)
    assert str(folder / component) in text
    assert "weights_only" not in text
    assert not (tmp_path / "trace").exists()
    # The pickle is not harmless by itself: this is what is avoided.
    if style == "zip":
        torch.load(path, weights_only=False)
    else:
        pickle.loads(path.read_bytes())
    assert (tmp_path / "trace").exists()


def test_a_pickle_beside_safetensors_is_not_read(folder: Path, tmp_path: Path) -> None:
    import torch

    for component, name in PICKLES.items():
        torch.save({"weight": Evil(tmp_path / "trace")}, folder / component / name)
    load(folder)
    assert not (tmp_path / "trace").exists()


CODE = (
    "import pathlib\npathlib.Path({trace!r}).touch()\n"
    "from diffusers import DDIMScheduler, StableDiffusionPipeline\n"
    "class Own(StableDiffusionPipeline): ...\nclass OwnScheduler(DDIMScheduler): ...\n"
)


@pytest.mark.parametrize(
    ("index", "place"),
    [
        ({"_class_name": ["own", "Own"]}, "own.py"),
        ({"scheduler": ["own", "OwnScheduler"]}, "scheduler/own.py"),
        ({"unet": ["own", "Own"]}, "unet/own.py"),
        ({"scheduler": ["os", "system"]}, "own.py"),
    ],
)
def test_python_code_in_a_model_folder_is_refused_and_not_run(
    folder: Path, tmp_path: Path, index: dict[str, Any], place: str
) -> None:
    (folder / place).write_text(CODE.format(trace=str(tmp_path / "trace")))
    edit_index(folder, **index)
    refused(folder)
    assert not (tmp_path / "trace").exists()


def test_a_pipeline_file_that_nobody_names_is_not_run(folder: Path, tmp_path: Path) -> None:
    (folder / "pipeline.py").write_text(CODE.format(trace=str(tmp_path / "trace")))
    load(folder)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("component", [*WEIGHTS, "scheduler", "tokenizer"])
def test_a_component_that_is_not_there_is_an_error(folder: Path, component: str) -> None:
    shutil.rmtree(folder / component)
    assert str(folder) in refused(folder)


def test_a_tokenizer_without_its_vocabulary_is_an_error(folder: Path) -> None:
    (folder / "tokenizer" / "tokenizer.json").unlink()
    assert "the tokenizer has no vocabulary" in refused(folder)


@pytest.mark.parametrize("component", ["unet", "vae", "text_encoder"])
@pytest.mark.parametrize("text", [None, "", "{", "[]"], ids=["gone", "empty", "broken", "list"])
def test_a_damaged_configuration_is_an_error(folder: Path, component: str, text: str | None) -> None:
    path = folder / component / "config.json"
    path.unlink()
    if text is not None:
        path.write_text(text)
    assert str(folder) in refused(folder)


def test_a_component_that_the_pipeline_ignores_is_an_error(folder: Path) -> None:
    shutil.copytree(folder / "unet", folder / "metadata_embedder")
    edit_index(folder, metadata_embedder=["diffusers", "UNet2DConditionModel"])
    text = refused(folder)
    assert "has no use for the component metadata_embedder" in text


def test_a_folder_that_is_no_pipeline_is_an_error(folder: Path) -> None:
    assert "it has no model_index.json" in refused(folder / "unet")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '"x"', '{"unet": ["diffusers", "UNet2DConditionModel"]}']
)
def test_an_index_that_is_none_is_an_error(folder: Path, text: str) -> None:
    (folder / "model_index.json").write_text(text)
    assert str(folder / "model_index.json") in refused(folder)


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        ({"_class_name": "NoSuchPipeline"}, "NoSuchPipeline"),
        ({"_class_name": "DDPMPipeline"}, "DDPMPipeline"),
        ({"unet": ["diffusers", "NoSuchModel"]}, "its component 'unet' is a diffusers.NoSuchModel"),
        ({"scheduler": ["diffusers", "NoSuchScheduler"]}, "its component 'scheduler' is a diffusers.NoSuchScheduler"),
        ({"unet": [5, 6]}, "its component 'unet' is a 5.6"),
        ({"unet": [None, None]}, ""),
    ],
)  # fmt: skip
def test_an_unknown_class_is_named(folder: Path, index: dict[str, Any], expected: str) -> None:
    edit_index(folder, **index)
    assert expected in refused(folder)


@pytest.mark.parametrize("name", ["StableDiffusionImg2ImgPipeline", "StableDiffusionInpaintPipeline"])
def test_a_pipeline_that_edits_images_becomes_one_that_makes_them(folder: Path, name: str) -> None:
    edit_index(folder, _class_name=name)
    assert type(load(folder)).__name__ == "StableDiffusionPipeline"


def test_weights_as_bin_files_load_without_a_word_of_failure(tiny_pipeline: Path, tmp_path: Path) -> None:
    import logging

    import torch

    from synrs_data.models.diffusers_folder import load_pipeline
    from synrs_data.models.source import locate
    from tests.tiny_families import write_sat_pipeline

    folder = write_sat_pipeline(tiny_pipeline, tmp_path / "sat")
    told: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("diffusers").addHandler(handler)
    try:
        load_pipeline(locate(str(folder)), dtype=torch.float32)
    finally:
        logging.getLogger("diffusers").removeHandler(handler)
    assert told == []
