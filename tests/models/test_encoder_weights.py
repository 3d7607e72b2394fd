"""Weights of open_clip's architectures: which files load, as what, and which are refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from synrs_data.errors import WeightsError
from synrs_data.models.activation import trained_with
from synrs_data.models.encoder import Encoder
from synrs_data.models.state_dict import read_state_dict
from tests.models.tiny_clip import SMALL, add_architectures, random_weights


@pytest.fixture(scope="module", autouse=True)
def architectures(tmp_path_factory: pytest.TempPathFactory) -> None:
    add_architectures(tmp_path_factory.mktemp("architectures"))


@pytest.fixture(scope="module")
def state(architectures: None) -> dict[str, Any]:
    return random_weights()


def saved(path: Path, content: Any) -> str:
    import torch

    torch.save(content, path)
    return str(path)


def picture() -> list[NDArray[np.uint8]]:
    return [np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)]


def test_every_form_of_a_checkpoint_gives_the_same_features(tmp_path: Path, state: dict[str, Any]) -> None:
    from safetensors.torch import save_file

    save_file(state, tmp_path / "plain.safetensors")
    openai = {"input_resolution": 32, "context_length": 12, "vocab_size": 49408}
    parallel = {f"module.{key}": value for key, value in state.items()}
    forms = [
        str(tmp_path / "plain.safetensors"),
        saved(tmp_path / "plain.pt", state),
        saved(tmp_path / "epoch_20.pt", {"epoch": 20, "state_dict": parallel, "optimizer": {"lr": 0.1}}),
        saved(tmp_path / "scale.pt", state | {"logit_scale": state["logit_scale"].reshape(1)}),
    ]
    expected = Encoder("tiny", forms[0], "cpu").images(picture())
    for form in forms[1:]:
        np.testing.assert_array_equal(Encoder("tiny", form, "cpu").images(picture()), expected)
    numbers = saved(tmp_path / "numbers.pt", state | openai)
    np.testing.assert_array_equal(Encoder("tiny", numbers, "cpu", False).images(picture()), expected)


def test_the_activation_that_is_asked_for_is_the_one_that_computes(
    tmp_path: Path, state: dict[str, Any]
) -> None:
    weights = saved(tmp_path / "tuned.pt", state)
    plain, quick = Encoder("tiny", weights, "cpu"), Encoder("tiny", weights, "cpu", True)
    assert (plain.quick_gelu, quick.quick_gelu) == (False, True)
    assert np.abs(plain.images(picture()) - quick.images(picture())).max() > 1e-4
    named = Encoder("tiny-quickgelu", weights, "cpu")
    assert named.quick_gelu
    np.testing.assert_array_equal(named.images(picture()), quick.images(picture()))
    assert quick.preprocessing["size"] == (32, 32)
    assert quick.text == {"tokens": 12}


def test_a_model_that_gets_its_weights_is_not_said_to_be_random(
    tmp_path: Path, state: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    Encoder("tiny", saved(tmp_path / "tuned.pt", state), "cpu")
    assert not caplog.records


@pytest.mark.parametrize(
    "file", ["RemoteCLIP-ViT-B-32.pt", "RS5M_ViT-L-14-336.pt", "clip.openai.pt", "numbers.pt"]
)
def test_weights_of_the_other_activation_are_refused_unless_it_is_said(
    tmp_path: Path, state: dict[str, Any], file: str
) -> None:
    numbers = {"input_resolution": 32} if file == "numbers.pt" else {}
    weights = saved(tmp_path / file, state | numbers)
    with pytest.raises(
        WeightsError, match="were trained with QuickGELU, and this model computes with GELU"
    ) as caught:
        Encoder("tiny", weights, "cpu")
    assert "tiny-quickgelu" in caught.value.fix
    assert "quick_gelu=false" in caught.value.fix
    assert Encoder("tiny-quickgelu", weights, "cpu").quick_gelu
    assert not Encoder("tiny", weights, "cpu", False).quick_gelu


def test_weights_of_laion_in_an_architecture_of_quick_gelu_are_refused(
    tmp_path: Path, state: dict[str, Any]
) -> None:
    weights = saved(tmp_path / "RS5M_ViT-H-14.pt", state)
    with pytest.raises(WeightsError, match="were trained with GELU, and this model computes with QuickGELU"):
        Encoder("tiny-quickgelu", weights, "cpu")
    assert not Encoder("tiny", weights, "cpu").quick_gelu


def test_an_activation_that_the_architecture_excludes_is_one_message(
    tmp_path: Path, state: dict[str, Any]
) -> None:
    weights = saved(tmp_path / "tuned.pt", state)
    with pytest.raises(WeightsError, match="computes with QuickGELU, not with GELU as asked for") as caught:
        Encoder("tiny-quickgelu", weights, "cpu", False)
    assert caught.value.fix == "name the architecture tiny"


def test_a_folder_of_openais_weights_whose_config_says_gelu_is_refused(
    tmp_path: Path, state: dict[str, Any]
) -> None:
    import json

    from safetensors.torch import save_file

    folder = tmp_path / "clip.openai"
    folder.mkdir()
    config = {"model_cfg": SMALL, "preprocess_cfg": {"size": 32}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    save_file(state, folder / "open_clip_model.safetensors")
    with pytest.raises(WeightsError, match="were trained with QuickGELU"):
        Encoder(str(folder), "", "cpu")
    other = Path(shutil.copytree(folder, tmp_path / "mine"))
    assert not Encoder(str(other), "", "cpu").quick_gelu
    with pytest.raises(WeightsError, match="not with QuickGELU as asked for") as caught:
        Encoder(str(other), "", "cpu", True)
    assert "open_clip_config.json" in caught.value.fix


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("chendelong/RemoteCLIP/RemoteCLIP-RN50.pt", True),
        ("ckpt/RS5M_ViT-B-32_RET-2.pt", True),
        ("SkyCLIP_ViT_L14_top30pct/epoch_20.pt", True),
        ("SkyCLIP_ViT_B32_top50pct/epoch_20.pt", False),
        ("timm/vit_base_patch32_clip_224.openai", True),
        ("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", False),
        ("/home/openai/models/mine/tuned.pt", None),
        ("/openai/mine", None),
        ("not-openaids.pt", None),
        ("mine.pt", None),
    ],
)
def test_what_published_weights_were_trained_with_is_known_by_name(name: str, known: bool | None) -> None:
    assert trained_with(name) is known


def test_weights_of_another_resolution_are_not_stretched(tmp_path: Path, state: dict[str, Any]) -> None:
    with pytest.raises(WeightsError, match=r"size mismatch for visual\.positional_embedding"):
        Encoder("tiny-48", saved(tmp_path / "tuned.pt", state), "cpu")


@pytest.mark.parametrize("change", ["missing", "extra"])
def test_weights_that_would_be_loaded_in_part_are_refused(
    tmp_path: Path, state: dict[str, Any], change: str
) -> None:
    changed = dict(state)
    if change == "missing":
        del changed["text_projection"]
    else:
        changed["adapter"] = changed["text_projection"]
    with pytest.raises(WeightsError, match="text_projection" if change == "missing" else "adapter"):
        Encoder("tiny", saved(tmp_path / "part.pt", changed), "cpu")


def test_a_bare_file_for_siglip_is_refused_since_its_preprocessing_is_lost(
    tmp_path: Path, state: dict[str, Any]
) -> None:
    with pytest.raises(WeightsError, match="loses the preprocessing"):
        Encoder("tiny-siglip", saved(tmp_path / "siglip.pt", state), "cpu")


def test_a_torchscript_archive_is_refused_with_where_to_get_tensors(tmp_path: Path) -> None:
    import torch

    path = tmp_path / "ViT-B-32.pt"
    with torch.random.fork_rng():
        module = torch.nn.Linear(2, 2)
    torch.jit.save(torch.jit.trace(module, torch.zeros(1, 2)), path)  # type: ignore[no-untyped-call]
    with pytest.raises(WeightsError, match="TorchScript archive") as caught:
        read_state_dict(path)
    assert "timm/" in caught.value.fix


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 cut"], ids=["empty", "text", "cut"])
def test_a_damaged_file_is_one_message(tmp_path: Path, content: bytes) -> None:
    for name in ("a.pt", "a.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(WeightsError):
            read_state_dict(tmp_path / name)
    with pytest.raises(WeightsError, match="cannot be read"):
        read_state_dict(tmp_path / "gone.pt")


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {"state_dict": {"epoch": 3}}])
def test_a_file_without_a_state_dict_is_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(WeightsError, match="holds no state dict"):
        read_state_dict(Path(saved(tmp_path / "other.pt", content)))
