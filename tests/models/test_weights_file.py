"""A model of one file is found by path, in a folder or on the Hub, and what is missing is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from synrs_data import files
from synrs_data.errors import WeightsError
from synrs_data.models.weights_file import locate_file


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def put(path: str, content: bytes = b"weights") -> Path:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def test_a_path_is_that_file_with_the_licence_beside_it(tmp_path: Path) -> None:
    put("here/net.pth")
    found = locate_file("here/net.pth")
    assert (found.name, found.path, found.license) == ("net.pth", tmp_path / "here/net.pth", "unknown")
    assert found.sha256() == files.sha256(Path("here/net.pth"))
    put("here/README.md", b"---\nlicense: mit\n---\n")
    assert locate_file("here/net.pth").license == "mit"


def test_a_folder_of_one_file_needs_no_name_and_of_more_does(tmp_path: Path) -> None:
    put("models/org/net/net.safetensors")
    assert locate_file("org/net").path == tmp_path / "models/org/net/net.safetensors"
    assert locate_file("org/net").name == "org/net"
    put("models/org/net/small/other.pth")
    with pytest.raises(WeightsError, match=r"holds 2 files of weights: net\.safetensors, small/other\.pth"):
        locate_file("org/net")
    assert locate_file("org/net", file="small/other.pth").path.name == "other.pth"
    with pytest.raises(WeightsError, match=r"did you mean 'net\.safetensors'"):
        locate_file("org/net", file="nett.safetensors")


def test_a_folder_without_weights_says_what_is_looked_for() -> None:
    put("empty/notes.txt")
    with pytest.raises(WeightsError, match=r"holds 0 files of weights\n.*\.safetensors, \.pth, \.pt, \.ckpt"):
        locate_file("empty")


def test_a_file_needs_no_file_within_it() -> None:
    put("net.pth")
    with pytest.raises(WeightsError, match="is a file already"):
        locate_file("net.pth", file="net.pth")


@pytest.mark.parametrize("model", ["realesrgan-x4plus", "xinntao/RealESRGAN_x4plus"])
def test_a_model_that_can_be_converted_and_is_not_says_how(model: str) -> None:
    with pytest.raises(WeightsError, match="synrs-data models convert realesrgan-x4plus"):
        locate_file(model)
    put("models/xinntao/RealESRGAN_x4plus/RealESRGAN_x4plus.pth")
    if "/" in model:
        assert locate_file(model).path.name == "RealESRGAN_x4plus.pth"
    else:
        with pytest.raises(WeightsError, match=r"`model: xinntao/RealESRGAN_x4plus`$"):
            locate_file(model)


def test_the_hub_is_asked_for_the_named_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    asked: list[dict[str, Any]] = []

    def snapshot(name: str, **options: Any) -> str:
        asked.append({"name": name, **options})
        put("cache/0123abc/net.pth")
        put("cache/0123abc/other.pth")
        return str(tmp_path / "cache/0123abc")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    found = locate_file("org/nets", revision="v1", file="net.pth")
    assert (found.name, found.revision) == ("org/nets", "0123abc")
    assert (asked[0]["name"], asked[0]["revision"]) == ("org/nets", "v1")
    assert "net.pth" in asked[0]["allow_patterns"]
    assert not any(pattern.endswith("*.pth") for pattern in asked[0]["allow_patterns"])


@pytest.mark.parametrize("model", ["", "nothing-here", "~nobody-of-this-name/x"])
def test_what_is_not_there_is_one_message(model: str) -> None:
    with pytest.raises(WeightsError):
        locate_file(model)
