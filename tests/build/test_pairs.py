"""A build of pairs keeps both images, says all that was drawn, and is made again from what it says."""

from __future__ import annotations

import hashlib
import io
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image
from typer.testing import CliRunner

from synrs_data.build.finalise import facts_of_folder
from synrs_data.build.run import BuildResult, build
from synrs_data.cli import app
from synrs_data.errors import MethodError, RecipeError, UserError
from synrs_data.events import read_events
from synrs_data.recipe import Recipe
from synrs_data.report.pairs import pair_views, radial_spectrum
from synrs_data.shards import members
from synrs_data.shards.manifest import verify
from tests.build.painted import final_hashes, painted
from tests.real_folder import real_folder

readers = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
REPOSITORY = Path(__file__).parents[2]


def pairs(**changes: Any) -> Recipe:
    """Return the painted recipe with pairs, without labels and captions of its own."""
    values: dict[str, Any] = {
        "task": "lr-hr",
        "labels": "scene",
        "captions": {"method": "none"},
        "image": {"format": "png"},
        "degradation": {"method": "shrink"},
    }
    return painted(**(values | changes))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    return build(pairs(), tmp_path_factory.mktemp("pairs") / "out", engine="inline")


def _samples(result: BuildResult) -> list[tuple[str, dict[str, bytes]]]:
    return [sample for tar in sorted(result.folder.data.glob("*.tar")) for sample in members(tar)]


def _pixels(content: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.asarray(Image.open(io.BytesIO(content)))


def test_every_sample_has_both_images_and_all_that_was_drawn(built: BuildResult) -> None:
    samples = _samples(built)
    assert len(samples) > 10
    for _, fields in samples:
        assert fields.keys() == {"lr.png", "hr.png", "json"}
        record = json.loads(fields["json"])
        low, high = _pixels(fields["lr.png"]), _pixels(fields["hr.png"])
        assert high.shape == (record["height"], record["width"], 3)
        assert low.shape == (record["lr_height"], record["lr_width"], 3) == (8, 8, 3)
        assert record["scale"] == 2
        assert record["degradation"] == "shrink"
        drawn = json.loads(record["degradation_parameters"])
        noise = np.random.default_rng(drawn["noise.seed"]).normal(0, drawn["level"], (8, 8, 3))
        expected = np.rint(high.reshape(8, 2, 8, 2, 3).mean(axis=(1, 3)) + noise).clip(0, 255)
        assert np.array_equal(low, expected)
    assert list(verify(built.folder)) == []


def test_draws_of_samples_are_different_ones(built: BuildResult) -> None:
    drawn = [json.loads(fields["json"])["degradation_parameters"] for _, fields in _samples(built)]
    assert len(set(drawn)) == len(drawn)


def test_tables_hold_what_was_drawn(built: BuildResult) -> None:
    table = pl.concat([pl.read_parquet(path) for path in built.folder.metadata.glob("*.parquet")])
    found = dict(table.select("key", "degradation_parameters").iter_rows())
    assert found == {
        key: json.loads(fields["json"])["degradation_parameters"] for key, fields in _samples(built)
    }


@readers
def test_datasets_reads_two_image_columns(built: BuildResult, tmp_path: Path) -> None:
    from datasets import load_dataset

    for streaming in (False, True):
        data = load_dataset(
            str(built.folder.root), split="train", streaming=streaming, cache_dir=str(tmp_path)
        )
        row = next(iter(data))
        assert row["lr.png"].size == (8, 8)
        assert row["hr.png"].size == (16, 16)
        assert row["json"]["scale"] == 2


@pytest.mark.timeout(300)
def test_engines_and_kills_change_no_byte(built: BuildResult, tmp_path: Path) -> None:
    expected = final_hashes(built.folder.root)
    build(pairs(), tmp_path / "local", engine="local", workers=2)
    assert final_hashes(tmp_path / "local") == expected
    program = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom tests.build.killer import Killer\n"
        "from tests.build.test_pairs import pairs\nfrom synrs_data.build.run import build\n"
        "out = Path(sys.argv[1])\nsys.addaudithook(Killer(out, int(sys.argv[2])))\n"
        "build(pairs(), out, engine='inline')\n"
    )
    for step in (3, 17, 31):
        out = tmp_path / f"killed-{step}"
        command = [sys.executable, "-c", program, str(out), str(step)]
        died = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert died.returncode == -signal.SIGKILL, died.stderr
        build(pairs(), out, engine="inline")
        assert final_hashes(out) == expected, f"killed at step {step}"


