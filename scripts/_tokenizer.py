"""A byte-level CLIP tokenizer with a small vocabulary, learned from our own captions."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

CONTEXT = 40
START, END = "<|startoftext|>", "<|endoftext|>"


def train_tokenizer(texts: list[str], merges: int = 2048) -> CLIPTokenizer:
    """Learn BPE merges; every byte has a token, so no word is unknown.

    The end token gets the highest id because CLIP text towers find it by `argmax`.
    """
    template = CLIPTokenizer()
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer = normalizers.Lowercase()
    learner.pre_tokenizer = template.backend_tokenizer.pre_tokenizer
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=2 * len(alphabet) + merges,
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    learner.train_from_iterator(texts, trainer)
    learned = json.loads(learner.to_str())["model"]["merges"]
    pairs = [tuple(pair) if isinstance(pair, list) else tuple(pair.split(" ")) for pair in learned]
    tokens = [
        *alphabet,
        *(byte + "</w>" for byte in alphabet),
        *dict.fromkeys("".join(pair) for pair in pairs),
    ]
    tokens = [*dict.fromkeys(tokens), START, END]
    return CLIPTokenizer(
        vocab={token: index for index, token in enumerate(tokens)}, merges=pairs, model_max_length=CONTEXT
    )


def save_tokenizer(tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Write the tokenizer files next to a model."""
    tokenizer.save_pretrained(folder)
