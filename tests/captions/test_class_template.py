"""`class-template`: every template with every label, interleaved."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from synrs_data.captions.class_template import ClassTemplate, ClassTemplateOptions
from synrs_data.errors import RecipeError
from synrs_data.registry import lookup
from synrs_data.vocabulary import LabelSet, load_label_set, load_template_set


def own_set(folder: Path, *templates: str) -> str:
    lines = "".join(f'  - "{template}"\n' for template in templates)
    path = folder / "own.yaml"
    path.write_text(f"name: own\nsource: this test\ntemplates:\n{lines}")
    return str(path)


def test_labels_are_interleaved_and_each_template_fills_every_label(
    three_labels: LabelSet, tmp_path: Path
) -> None:
    options = ClassTemplateOptions(templates=own_set(tmp_path, "a photo of {spoken}.", "{label} from above"))
    book = ClassTemplate(options).write(three_labels, seed=0)
    assert [(caption.label, caption.text) for caption in book] == [
        (0, "a photo of a forest."),
        (1, "a photo of a river."),
        (2, "a photo of residential buildings."),
        (0, "forest from above"),
        (1, "river from above"),
        (2, "residential buildings from above"),
    ]


def test_the_source_names_the_set_its_digest_and_the_template(three_labels: LabelSet) -> None:
    templates = load_template_set("rs-basic")
    book = ClassTemplate(ClassTemplateOptions()).write(three_labels, seed=0)
    assert [caption.source for caption in book[::3]] == [
        f"rs-basic@{templates.digest}#{i}" for i in range(len(templates.templates))
    ]


def test_the_seed_changes_nothing(three_labels: LabelSet) -> None:
    strategy = ClassTemplate(ClassTemplateOptions())
    assert strategy.write(three_labels, seed=1) == strategy.write(three_labels, seed=2)


def test_the_published_prompt_of_strategy_b_is_written_for_eurosat() -> None:
    book = ClassTemplate(ClassTemplateOptions(templates="he2023-eurosat")).write(
        load_label_set("eurosat"), seed=0
    )
    assert [caption.text for caption in book[:2]] == [
        "a centered satellite photo of annual crop land.",
        "a centered satellite photo of a forest.",
    ]


def test_the_template_file_is_the_only_input(tmp_path: Path) -> None:
    path = own_set(tmp_path, "{label}")
    assert ClassTemplate(ClassTemplateOptions(templates=path)).inputs() == [Path(path)]


def test_an_unknown_template_set_is_answered_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match="did you mean 'rs-basic'"):
        ClassTemplate(ClassTemplateOptions(templates="rs-basics")).inputs()


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(ValidationError):
        ClassTemplateOptions.model_validate({"template": "rs-basic"})


def test_the_method_is_registered_by_its_name() -> None:
    assert lookup("captions", "class-template") is ClassTemplate
