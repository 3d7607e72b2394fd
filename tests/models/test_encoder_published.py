"""Published encoders as baselines: where weights are looked for, which activation they get, what is recorded."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from synrs_data.errors import RecipeError, WeightsError
from synrs_data.evaluate.baselines import published
from synrs_data.evaluate.baselines.published import Published, RemoteClip, SkyClip
from synrs_data.evaluate.benchmark import load_benchmark
from synrs_data.evaluate.run import make_baseline
from synrs_data.models.weights_file import WeightsFile
from tests.models.tiny_clip import add_architectures, random_weights

RSICD = "rsicd"


@pytest.fixture(scope="module", autouse=True)
def architectures(tmp_path_factory: pytest.TempPathFactory) -> None:
    add_architectures(tmp_path_factory.mktemp("architectures"))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    import torch

    torch.save(random_weights(), tmp_path / "RemoteCLIP-tiny.pt")
    return tmp_path / "RemoteCLIP-tiny.pt"


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tiny architectures stand beside the published ones."""
    monkeypatch.setattr(
        RemoteClip, "published", {**RemoteClip.published, "tiny": Published(True, "user/tiny", "a.pt")}
    )
    monkeypatch.setattr(SkyClip, "published", {**SkyClip.published, "tiny": Published(quick_gelu=False)})


def make(text: str) -> Any:
    return make_baseline(text, "cpu")


def test_a_record_says_activation_weights_licence_and_that_ret3_is_in_domain(weights: Path) -> None:
    baseline = make(f"remoteclip:architecture=tiny,weights={weights}")
    record = baseline.record(load_benchmark(RSICD))
    assert (record.name, record.method, record.revision) == ("remoteclip-tiny", "remoteclip", "local")
    assert record.weights_sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert record.quick_gelu is True
    assert record.in_domain is True
    assert record.license.startswith("unknown")
    assert record.preprocessing["interpolation"] == "bicubic"
    assert baseline.encode_texts(["a", "b"]).shape == (2, 16)


def test_the_other_activation_is_taken_when_it_is_said_and_recorded(weights: Path) -> None:
    baseline = make(f"remoteclip:architecture=tiny,weights={weights},quick_gelu=false")
    auto = make(f"remoteclip:architecture=tiny,weights={weights}")
    assert baseline.record(load_benchmark(RSICD)).quick_gelu is False
    assert baseline.fingerprint != auto.fingerprint


def test_weights_that_are_known_to_be_others_are_refused(weights: Path) -> None:
    baseline = make(f"skyclip:architecture=tiny,weights={weights}")
    with pytest.raises(WeightsError, match="were trained with QuickGELU"):
        baseline.record(load_benchmark(RSICD))
    said = make(f"skyclip:architecture=tiny,weights={weights},quick_gelu=false")
    assert said.record(load_benchmark(RSICD)).quick_gelu is False


def test_the_publishers_file_is_taken_at_the_revision_that_is_asked_for(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def locate(model: str, *, revision: str | None, file: str | None) -> WeightsFile:
        asked.append((model, revision, file))
        return WeightsFile(model, weights, "0" * 40, "cc-by-4.0")

    monkeypatch.setattr(published, "locate_file", locate)
    record = make("remoteclip:architecture=tiny,revision=v2").record(load_benchmark(RSICD))
    assert set(asked) == {("user/tiny", "v2", "a.pt")}
    assert (record.model, record.revision, record.license) == ("user/tiny", "0" * 40, "cc-by-4.0")


def test_weights_that_no_hub_id_has_are_asked_for() -> None:
    with pytest.raises(WeightsError, match="'skyclip' needs its weights") as caught:
        make("skyclip:architecture=tiny").record(load_benchmark(RSICD))
    assert "SkyScript" in caught.value.fix


def test_an_architecture_that_was_not_published_is_refused_with_those_that_were() -> None:
    with pytest.raises(RecipeError, match="no weights of 'clip' for the architecture 'ViT-B-23'") as caught:
        make("clip:architecture=ViT-B-23")
    assert "ViT-B-32" in caught.value.fix


@pytest.mark.parametrize("name", ["clip", "remoteclip", "georsclip", "skyclip"])
def test_every_published_architecture_is_one_of_open_clip_in_its_activation(name: str) -> None:
    import open_clip

    baseline = make(name)
    for architecture, known in baseline.published.items():
        if architecture == "tiny":
            continue
        config = open_clip.get_model_config(f"{architecture}-quickgelu" if known.quick_gelu else architecture)
        assert config is not None, architecture
        assert bool(config.get("quick_gelu")) is known.quick_gelu


def test_georsclip_and_skyclip_differ_in_activation_by_architecture() -> None:
    quick = {name: known.quick_gelu for name, known in make("georsclip").published.items()}
    assert quick == {"ViT-B-32": True, "ViT-L-14": True, "ViT-L-14-336": True, "ViT-H-14": False}
    assert {
        name: known.quick_gelu for name, known in make("skyclip").published.items() if name != "tiny"
    } == {
        "ViT-B-32": False,
        "ViT-L-14": True,
    }


def test_an_open_clip_model_is_recorded_with_its_activation(weights: Path) -> None:
    record = make(f"open-clip:model=tiny,weights={weights},quick_gelu=true").record(load_benchmark(RSICD))
    assert (record.quick_gelu, record.in_domain, record.revision) == (True, None, "local")
