"""`language-enhancement`: enough different sentences of every label, or one message that says what to do."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from synrs_data.captions.language_enhancement import LanguageEnhancement, LanguageEnhancementOptions
from synrs_data.errors import CaptionError, RecipeError
from synrs_data.registry import lookup
from synrs_data.vocabulary import LabelSet, load_label_set


def strategy(**options: object) -> LanguageEnhancement:
    return LanguageEnhancement(LanguageEnhancementOptions.model_validate(options))


@pytest.fixture
def parrot(tiny_t5: Path, tmp_path: Path) -> Path:
    """A model which always says the same: with all numbers 0 but one bias it writes one word for ever."""
    import torch
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(tiny_t5, tmp_path / "parrot"))
    weights = {
        name: torch.zeros_like(tensor) for name, tensor in load_file(folder / "model.safetensors").items()
    }
    weights["decoder.final_layer_norm.weight"] += 1
    weights["shared.weight"][:, 0] = -10
    weights["shared.weight"][5, 0] = 10
    weights["shared.weight"][0, 0] = 1  # the first token of the decoder is padding: it must lift word 5
    if "lm_head.weight" in weights:
        weights["lm_head.weight"][:, 0] = -1_000
        weights["lm_head.weight"][5, 0] = 1_000
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_the_defaults_give_two_hundred_different_captions_of_every_eurosat_label() -> None:
    book = strategy().write(load_label_set("eurosat"), seed=0)
    assert Counter(caption.label for caption in book) == dict.fromkeys(range(10), 200)
    assert len({caption.text for caption in book}) == 2_000
    assert [caption.label for caption in book[:20]] == [*range(10), *range(10)]
    assert all(caption.text.startswith("a centered satellite photo of ") for caption in book)


def test_the_source_names_the_grammar_its_digest_and_the_sentence(three_labels: LabelSet) -> None:
    book = strategy(sentences_per_label=2).write(three_labels, seed=0)
    names, numbers = zip(*(caption.source.rsplit("#", 1) for caption in book), strict=True)
    assert numbers == ("0", "0", "0", "1", "1", "1")
    assert len(set(names)) == 1
    assert names[0].startswith("grammar:remote-sensing@")


def test_the_seed_and_nothing_else_decides_the_book(three_labels: LabelSet) -> None:
    assert strategy().write(three_labels, seed=1) == strategy().write(three_labels, seed=1)
    assert strategy().write(three_labels, seed=1) != strategy().write(three_labels, seed=2)


def test_another_label_beside_it_changes_no_sentence_of_a_label(three_labels: LabelSet) -> None:
    alone = three_labels.model_copy(update={"labels": three_labels.labels[1:2]})
    beside = [caption.text for caption in strategy().write(three_labels, seed=0) if caption.label == 1]
    assert [caption.text for caption in strategy().write(alone, seed=0)] == beside


def test_the_prefix_goes_before_every_sentence(three_labels: LabelSet) -> None:
    plain = strategy(prefix="").write(three_labels, seed=0)
    aerial = strategy(prefix="an aerial photo of ").write(three_labels, seed=0)
    assert [caption.text for caption in aerial] == [f"an aerial photo of {caption.text}" for caption in plain]


def test_a_poor_grammar_is_told_with_label_counts_and_what_to_do(
    tmp_path: Path, three_labels: LabelSet
) -> None:
    path = tmp_path / "poor.yaml"
    path.write_text(
        "name: poor\nsource: x\nrules: {sentence: ['{spoken}{end}'], end: ['.', '!']}\ncontexts: {any: {}}\n"
    )
    with pytest.raises(CaptionError) as caught:
        strategy(grammar=str(path), sentences_per_label=3, max_draws_factor=5).write(three_labels, seed=0)
    message = str(caught.value)
    assert "label 'Forest' has 2 different sentences after 15 draws, 3 are asked for" in message
    assert "lower 'captions.sentences_per_label', or give the grammar more alternatives" in message


def test_a_text_model_writes_different_captions_of_every_label(tiny_t5: Path, three_labels: LabelSet) -> None:
    options = {"backend": "text-model", "model": str(tiny_t5), "sentences_per_label": 20, "max_new_tokens": 6}
    book = strategy(**options).write(three_labels, seed=0)
    assert Counter(caption.label for caption in book) == dict.fromkeys(range(3), 20)
    assert len({(caption.label, caption.text) for caption in book}) == 60
    assert book[3].source == f"text-model:{tiny_t5.name}#1"
    assert book == strategy(**options).write(three_labels, seed=0)


def test_a_model_which_always_says_the_same_ends_in_a_message_after_bounded_draws(
    parrot: Path, three_labels: LabelSet
) -> None:
    options = {"backend": "text-model", "model": str(parrot), "sentences_per_label": 5, "max_draws_factor": 3}
    with pytest.raises(CaptionError) as caught:
        strategy(**options, max_new_tokens=3).write(three_labels, seed=0)
    message = str(caught.value)
    assert "label 'Forest' has 1 different sentences after 15 draws, 5 are asked for" in message
    assert "raise 'captions.temperature' or 'captions.max_draws_factor'" in message


def test_the_inputs_are_the_grammar_and_its_words_or_the_files_of_the_model(tiny_t5: Path) -> None:
    assert [path.name for path in strategy().inputs()] == ["remote-sensing.yaml", "appearance.yaml"]
    files = strategy(backend="text-model", model=str(tiny_t5)).inputs()
    assert tiny_t5 / "model.safetensors" in files


def test_a_missing_grammar_is_told_before_the_build() -> None:
    with pytest.raises(RecipeError, match="no grammar 'other'"):
        strategy(grammar="other").inputs()


@pytest.mark.parametrize(
    "options",
    [
        {"backend": "text-model"},
        {"model": "owner/name"},
        {"revision": "main"},
        {"backend": "t5"},
        {"sentences_per_label": 0},
        {"temperature": 0},
        {"top_p": 1.5},
        {"sentences": 5},
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        LanguageEnhancementOptions.model_validate(options)


def test_every_option_says_what_it_is() -> None:
    schema = LanguageEnhancementOptions.model_json_schema()
    assert all("description" in option for option in schema["properties"].values())


def test_the_method_is_registered_by_its_name_and_imports_no_torch() -> None:
    import subprocess
    import sys

    assert lookup("captions", "language-enhancement") is LanguageEnhancement
    code = (
        "import sys, synrs_data.captions.language_enhancement, synrs_data.captions.from_file, "
        "synrs_data.captions.class_template; print({'torch', 'transformers'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
