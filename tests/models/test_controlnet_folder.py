"""A ControlNet is found in the folders of the archives that it is published in."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from synrs_data.errors import WeightsError
from synrs_data.models.controlnet_folder import load_controlnet, reads_dates
from synrs_data.models.families import Family, controlnets, detect
from synrs_data.models.source import locate
from tests.tiny_controlnet import write_tiny_controlnet
from tests.tiny_families import as_pickle


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two ControlNets that differ in their number of layers."""
    root = tmp_path_factory.mktemp("nets")
    return [write_tiny_controlnet(root / f"{layers}", layers_per_block=layers) for layers in (1, 2)]


def put(net: Path, folder: Path) -> Path:
    folder.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copytree(net, folder))


def load(folder: Path) -> Any:
    import torch

    return load_controlnet(locate(str(folder)), dtype=torch.float32)


def layers(folder: Path) -> int:
    return int(load(folder).config.layers_per_block)


def refused(folder: Path) -> WeightsError:
    with pytest.raises(WeightsError) as caught:
        load(folder)
    return caught.value


@pytest.mark.parametrize(
    "place",
    [
        ".",
        "controlnet",
        "checkpoint-100000/controlnet",
        "checkpoint-100000",
        "controlnet_sd21_md7norm_fmow_condres256/controlnet",
        "controlnet_sd21_md7norm_fmow_condres256/checkpoint-100000/controlnet",
    ],
)
def test_the_folder_of_an_archive_stands_for_its_controlnet(
    nets: list[Path], tmp_path: Path, place: str
) -> None:
    root = tmp_path / "archive"
    put(nets[1], root / place)
    assert layers(root) == 2
    assert not reads_dates(locate(str(root)))


def test_a_pipeline_beside_it_does_not_hide_it(nets: list[Path], tiny_pipeline: Path, tmp_path: Path) -> None:
    root = put(tiny_pipeline, tmp_path / "archive")
    put(nets[1], root / "checkpoint-100000" / "controlnet")
    assert layers(root) == 2


def test_the_pickled_tensors_of_the_authors_are_found_too(nets: list[Path], tmp_path: Path) -> None:
    nested = put(nets[1], tmp_path / "checkpoint-100000" / "controlnet")
    as_pickle(nested, "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
    assert layers(tmp_path) == 2


def test_the_last_checkpoint_is_used_by_number(nets: list[Path], tmp_path: Path) -> None:
    put(nets[0], tmp_path / "checkpoint-9000" / "controlnet")
    put(nets[1], tmp_path / "checkpoint-100000" / "controlnet")
    assert layers(tmp_path) == 2


def test_an_unfinished_checkpoint_is_passed_over(nets: list[Path], tmp_path: Path) -> None:
    put(nets[1], tmp_path / "checkpoint-500" / "controlnet")
    last = put(nets[0], tmp_path / "checkpoint-1000" / "controlnet")
    (last / "diffusion_pytorch_model.safetensors").unlink()
    assert layers(tmp_path) == 2


@pytest.mark.parametrize("own", [".", "controlnet"])
def test_its_own_goes_before_checkpoints(nets: list[Path], tmp_path: Path, own: str) -> None:
    root = tmp_path / "archive"
    put(nets[1], root / own)
    put(nets[0], root / "checkpoint-1000" / "controlnet")
    assert layers(root) == 2


def test_what_it_was_trained_for_is_read_from_the_same_folder(nets: list[Path], tmp_path: Path) -> None:
    nested = put(nets[0], tmp_path / "checkpoint-1" / "controlnet")
    config = json.loads((nested / "config.json").read_text())
    (nested / "config.json").write_text(json.dumps(config | {"_class_name": "ControlNetModel3D"}))
    assert reads_dates(locate(str(tmp_path)))


@pytest.mark.parametrize(
    "places",
    [
        ["osm", "sam"],
        ["controlnet", "controlnet_1"],
        ["checkpoint-5/controlnet", "checkpoint-5/controlnet_ema"],
        ["fmow/controlnet", "texas/checkpoint-5/controlnet"],
    ],
    ids=str,
)
def test_several_are_an_error_that_names_them(nets: list[Path], tmp_path: Path, places: list[str]) -> None:
    for net, place in zip(nets, places, strict=True):
        put(net, tmp_path / place)
    error = refused(tmp_path)
    assert f"holds 2 ControlNets: {places[0]}, {places[1]}" in error.what
    assert str(tmp_path / places[0]) in error.fix
    with pytest.raises(WeightsError, match="holds 2 ControlNets"):
        reads_dates(locate(str(tmp_path)))


def test_a_folder_without_one_says_so(tiny_pipeline: Path, tmp_path: Path) -> None:
    root = put(tiny_pipeline, tmp_path / "model")
    assert "no folder in it is one" in refused(root).what
    assert controlnets(root) == controlnets(tmp_path / "gone") == []


def test_a_nested_one_that_is_cut_short_is_named(nets: list[Path], tmp_path: Path) -> None:
    nested = put(nets[0], tmp_path / "checkpoint-7" / "controlnet")
    weights = nested / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert refused(tmp_path).where == str(nested)


def test_an_archive_that_is_named_as_a_pipeline_is_told_apart(nets: list[Path], tmp_path: Path) -> None:
    import torch

    from synrs_data.models.diffusers_folder import load_pipeline

    put(nets[0], tmp_path / "checkpoint-7" / "controlnet")
    assert detect(tmp_path).family is Family.CONTROLNET
    with pytest.raises(WeightsError, match="is a ControlNet") as caught:
        load_pipeline(locate(str(tmp_path)), dtype=torch.float32)
    assert "`controlnet`" in caught.value.fix
