"""Sentences from a grammar: a YAML file of `builders/vocab/grammar/`, or a user's own.

A grammar is context-free: a symbol in braces is replaced by one of its alternatives until none is left. What
makes it speak of one scene without contradiction is *where* a symbol is looked up: first in the rules of the
label, then in those of one context (such as a season) that is drawn once a sentence, then in those of the
label set, and last in the common rules, which know every symbol, so that any label works.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections import ChainMap
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from synrs_data.errors import RecipeError
from synrs_data.resources import find, named_files
from synrs_data.vocabulary import Label, explain, read_yaml

Rules = dict[str, tuple[str, ...]]

START = "sentence"
BUILTIN = ("label", "spoken", "article", "a")
"""Symbols of the label: its phrase, its phrase with its article, its article, and `a` or `an`."""

_SYMBOL = re.compile(r"\{([^{}]*)\}")
_INDEFINITE = "\0"
# Words whose first letter and first sound disagree; numbers are read aloud: an 8, an 11, an 18, an 80.
_CONSONANT_SOUND = re.compile(r"(?:uni|use|usa|uti|eu|one\b|ubi)", re.IGNORECASE)
_VOWEL_SOUND = re.compile(r"(?:[aeiou]|hour|honest|8|11\b|18\b)", re.IGNORECASE)


class LabelRules(BaseModel):
    """Rules of some labels; names are compared without case, spaces and signs, so SeaLake is sea_lake."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    names: tuple[str, ...] = Field(min_length=1, description="Names of the labels.")
    contexts: tuple[str, ...] = Field((), description="Contexts that may be drawn; empty for all.")
    rules: Rules = Field(default_factory=dict, description="Symbols that mean something else here.")


class Grammar(BaseModel):
    """A checked grammar: every symbol has alternatives, and no symbol leads back to itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    source: str
    include: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Lists taken over from other YAML files: path beside this one -> keys.",
    )
    rules: Rules = Field(description="Alternatives of every symbol.")
    contexts: dict[str, Rules] = Field(min_length=1, description="Worlds of which a sentence has one.")
    label_sets: dict[str, Rules] = Field(default_factory=dict, description="Rules by name of the label set.")
    labels: tuple[LabelRules, ...] = Field((), description="Rules by label.")

    @model_validator(mode="after")
    def _complete(self) -> Grammar:
        layers = [
            self.rules,
            *self.contexts.values(),
            *self.label_sets.values(),
            *(one.rules for one in self.labels),
        ]
        uses: dict[str, set[str]] = {}
        for layer in layers:
            for symbol, alternatives in layer.items():
                if not alternatives:
                    raise ValueError(f"'{symbol}' has no alternative")
                uses.setdefault(symbol, set()).update(
                    used for text in alternatives for used in _SYMBOL.findall(text) if used not in BUILTIN
                )
        for symbol in sorted({START, *uses, *(used for inner in uses.values() for used in inner)}):
            if symbol not in self.rules:
                raise ValueError(f"the common rules lack '{symbol}'")
        unknown = {name for one in self.labels for name in one.contexts} - self.contexts.keys()
        if unknown:
            raise ValueError(f"unknown context '{min(unknown)}', known: {', '.join(self.contexts)}")
        _refuse_loops(uses)
        return self

    @property
    def digest(self) -> str:
        """First 12 hexadecimal digits of the sha256 over the contents, included lists too."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()[
            :12
        ]


class GrammarSentences:
    """Draws sentences of a grammar."""

    def __init__(self, grammar: Grammar, label_set: str) -> None:
        self._grammar = grammar
        self._label_set = label_set
        self._by_label = {_key(name): one for one in grammar.labels for name in one.names}
        self.source = f"grammar:{grammar.name}@{grammar.digest}"

    def draw(self, label: Label, count: int, rng: random.Random) -> list[str]:
        """Return `count` sentences about a label, repetitions included."""
        own = self._by_label.get(_key(label.name), LabelRules(names=(label.name,), contexts=()))
        allowed = own.contexts or tuple(self._grammar.contexts)
        sentences = []
        for _ in range(count):
            context = self._grammar.contexts[rng.choice(allowed)]
            of_set = self._grammar.label_sets.get(self._label_set, {})
            rules = ChainMap(own.rules, context, of_set, self._grammar.rules)
            sentences.append(_finish(_expand(f"{{{START}}}", rules, label, rng)))
        return sentences


