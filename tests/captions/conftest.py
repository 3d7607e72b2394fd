"""A label set of three classes and a text model of a few thousand random numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from synrs_data.vocabulary import Label, LabelSet


@pytest.fixture
def three_labels() -> LabelSet:
    return LabelSet(
        name="three",
        title="Three",
        source="this test",
        labels=(
            Label(name="Forest", phrase="forest", article="a"),
            Label(name="River", phrase="river", article="a"),
            Label(name="Residential", phrase="residential buildings", article=""),
        ),
    )


@pytest.fixture(scope="session")
def tiny_t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a T5 of one layer, random weights and a tokenizer of thirty words."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

    folder = tmp_path_factory.mktemp("tiny-t5")
    names = (
        "forest river residential buildings beside near under with over the small large green blue road field"
    )
    words = ["<pad>", "</s>", "<unk>", "a", *names.split(), *(f"word{i}" for i in range(10))]
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    tokenizer.save_pretrained(folder)
    config = T5Config(
        vocab_size=len(words), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2,
        pad_token_id=0, eos_token_id=1, decoder_start_token_id=0,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        T5ForConditionalGeneration(config).save_pretrained(folder)
    return folder
