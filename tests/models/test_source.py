"""Models are found by name, folder or Hub id, and their digest says exactly which they are."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pytest

from synrs_data import resources
from synrs_data.errors import WeightsError
from synrs_data.models import locate
from synrs_data.models.source import ModelFolder


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model folder below the working folder, beside no others."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "tiny"
    (folder / "unet").mkdir(parents=True)
    (folder / "tokenizer").mkdir()
    (folder / "model_index.json").write_text("{}")
    (folder / "unet" / "config.json").write_text("{}")
    (folder / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"weights")
    (folder / "tokenizer" / "vocab.json").write_text("{}")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# Tiny\n")
    return folder


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_an_embedded_model_is_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Path
) -> None:
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "package")
    shutil.copytree(model, tmp_path / "package" / "models" / "embedded" / "small")
    found = locate("small")
    assert (found.name, found.revision, found.license) == ("small", "embedded", "mit")
    assert found.sha256() == locate("tiny").sha256()


def test_every_shipped_model_has_a_licence_and_weights() -> None:
    for name in resources.embedded_models():
        found = locate(name)
        assert found.license != "unknown"
        assert len(found.sha256()) == 64


@pytest.mark.parametrize("style", ["absolute", "relative", "dotted", "home"])
def test_a_folder_is_found_however_it_is_written(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, style: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    name = {"absolute": str(model), "relative": "tiny", "dotted": "./tiny/../tiny", "home": "~/tiny"}[style]
    found = locate(name)
    assert (found.name, found.path, found.revision) == ("tiny", model, "local")


def test_a_folder_by_the_name_of_a_hub_id_stands_for_it(model: Path, no_network: None) -> None:
    target = Path("models/some-org/some.model").absolute()
    shutil.copytree(model, target)
    found = locate("some-org/some.model")
    assert (found.name, found.path, found.revision) == ("some-org/some.model", target, "local")


@pytest.mark.parametrize("name", ["org/nothing-here", "Org_2/a.b-c"])
def test_a_hub_id_that_is_nowhere_is_one_message_offline(model: Path, no_network: None, name: str) -> None:
    with pytest.raises(WeightsError) as caught:
        locate(name)
    assert caught.value.where == f"{name}@main"
    assert f"models/{name}" in caught.value.fix
    assert "hf auth login" in caught.value.fix


def test_the_revision_of_a_hub_id_is_named(model: Path, no_network: None) -> None:
    with pytest.raises(WeightsError, match="org/name@v1"):
        locate("org/name", revision="v1")


def test_an_error_of_the_hub_without_words_is_a_message_all_the_same(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> str:
        raise OSError

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(WeightsError, match="the Hub does not give this model: OSError"):
        locate("org/name")


def test_of_a_hub_id_safetensors_and_descriptions_are_asked_for_and_no_pickles(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fnmatch import fnmatch

    asked: list[str] = []

    def give(name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.extend(allow_patterns)
        return str(model)

    monkeypatch.setattr("huggingface_hub.snapshot_download", give)
    assert locate("org/name", revision="main").revision == "tiny"

    def wanted(name: str) -> bool:
        return any(fnmatch(name, pattern) for pattern in asked)

    for name in (
        "model_index.json",
        "README.md",
        "scheduler/scheduler_config.json",
        "transformer/config.json",
        "transformer/diffusion_pytorch_model-00001-of-00003.safetensors",
        "transformer/diffusion_pytorch_model.safetensors.index.json",
        "tokenizer/vocab.json",
        "tokenizer/merges.txt",
        "tokenizer/special_tokens_map.json",
        "tokenizer_2/spiece.model",
    ):
        assert wanted(name), name
    for name in ("unet/diffusion_pytorch_model.bin", "model.ckpt", "weights.pth", "pipeline.py", "image.png"):
        assert not wanted(name), name


@pytest.mark.parametrize(
    "name", ["", "eurosat-tinny-clip", "no/such/folder", "/no/where", "~nobody-here/x", "a b"]
)
def test_a_name_of_nothing_is_answered_with_what_there_is(model: Path, no_network: None, name: str) -> None:
    with pytest.raises(WeightsError, match="there is no model") as caught:
        locate(name)
    assert "Hub id ORG/REPO" in caught.value.fix
    if name == "eurosat-tinny-clip":
        assert "did you mean 'eurosat-tiny-clip'?" in caught.value.fix


def test_a_file_is_no_model_folder(model: Path) -> None:
    with pytest.raises(WeightsError, match="is a file, not a model folder"):
        locate("tiny/model_index.json")


@pytest.mark.parametrize(
    "name",
    [
        "unet/diffusion_pytorch_model.safetensors",
        "unet/config.json",
        "tokenizer/vocab.json",
        "model_index.json",
        "unet/diffusion_pytorch_model.safetensors.index.json",
        "tokenizer/spiece.model",
        "new.bin",
    ],
)
def test_the_digest_changes_with_weights_configurations_and_tokenizers(model: Path, name: str) -> None:
    before = locate("tiny").sha256()
    (model / name).write_bytes(b"other")
    assert locate("tiny").sha256() != before


def test_the_digest_does_not_change_with_the_card_or_the_place(model: Path, tmp_path: Path) -> None:
    before = locate("tiny").sha256()
    (model / "README.md").write_text("# Other\n")
    (model / "example.png").write_bytes(b"")
    assert locate("tiny").sha256() == before
    shutil.move(model, tmp_path / "moved")
    assert locate("moved").sha256() == before


def test_a_file_under_another_name_is_another_model(model: Path) -> None:
    before = locate("tiny").sha256()
    (model / "unet").rename(model / "vae")
    assert locate("tiny").sha256() != before


def test_a_folder_without_weights_has_no_digest(model: Path) -> None:
    (model / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(WeightsError, match="the folder has no weights"):
        locate("tiny").sha256()


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ("---\nlicense: apache-2.0\n---\n", "apache-2.0"),
        ("---\nlicense: other\nlicense_name: our-own\n---\n", "our-own"),
        ("---\nlicense: other\n---\n", "other"),
        ("# no metadata", "unknown"),
        ("---\n[broken\n---\n", "unknown"),
        ("---\n- a list\n---\n", "unknown"),
        ("---\ndate: 2001-99-99\n---\n", "unknown"),
        ("---\r\nlicense: mit\r\n---\r\n", "mit"),
        ("\xff", "unknown"),
    ],
)
def test_the_licence_is_what_the_card_states(model: Path, card: str, expected: str) -> None:
    (model / "README.md").write_bytes(card.encode("latin-1"))
    assert locate("tiny").license == expected


def test_a_model_without_a_card_has_an_unknown_licence(model: Path) -> None:
    (model / "README.md").unlink()
    assert locate("tiny") == ModelFolder("tiny", model, "local", {})
    assert locate("tiny").license == "unknown"
