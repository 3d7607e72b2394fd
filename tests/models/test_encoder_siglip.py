"""Encoders of transformers: padding, pixels and weights of a tiny random SigLIP, and its baselines."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from synrs_data.errors import WeightsError
from synrs_data.evaluate.benchmark import load_benchmark
from synrs_data.evaluate.run import make_baseline
from synrs_data.models.siglip import SiglipEncoder

WORDS = ["<pad>", "<unk>", "a", "forest", "river", "of", "field"]
PIXELS, TOKENS = 32, 64


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, SiglipConfig, SiglipImageProcessor, SiglipModel

    folder = tmp_path_factory.mktemp("siglip") / "tiny-siglip"
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = size | {"vocab_size": len(WORDS), "max_position_embeddings": TOKENS, "projection_size": 16}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = SiglipConfig(text_config=text, vision_config=size | {"image_size": PIXELS, "patch_size": 16})
        SiglipModel(config).save_pretrained(folder)
    words = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", unk_token="<unk>")
    tokenizer.save_pretrained(folder)
    SiglipImageProcessor(
        size={"height": PIXELS, "width": PIXELS}, image_mean=[0.5] * 3, image_std=[0.5] * 3
    ).save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "tiny-siglip"))


@pytest.fixture
def encoder(original: Path) -> SiglipEncoder:
    return SiglipEncoder(str(original), "cpu")


def pictures(count: int) -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (40, 70, 3), dtype=np.uint8) for _ in range(count)]


def test_features_are_those_of_transformers_on_padded_texts_and_whole_squashed_images(
    encoder: SiglipEncoder, original: Path
) -> None:
    import torch
    from transformers import SiglipModel

    model = SiglipModel.from_pretrained(original)
    ids = torch.zeros((1, TOKENS), dtype=torch.int64)
    ids[0, :3] = torch.tensor([WORDS.index(word) for word in ("a", "<unk>", "forest")])
    squashed = Image.fromarray(pictures(1)[0]).resize((PIXELS, PIXELS), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.asarray(squashed, dtype=np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
    with torch.inference_mode():
        text = model.text_model(input_ids=ids).pooler_output.numpy()
        image = model.vision_model(pixel_values=pixels).pooler_output.numpy()
    np.testing.assert_allclose(encoder.texts(["a green forest"], normalize=False), text, atol=1e-5)
    # Resampling on tensors and in Pillow differ by a grey level here and there.
    np.testing.assert_allclose(encoder.images(pictures(1)), image / np.linalg.norm(image), atol=2e-2)


def test_a_text_has_the_same_features_alone_and_beside_a_longer_one(encoder: SiglipEncoder) -> None:
    together = encoder.texts(["a river", "a field of a field of a field", "a river"])
    np.testing.assert_allclose(encoder.texts(["a river"]), together[:1], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, rtol=1e-5)
    assert np.abs(together[0] - together[1]).max() > 1e-3
    cut = encoder.texts(["forest " * 64, "forest " * 90])
    np.testing.assert_array_equal(cut[0], cut[1])


def test_what_it_does_to_images_and_texts_is_recorded(encoder: SiglipEncoder) -> None:
    found = encoder.preprocessing
    assert (found["size"], found["mean"], found["std"]) == ([PIXELS, PIXELS], [0.5] * 3, [0.5] * 3)
    assert found["interpolation"] in (2, 3)
    assert encoder.text == {"tokens": TOKENS, "padding": "max_length"}
    assert encoder.quick_gelu is None


def _json(name: str, **changes: Any) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        values = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(values | changes))

    return damage


def _tensors(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        from safetensors.torch import load_file, save_file

        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    return damage


def _pickle(folder: Path) -> None:
    import torch

    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_tensors(lambda tensors: tensors.pop("logit_bias")), "1 missing keys"),
        (_tensors(lambda tensors: tensors.update(adapter=tensors["logit_bias"].clone())), "1 unexpected keys"),
        (_tensors(lambda tensors: tensors.update(logit_bias=tensors["logit_bias"].repeat(3))), "logit_bias|mismatch"),
        (lambda folder: (folder / "model.safetensors").unlink(), "cannot load"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"cut"), "cannot load"),
        (_pickle, "cannot load"),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot load"),
        (_json("config.json", model_type="clip"), "kind 'clip', not siglip"),
        (lambda folder: (folder / "preprocessor_config.json").unlink(), "no preprocessor_config.json"),
        (_json("preprocessor_config.json", size={"height": 16, "width": 16}), "16 by 16 pixels"),
        (lambda folder: [path.unlink() for path in folder.glob("token*")], "cannot load"),
    ],
    ids=["missing", "extra", "shape", "gone", "cut", "pickle", "config", "kind", "processor", "pixels", "tokenizer"],
)  # fmt: skip
def test_a_damaged_folder_is_one_message(folder: Path, damage: Callable[[Path], Any], words: str) -> None:
    damage(folder)
    with pytest.raises(WeightsError, match=words) as caught:
        SiglipEncoder(str(folder), "cpu")
    assert caught.value.fix


@pytest.mark.parametrize(("name", "trained"), [("siglip", ("webli",)), ("git-rsclip", ("webli", "git-10m"))])
def test_a_baseline_records_weights_licence_padding_and_training_data(
    folder: Path, name: str, trained: tuple[str, ...]
) -> None:
    baseline: Any = make_baseline(f"{name}:model={folder}", "cpu")
    assert baseline.tasks == ("classification", "retrieval")
    record = baseline.record(load_benchmark("rsicd"))
    assert (record.name, record.method, record.revision) == ("tiny-siglip", name, "local")
    assert (record.license, record.trained_on, record.in_domain) == ("apache-2.0", trained, False)
    assert record.text == {"tokens": TOKENS, "padding": "max_length"}
    assert baseline.encode(pictures(3)).shape == (3, 16)
    before = record.weights_sha256
    _tensors(lambda tensors: tensors.update(logit_bias=tensors["logit_bias"] + 1))(folder)
    again: Any = make_baseline(f"{name}:model={folder}", "cpu")
    assert again.record(load_benchmark("rsicd")).weights_sha256 != before