def grammar_files(name: str) -> list[Path]:
    """Return the file of a grammar, by shipped name or path, and the files it includes.

    Raises:
        RecipeError: One of them is missing.
    """
    path = find(name, named_files("builders/vocab/grammar"), what="grammar")
    contents = read_yaml(path)
    include = contents.get("include") if isinstance(contents, dict) else None
    files = [path.parent / other for other in include] if isinstance(include, dict) else []
    for other in files:
        if not other.is_file():
            raise RecipeError(
                f"the included file {other} is missing", where=str(path), fix="correct 'include'"
            )
    return [path, *files]


def load_grammar(name: str) -> Grammar:
    """Load a grammar by shipped name or path.

    Raises:
        RecipeError: It is missing, not YAML, has unknown keys, lacks a symbol, or leads round in a circle.
    """
    path, *included = grammar_files(name)
    contents = read_yaml(path)
    try:
        if isinstance(contents, dict) and isinstance(contents.get("rules"), dict):
            keys_of = contents["include"].values() if included else ()
            for file, keys in zip(included, keys_of, strict=True):
                contents["rules"] = {**_lists_of(file, keys), **contents["rules"]}
        return Grammar.model_validate(contents)
    except ValidationError as error:
        raise RecipeError(explain(error, Grammar), where=str(path), fix="correct the file") from error


def _lists_of(file: Path, keys: object) -> dict[str, object]:
    contents = read_yaml(file)
    keys = keys if isinstance(keys, list) else []  # anything else is the model's to refuse
    missing = [
        key for key in keys if not isinstance(contents, dict) or not isinstance(contents.get(key), list)
    ]
    if missing:
        raise RecipeError(
            f"has no list '{missing[0]}'", where=str(file), fix="correct 'include' of the grammar"
        )
    return {key: contents[key] for key in keys}


def _expand(text: str, rules: Mapping[str, tuple[str, ...]], label: Label, rng: random.Random) -> str:
    builtin = {
        "label": label.phrase,
        "spoken": label.spoken,
        "article": _INDEFINITE if label.article in ("a", "an") else label.article,
        "a": _INDEFINITE,
    }

    def replace(match: re.Match[str]) -> str:
        symbol = match.group(1)
        return builtin[symbol] if symbol in builtin else _SYMBOL.sub(replace, rng.choice(rules[symbol]))

    return _SYMBOL.sub(replace, text)


def _finish(text: str) -> str:
    """Choose a or an by the word that follows, and put spaces and signs right."""
    words = text.replace(_INDEFINITE, f" {_INDEFINITE} ").split()
    pairs = zip(words, [*words[1:], ""], strict=True)
    line = " ".join(_article(following) if word == _INDEFINITE else word for word, following in pairs)
    return re.sub(r" +([,.;])", r"\1", line)


def _article(following: str) -> str:
    vowel = _VOWEL_SOUND.match(following) and not _CONSONANT_SOUND.match(following)
    return "an" if vowel else "a"


def _key(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())


def _refuse_loops(uses: dict[str, set[str]]) -> None:
    """Raise for a symbol that leads back to itself in any mixture of layers: it could grow for ever."""
    done: set[str] = set()

    def visit(symbol: str, trail: tuple[str, ...]) -> None:
        if symbol in trail:
            raise ValueError(f"'{symbol}' leads back to itself: {' -> '.join([*trail, symbol])}")
        if symbol not in done:
            for used in sorted(uses.get(symbol, ())):
                visit(used, (*trail, symbol))
            done.add(symbol)

    for symbol in sorted(uses):
        visit(symbol, ())
