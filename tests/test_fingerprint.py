"""Fingerprints: what changes them, what does not, and which changed keys are named."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from synrs_data.fingerprint import changed_keys, generation_fingerprint, selection_fingerprint
from synrs_data.recipe import Recipe
from tests.test_recipe import PAINTED, load

GENERATION_CHANGES = [
    "name=other",
    "license=cc0-1.0",
    "seed=1",
    "candidates=41",
    "shard_size=10",
    "image.format=png",
    "image.quality=94",
    "generator.size=32",
    "generator.batch_size=2",
    "filters=[{method: ruler}]",
    "filters=[{method: quality}, {method: ruler}, {method: near-duplicate}]",
    "captions={method: from-file, path: captions.txt}",
]


@pytest.mark.parametrize("change", GENERATION_CHANGES)
def test_each_key_of_the_generation_part_changes_its_fingerprint(tmp_path: Path, change: str) -> None:
    base = PAINTED.replace("{ruler_mean: {min: 118}}", "{}")
    before, after = load(tmp_path, base), load(tmp_path, base, change)
    assert generation_fingerprint(before, {}) != generation_fingerprint(after, {})
    key = re.split(r"[.=]", change)[0]
    changes = changed_keys(before.generation_part(), after.generation_part())
    assert changes
    assert all(text.startswith(key) for text in changes)


def test_every_field_of_a_recipe_is_either_excluded_or_in_the_fingerprint() -> None:
    tested = {re.split(r"[.=]", change)[0] for change in GENERATION_CHANGES}
    constant = {"version"}
    tested |= {"task", "degradation"}  # test_the_degradation_of_pairs_changes_their_fingerprint
    excluded = {"title", "description", "labels", "select", "licenses", "license_name", "license_link"}
    assert set(Recipe.model_fields) == tested | constant | excluded


PAIRS = """
name: pairs
license: mit
task: lr-hr
candidates: 4
generator: {method: paint}
degradation: {method: bicubic, scale: 4}
"""


@pytest.mark.parametrize("change", ["degradation.scale=2", "degradation={method: area}"])
def test_the_degradation_of_pairs_changes_their_fingerprint(tmp_path: Path, change: str) -> None:
    before, after = load(tmp_path, PAIRS), load(tmp_path, PAIRS, change)
    assert before.task == "lr-hr"
    assert generation_fingerprint(before, {}) != generation_fingerprint(after, {})


@pytest.mark.parametrize(
    "change",
    [
        "title=Other",
        "description=Other",
        "licenses.sources=mit",
        "license_name=ours",
        "license_link=https://example.org",
        "select.top_k=3",
        "select.thresholds.ruler_mean=null",
    ],
)
def test_what_decides_no_candidate_leaves_the_fingerprint(tmp_path: Path, change: str) -> None:
    before, after = load(tmp_path), load(tmp_path, PAINTED, change)
    assert generation_fingerprint(before, {}) == generation_fingerprint(after, {})
    selects = change.startswith("select")
    assert (selection_fingerprint(before) != selection_fingerprint(after)) == selects


def test_a_moved_file_leaves_the_fingerprint_and_changed_contents_do_not(tmp_path: Path) -> None:
    from synrs_data.build.plan import digests_of

    words = "name: w\nsource: me\ntemplates: ['a photo of {label}']\n"
    found = []
    for name, text in (("here", words), ("there", words), ("changed", words.replace("photo", "view"))):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "words.yaml").write_text(text)
        recipe = load(folder, PAINTED, "captions.templates=words.yaml")
        found.append(generation_fingerprint(recipe, digests_of(recipe)))
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_a_fingerprint_is_the_same_in_every_process(tmp_path: Path) -> None:
    recipe = load(tmp_path)
    expected = f"{generation_fingerprint(recipe, {'b': '2', 'a': '1'})} {selection_fingerprint(recipe)}"
    text = (
        "import sys\nfrom synrs_data.fingerprint import generation_fingerprint, selection_fingerprint\n"
        "from synrs_data.recipe_file import load_recipe\nrecipe = load_recipe(sys.argv[1])\n"
        "print(generation_fingerprint(recipe, {'a': '1', 'b': '2'}), selection_fingerprint(recipe))"
    )
    for seed in ("0", "4711"):
        done = subprocess.run(
            [sys.executable, "-c", text, str(tmp_path / "recipe.yaml")],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert done.stdout.strip() == expected


def test_a_fingerprint_changes_with_the_digest_of_contents(tmp_path: Path) -> None:
    recipe = load(tmp_path)
    found = {generation_fingerprint(recipe, digests) for digests in ({}, {"labels": "1"}, {"labels": "2"})}
    assert len(found) == 3


def test_changed_keys_names_each_with_both_values() -> None:
    old = {"seed": 1, "generator": {"steps": 20, "size": 8}, "filters": [{"a": 1}], "gone": 1}
    new = {"seed": 2, "generator": {"steps": 20, "size": 16}, "filters": [{"a": 1}], "come": None}
    assert changed_keys(old, new) == [
        "generator.size (was 8, is 16)",
        "gone (was 1, is None)",
        "seed (was 1, is 2)",
    ]
    assert changed_keys(old, old) == []
