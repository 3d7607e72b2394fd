"""Recipes: what is refused and how, and what is written out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from synrs_data.errors import RecipeError
from synrs_data.fingerprint import generation_fingerprint, selection_fingerprint
from synrs_data.recipe import Recipe, Threshold
from synrs_data.recipe_file import DEFAULT_NEAR_DUPLICATE_DISTANCE, load_recipe, override, score_columns
from synrs_data.vocabulary import load_label_set

PAINTED = """
name: painted
license: mit
labels: eurosat
candidates: 40
captions: {method: class-template}
generator: {method: paint}
filters: [{method: ruler}, {method: quality}, {method: near-duplicate}]
select:
  thresholds: {ruler_mean: {min: 118}}
  splits: {train: 0.8, test: 0.2}
"""


def load(folder: Path, text: str = PAINTED, *overrides: str) -> Recipe:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return load_recipe(path, list(overrides))


def message(folder: Path, *overrides: str, text: str = PAINTED) -> str:
    with pytest.raises(RecipeError) as caught:
        load(folder, text, *overrides)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_a_recipe_is_loaded_by_path_and_by_shipped_name(tmp_path: Path) -> None:
    assert load(tmp_path).name == "painted"
    assert load_recipe("quickstart").name
    with pytest.raises(RecipeError, match="there is no recipe 'quikstart'") as caught:
        load_recipe("quikstart")
    assert "did you mean 'quickstart'?" in caught.value.fix


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("candidate=3", "unknown key 'candidate', did you mean 'candidates'?"),
        ("select.top=3", "unknown key 'select.top', did you mean 'top_k'?"),
        ("image.qualty=3", "unknown key 'image.qualty', did you mean 'quality'?"),
        ("zzzzzz=3", "unknown key 'zzzzzz'"),
        ("select.thresholds.ruler_mean.minimum=3", "unknown key 'select.thresholds.ruler_mean.minimum'"),
        ("generator.sise=8", "'generator' (paint): unknown key 'sise', did you mean 'size'?"),
        ("filters.1.metric=3", "'filters.1' (quality): unknown key 'metric', did you mean 'metrics'?"),
        ("generator.method=pant", "'generator.method': unknown method 'pant' of generators"),
        ("filters.0.method=rulers", "'filters.0.method': unknown method 'rulers' of filters"),
        ("captions.method=class-templates", "did you mean 'class-template'?"),
        ("labels=eurosatt", "there is no label set 'eurosatt'"),
        ("select.thresholds.ruler_men={min: 1}", "did you mean 'ruler_mean'?"),
        ("select.rank_by=quality_entrpy", "did you mean 'quality_entropy'?"),
        ("version=2", "'version'"),
        ("task=lr-hi", "'task'"),
        ("task=lr-hr", "needs a 'degradation'"),
        ("degradation={method: area}", "needs 'task: lr-hr'"),
    ],
)
def test_an_unknown_name_is_named_with_the_nearest_known(tmp_path: Path, change: str, expected: str) -> None:
    text = message(tmp_path, change)
    assert expected in text
    assert "\n  → " in text


@pytest.mark.parametrize(
    "change",
    [
        "candidates=many",
        "candidates=0",
        "candidates=1000000000",
        "candidates=2.5",
        "candidates=null",
        "candidates=true",
        "select.top_k=true",
        "seed=-1",
        "seed=9223372036854775808",
        "shard_size=0",
        "name=Upper Case",
        "name=../../etc",
        "name=5",
        "license=false",
        "image.format=gif",
        "image.quality=101",
        "image=jpg",
        "filters={method: ruler}",
        "filters.0=ruler",
        "captions=class-template",
        "captions={}",
        "generator.size=big",
        "select=5",
        "select.near_duplicate_distance=17",
        "select.top_k=0",
        "select.per_label.max=0",
        "select.per_label.min=-1",
        "select.splits={}",
        "select.splits={train: 0.5}",
        "select.splits={train: 1.5, test: -0.5}",
        "select.splits={train: .nan}",
        "select.splits={Train: 1}",
        "select.splits={train/x: 1}",
        "select.thresholds.ruler_mean.min=.nan",
        "select.thresholds.ruler_mean.max=.inf",
        "select.thresholds.ruler_mean=5",
        "select.samples_per_shard=0",
        "labels=''",
    ],
)
def test_a_value_of_another_type_or_range_is_refused_with_its_key(tmp_path: Path, change: str) -> None:
    text = message(tmp_path, change)
    key = change.partition("=")[0].split(".")
    assert f"'{key[0]}" in text or "label set" in text
    assert str(tmp_path / "recipe.yaml") in text or "label set" in text


def test_missing_keys_are_all_named_at_once(tmp_path: Path) -> None:
    text = message(tmp_path, text="name: painted\n")
    for key in ("license", "labels", "candidates", "captions", "generator"):
        assert f"the key '{key}' is missing" in text


def test_a_filter_that_appears_twice_is_refused(tmp_path: Path) -> None:
    assert "filters appear twice: ruler" in message(tmp_path, "filters=[{method: ruler}, {method: ruler}]")


def test_every_default_is_written_out(tmp_path: Path) -> None:
    written = yaml.safe_load(load(tmp_path).to_yaml())
    assert list(written) == list(Recipe.model_fields)
    assert written["generator"] == {
        "method": "paint", "size": 16, "batch_size": 4, "fail_file": "", "most_at_once": 1000, "sleep_s": 0.0,
    }  # fmt: skip
    assert written["captions"] == {"method": "class-template", "templates": "rs-basic", "geo": None}
    assert written["filters"][1] == {"method": "quality", "metrics": []}
    assert written["image"] == {"format": "jpg", "quality": 95}
    assert written["select"]["per_label"] == {"min": 0, "max": None}
    assert written["select"]["thresholds"] == {
        "quality_entropy": {"min": 1.5, "max": None},
        "quality_clipped": {"min": None, "max": 0.2},
        "ruler_mean": {"min": 118.0, "max": None},
    }


ALL_FILTERS = PAINTED.replace(
    "filters: [", "filters: [{method: clip-agreement}, {method: clip-score, weights: ''}, "
)


@pytest.mark.parametrize("text", [PAINTED, ALL_FILTERS], ids=["painted", "with encoders"])
def test_the_resolved_recipe_loads_to_the_same_recipe_in_another_folder(tmp_path: Path, text: str) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    recipe = load(tmp_path / "here", text)
    again = load(tmp_path / "there", recipe.to_yaml())
    assert again.model_dump(mode="json") == recipe.model_dump(mode="json")
    assert again.to_yaml() == recipe.to_yaml()
    assert generation_fingerprint(again, {}) == generation_fingerprint(recipe, {})
    assert selection_fingerprint(again) == selection_fingerprint(recipe)


def test_set_changes_nested_keys_list_positions_and_null(tmp_path: Path) -> None:
    recipe = load(
        tmp_path,
        PAINTED,
        "seed=7",
        "generator.size=32",
        "select.per_label.max=5",
        "filters.1={method: leak, real: x, embedding: false}",
        "select.thresholds.leak_hash_distance=null",
        "title='a=b: c'",
    )
    assert recipe.seed == 7
    assert recipe.generator.model_extra is not None
    assert recipe.generator.model_extra["size"] == 32
    assert recipe.select.per_label.max == 5
    assert recipe.filters[1].method == "leak"
    assert recipe.select.thresholds["leak_hash_distance"] is None
    assert recipe.title == "a=b: c"


def test_a_later_set_goes_over_an_earlier_one_and_revives_what_is_null(tmp_path: Path) -> None:
    recipe = load(
        tmp_path,
        PAINTED,
        "seed=1",
        "seed=2",
        "select.thresholds.ruler_mean=null",
        "select.thresholds.ruler_mean.max=9",
    )
    assert recipe.seed == 2
    assert recipe.select.thresholds["ruler_mean"] == Threshold(max=9)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed", "has no value"),
        ("", "has no value"),
        ("=5", "has no value"),
        ("seed=[1", "not YAML"),
        ("seed=!!python/object/apply:os.getcwd []", "not YAML"),
        ("seed=2001-99-99", "not YAML"),
        ("seed.low=1", "'seed' has no keys below it"),
        ("name.first=x", "'name' has no keys below it"),
        ("filters.3.metrics=[]", "'3' is no position in a list of 3"),
        ("filters.-1.metrics=[]", "'-1' is no position"),
        ("filters.²=x", "'²' is no position"),
        ("filters.first=x", "'first' is no position"),
    ],
)
def test_a_set_that_cannot_be_is_told_as_it_was_written(text: str, expected: str) -> None:
    values: dict[str, Any] = yaml.safe_load(PAINTED) | {"seed": 3}
    with pytest.raises(RecipeError) as caught:
        override(values, text)
    assert expected in caught.value.what
    assert f"`--set {text}`" in caught.value.what


def test_relative_paths_become_absolute_and_names_stay(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "name: own\ntitle: Own\nsource: me\nlabels: [{name: A, phrase: a}, {name: B, phrase: b}]\n"
    )
    (tmp_path / "words.yaml").write_text("name: w\nsource: me\ntemplates: ['a photo of {label}']\n")
    recipe = load(tmp_path, PAINTED, "labels=own.yaml", "captions.templates=words.yaml")
    assert recipe.labels == str(tmp_path / "own.yaml")
    assert recipe.captions.model_extra == {"templates": str(tmp_path / "words.yaml"), "geo": None}
    assert load(tmp_path).labels == "eurosat"
    assert load(tmp_path).captions.model_extra == {"templates": "rs-basic", "geo": None}


def test_filters_bring_thresholds_that_a_recipe_changes_or_switches_off(tmp_path: Path) -> None:
    own = load(
        tmp_path, PAINTED, "select.thresholds.quality_entropy.min=2", "select.thresholds.quality_clipped=null"
    )
    assert own.select.thresholds == {
        "quality_entropy": Threshold(min=2),
        "quality_clipped": None,
        "ruler_mean": Threshold(min=118),
    }
    agreement = load(tmp_path, PAINTED, "filters=[{method: clip-agreement}]", "select.thresholds={}")
    assert agreement.select.thresholds == {"clip_agreement_p": Threshold(min=1 / 10)}


def test_the_distance_of_near_duplicates_comes_with_their_filter(tmp_path: Path) -> None:
    assert load(tmp_path).select.near_duplicate_distance == DEFAULT_NEAR_DUPLICATE_DISTANCE
    off = load(tmp_path, PAINTED, "select.near_duplicate_distance=null")
    assert off.select.near_duplicate_distance is None
    assert load(tmp_path, PAINTED, "select.near_duplicate_distance=0").select.near_duplicate_distance == 0
    without = load(tmp_path, PAINTED, "filters=[{method: ruler}]")
    assert without.select.near_duplicate_distance is None
    text = message(tmp_path, "filters=[{method: ruler}]", "select.near_duplicate_distance=4")
    assert "needs the filter near-duplicate" in text


@pytest.mark.parametrize(
    "change", ["select.rank_by=near_duplicate_phash", "select.thresholds.near_duplicate_phash.min=1"]
)
def test_a_perceptual_hash_is_no_number_to_compare(tmp_path: Path, change: str) -> None:
    assert "near_duplicate_phash" in message(tmp_path, change)


def test_score_columns_keep_the_order_of_the_filters(tmp_path: Path) -> None:
    recipe = load(tmp_path)
    assert list(score_columns(recipe.filters, load_label_set("eurosat"))) == [
        "ruler_mean", "quality_entropy", "quality_clipped", "quality_contrast", "near_duplicate_phash",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["", "# nothing", "5", "- a\n- b", "just words", "null", "---\n---\n"],
)
def test_a_file_that_is_no_mapping_is_one_message(tmp_path: Path, text: str) -> None:
    assert str(tmp_path / "recipe.yaml") in message(tmp_path, text=text)


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n\0\0",
        bytes(range(256)),
        b"name: \xff\xfe",
        b"name: [",
        b"a: b: c",
        b"\tname: x",
        b"day: 2001-99-99",
        b"seed: !!int many",
        b"seed: !!bool maybe",
        b"seed: !!timestamp now",
        b"seed: 0b_",
        b"[" * 5000,
        b"seed: *nothing",
        b"seed: 1\nseed: 2",
        b"select: {top_k: 1, top_k: 2}",
        b"{[1, 2]: 3}",
    ],
    ids=lambda data: repr(data[:20]),
)
def test_a_file_that_is_no_yaml_is_one_message(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(data)
    with pytest.raises(RecipeError, match="cannot be read as YAML") as caught:
        load_recipe(path)
    assert caught.value.where == str(path)


def test_a_key_that_appears_twice_is_named_with_its_line(tmp_path: Path) -> None:
    assert "the key 'seed' appears twice, line 13" in message(tmp_path, text=f"{PAINTED}seed: 1\nseed: 2\n")


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.system ['touch {path}']",
        "!!python/object/new:subprocess.Popen [[touch, '{path}']]",
        "!!python/name:os.system",
        "!!python/module:os",
    ],
)
def test_yaml_executes_nothing(tmp_path: Path, tag: str) -> None:
    trace = tmp_path / "trace"
    assert "cannot be read as YAML" in message(tmp_path, text=PAINTED + f"seed: {tag.format(path=trace)}\n")
    assert not trace.exists()


def test_anchors_that_multiply_are_refused_and_never_written_out(tmp_path: Path) -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
    text = message(tmp_path, text=f"{PAINTED}{bomb}description: *a11\n")
    assert len(text) < 2000
    assert "'description'" in text
    assert "unknown key 'a11'" in text
    assert len(message(tmp_path, text="a: &a [*a]\n" + PAINTED.replace("paint}", "paint, size: *a}"))) < 2000


def test_a_folder_in_the_place_of_a_recipe_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="there is no recipe"):
        load_recipe(tmp_path)