def test_too_little_memory_slices_the_batch_and_changes_no_byte(built: BuildResult, tmp_path: Path) -> None:
    recipe = pairs(degradation={"method": "shrink", "most_at_once": 1})
    sliced = build(recipe, tmp_path / "out", engine="inline")
    assert [event for event in read_events(sliced.folder.events) if event["event"] == "sliced"]
    images = [
        (fields["lr.png"], fields["hr.png"], json.loads(fields["json"])["degradation_parameters"])
        for _, fields in _samples(sliced)
    ]
    assert images == [
        (fields["lr.png"], fields["hr.png"], json.loads(fields["json"])["degradation_parameters"])
        for _, fields in _samples(built)
    ]


def test_low_resolution_images_are_made_again_and_compared(tmp_path: Path) -> None:
    built = build(pairs(candidates=8, filters=[], select={}), tmp_path / "out", engine="inline")
    run = CliRunner()
    result = run.invoke(app, ["verify", str(built.folder.root), "--redo-lr", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    tar = next(built.folder.data.glob("*.tar"))
    content = tar.read_bytes()
    # Another level of the same length: the LR that it gives is not the stored one.
    record = json.loads(next(iter(members(tar)))[1]["json"])
    level = json.loads(record["degradation_parameters"])["level"]
    other = str(level).replace(str(level)[0], "9", 1) if str(level)[0] != "9" else "8" + str(level)[1:]
    tar.write_bytes(content.replace(str(level).encode(), other.encode(), 1))
    result = run.invoke(app, ["verify", str(built.folder.root), "--redo-lr", "--device", "cpu"])
    assert "its lr.png is another one when it is made again" in result.output


def test_redoing_a_build_without_pairs_is_refused(tmp_path: Path) -> None:
    built = build(painted(candidates=4, filters=[], select={}), tmp_path / "out", engine="inline")
    result = CliRunner().invoke(app, ["verify", str(built.folder.root), "--redo-lr"])
    assert isinstance(result.exception, RecipeError) or "has no pairs" in result.output


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("draws", "no text or finite number"),
        ("size", "gives 7 x 8 pixels, not 8 x 8"),
        ("raises", "raises OSError: no such lens"),
    ],
)
def test_a_plugins_mistake_is_one_message(tmp_path: Path, fault: str, expected: str) -> None:
    recipe = pairs(degradation={"method": "shrink", "fault": fault})
    with pytest.raises(MethodError, match="the method 'shrink' of degradations") as raised:
        build(recipe, tmp_path / "out", engine="inline")
    assert expected in str(raised.value)


@pytest.mark.parametrize("scale", [3, 32])
def test_sides_that_the_scale_does_not_divide_are_refused_with_both_numbers(
    tmp_path: Path, scale: int
) -> None:
    with pytest.raises(UserError, match=f"16 x 16 pixels, which {scale} does not divide"):
        build(pairs(degradation={"method": "shrink", "scale": scale}), tmp_path / "out", engine="inline")


def test_a_filter_of_pairs_is_refused_without_pairs() -> None:
    with pytest.raises(RecipeError, match="compares low- and high-resolution images"):
        painted(filters=[{"method": "pair-agreement"}], select={})


