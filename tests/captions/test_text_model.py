"""Sentences of a text model: seeded, alone with its chance, and never loaded in part."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
import torch

from synrs_data.captions.text_model import Sampling, TextModelSentences, model_files, model_folder
from synrs_data.errors import WeightsError
from synrs_data.vocabulary import Label

FOREST = Label(name="Forest", phrase="forest", article="a")
SAMPLING = Sampling(temperature=1.0, top_p=1.0, max_new_tokens=6)


def copied(tiny_t5: Path, folder: Path) -> Path:
    return Path(shutil.copytree(tiny_t5, folder / "model"))


def test_the_same_chance_gives_the_same_sentences_and_another_gives_others(tiny_t5: Path) -> None:
    first = TextModelSentences(tiny_t5, "tiny", SAMPLING).draw(FOREST, 40, random.Random("1"))
    again = TextModelSentences(tiny_t5, "tiny", SAMPLING).draw(FOREST, 40, random.Random("1"))
    other = TextModelSentences(tiny_t5, "tiny", SAMPLING).draw(FOREST, 40, random.Random("2"))
    assert first == again
    assert first != other
    assert 30 < len(first) <= 40
    assert all(text == " ".join(text.split()) and text for text in first)


def test_drawing_leaves_the_global_generator_and_the_threads_alone(tiny_t5: Path) -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    python_state = random.getstate()
    TextModelSentences(tiny_t5, "tiny", SAMPLING).draw(FOREST, 3, random.Random(0))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert random.getstate() == python_state


def test_the_global_generator_does_not_decide_the_sentences(tiny_t5: Path) -> None:
    sentences = TextModelSentences(tiny_t5, "tiny", SAMPLING)
    first = sentences.draw(FOREST, 5, random.Random(0))
    torch.rand(7)
    assert sentences.draw(FOREST, 5, random.Random(0)) == first


def test_weights_that_would_be_loaded_in_part_are_refused_by_name(tiny_t5: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = copied(tiny_t5, tmp_path)
    weights = load_file(folder / "model.safetensors")
    del weights["decoder.final_layer_norm.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"decoder\.final_layer_norm\.weight"):
        TextModelSentences(folder, "tiny", SAMPLING).draw(FOREST, 1, random.Random(0))


def test_truncated_weights_are_told_in_one_message(tiny_t5: Path, tmp_path: Path) -> None:
    folder = copied(tiny_t5, tmp_path)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1_000])
    with pytest.raises(WeightsError, match="cannot be loaded as a text model"):
        TextModelSentences(folder, "tiny", SAMPLING).draw(FOREST, 1, random.Random(0))


def test_pickled_weights_are_never_opened(tiny_t5: Path, tmp_path: Path) -> None:
    folder = copied(tiny_t5, tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="safetensors"):
        model_folder(str(folder), None)


@pytest.mark.parametrize("model", ["no-such-folder", "/no/such/folder", "a/b/c", ""])
def test_a_missing_folder_that_is_no_hub_id_is_told_without_the_network(model: str) -> None:
    with pytest.raises(WeightsError, match=r"no model folder|no config\.json"):
        model_folder(model, None)


def test_a_hub_id_that_cannot_be_fetched_is_told_with_its_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def refuse(*args: object, **options: object) -> str:
        raise huggingface_hub.errors.LocalEntryNotFoundError("no connection")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(WeightsError, match=r"'owner/name' \(revision v2\) cannot be fetched: no connection"):
        model_folder("owner/name", "v2")


def test_the_files_that_decide_sentences_are_weights_configuration_and_tokenizer(tiny_t5: Path) -> None:
    names = {path.name for path in model_files(tiny_t5)}
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= names
