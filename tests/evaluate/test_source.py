"""Benchmarks whose images a user has: found by digest or by class folder, split once, refused where they are others."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from synrs_data.errors import RecipeError, UserError
from synrs_data.evaluate import Classification, load_classification
from synrs_data.evaluate.data import Data, items_of_test, open_data, pinned_content
from synrs_data.shards.tar import TarWriter, sample_bytes
from tests.evaluate.tiny import SHARED, features_values, folder_values, images_values, write_benchmark


def by_rule(folder: Path, **dataset: Any) -> Classification:
    return load_classification(str(write_benchmark(folder, folder_values(folder, **dataset))))


def table_of(folder: Path, data: Data) -> pl.DataFrame:
    """Return a table with the split of the rule."""
    names = {hashlib.sha256(path.read_bytes()).hexdigest(): path.relative_to(folder / "Pictures").as_posix()
             for path in sorted((folder / "Pictures").rglob("*.png"))}  # fmt: skip
    return pl.DataFrame(
        [
            {"name": names[digest], "label": ("Forest", "River")[label], "split": split, "sha256": digest}
            for split, part in (("train", data.train), ("test", data.test))
            for digest, label in zip(part.digests, part.labels, strict=True)
        ]
    )


def by_table(folder: Path, suffix: str = "parquet") -> Classification:
    """Write a benchmark that pins a table of the painted folder."""
    table = table_of(folder, open_data(by_rule(folder)))
    path = folder / f"items.{suffix}"
    table.write_parquet(path) if suffix == "parquet" else table.write_csv(path)
    values = features_values(id="listed", classes=["Forest", "River"])
    values["dataset"] = {
        "kind": "source",
        "name": "blocks",
        "path": "Pictures",
        "items": path.name,
        "items_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "splits": {"train": "train", "test": "test"},
        "get": "paint the blocks again",
    }
    return load_classification(str(write_benchmark(folder, values)))


def test_a_rule_splits_each_class_in_its_shares_and_nothing_is_in_two(tmp_path: Path) -> None:
    data = open_data(by_rule(tmp_path, rule={"train": 0.5, "validation": 0.25, "images": 24, "salt": "x"}))
    for part, count in ((data.train, 6), (data.validation, 3), (data.test, 3)):
        assert np.bincount(part.labels).tolist() == [count, count]
    digests = data.train.digests + data.validation.digests + data.test.digests
    assert len(set(digests)) == len(digests) == 24
    assert all(
        hashlib.sha256(image.read()).hexdigest() == digest
        for image, digest in zip(data.test.images, data.test.digests, strict=True)
    )


def test_the_split_of_a_rule_does_not_depend_on_names_layout_or_container(tmp_path: Path) -> None:
    benchmark = by_rule(tmp_path)
    first = open_data(benchmark)
    moved = tmp_path / "moved" / "data" / "v2"
    shutil.copytree(tmp_path / "Pictures" / "Forest", moved / "FOREST")
    shutil.copytree(tmp_path / "Pictures" / "River", moved / "river")
    for path in list(moved.rglob("*.png")):
        path.rename(path.with_name(f"x{path.name}"))
    shutil.make_archive(str(tmp_path / "packed"), "tar", tmp_path / "Pictures")
    for location in (moved.parent.parent, tmp_path / "packed.tar"):
        other = open_data(benchmark, str(location))
        assert (other.test.keys, other.test.digests) == (first.test.keys, first.test.digests)
        assert other.record.content_sha256 == first.record.content_sha256
    assert first.record.source == "Pictures"
    assert other.record.source == "packed.tar"


def test_another_salt_splits_in_another_way(tmp_path: Path) -> None:
    first = open_data(by_rule(tmp_path))
    shutil.rmtree(tmp_path / "Pictures")
    second = open_data(by_rule(tmp_path, rule={"train": 0.5, "salt": "other"}))
    assert set(first.test.digests) != set(second.test.digests)


def test_copies_count_once_and_images_of_two_classes_not_at_all(tmp_path: Path) -> None:
    benchmark = by_rule(tmp_path, rule={"train": 0.5, "images": 26, "salt": "x"})
    forest, river = tmp_path / "Pictures" / "Forest", tmp_path / "Pictures" / "River"
    shutil.copy(forest / "0.png", forest / "copy.png")
    shutil.copy(forest / "1.png", river / "wrong.png")
    data = open_data(benchmark)
    digests = data.train.digests + data.test.digests
    assert len(digests) == len(set(digests)) == 23
    assert hashlib.sha256((forest / "1.png").read_bytes()).hexdigest() not in digests
    assert data.record.left_out == 3


def test_an_unpinned_rule_says_what_it_found_and_a_pinned_one_refuses_other_images(tmp_path: Path) -> None:
    benchmark = by_rule(tmp_path)
    found = open_data(benchmark).record
    assert (found.pinned, pinned_content(benchmark)) == (False, None)
    shutil.rmtree(tmp_path / "Pictures")
    pinned = by_rule(tmp_path, content_sha256=found.content_sha256)
    assert open_data(pinned).record == found.model_copy(update={"pinned": True})
    shutil.copy(tmp_path / "Pictures" / "Forest" / "0.png", tmp_path / "Pictures" / "River" / "0.png")
    with pytest.raises(UserError, match="holds other images than the benchmark 'blocks' pins") as caught:
        open_data(pinned)
    assert found.content_sha256 in caught.value.what
    assert caught.value.what.count("hash is ") == 1
    assert "give it another id" in caught.value.fix


def test_missing_class_folders_are_named(tmp_path: Path) -> None:
    benchmark = by_rule(tmp_path)
    shutil.rmtree(tmp_path / "Pictures" / "River")
    with pytest.raises(UserError, match="has no images of 1 of 2 classes: River") as caught:
        open_data(benchmark)
    assert caught.value.fix == "paint the blocks again"


def test_a_wrong_number_of_images_is_named_with_those_of_each_class(tmp_path: Path) -> None:
    benchmark = by_rule(tmp_path)
    (tmp_path / "Pictures" / "River" / "3.png").unlink()
    with pytest.raises(UserError, match="has 23 images in its class folders, not 24: Forest 12, River 11"):
        open_data(benchmark)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_images_of_a_table_are_found_by_their_bytes(tmp_path: Path, suffix: str) -> None:
    benchmark = by_table(tmp_path, suffix)
    first = open_data(benchmark)
    with (tmp_path / "shuffled.tar").open("wb") as file:
        tar = TarWriter(file)
        for number, path in enumerate(sorted((tmp_path / "Pictures").rglob("*.png"), reverse=True)):
            tar.write(sample_bytes(f"{number:09d}", {"png": path.read_bytes()}))
        tar.close()
    second = open_data(benchmark, str(tmp_path / "shuffled.tar"))
    assert first.test.keys == second.test.keys
    assert first.test.labels.tolist() == second.test.labels.tolist()
    for (ours, image), (theirs, other) in zip(sorted_read(first), sorted_read(second), strict=True):
        assert ours == theirs
        assert np.array_equal(image, other)
    assert (first.record.pinned, first.record.content_sha256) == (True, pinned_content(benchmark))
    # The table alone says what the test is.
    shutil.rmtree(tmp_path / "Pictures")
    items, content = items_of_test(benchmark)
    assert (items.keys, content) == (first.test.keys, first.record.content_sha256)


def sorted_read(data: Data) -> list[tuple[int, Any]]:
    return sorted(data.test.read(), key=lambda pair: pair[0])


def test_parquet_shards_hold_the_images_of_a_table_too(tmp_path: Path) -> None:
    benchmark = by_table(tmp_path)
    rows = [
        {"bytes": path.read_bytes(), "path": ""} for path in sorted((tmp_path / "Pictures").rglob("*.png"))
    ]
    (tmp_path / "shards").mkdir()
    for number, part in enumerate((rows[:10], rows[10:])):
        pl.DataFrame({"image": part}).write_parquet(tmp_path / "shards" / f"{number}.parquet")
    data, first = open_data(benchmark, str(tmp_path / "shards")), open_data(benchmark)
    for (row, image), (other_row, other) in zip(sorted_read(data), sorted_read(first), strict=True):
        assert row == other_row
        assert np.array_equal(image, other)


def write_shards(folder: Path, root: Path) -> Path:
    """Write the painted images as `datasets` does."""
    import datasets

    paths = sorted((folder / "Pictures").rglob("*.png"))
    labels = [0 if path.parent.name == "Forest" else 1 for path in paths]
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["forest", "river"])}
    )
    rows = {"image": [{"bytes": path.read_bytes(), "path": None} for path in paths], "label": labels}
    root.mkdir()
    datasets.Dataset.from_dict(rows, features=features).to_parquet(root / "train-00000.parquet")
    return root


def test_a_rule_takes_classes_from_the_labels_of_parquet_shards(tmp_path: Path) -> None:
    benchmark = by_rule(tmp_path)
    first = open_data(benchmark)
    second = open_data(benchmark, str(write_shards(tmp_path, tmp_path / "hub")))
    assert (second.test.keys, second.record.content_sha256) == (first.test.keys, first.record.content_sha256)
    assert second.test.labels.tolist() == first.test.labels.tolist()


def test_parquet_shards_without_class_names_are_refused(tmp_path: Path) -> None:
    benchmark = by_rule(tmp_path)
    shard = write_shards(tmp_path, tmp_path / "hub") / "train-00000.parquet"
    table = pl.read_parquet(shard)
    table.write_parquet(shard)
    with pytest.raises(UserError, match="the column 'label' gives no class names"):
        open_data(benchmark, str(shard))
    table.rename({"label": "scene"}).write_parquet(shard)
    with pytest.raises(UserError, match="has no column 'label' that says the class, only image, scene"):
        open_data(benchmark, str(shard))


def test_missing_images_of_a_table_are_named(tmp_path: Path) -> None:
    benchmark = by_table(tmp_path)
    (tmp_path / "Pictures" / "River" / "3.png").unlink()
    with pytest.raises(UserError, match=r"has not 1 of the 24 images, such as 'River/3\.png'"):
        open_data(benchmark)
    shutil.rmtree(tmp_path / "Pictures" / "River")
    with pytest.raises(UserError, match="has no image of 1 of 2 classes: River"):
        open_data(benchmark)


def test_an_image_of_other_bytes_is_refused_with_both_hashes(tmp_path: Path) -> None:
    benchmark = by_table(tmp_path)
    path = tmp_path / "Pictures" / "Forest" / "2.png"
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(path.read_bytes() + b"x")
    after = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(
        UserError, match=r"the image 'Forest/2\.png' is not the one that the benchmark"
    ) as caught:
        open_data(benchmark)
    assert before in caught.value.what
    assert after in caught.value.what
    assert "an id of its own" in caught.value.fix


def test_an_image_that_changes_after_it_was_hashed_is_refused(tmp_path: Path) -> None:
    data = open_data(by_rule(tmp_path))
    data.test.images[0].path.write_bytes(data.train.images[0].read())
    with pytest.raises(UserError, match="is not the one that is listed"):
        list(data.test.read())


def test_images_that_are_nowhere_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the benchmark 'blocks' needs its images") as caught:
        open_data(by_rule(tmp_path, path=None))
    assert caught.value.fix == "paint the blocks again"
    with pytest.raises(UserError, match="there is no such file or folder"):
        open_data(load_classification(str(tmp_path / "blocks.yaml")), str(tmp_path / "absent"))


def test_a_benchmark_that_brings_its_data_takes_no_others(tmp_path: Path) -> None:
    benchmark = load_classification(str(write_benchmark(tmp_path, images_values(tmp_path))))
    with pytest.raises(UserError, match="brings its own data"):
        open_data(benchmark, str(tmp_path))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rule": None}, "give `items`, `items_sha256` and `splits`, or a `rule`"),
        ({"items": "x.csv", "items_sha256": "0" * 64, "splits": {"test": "test"}}, "not both"),
        ({"rule": {"train": 0.8, "validation": 0.2, "salt": "x"}}, "leave no image for the test"),
        ({"rule": {"train": 1.0, "salt": "x"}}, "rule.train"),
        ({"rule": {"train": 0.5}}, "rule.salt"),
    ],
)
def test_a_source_that_is_not_described_whole_is_refused(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        by_rule(tmp_path, **changed)


def test_a_table_needs_its_columns(tmp_path: Path) -> None:
    values = folder_values(tmp_path, rule=None)
    (tmp_path / "items.csv").write_text("name,label,split\na,Forest,test\n")
    values["dataset"] |= {
        "items": "items.csv",
        "items_sha256": hashlib.sha256((tmp_path / "items.csv").read_bytes()).hexdigest(),
        "splits": {"test": "test"},
    }
    with pytest.raises(UserError, match="has no column sha256"):
        open_data(load_classification(str(write_benchmark(tmp_path, values))))


@pytest.mark.skipif(not (SHARED / "eurosat_rgb").is_dir(), reason="the shared EuroSAT is not here")
@pytest.mark.parametrize(
    ("name", "folder", "table", "column", "splits"),
    [
        ("eurosat", "eurosat_rgb", "pools.csv", "pool", {"real": "train", "test": "test"}),
        ("ucmerced", "ucmerced", "splits.csv", "split", {"train": "train", "test": "test"}),
    ],
)
def test_the_shipped_tables_are_those_of_the_script_and_their_images_are_found(
    name: str, folder: str, table: str, column: str, splits: dict[str, str]
) -> None:
    import importlib.util

    script = Path(__file__).parents[2] / "scripts" / "make_items.py"
    spec = importlib.util.spec_from_file_location("make_items", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    benchmark = load_classification(name)
    dataset = benchmark.dataset
    assert dataset.kind == "source"
    assert dataset.items is not None
    made = module.make(SHARED / folder, SHARED / folder / table, column, splits)
    assert made.equals(pl.read_parquet(benchmark.at(dataset.items)))
    location = SHARED / folder / ("images" if name == "ucmerced" else "")
    data = open_data(benchmark, str(location))
    counts = {"eurosat": [720, 360], "ucmerced": [40, 10]}[name]
    assert [set(np.bincount(part.labels)) for part in (data.train, data.test)] == [{n} for n in counts]
