"""`models list` and `models convert`: every model with the way to it, and what is in the working folder."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from synrs_data.cli import app
from synrs_data.errors import UserError
from synrs_data.models.ncnn_convert import CONVERTIBLE
from synrs_data.models.published import published_models
from tests.ncnn_package import install, ncnn_files
from tests.tiny_upscaler import rrdb_state


@pytest.fixture(autouse=True)
def folder_without_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> None:
        raise AssertionError(f"the network was asked: {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.chdir(tmp_path)


def shown(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["models", "list", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def put(tmp_path: Path) -> None:
    folder = tmp_path / "models/lcybuaa/Text2Earth/unet"
    folder.mkdir(parents=True)
    (folder / "diffusion_pytorch_model.safetensors").write_bytes(b"weights")


def test_the_list_names_each_model_with_the_way_to_it() -> None:
    text = shown()
    for model in published_models():
        for fact in (model.name, model.licence, model.get, model.path, *model.recipes):
            assert fact in text
    assert text.count("not supported") == 3
    assert "here   " not in text


def test_a_model_in_the_folder_is_marked_as_here(tmp_path: Path) -> None:
    put(tmp_path)
    here = [line.split() for line in shown().splitlines() if line.startswith("here")]
    assert [words[:2] for words in here] == [["here", "Text2Earth"]]


def test_json_is_one_object_with_all_of_it(tmp_path: Path) -> None:
    put(tmp_path)
    models = {model["name"]: model for model in json.loads(shown("--json"))["models"]}
    assert len(models) == len(published_models())
    assert [name for name, model in models.items() if model["here"]] == ["Text2Earth"]
    crs = models["CRS-Diff"]
    assert (crs["supported"], crs["size"], crs["path"]) == (False, "unknown", "models/Sonettoo/CRS-Diff")
    assert models["DiffusionSat 256"]["zenodo"] == 13756199


def convert(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["models", "convert", *arguments])


def test_a_converted_model_is_in_its_place_and_marked_as_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "site", "realesrgan-x4plus", *ncnn_files(rrdb_state()))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    done = convert("realesrgan-x4plus")
    assert done.exit_code == 0, done.output
    place = "models/xinntao/RealESRGAN_x4plus"
    assert f"realesrgan-x4plus: {place}/RealESRGAN_x4plus.pth" in done.stdout
    assert "`model: xinntao/RealESRGAN_x4plus`" in done.stdout
    models = {model["name"]: model for model in json.loads(shown("--json"))["models"]}
    assert [model["path"] for model in models.values() if model["here"]] == [place]
    assert convert("realesrgan-x4plus", "--out", "own.safetensors").exit_code == 0
    assert (tmp_path / "own.safetensors").is_file()


def test_the_table_says_the_command_of_every_model_that_can_be_converted() -> None:
    table = {model.folder: model.get for model in published_models()}
    for name, known in CONVERTIBLE.items():
        assert f"synrs-data models convert {name}" in table[known.folder]


def test_converting_an_unknown_model_is_answered_with_the_nearest_one() -> None:
    done = convert("realesrgan-x4")
    assert isinstance(done.exception, UserError)
    assert "did you mean 'realesrgan-x4plus'" in str(done.exception)
