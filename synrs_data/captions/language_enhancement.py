"""Captions that set each label in many scenes: language enhancement (LE) of He et al. (ICLR 2023).

They let a T5 write 250 sentences from each label, dropped repetitions and kept 200 at random; here sentences
are drawn until there are enough different ones, or until it is clear that there will not be.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import ClassVar, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, model_validator

from synrs_data.captions.geo_ranges import GeoRanges, with_geo
from synrs_data.captions.grammar import GrammarSentences, grammar_files, load_grammar
from synrs_data.captions.text_model import Sampling, TextModelSentences, model_files, model_folder
from synrs_data.errors import CaptionError
from synrs_data.recipe import path_option
from synrs_data.sample import Caption
from synrs_data.vocabulary import Label, LabelSet


class Sentences(Protocol):
    """A source of sentences about a label."""

    source: str

    def draw(self, label: Label, count: int, rng: random.Random) -> list[str]:
        """Return at most `count` sentences, repetitions included; all chance comes from `rng`."""
        ...


class LanguageEnhancementOptions(BaseModel):
    """Options of `language-enhancement`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backend: Literal["grammar", "text-model"] = Field("grammar", description="What writes the sentences.")
    sentences_per_label: int = Field(200, ge=1, le=100_000, description="Different sentences of each label.")
    prefix: str = Field(
        "a centered satellite photo of ",
        description="What goes before every sentence, its last space included.",
    )
    max_draws_factor: int = Field(
        20, ge=1, le=1_000, description="Give up after this many draws for each sentence that was asked for."
    )
    grammar: str = path_option(
        "remote-sensing", description="Grammar, by shipped name or path; for backend 'grammar'."
    )
    model: str | None = path_option(
        None, description="Folder or Hub id of the model; for backend 'text-model'."
    )
    revision: str | None = Field(None, description="Commit, branch or tag of a model on the Hub.")
    temperature: float = Field(1.0, gt=0, le=10, description="Of the text model: above 1 for more variety.")
    top_p: float = Field(
        1.0, gt=0, le=1, description="Of the text model: share of the probability drawn from."
    )
    max_new_tokens: int = Field(
        40, ge=1, le=512, description="Of the text model: longest sentence, in tokens."
    )
    geo: GeoRanges | None = Field(None, description="Geo-metadata of every caption: value or [low, high].")

    @model_validator(mode="after")
    def _fits_the_backend(self) -> LanguageEnhancementOptions:
        if self.backend == "text-model" and not self.model:
            raise ValueError("the backend 'text-model' needs 'model', a folder or Hub id")
        if self.backend == "grammar" and (self.model or self.revision):
            raise ValueError("'model' and 'revision' are for the backend 'text-model', not for 'grammar'")
        return self


class LanguageEnhancement:
    """Writes `sentences_per_label` different captions of every label, interleaved by label."""

    Options: ClassVar[type[BaseModel]] = LanguageEnhancementOptions

    def __init__(self, options: LanguageEnhancementOptions) -> None:
        self._options = options

    def inputs(self) -> list[Path]:
        """Return the files of the grammar, or the weights, configuration and tokenizer of the model.

        Raises:
            RecipeError: The grammar is missing.
            WeightsError: The model is missing or cannot be fetched.
        """
        options = self._options
        if options.model is None:
            return grammar_files(options.grammar)
        return model_files(model_folder(options.model, options.revision))

    def write(self, labels: LabelSet, *, seed: int) -> list[Caption]:
        """Return the caption book: sentence 0 of every label, then sentence 1, ...

        Raises:
            CaptionError: A label has too few different sentences.
            RecipeError: The grammar is missing or broken.
            WeightsError: The model is missing or broken.
        """
        sentences = self._sentences(labels)
        found = [self._different(sentences, label, seed) for label in labels.labels]
        book = [
            Caption(text=f"{self._options.prefix}{texts[i]}", label=index, source=f"{sentences.source}#{i}")
            for i in range(self._options.sentences_per_label)
            for index, texts in enumerate(found)
        ]
        return with_geo(book, self._options.geo, seed=seed)

    def _sentences(self, labels: LabelSet) -> Sentences:
        options = self._options
        if options.model is None:
            return GrammarSentences(load_grammar(options.grammar), labels.name)
        folder = model_folder(options.model, options.revision)
        is_local = Path(options.model).expanduser().is_dir()
        source = folder.name if is_local else f"{options.model}@{options.revision or folder.name}"
        return TextModelSentences(
            folder, source, Sampling(options.temperature, options.top_p, options.max_new_tokens)
        )

    def _different(self, sentences: Sentences, label: Label, seed: int) -> list[str]:
        """Return the first `sentences_per_label` different sentences, in the order of drawing."""
        wanted = self._options.sentences_per_label
        budget = wanted * self._options.max_draws_factor
        rng = random.Random(f"{seed}/{label.name}/{self._options.backend}")
        found: dict[str, None] = {}
        drawn = 0
        while len(found) < wanted and drawn < budget:
            # He et al. draw a quarter more than they need; so does each round here, for what it lacks.
            lacking = wanted - len(found)
            count = min(lacking + lacking // 4 + 1, budget - drawn)
            drawn += count
            found.update(dict.fromkeys(sentences.draw(label, count, rng)))
        if len(found) < wanted:
            raise CaptionError(
                f"label '{label.name}' has {len(found)} different sentences after {drawn:,} draws, "
                f"{wanted} are asked for",
                where=sentences.source,
                fix=self._advice(),
            )
        return list(found)[:wanted]

    def _advice(self) -> str:
        fewer = "lower 'captions.sentences_per_label'"
        if self._options.backend == "grammar":
            return f"{fewer}, or give the grammar more alternatives for this label"
        return f"{fewer}, or raise 'captions.temperature' or 'captions.max_draws_factor'"
