"""The error tree: exit codes, the text of a message, and the way from a worker to the driver."""

from __future__ import annotations

import pickle

import pytest

from synrs_data import errors
from synrs_data.errors import CorruptShardError, MethodError, MissingExtraError, SynrsError

TREE = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, SynrsError)]


def example(kind: type[SynrsError]) -> SynrsError:
    if issubclass(kind, MissingExtraError):
        return kind("the metric piqe", "iqa")
    if issubclass(kind, MethodError):
        return kind("filters", "mine", "gives no scores")
    if issubclass(kind, CorruptShardError):
        return kind(7, "sample 1 is damaged", where="candidates/00007.tar")
    return kind("is wrong", where="recipe.yaml", fix="correct it")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("SynrsError", 1),
        ("UserError", 2),
        ("RecipeError", 2),
        ("WeightsError", 2),
        ("MissingExtraError", 2),
        ("BuildFolderError", 2),
        ("CaptionError", 2),
        ("SelectionError", 2),
        ("VerificationError", 3),
        ("CorruptShardError", 3),
        ("QuarantineError", 4),
    ],
)
def test_each_error_ends_the_program_with_its_exit_code(name: str, code: int) -> None:
    assert getattr(errors, name).exit_code == code


def test_every_error_of_the_tree_is_drawn_in_its_docstring() -> None:
    assert errors.__doc__ is not None
    assert len(TREE) == 12
    for kind in TREE:
        assert f"{kind.__name__} " in errors.__doc__


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_an_error_keeps_its_type_and_text_across_processes(kind: type[SynrsError]) -> None:
    error = example(kind)
    error.add_note("worker 3")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_a_message_says_where_what_and_what_to_do() -> None:
    error = SynrsError("seed is -1", where="recipe.yaml", fix="take a seed from 0")
    assert str(error) == "recipe.yaml: seed is -1\n  → take a seed from 0"
    assert str(SynrsError("seed is -1")) == "seed is -1"


def test_a_missing_extra_is_told_with_the_command_that_installs_it() -> None:
    assert 'pip install "synrs-data[iqa]"' in str(MissingExtraError("the metric piqe", "iqa"))


def test_a_corrupt_shard_is_told_with_its_number() -> None:
    error = CorruptShardError(7, "sample 1 is damaged", where="x.tar")
    assert error.shard == 7
    assert "makes shard 7 anew" in str(error)
