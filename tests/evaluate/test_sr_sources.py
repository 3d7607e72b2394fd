"""The pairs of a benchmark: the shipped files, pinned pixels in any format, and data that are not the pinned ones."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from synrs_data.errors import UserError
from synrs_data.evaluate.benchmark import SuperResolution, load_benchmark
from synrs_data.evaluate.super_resolution.degraded_pairs import pixels_digest
from synrs_data.evaluate.super_resolution.metrics import MetricSet
from synrs_data.evaluate.super_resolution.pairs import PairedFolders
from synrs_data.evaluate.super_resolution.sources import pair_source
from synrs_data.resampling import shrink
from tests.evaluate.sr_images import DATA, scene, write_images

HIGH = {name: scene(number, 16) for number, name in enumerate(("x/a", "x/b", "y/c"))}


def benchmark(tmp_path: Path, **changes: Any) -> SuperResolution:
    """Write a benchmark of three images, two of which are its test, and load it."""
    rows = [
        f"{name},{split},{pixels_digest(HIGH[name])}"
        for name, split in zip(HIGH, ("test", "train", "test"), strict=True)
    ]
    table = changes.pop("table", "\n".join(["name,split,pixels_sha256", *rows]) + "\n")
    (tmp_path / "items.csv").write_text(table)
    dataset = {
        "kind": "high-resolution",
        "name": "painted",
        "items": "items.csv",
        "items_sha256": hashlib.sha256(table.encode()).hexdigest(),
        "split": "test",
        "degradation": "bicubic",
        "get": "paint them again",
    } | changes.pop("dataset", {})
    values = {
        "id": "tiny-x4",
        "version": 1,
        "title": "tiny",
        "task": "super-resolution",
        "dataset": {key: value for key, value in dataset.items() if value is not None},
        "scale": 4,
        "metrics": [{"name": "psnr-y", "direction": "higher"}],
        "license": "cc0-1.0",
        "leak_policy": "none",
    } | changes
    (tmp_path / "tiny-x4.yaml").write_text(yaml.safe_dump(values))
    found = load_benchmark(str(tmp_path / "tiny-x4.yaml"))
    assert isinstance(found, SuperResolution)
    return found


PAIRS = {
    "kind": "pairs",
    "lr": "lr",
    "hr": "hr",
    "items": None,
    "items_sha256": None,
    "split": None,
    "degradation": None,
}


@pytest.mark.parametrize("name", ["ucmerced-x4", "realsr-x4"])
def test_the_shipped_benchmarks_name_metrics_that_there_are(name: str) -> None:
    found = load_benchmark(name)
    assert isinstance(found, SuperResolution)
    metrics = MetricSet([metric.name for metric in found.metrics])
    assert [record.direction for record in metrics.records()] == [
        metric.direction for metric in found.metrics
    ]
    with pytest.raises(UserError, match=r"needs its images\n.*--data FOLDER"):
        pair_source(found)


@pytest.mark.parametrize("ending", ["png", "tif", "webp"])
def test_images_of_any_lossless_format_are_the_pinned_ones(tmp_path: Path, ending: str) -> None:
    options: dict[str, Any] = {"lossless": True} if ending == "webp" else {}
    for name, image in HIGH.items():
        path = tmp_path / "data" / f"{name}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path, **options)
    source = pair_source(benchmark(tmp_path), str(tmp_path / "data"))
    assert source.keys == ("x/a", "y/c")
    for pair in source.read():
        assert np.array_equal(pair.hr, HIGH[pair.key])
        assert np.array_equal(pair.lr, shrink([pair.hr], "matlab", 4)[0])
    assert pair_source(benchmark(tmp_path), str(tmp_path / "data"), split="train").keys == ("x/b",)


def test_other_pixels_and_missing_images_are_refused(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "data", {f"{name}.png": image for name, image in HIGH.items()})
    Image.fromarray(HIGH["x/a"]).save(folder / "y" / "c.png")
    with pytest.raises(UserError, match="'y/c' has other pixels than the pinned ones"):
        list(pair_source(benchmark(tmp_path), str(folder)).read())
    (folder / "y" / "c.png").unlink()
    with pytest.raises(UserError, match="1 of 2 test images are not there: y/c"):
        list(pair_source(benchmark(tmp_path), str(folder)).read())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": {"items_sha256": "0" * 64}}, "is not the table that 'tiny-x4' pins"),
        ({"dataset": {"items": "none.csv"}}, "the benchmark 'tiny-x4' needs this table"),
        ({"dataset": {"split": "validation"}}, "has no row of the split 'validation'"),
        ({"table": "name,split\nx/a,test\n"}, "line 2 has not one value for each column"),
        ({"scale": 2, "dataset": {"degradation": "real-esrgan"}}, "is of scale 4, the benchmark of 2"),
    ],
)
def test_a_benchmark_whose_table_is_wrong_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    folder = write_images(tmp_path / "data", {f"{name}.png": image for name, image in HIGH.items()})
    with pytest.raises(UserError, match=message):
        pair_source(benchmark(tmp_path, **changes), str(folder))


def test_pairs_are_two_folders_below_the_data_and_can_be_pinned(tmp_path: Path) -> None:
    for side, factor in (("lr", 4), ("hr", 1)):
        images = {
            f"{name[-1]}_{side.upper()}.png": shrink([image], "matlab", factor)[0]
            for name, image in HIGH.items()
        }
        write_images(tmp_path / side, images)
    source = pair_source(benchmark(tmp_path, dataset=PAIRS), str(tmp_path))
    # The names of both sides differ, so the order of names decides.
    assert source.keys == ("a_HR", "b_HR", "c_HR")
    digest = source.digest()
    assert pair_source(benchmark(tmp_path, dataset=PAIRS | {"content_sha256": digest}), str(tmp_path))
    with pytest.raises(UserError, match="are not the pairs that 'tiny-x4' pins"):
        pair_source(benchmark(tmp_path, dataset=PAIRS | {"content_sha256": "1" * 64}), str(tmp_path))
    with pytest.raises(UserError, match="has no splits"):
        pair_source(benchmark(tmp_path, dataset=PAIRS), str(tmp_path), split="train")


def test_names_on_both_sides_decide_where_any_is_shared(tmp_path: Path) -> None:
    low = {name: shrink([image], "matlab", 4)[0] for name, image in HIGH.items()}
    folder = write_images(tmp_path / "lr", {"a.png": low["x/a"], "c.png": low["y/c"]})
    other = write_images(tmp_path / "hr", {"a.png": HIGH["x/a"], "d.png": HIGH["y/c"]})
    with pytest.raises(UserError, match="'c' has no high-resolution image"):
        list(PairedFolders(str(folder), str(other), 4, match="either").read())


def test_the_benchmark_has_a_path_of_its_own(tmp_path: Path) -> None:
    write_images(tmp_path / "data", {f"{name}.png": image for name, image in HIGH.items()})
    assert pair_source(benchmark(tmp_path, dataset={"path": "data"})).keys == ("x/a", "y/c")


def test_the_shared_tiles_are_the_pinned_ones() -> None:
    folder = DATA / "ucmerced" / "sr_hr_lossless"
    if not folder.is_dir():
        pytest.skip("the shared UC Merced tiles are not here")
    found = load_benchmark("ucmerced-x4")
    assert isinstance(found, SuperResolution)
    source = pair_source(found, str(folder))
    assert len(list(source.read(source.keys[:3]))) == 3
    assert (len(source.keys), len(pair_source(found, str(folder), split="train").keys)) == (42, 84)