def test_the_report_shows_pairs_spectra_and_draws_against_what_is_specified(built: BuildResult) -> None:
    facts = facts_of_folder(built.folder)
    views = pair_views(built.folder, facts)
    assert [word for word, _ in views[0].images] == ["LR, nearest", "LR, bicubic", "HR", "HR − bicubic, × 4"]
    assert len(views) == 12
    page = built.folder.report.read_text()
    assert page.count('class="pair panel"') == 12
    kinds = next(drawn for drawn in facts.drawn if drawn.name == "kind")
    assert kinds.count == 40
    assert kinds.expected == (0.25, 0.75)
    counts = [json.loads(text)["kind"] for text in _all_drawn(built)]
    assert kinds.shares == (counts.count("soft") / 40, counts.count("hard") / 40)
    level = next(drawn for drawn in facts.drawn if drawn.name == "level")
    assert level.expected == pytest.approx([1 / 24] * 24)
    assert sum(level.shares) == pytest.approx(1)


def _all_drawn(built: BuildResult) -> list[str]:
    tables = [pl.read_parquet(path) for path in built.folder.candidates.glob("*.parquet")]
    return [text for table in tables for text in table["degradation_parameters"].to_list()]


def test_the_spectrum_of_a_wave_peaks_at_its_frequency() -> None:
    wave = np.tile(127.5 + 100 * np.sin(2 * np.pi * 25 / 128 * np.arange(128)), (128, 1))
    frequencies, power = radial_spectrum(wave)
    assert frequencies[power.argmax()] == pytest.approx(25 / 128, abs=0.25 / 32)


def test_the_card_says_what_the_pairs_are(built: BuildResult) -> None:
    card = built.folder.card.read_text()
    assert "image-to-image" in card
    assert "super-resolution" in card
    assert "`lr.png` | the low-resolution image" in card
    assert "scene/caption" not in card


def test_crops_of_a_synthetic_build_are_called_synthetic_and_not_composites(
    built: BuildResult, tmp_path: Path
) -> None:
    source = str(built.folder.root)
    generator = {"method": "real-images", "images": source, "crop": 8}
    recipe = pairs(generator=generator, candidates=8, filters=[], select={})
    again = build(recipe, tmp_path / "out", engine="inline")
    originals = {hashlib.sha256(fields["hr.png"]).hexdigest() for _, fields in _samples(built)}
    for _, fields in _samples(again):
        record = json.loads(fields["json"])
        assert record["synthetic"] is True
        assert record["digital_source_type"].endswith("/trainedAlgorithmicMedia")
        assert record["derived_from"] in originals
        assert "another synthetic one" in Image.open(io.BytesIO(fields["hr.png"])).info["Description"]
    assert list(verify(again.folder)) == []


def test_pairs_of_real_images_say_so_and_name_what_cannot_be_used(tmp_path: Path) -> None:
    images = real_folder(tmp_path / "real")
    broken = images / "Forest/broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n cut")
    generator = {"method": "real-images", "images": str(images), "crop": 8}
    count = len(list(images.rglob("*.png")))
    recipe = pairs(generator=generator, candidates=count, filters=[], select={})
    result = build(recipe, tmp_path / "out", engine="inline")
    assert result.manifest is not None
    assert result.manifest["unreadable"] == ["Forest/broken.png"]
    assert "Forest/broken.png" in result.folder.card.read_text()
    assert "Forest/broken.png" in result.folder.report.read_text()
    [told] = [event for event in read_events(result.folder.events) if event["event"] == "unreadable"]
    assert "cannot be" in told["reason"]
    for _, fields in _samples(result):
        record = json.loads(fields["json"])
        assert record["synthetic"] is False
        assert record["digital_source_type"].endswith("/digitalCapture")
        low, high = (Image.open(io.BytesIO(fields[name])).info for name in ("lr.png", "hr.png"))
        assert low["Source"].endswith("/algorithmicallyEnhanced")
        assert high["Source"].endswith("/digitalCapture")
    card = result.folder.card.read_text()
    assert "- synthetic" not in card
    assert "Every image here is synthetic" not in card
