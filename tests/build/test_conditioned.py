"""A build whose generator starts from images keeps them, names them and says so, and stays a function."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from PIL import Image

from synrs_data.build.finalise import facts_of_folder
from synrs_data.build.plan import read_captions, save_captions
from synrs_data.build.protocol import check_extra_fields, check_inputs
from synrs_data.build.run import BuildResult, build
from synrs_data.errors import MethodError
from synrs_data.generators import ConditionedGenerator
from synrs_data.recipe import Recipe
from synrs_data.registry import lookup
from synrs_data.report.sheet import contact_sheets, small_address
from synrs_data.sample import Caption, Inputs
from synrs_data.shards import members
from synrs_data.shards.manifest import verify
from tests.build.painted import final_hashes, painted

readers = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def painted_over(**changes: Any) -> Recipe:
    return painted(**({"generator": {"method": "paint-over"}} | changes))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    return build(painted_over(), tmp_path_factory.mktemp("conditioned") / "out", engine="inline")


def _samples(result: BuildResult) -> list[tuple[str, dict[str, bytes]]]:
    return [sample for tar in sorted(result.folder.data.glob("*.tar")) for sample in members(tar)]


def test_every_sample_keeps_the_image_it_was_made_from(built: BuildResult) -> None:
    samples = _samples(built)
    assert {frozenset(fields) for _, fields in samples} == {
        frozenset({"jpg", "txt", "cls", "json", "control.png"})
    }
    for _, fields in samples:
        record = json.loads(fields["json"])
        assert record["derived_from"] == hashlib.sha256(fields["control.png"]).hexdigest()
        assert json.loads(record["parameters"])["control"].startswith(f"{record['seed'] % 4}.png")
    assert len({json.loads(fields["json"])["derived_from"] for _, fields in samples}) == 4
    assert list(verify(built.folder)) == []


def test_a_derived_image_is_called_a_composite(built: BuildResult) -> None:
    _, fields = _samples(built)[0]
    term = "digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
    record = json.loads(fields["json"])
    assert record["digital_source_type"].endswith(term)
    assert term in fields["jpg"].decode("latin-1")
    described = Image.open(io.BytesIO(fields["jpg"])).getexif()[0x010E]
    assert record["derived_from"] in described


def test_tables_name_the_source_of_each_sample(built: BuildResult) -> None:
    table = pl.concat([pl.read_parquet(path) for path in built.folder.metadata.glob("*.parquet")])
    found = dict(table.select("key", "derived_from").iter_rows())
    assert found == {key: json.loads(fields["json"])["derived_from"] for key, fields in _samples(built)}


@readers
@pytest.mark.parametrize("streaming", [True, False])
def test_datasets_reads_the_extra_field_as_an_image(
    built: BuildResult, tmp_path: Path, streaming: bool
) -> None:
    import datasets

    loaded = datasets.load_dataset(str(built.folder.root), streaming=streaming, cache_dir=str(tmp_path))
    row = next(iter(loaded["train"]))
    expected = dict(_samples(built))[row["__key__"]]["control.png"]
    assert np.array_equal(
        np.asarray(row["control.png"]), np.asarray(Image.open(io.BytesIO(expected)).convert("RGB"))
    )


@readers
def test_webdataset_reads_the_extra_field(built: BuildResult) -> None:
    import webdataset

    urls = [str(path) for path in sorted(built.folder.data.glob("*.tar"))]
    rows = list(webdataset.WebDataset(urls, shardshuffle=False))
    assert {row["__key__"]: row["control.png"] for row in rows} == {
        key: fields["control.png"] for key, fields in _samples(built)
    }


def test_verify_finds_a_sample_without_its_extra_field(tmp_path: Path) -> None:
    result = build(painted_over(candidates=8), tmp_path / "out", engine="inline")
    tar = next(result.folder.data.glob("*.tar"))
    data = tar.read_bytes()
    assert data.count(b"control.png") >= 1
    tar.write_bytes(data.replace(b"control.png", b"kontrol.png"))
    assert any("control.png" in fault or "tar" in fault for fault in verify(result.folder))


@pytest.mark.timeout(300)
def test_engines_and_interruptions_change_no_byte(tmp_path: Path, built: BuildResult) -> None:
    build(painted_over(), tmp_path / "local", engine="local", workers=2)
    assert final_hashes(tmp_path / "local") == final_hashes(built.folder.root)
    build(painted_over(), tmp_path / "parts", engine="inline", shards=(0, 2))
    (tmp_path / "parts/candidates/00001.done.json").unlink()
    build(painted_over(), tmp_path / "parts", engine="inline")
    assert final_hashes(tmp_path / "parts") == final_hashes(built.folder.root)


@pytest.mark.timeout(300)
def test_a_kill_at_any_step_of_writing_loses_nothing(tmp_path: Path, built: BuildResult) -> None:
    def run(name: str, step: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tests.build.killer", str(tmp_path / name), str(step), "paint-over"]
        return subprocess.run(
            command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
        )

    whole = run("count", 10**9)
    assert whole.returncode == 0, whole.stderr
    steps = int(whole.stdout)
    for step in (3, steps // 3, 2 * steps // 3, steps):
        assert run(f"killed-{step}", step).returncode == -signal.SIGKILL
        build(painted_over(), tmp_path / f"killed-{step}", engine="inline")
        assert final_hashes(tmp_path / f"killed-{step}") == final_hashes(built.folder.root)


def test_the_image_of_a_captions_file_reaches_the_generator(tmp_path: Path) -> None:
    captions = tmp_path / "captions.csv"
    captions.write_text("caption,label,image\na forest,Forest,road.png\na river,River,\n")
    spec = {"method": "from-file", "path": str(captions)}
    result = build(painted_over(candidates=2, captions=spec, filters=[]), tmp_path / "out", engine="inline")
    found = [
        json.loads(json.loads(fields["json"])["parameters"])["control"] for _, fields in _samples(result)
    ]
    assert [text.partition(" ")[2] for text in found] == ["road.png", ""]


def test_a_caption_book_without_images_has_no_word_of_them(tmp_path: Path) -> None:
    book = [Caption("a forest", 1, "x"), Caption("a river", 2, "x", image="river.png")]
    save_captions(tmp_path / "captions.jsonl", book)
    first, second = (tmp_path / "captions.jsonl").read_text().splitlines()
    assert "image" not in first
    assert "river.png" in second
    assert read_captions(tmp_path / "captions.jsonl") == book


def test_a_generator_without_inputs_has_no_extra_fields() -> None:
    plain, over = (lookup("generators", name) for name in ("paint", "paint-over"))
    assert check_extra_fields(plain(plain.Options()), "paint") == ()
    assert check_extra_fields(over(over.Options()), "paint-over") == ("control.png",)
    assert isinstance(over(over.Options()), ConditionedGenerator)


@pytest.mark.parametrize(
    "fields", ["control.png", ["a.png"], ("json",), ("a.b.png",), ("A.png",), ("a.png",) * 2]
)
def test_odd_extra_fields_are_refused(fields: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    over = lookup("generators", "paint-over")
    monkeypatch.setattr(over, "extra_fields", fields)
    with pytest.raises(MethodError, match="extra"):
        check_extra_fields(over(over.Options()), "paint-over")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda inputs: {"a": 1}, "not Inputs"),
        (lambda inputs: replace(inputs, derived_from="abc"), "no sha256"),
        (lambda inputs: replace(inputs, fields={}), "gives the fields nothing"),
        (lambda inputs: replace(inputs, fields={"control.png": ""}), "no bytes"),
        (lambda inputs: replace(inputs, parameters={"x": float("nan")}), "no JSON"),
    ],
)
def test_inputs_that_break_the_protocol_are_refused(spoil: Callable[[Inputs], Any], message: str) -> None:
    inputs = Inputs("0" * 64, {"control.png": b"x"}, {"x": 1})
    assert check_inputs(inputs, ("control.png",), "mine") is inputs
    with pytest.raises(MethodError, match=message):
        check_inputs(spoil(inputs), ("control.png",), "mine")


def test_the_report_shows_each_source_once_beside_its_results(built: BuildResult) -> None:
    page = built.folder.report.read_text()
    controls = {fields["control.png"] for _, fields in _samples(built)}
    for content in controls:
        assert page.count(base64.b64encode(content).decode()) == 1
    shown = re.findall(r'class="given (given-\d)" role="img" aria-label="control"', page)
    assert set(shown) == {f"given-{number}" for number in range(len(controls))}
    assert len(shown) > 30
    for name in set(shown):
        assert page.count(f".{name} {{ background-image: url(data:image/png;base64,") == 1
    assert "No image shows a real place" not in page
    assert "made from 4 real images" in page


def test_the_report_names_what_shaped_each_image(built: BuildResult) -> None:
    page = built.folder.report.read_text()
    key, fields = _samples(built)[0]
    record = json.loads(fields["json"])
    details = re.search(rf'data-details="([^"]*)"[^<]*<figcaption>(?:(?!</figure>).)*{key}', page, re.DOTALL)
    assert details is not None
    assert f"control {record['seed'] % 4}.png" in details[1]


def test_a_report_with_no_room_leaves_sources_out_too(built: BuildResult) -> None:
    facts = facts_of_folder(built.folder)
    whole = contact_sheets(built.folder, facts)
    none = contact_sheets(built.folder, facts, room=10)
    some = contact_sheets(built.folder, facts, room=9_000)
    shown = [item for sheet in some.sheets for item in (*sheet.accepted, *sheet.rejected)]
    assert (len(whole.given), none.given) == (4, [])
    assert shown
    assert {given.number for item in shown for given in item.given} == set(range(len(some.given)))


def test_a_large_source_is_made_small_for_the_page() -> None:
    out = io.BytesIO()
    Image.effect_noise((600, 300), 90).convert("RGB").save(out, "PNG")
    address = small_address("source.png", out.getvalue())
    content = base64.b64decode(address.removeprefix("data:image/jpeg;base64,"))
    assert Image.open(io.BytesIO(content)).size == (128, 64)


def test_the_card_says_what_images_are_made_from(built: BuildResult) -> None:
    card = built.folder.card.read_text()
    assert "from captions and 4 real images" in card
    assert "No image shows a real" not in card
    assert "| `control.png` | what the generator started from" in card
    declared = yaml.safe_load(card.split("---\n")[1])["dataset_info"]["features"]
    assert {"name": "control.png", "dtype": "image"} in declared


def test_what_was_made_from_one_source_is_in_one_split(built: BuildResult) -> None:
    table = pl.concat([pl.read_parquet(path) for path in built.folder.metadata.glob("*.parquet")])
    assert table["derived_from"].n_unique() == 4
    assert table["split"].n_unique() == 2
    assert table.group_by("derived_from").agg(pl.col("split").n_unique())["split"].to_list() == [1] * 4
