"""Damaged folders and broken plugins: one message or a build that heals itself, never other data."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synrs_data.build import run
from synrs_data.build.candidates import read_marker
from synrs_data.build.estimate import estimate
from synrs_data.build.plan import BuildPlan, digests_of, read_captions, save_captions, write_captions
from synrs_data.build.protocol import (
    calling,
    check_batch_size,
    check_captions,
    check_identity,
    check_images,
    check_scores,
)
from synrs_data.build.run import build, reselect
from synrs_data.build.status import read_status
from synrs_data.errors import CorruptShardError, MethodError, SynrsError, VerificationError
from synrs_data.sample import Caption, GeneratorIdentity
from synrs_data.shards.folder import BuildFolder
from synrs_data.shards.manifest import verify
from tests.build.painted import final_hashes, painted

RECIPE = painted(candidates=16)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "out"
    build(RECIPE, out, engine="inline")
    return out


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "copy")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _fill(path: Path) -> None:
    path.write_text('{"event": "batch", "time": "x", "samples": "y"}\n')


FILES = (
    "recipe.yaml",
    "build.json",
    "captions.jsonl",
    "manifest.json",
    "README.md",
    "rejects.parquet",
    "candidates/00001.tar",
    "candidates/00001.parquet",
    "candidates/00001.done.json",
    "data/train-00000.tar",
    "metadata/train-00000.parquet",
)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", [_cut, _flip, _fill])
def test_a_build_heals_a_damaged_file_or_refuses_it(
    whole: Path, copy: Path, name: str, damage: Callable[[Path], None]
) -> None:
    damage(copy / name)
    try:
        build(RECIPE, copy, engine="inline")
    except VerificationError as error:
        # Without the state nothing says what the folder belongs to.
        assert name == "build.json", error
    else:
        assert final_hashes(copy) == final_hashes(whole)
        assert list(verify(BuildFolder(copy))) == []


@pytest.mark.parametrize("name", [*FILES, "events.jsonl"])
@pytest.mark.parametrize("damage", [_cut, _flip, _fill])
def test_status_and_selection_of_a_damaged_folder_end_with_a_message_or_well(
    copy: Path, name: str, damage: Callable[[Path], None]
) -> None:
    damage(copy / name)
    for step in (read_status, lambda out: reselect(out, ["select.top_k=5"])):
        try:
            step(copy)
        except SynrsError as error:
            assert error.fix
    if not list(copy.glob("manifest.json")):
        return
    faults = list(verify(BuildFolder(copy)))
    assert all(fault.startswith("candidates/") or name in fault for fault in faults)


def test_swapped_tables_of_equal_size_are_noticed(copy: Path) -> None:
    folder = BuildFolder(copy)
    table = folder.candidate_table(0).read_bytes()
    size = len(table)
    folder.candidate_table(1).write_bytes(table)
    values = json.loads(folder.done(1).read_text())
    values["files"]["00001.parquet"]["bytes"] = size
    folder.done(1).write_text(json.dumps(values))
    plan = BuildPlan(RECIPE, read_captions(folder.captions), digests_of(RECIPE))
    # The marker has a digest over itself, so that a wrong one is no marker.
    assert read_marker(folder, 1, plan.fingerprint) is None
    build(RECIPE, copy, engine="inline")
    assert list(verify(folder)) == []


def test_a_damaged_rejected_sample_is_made_again_when_the_report_shows_it(whole: Path, copy: Path) -> None:
    strict = painted(candidates=16, select={"top_k": 1})
    (copy / "manifest.json").unlink()
    for place in range(512, 40_000, 512):
        tar = copy / "candidates/00001.tar"
        data = bytearray(tar.read_bytes())
        data[min(place, len(data) - 1)] ^= 1
        tar.write_bytes(data)
    build(strict, copy, engine="inline")
    assert list(verify(BuildFolder(copy))) == []
    assert tar.read_bytes() == (whole / "candidates/00001.tar").read_bytes()


def test_a_new_title_reaches_the_card(copy: Path) -> None:
    build(painted(candidates=16, title="A new title"), copy, engine="inline")
    assert "A new title" in (copy / "README.md").read_text()
    assert list(verify(BuildFolder(copy))) == []


def test_a_shard_that_stays_damaged_ends_the_build(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(*_: object) -> None:
        raise CorruptShardError(0, "is damaged", where="here")

    monkeypatch.setattr(run, "_select_and_pack", damaged)
    with pytest.raises(CorruptShardError):
        build(RECIPE, copy, engine="inline")


def test_a_folder_of_the_user_below_data_is_one_message(copy: Path) -> None:
    (copy / "data/notes").mkdir()
    (copy / "README.md").unlink()
    with pytest.raises(SynrsError, match="notes"):
        build(painted(candidates=16, title="x"), copy, engine="inline")


def test_captions_with_every_line_separator_come_back(tmp_path: Path) -> None:
    book = [Caption(text="a\u2028b\x85c\x0bd", label=0, source="s\x1c")]
    save_captions(tmp_path / "book", book)
    assert read_captions(tmp_path / "book") == book


def test_an_estimate_leaves_out_the_first_batch_and_needs_no_more_than_a_shard() -> None:
    lines = list(
        estimate(
            painted(generator={"method": "paint", "batch_size": 10**6, "most_at_once": 8}),
            device="cpu",
            workers=1,
        )
    )
    assert "median of 3 warm batches" in lines[-1]


IMAGE = np.zeros((4, 4, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "images",
    [
        None,
        [],
        [IMAGE] * 3,
        iter([IMAGE, IMAGE]),
        ["a", "b"],
        [IMAGE, IMAGE.astype(np.float32)],
        [IMAGE, IMAGE[:, :, 0]],
        [IMAGE, IMAGE[:, :, :2]],
        [IMAGE, IMAGE[:0]],
    ],
)
def test_images_that_are_none_name_the_generator(images: Any) -> None:
    with pytest.raises(MethodError, match="the method 'mine' of generators") as caught:
        check_images(images, 2, "mine")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "scores",
    [
        None,
        {},
        {"a": [1.0, 2.0]},
        {"a": [1.0, 2.0], "b_phash": ["0", "1"], "c": [1.0, 2.0]},
        {"a": [1.0], "b_phash": ["0", "1"]},
        {"a": [1.0, float("nan")], "b_phash": ["0", "1"]},
        {"a": ["1", "2"], "b_phash": ["0", "1"]},
        {"a": [None, 1.0], "b_phash": ["0", "1"]},
        {"a": 1.0, "b_phash": ["0", "1"]},
        {"a": [1.0, 2.0], "b_phash": [0, 1]},
    ],
)
def test_scores_that_are_none_name_the_filter(scores: Any) -> None:
    with pytest.raises(MethodError, match="the method 'mine' of filters"):
        check_scores(scores, {"a": "", "b_phash": ""}, 2, "mine")


def test_scores_come_in_the_order_of_the_columns() -> None:
    given = {"b_phash": ["0"], "a": np.ones(1, np.float32)}
    assert list(check_scores(given, {"a": "", "b_phash": ""}, 1, "mine")) == ["a", "b_phash"]


@pytest.mark.parametrize(
    "caption",
    [
        "text",
        Caption("a", 10, "s"),
        Caption("a", -1, "s"),
        Caption("\udcff", 0, "s"),
        Caption("a" * 2001, 0, "s"),
        Caption(5, 0, "s"),  # type: ignore[arg-type]
    ],
)
def test_captions_that_are_none_name_the_strategy(caption: Any) -> None:
    with pytest.raises(MethodError, match="the method 'mine' of captions"):
        check_captions([caption], 10, "mine")


@pytest.mark.parametrize(
    "change",
    [{"guidance_scale": float("nan")}, {"steps": 1.0}, {"revision": None}, {"parameters": {"a": {1}}}],
)
def test_an_identity_that_is_none_names_the_generator(change: dict[str, Any]) -> None:
    values: dict[str, Any] = {
        "model": "m",
        "revision": "local",
        "sha256": "0",
        "family": "F",
        "scheduler": "S",
        "steps": 1,
        "guidance_scale": 1.0,
        "negative_prompt": "",
        "license": "mit",
        "parameters": {},
    }
    check_identity(GeneratorIdentity(**values), "mine")
    with pytest.raises(MethodError):
        check_identity(GeneratorIdentity(**(values | change)), "mine")


@pytest.mark.parametrize("size", [0, -1, "4", None, 2.0, True])
def test_a_batch_size_that_is_none_names_the_generator(size: Any) -> None:
    with pytest.raises(MethodError, match="batch_size"):
        check_batch_size(size, "mine")


def test_what_a_plugin_raises_is_a_message_and_our_own_bug_is_not() -> None:
    with pytest.raises(MethodError, match="RuntimeError: boom"), calling("filters", "mine"):
        raise RuntimeError("boom")
    with pytest.raises(RuntimeError), calling("filters", "leak"):
        raise RuntimeError("boom")


def test_a_batch_size_below_one_stops_the_build_at_once(tmp_path: Path) -> None:
    with pytest.raises(MethodError, match="paint"):
        build(painted(generator={"method": "paint", "batch_size": -1}), tmp_path / "out", engine="inline")


def test_the_captions_of_a_label_set_with_hostile_names_are_stored(tmp_path: Path) -> None:
    names = ["<script>alert(1)</script>", 'a "b", c', "d\ne", "| * _ `", "é\u2028"]
    text = json.dumps(
        {
            "name": "x",
            "title": "<b>",
            "source": "a|b",
            "labels": [{"name": name, "phrase": name} for name in names],
        }
    )
    path = tmp_path / "labels.yaml"
    path.write_text(text)
    recipe = painted(labels=str(path), candidates=10)
    assert {caption.label for caption in write_captions(recipe)} == set(range(5))
    build(recipe, tmp_path / "out", engine="inline")
    assert list(verify(BuildFolder(tmp_path / "out"))) == []
    assert "<script>alert" not in (tmp_path / "out/report.html").read_text()
    build(recipe, tmp_path / "out", engine="inline")
