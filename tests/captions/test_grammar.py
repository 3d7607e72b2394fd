"""Sentences of a grammar: readable, without contradiction, and for any label."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from synrs_data.captions.grammar import Grammar, GrammarSentences, grammar_files, load_grammar
from synrs_data.errors import RecipeError
from synrs_data.vocabulary import Label, load_label_set

SETS = ["eurosat", "ucmerced", "resisc45", "aid", "fmow"]
SEASONS = {
    "spring": r"\b(spring|April|May)\b",
    "summer": r"\b(summer|midsummer|July|August)\b",
    "autumn": r"\b(autumn|October|harvest)\b",
    "winter": r"\b(winter|midwinter|February|snow\w*)\b",
}
COLOURS = "rules: {sentence: ['{colour}']}\ncontexts: {any: {}}\n"
LAKE = Label(name="x", phrase="old lake", article="an")


def small(**changes: object) -> Grammar:
    contents: dict[str, object] = {
        "name": "small",
        "source": "this test",
        "rules": {"sentence": ["{spoken} {with}."], "with": ["with trees"]},
        "contexts": {"any": {}},
    }
    return Grammar.model_validate(contents | changes)


def written(folder: Path, text: str) -> str:
    path = folder / "own.yaml"
    path.write_text(text)
    return str(path)


def one(grammar: Grammar, label: Label = LAKE, label_set: str = "other") -> str:
    [sentence] = GrammarSentences(grammar, label_set).draw(label, 1, random.Random(0))
    return sentence


@pytest.mark.parametrize("name", SETS)
def test_two_hundred_sentences_of_every_label_are_well_formed(name: str) -> None:
    labels = load_label_set(name)
    sentences = GrammarSentences(load_grammar("remote-sensing"), labels.name)
    for label in labels.labels:
        for text in sentences.draw(label, 200, random.Random(label.name)):
            assert label.phrase in text
            assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ,.'-]*[A-Za-z0-9]\.", text), text
            assert not re.search(r"  | [,.]|,,|\bwith with\b|\b(\w+) \1\b", text), text
            assert not re.search(r"\ba [aeio]|\ba u(?!ni)|\ban [^aeiou]", text), text
            assert len(text.split()) <= 30, text


@pytest.mark.parametrize("name", SETS)
def test_no_sentence_names_two_seasons(name: str) -> None:
    labels = load_label_set(name)
    sentences = GrammarSentences(load_grammar("remote-sensing"), labels.name)
    for label in labels.labels:
        for text in sentences.draw(label, 300, random.Random(label.name)):
            named = [season for season, words in SEASONS.items() if re.search(words, text)]
            assert len(named) <= 1, text


def test_snow_lies_in_no_warm_place_and_no_dark_scene() -> None:
    labels = load_label_set("eurosat")
    sentences = GrammarSentences(load_grammar("remote-sensing"), labels.name)
    snowy = [
        text
        for label in labels.labels
        for text in sentences.draw(label, 1_000, random.Random(label.name))
        if "snow" in text
    ]
    assert len(snowy) > 300
    for text in snowy:
        assert not re.search(r"south|Mediterranean|\bdry\b|\bvery dark\b|, dark\b|green|brown", text), text


def test_four_thousand_draws_of_a_eurosat_label_are_mostly_different() -> None:
    labels = load_label_set("eurosat")
    sentences = GrammarSentences(load_grammar("remote-sensing"), labels.name)
    for label in labels.labels:
        assert len(set(sentences.draw(label, 4_000, random.Random(0)))) > 2_500, label.name


def test_the_colours_of_a_label_are_words_that_are_measured() -> None:
    grammar = load_grammar("remote-sensing")
    for symbol in ("brightness", "colour", "texture"):
        for own in grammar.labels:
            assert set(own.rules.get(symbol, ())) <= set(grammar.rules[symbol]), own.names


@pytest.mark.parametrize("name", SETS)
def test_metres_a_pixel_are_those_of_the_label_set(name: str) -> None:
    labels = load_label_set(name)
    drawn = GrammarSentences(load_grammar("remote-sensing"), labels.name).draw(
        labels.labels[0], 3_000, random.Random(0)
    )
    told = {found for text in drawn for found in re.findall(r"[\d.]+ m\b", text)}
    assert told == {"eurosat": {"10 m"}, "ucmerced": {"0.3 m"}}.get(name, set())


def test_the_same_chance_gives_the_same_sentences_and_another_gives_others() -> None:
    sentences = GrammarSentences(load_grammar("remote-sensing"), "other")
    assert sentences.draw(LAKE, 50, random.Random("1")) == sentences.draw(LAKE, 50, random.Random("1"))
    assert sentences.draw(LAKE, 50, random.Random("1")) != sentences.draw(LAKE, 50, random.Random("2"))


def test_label_rules_precede_the_context_the_label_set_and_the_common_rules() -> None:
    layers: dict[str, object] = {
        "label_sets": {"farm": {"with": ["of the set"]}},
        "contexts": {"any": {"with": ["of the context"]}},
        "labels": [{"names": ["Old_Lake"], "rules": {"with": ["of the label"]}}],
    }
    named = Label(name="oldlake", phrase="lake", article="a")
    assert one(small(**layers), named, "farm") == "a lake of the label."
    assert one(small(**layers), LAKE, "farm") == "an old lake of the context."
    del layers["contexts"]
    assert one(small(**layers), LAKE, "farm") == "an old lake of the set."
    assert one(small(**layers), LAKE, "other") == "an old lake with trees."


def test_a_label_is_drawn_only_in_its_own_contexts() -> None:
    grammar = small(
        contexts={"dry": {"with": ["without rain"]}, "wet": {"with": ["in rain"]}},
        labels=[{"names": ["x"], "contexts": ["dry"]}],
    )
    drawn = GrammarSentences(grammar, "other").draw(LAKE, 100, random.Random(0))
    assert set(drawn) == {"an old lake without rain."}


@pytest.mark.parametrize(
    ("adjective", "expected"),
    [
        ("old", "an old lake."),
        ("wide", "a wide lake."),
        ("even", "an even lake."),
        ("unique", "a unique lake."),
        ("European", "a European lake."),
        ("one-way", "a one-way lake."),
        ("8 km", "an 8 km lake."),
        ("80 m", "an 80 m lake."),
    ],
)
def test_the_article_fits_the_sound_of_the_next_word(adjective: str, expected: str) -> None:
    grammar = small(
        rules={"sentence": ["{article} {kind} {label}{nothing}."], "kind": [adjective], "nothing": [""]}
    )
    assert one(grammar, Label(name="lake", phrase="lake", article="an")) == expected


def test_a_label_without_article_gets_none_before_an_adjective() -> None:
    grammar = small(rules={"sentence": ["{article} old {label}, {a} view."]})
    assert one(grammar, Label(name="land", phrase="crop land", article="")) == "old crop land, a view."


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"rules": {"sentence": ["{spoken} {wiht}"]}}, "the common rules lack 'wiht'"),
        ({"rules": {"with": ["x"]}}, "the common rules lack 'sentence'"),
        ({"rules": {"sentence": []}}, "'sentence' has no alternative"),
        ({"rules": {"sentence": ["{x}"], "x": ["{y}"], "y": ["{x}"]}}, "'x' leads back to itself: sentence -> x -> y"),
        ({"contexts": {"any": {"with": ["{sentence}"]}}}, "leads back to itself"),
        ({"contexts": {"any": {"other": ["x"]}}}, "the common rules lack 'other'"),
        ({"labels": [{"names": ["x"], "contexts": ["sumer"]}]}, "unknown context 'sumer'"),
    ],
)  # fmt: skip
def test_a_grammar_that_could_fail_while_drawing_is_refused_at_once(
    changes: dict[str, object], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        small(**changes)


def test_a_file_with_an_unknown_key_is_told_in_one_message(tmp_path: Path) -> None:
    name = written(tmp_path, "name: x\nsource: y\nrules: {sentence: [z]}\ncontext: {any: {}}\n")
    with pytest.raises(RecipeError, match=r"unknown key 'context', did you mean 'contexts'\?"):
        load_grammar(name)


@pytest.mark.parametrize(
    ("include", "told"),
    [
        ("{missing.yaml: [colour]}", "missing.yaml is missing"),
        ("{words.yaml: [color]}", "has no list 'color'"),
        ("{words.yaml: colour}", "include.words.yaml"),
        ("[words.yaml]", "'include'"),
    ],
)
def test_a_broken_include_is_told_in_one_message(include: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "words.yaml").write_text("colour: [green]\n")
    body = f"name: x\nsource: y\ninclude: {include}\n{COLOURS}"
    with pytest.raises(RecipeError, match=told):
        load_grammar(written(tmp_path, body))


def test_included_lists_are_rules_inputs_and_part_of_the_digest(tmp_path: Path) -> None:
    words = tmp_path / "words.yaml"
    words.write_text("colour: [green]\nmeasure: {edges: [1]}\n")
    name = written(
        tmp_path,
        f"name: x\nsource: y\ninclude: {{words.yaml: [colour]}}\n{COLOURS}",
    )
    before = load_grammar(name)
    assert before.rules["colour"] == ("green",)
    assert grammar_files(name) == [Path(name), words]
    words.write_text("colour: [blue]\n")
    assert load_grammar(name).digest != before.digest


def test_an_unknown_grammar_is_answered_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match="did you mean 'remote-sensing'"):
        grammar_files("remote-sensin")
