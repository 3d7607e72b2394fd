"""Encoders of open_clip: what they return, and which folders are refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from synrs_data.errors import WeightsError
from synrs_data.models.encoder import Encoder, encoder_digest, encoder_folder, load_encoder
from synrs_data.resources import embedded_models

NAME = "eurosat-tiny-clip"
pytestmark = pytest.mark.skipif(
    NAME not in embedded_models(), reason="the embedded encoder is not in this checkout"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(embedded_models()[NAME], tmp_path / "encoder"))


def pictures(count: int) -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (64, 48, 3), dtype=np.uint8) for _ in range(count)]


def test_features_are_normalised_and_the_same_alone_and_together() -> None:
    encoder = load_encoder(NAME, "", "cpu")
    images = encoder.images(pictures(3))
    texts = encoder.texts(["a satellite image of a forest", "a river"])
    assert images.dtype == texts.dtype == np.float32
    assert images.shape[1] == texts.shape[1]
    np.testing.assert_allclose(np.linalg.norm(images, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(encoder.images(pictures(3)[2:]), images[2:], atol=1e-5)
    assert encoder.logit_scale > 1


def test_more_texts_than_fit_at_once_keep_their_order() -> None:
    encoder = load_encoder(NAME, "", "cpu")
    texts = [f"a forest number {i}" for i in range(300)]
    np.testing.assert_allclose(
        encoder.texts(texts)[[0, 299]], encoder.texts([texts[0], texts[299]]), atol=1e-5
    )


def test_an_encoder_is_loaded_once_a_process() -> None:
    assert load_encoder(NAME, "", "cpu") is load_encoder(NAME, "", "cpu")


def test_a_folder_and_its_open_clip_name_are_the_same_encoder(folder: Path) -> None:
    assert encoder_folder(str(folder)) == encoder_folder(f"local-dir:{folder}") == folder
    assert encoder_digest(str(folder), "") == encoder_digest(NAME, "")


def test_the_digest_changes_with_the_weights(folder: Path) -> None:
    before = encoder_digest(str(folder), "")
    path = folder / "open_clip_model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert encoder_digest(str(folder), "") != before


def test_a_folder_that_is_no_open_clip_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"it has no open_clip_config\.json"):
        Encoder(str(tmp_path), "", "cpu")


def _cut(folder: Path) -> None:
    path = folder / "open_clip_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def _edit(folder: Path, change: Any) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "open_clip_model.safetensors")
    change(tensors)
    save_file(tensors, folder / "open_clip_model.safetensors")


@pytest.mark.parametrize(
    "damage",
    [
        _cut,
        lambda folder: (folder / "open_clip_model.safetensors").write_bytes(b""),
        lambda folder: (folder / "open_clip_model.safetensors").unlink(),
        lambda folder: (folder / "open_clip_config.json").write_text("{"),
        lambda folder: (folder / "open_clip_config.json").write_text("{}"),
        lambda folder: _edit(folder, lambda tensors: tensors.pop("logit_scale")),
        lambda folder: _edit(folder, lambda tensors: tensors.update(extra=tensors["logit_scale"].clone())),
        lambda folder: _edit(folder, lambda tensors: tensors.update(logit_scale=tensors["logit_scale"].repeat(3))),
    ],
    ids=["cut", "empty", "gone", "broken config", "empty config", "missing tensor", "extra tensor", "other shape"],
)  # fmt: skip
def test_a_damaged_encoder_is_one_message(folder: Path, damage: Any) -> None:
    damage(folder)
    with pytest.raises(WeightsError) as caught:
        Encoder(str(folder), "", "cpu")
    assert caught.value.fix


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self._trace}",)


def test_a_pickle_with_code_is_refused_and_not_run(folder: Path, tmp_path: Path) -> None:
    import torch

    evil = tmp_path / "evil.pt"
    torch.save({"logit_scale": Evil(tmp_path / "trace")}, evil)
    with pytest.raises(WeightsError):
        Encoder("ViT-B-32", str(evil), "cpu")
    (folder / "open_clip_model.safetensors").unlink()
    shutil.copy(evil, folder / "open_clip_pytorch_model.bin")
    with pytest.raises(WeightsError):
        Encoder(str(folder), "", "cpu")
    assert not (tmp_path / "trace").exists()


def test_an_unknown_architecture_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"")
    with pytest.raises(WeightsError, match="open_clip cannot load this encoder"):
        Encoder("ViT-Z-99", str(tmp_path / "weights.safetensors"), "cpu")


def test_weights_that_are_not_there_have_no_digest(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="there is no such file of weights"):
        encoder_digest("ViT-B-32", str(tmp_path / "gone.safetensors"))


def test_an_error_without_words_is_a_message_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    import open_clip

    def fail(*arguments: object, **options: object) -> None:
        raise AssertionError

    monkeypatch.setattr(open_clip, "create_model_from_pretrained", fail)
    with pytest.raises(WeightsError, match="open_clip cannot load this encoder: AssertionError"):
        Encoder(NAME, "", "cpu")
