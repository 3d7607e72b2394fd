"""Sentences from a text model, as He et al. (ICLR 2023) enhance labels by a T5 that writes from key words.

Any Hugging Face sequence-to-sequence or causal model serves, by folder or Hub id. It runs on the CPU with one
thread, because two threads add in another order and may so choose another word: the book of captions is then
the same on every machine with the same versions.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synrs_data.captions.cleaning import MAX_CHARACTERS, one_line
from synrs_data.errors import WeightsError
from synrs_data.vocabulary import Label

_BATCH = 32
# The default of transformers, under which He et al. sampled; written out so that no version changes it.
_TOP_K = 50
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_WEIGHTS = "*.safetensors"
_OTHER_FILES = ("*.json", "*.model", "*.txt", "*.jinja")


@dataclass(frozen=True, slots=True)
class Sampling:
    """How words are drawn.

    Attributes:
        temperature: Divisor of the logits, above 0; 1 leaves them.
        top_p: Share of the probability that the words drawn from make up, above 0 to 1.
        max_new_tokens: Longest sentence, in tokens of the model.
    """

    temperature: float
    top_p: float
    max_new_tokens: int


def model_folder(model: str, revision: str | None) -> Path:
    """Return the local folder of a model; a Hub id is fetched, or found in the Hub's cache.

    Args:
        model: A folder, or `owner/name` on the Hub.
        revision: Commit, branch or tag on the Hub; None for its main branch.

    Raises:
        WeightsError: There is no such folder or repository, or it has no safetensors weights.
    """
    folder = Path(model).expanduser()
    if not folder.is_dir():
        if not _HUB_ID.fullmatch(model):
            raise WeightsError(
                f"there is no model folder '{model}'", fix="give a folder, or owner/name on the Hub"
            )
        folder = _snapshot(model, revision)
    if not (folder / "config.json").is_file() or not any(folder.glob(_WEIGHTS)):
        raise WeightsError(
            "has no config.json with weights in safetensors beside it",
            where=str(folder),
            fix="choose a model, or a revision, with safetensors; weights that are pickled are not loaded",
        )
    return folder


def model_files(folder: Path) -> list[Path]:
    """Return the files of a model that decide its sentences: weights, configuration and tokenizer."""
    return sorted(path for pattern in (_WEIGHTS, *_OTHER_FILES) for path in folder.glob(pattern))


class TextModelSentences:
    """Draws sentences of a text model; the model is loaded at the first draw."""

    def __init__(self, folder: Path, source: str, sampling: Sampling) -> None:
        self._folder = folder
        self._sampling = sampling
        self._loaded: tuple[Any, Any] | None = None
        self.source = f"text-model:{source}"

    def draw(self, label: Label, count: int, rng: random.Random) -> list[str]:
        """Return up to `count` sentences for the label with its article, repetitions included.

        What the model writes is kept as it is, whether it repeats the label's words or not, as in He et al.;
        empty and overlong texts are left out.

        Raises:
            WeightsError: The model cannot be loaded, or not in whole.
        """
        if self._loaded is None:
            self._loaded = _load(self._folder)
        texts: list[str] = []
        with _alone(rng.getrandbits(63)):
            for start in range(0, count, _BATCH):
                texts += self._batch(self._loaded, label.spoken, min(_BATCH, count - start))
        sentences = [one_line(text) for text in texts]
        return [sentence for sentence in sentences if 0 < len(sentence) <= MAX_CHARACTERS]

    def _batch(self, loaded: tuple[Any, Any], prompt: str, count: int) -> list[str]:
        model, tokenizer = loaded
        tokens = tokenizer([prompt], return_tensors="pt")
        padding = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        drawn = model.generate(
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            do_sample=True,
            num_return_sequences=count,
            temperature=self._sampling.temperature,
            top_p=self._sampling.top_p,
            top_k=_TOP_K,
            max_new_tokens=self._sampling.max_new_tokens,
            pad_token_id=padding,
        )
        texts: list[str] = tokenizer.batch_decode(drawn, skip_special_tokens=True)
        return texts


def _snapshot(model: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=[_WEIGHTS, *_OTHER_FILES]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise WeightsError(
            f"'{model}' (revision {revision or 'main'}) cannot be fetched: {one_line(str(error))[:200]}",
            fix="check its name, revision and your connection, or give a local folder",
        ) from error


def _load(folder: Path) -> tuple[Any, Any]:
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model, report = kind.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise WeightsError(
            f"cannot be loaded as a text model: {one_line(str(error))[:300]}",
            where=str(folder),
            fix="give the folder of a sequence-to-sequence or causal language model, complete with tokenizer",
        ) from error
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report.get(what):
            names = ", ".join(sorted(str(key) for key in report[what])[:3])
            raise WeightsError(
                f"would be loaded in part: {len(report[what])} {what.replace('_', ' ')}, such as {names}",
                where=str(folder),
                fix="give the weights that belong to its config.json",
            )
    return model.eval(), tokenizer


@contextmanager
def _alone(seed: int) -> Iterator[None]:
    """Seed the CPU's generator and use one thread inside the block; both are as before after it."""
    import torch

    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        # torch.manual_seed would also seed the generators of CUDA, which nothing restores here.
        torch.default_generator.manual_seed(seed)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
