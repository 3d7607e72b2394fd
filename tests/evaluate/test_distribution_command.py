"""`eval distance` as a user types it: what it prints, writes and refuses, with images and with saved features."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save_file

from synrs_data.errors import SynrsError, UserError, WeightsError
from synrs_data.evaluate.distribution.extractors import make_extractor
from synrs_data.evaluate.distribution.records import ExtractorRecord, Report
from synrs_data.evaluate.distribution.run import measure_distance
from synrs_data.resources import embedded_models
from tests.image_sources.samples import encoded, member, write_tar

ENCODER = "eurosat-tiny-clip"
embedded = pytest.mark.skipif(
    ENCODER not in embedded_models(), reason="the embedded encoder is not in this checkout"
)
RECORD = ExtractorRecord(
    id="made-up",
    kind="open-clip",
    sha256="a" * 64,
    width=4,
    preprocessing={"size": 8, "resize_mode": "squash"},
)


def folder(path: Path, *numbers: int) -> Path:
    path.mkdir(parents=True)
    for number in numbers:
        (path / f"{number:04d}.png").write_bytes(encoded(number))
    return path


def shards(path: Path, *numbers: int) -> Path:
    """Write a folder of one WebDataset tar whose samples have captions."""
    parts = []
    for number in numbers:
        caption = f"a satellite image of a {('forest', 'river')[number % 2]}".encode()
        parts += [member(f"{number:09d}.png", encoded(number)), member(f"{number:09d}.txt", caption)]
    write_tar(path / "train-00000.tar", *parts)
    return path


def saved(path: Path, n: int, *, seed: int = 0, shift: float = 0.0, record: str | None = None) -> Path:
    features = np.random.default_rng(seed).normal(shift, 1, size=(n, 4)).astype(np.float32)
    metadata = {"extractor": record if record is not None else RECORD.model_dump_json()}
    save_file({"image_features": features}, path, metadata=metadata)
    return path


def run(*arguments: object) -> Any:
    from typer.testing import CliRunner

    from synrs_data.cli import app

    done = CliRunner().invoke(app, ["eval", "distance", *map(str, arguments)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A comparison of a captioned tar, two of whose twelve images are copies of test images."""
    root = tmp_path_factory.mktemp("distance")
    done = run(
        shards(root / "synthetic", *range(10), 40, 41),
        *("--real", folder(root / "real", *range(20, 32))),
        *("--train", folder(root / "train", *range(0, 3), *range(60, 70))),
        *("--test", folder(root / "test", *range(40, 50))),
        *("--out", root / "out", "--device", "cpu", "--save-features"),
    )
    assert done.exit_code == 0, done.output
    return root, done.stdout


@embedded
def test_the_report_names_extractor_sizes_and_resizing_of_every_number(measured: tuple[Path, str]) -> None:
    root, _ = measured
    report = Report.model_validate_json((root / "out" / "distance.json").read_bytes())
    assert report.extractor.id == ENCODER
    assert len(report.extractor.sha256) == 64
    assert report.extractor.preprocessing["resize_mode"] == "shortest"
    assert {each.role: each.n for each in report.sets} == {
        "synthetic": 12,
        "real": 12,
        "train": 13,
        "test": 10,
    }
    assert len({each.sha256 for each in report.sets}) == 4
    names = [each.name for each in report.measures if each.pair == "synthetic-real"]
    assert names == [each.name for each in report.measures if each.pair == "test-real"]
    assert all(name.endswith(f"@{ENCODER}") for name in names)
    # All distances are of as many images as the smallest set has.
    assert {each.n for each in report.measures} == {10}
    frechet = report.measures[0]
    assert "singular" in frechet.cautions[0]


@embedded
def test_leaks_copies_and_captions_are_found_in_images(measured: tuple[Path, str]) -> None:
    root, printed = measured
    report = Report.model_validate_json((root / "out" / "distance.json").read_bytes())
    by_role = {each.role: each for each in report.leaks}
    assert (by_role["synthetic"].exact, by_role["synthetic"].n_test) == (2, 10)
    assert by_role["real"].exact == 0
    assert "copies of test images: 2 exact" in printed
    near = report.nearness
    assert near is not None
    assert (near.training, near.floor, near.n, near.n_training, near.n_floor) == ("train", "real", 12, 13, 12)
    assert near.authentic <= 9 / 12
    assert near.floor_copies == 0
    assert report.captions is not None
    assert (report.captions.n, report.captions.captions) == (12, 2)
    leaks = pl.read_parquet(root / "out" / "leaks.parquet")
    assert leaks.filter("exact").select("synthetic", "test").rows() == [
        ("train-00000.tar:000000040.png", "0040.png"),
        ("train-00000.tar:000000041.png", "0041.png"),
    ]
    table = pl.read_parquet(root / "out" / "nearest.parquet")
    assert table.columns == ["synthetic", "training", "distance", "ratio", "authentic"]
    assert table.head(3).select("training").to_series().sort().to_list() == [
        "0000.png",
        "0001.png",
        "0002.png",
    ]
    distances = table["distance"].to_list()
    assert max(distances[:3]) < 1e-5 < distances[3]
    with Image.open(root / "out" / "nearest.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > 1000


@embedded
def test_saved_features_give_the_same_numbers_as_the_images(
    measured: tuple[Path, str], tmp_path: Path
) -> None:
    root, _ = measured
    files = {
        role: root / "out" / f"features-{role}.safetensors" for role in ("synthetic", "real", "train", "test")
    }
    out = tmp_path / "again"
    options = [part for role in ("real", "train", "test") for part in (f"--{role}", files[role])]
    printed = run(files["synthetic"], *options, "--out", out, "--device", "cpu").stdout
    first, again = (json.loads((path / "distance.json").read_text()) for path in (root / "out", out))
    assert again["measures"] == first["measures"]
    assert again["nearness"] == first["nearness"] | {"floor_copies": None}
    assert (again["captions"], again["leaks"]) == (None, [])
    assert "not measured: leaks: saved features have no pixels" in printed
    assert sorted(path.name for path in out.iterdir()) == ["distance.json", "nearest.parquet"]
    with safe_open(files["real"], framework="np") as file:
        assert json.loads(file.metadata()["names"])[0] == "0020.png"


@embedded
def test_fewer_images_are_drawn_by_the_seed(tmp_path: Path) -> None:
    places = {
        "synthetic": str(folder(tmp_path / "a", *range(20))),
        "real": str(folder(tmp_path / "b", *range(30, 50))),
    }

    def names(seed: int) -> list[str]:
        report = measure_distance(places, tmp_path / "out", device="cpu", most=9, seed=seed)  # type: ignore[arg-type]
        assert [(each.n, each.of) for each in report.sets] == [(9, 20), (9, 20)]
        return pl.read_parquet(tmp_path / "out" / "nearest.parquet")["synthetic"].sort().to_list()

    assert names(0) == names(0) != names(1)


def test_without_test_images_there_is_no_floor_and_the_report_says_so(tmp_path: Path) -> None:
    printed = run(
        saved(tmp_path / "a.safetensors", 40, shift=1),
        *("--real", saved(tmp_path / "b.safetensors", 50, seed=1), "--out", tmp_path / "out"),
    ).stdout
    report = Report.model_validate_json((tmp_path / "out" / "distance.json").read_bytes())
    assert report.nearness is None
    assert {each.pair for each in report.measures} == {"synthetic-real"}
    assert len(report.left_out) == 3
    assert "not measured: leaks, and floors of distances" in printed


def test_a_shift_is_farther_than_the_floor_and_more_images_are_matched_to_the_fewest(tmp_path: Path) -> None:
    run(
        saved(tmp_path / "a.safetensors", 90, shift=1),
        *("--real", saved(tmp_path / "b.safetensors", 80, seed=1)),
        *("--test", saved(tmp_path / "c.safetensors", 60, seed=2), "--out", tmp_path / "out"),
    )
    report = Report.model_validate_json((tmp_path / "out" / "distance.json").read_bytes())
    assert {each.n for each in report.measures} == {60}
    values = {(each.name.partition("@")[0], each.pair): each for each in report.measures}
    subsets = values["kernel-distance-subsets", "synthetic-real"]
    assert subsets.settings["size"] == 60
    assert "deviation" not in subsets.settings
    for name in ("frechet-distance", "kernel-distance", "cmmd"):
        ours, floor = values[name, "synthetic-real"], values[name, "test-real"]
        assert ours.standard_error is not None
        assert ours.value - 2 * ours.standard_error > floor.value
    for name in ("precision", "recall", "coverage"):
        ours = values[name, "synthetic-real"]
        assert ours.low is not None and ours.high is not None
        assert ours.low <= ours.value <= ours.high
        assert ours.value < values[name, "test-real"].value
    assert report.nearness is not None
    assert (report.nearness.training, report.nearness.floor) == ("real", "test")


def test_features_of_another_extractor_or_way_of_resizing_are_refused(tmp_path: Path) -> None:
    ours = saved(tmp_path / "a.safetensors", 20)
    others: list[dict[str, Any]] = [
        {"sha256": "b" * 64},
        {"preprocessing": {"size": 16}},
        {"id": "other"},
    ]
    for number, changes in enumerate(others):
        text = RECORD.model_copy(update=changes).model_dump_json()
        other = saved(tmp_path / f"{number}.safetensors", 20, record=text)
        with pytest.raises(UserError, match="has features of"):
            run(ours, "--real", other, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_files_that_are_no_saved_features_are_refused_with_what_is_missing(tmp_path: Path) -> None:
    ours = saved(tmp_path / "a.safetensors", 20)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(ours.read_bytes()[:100])
    unnamed = tmp_path / "unnamed.safetensors"
    save_file({"image_features": np.ones((9, 4), dtype=np.float32)}, unnamed)
    empty = tmp_path / "empty.safetensors"
    save_file({"other": np.ones(3)}, empty, metadata={"extractor": RECORD.model_dump_json()})
    narrow = tmp_path / "narrow.safetensors"
    save_file(
        {"image_features": np.ones((9, 3), dtype=np.float32)},
        narrow,
        metadata={"extractor": RECORD.model_dump_json()},
    )
    misnamed = tmp_path / "misnamed.safetensors"
    save_file(
        {"image_features": np.ones((9, 4), dtype=np.float32)},
        misnamed,
        metadata={"extractor": RECORD.model_dump_json(), "names": '["a"]'},
    )
    for path, says in (
        (broken, "cannot be read as safetensors"),
        (unnamed, "has no metadata `extractor`"),
        (empty, "has no tensor `image_features`"),
        (narrow, r"has the shape \(9, 3\), not \(n, 4\)"),
        (misnamed, "`names` are not 9 names"),
        (saved(tmp_path / "wrong.safetensors", 9, record='{"id": ""}'), "metadata `extractor`: "),
        (tmp_path / "none.safetensors", "there is no such file of features"),
    ):
        with pytest.raises(UserError, match=says):
            run(ours, "--real", path, "--out", tmp_path / "out")


@embedded
def test_real_images_that_are_training_images_are_refused_and_some_of_them_are_counted(
    tmp_path: Path,
) -> None:
    ours, real = folder(tmp_path / "a", *range(9)), folder(tmp_path / "b", *range(20, 30))
    for role in ("train", "test"):
        with pytest.raises(UserError, match=f"the {role} images are the real images"):
            run(ours, "--real", real, f"--{role}", real, "--out", tmp_path / "out", "--device", "cpu")
    train = folder(tmp_path / "c", *range(28, 40))
    printed = run(ours, "--real", real, "--train", train, "--out", tmp_path / "out", "--device", "cpu").stdout
    assert "caution: 2 of the real images are copies of images of train" in printed


def test_too_few_images_unused_extractors_and_unknown_devices_are_refused(tmp_path: Path) -> None:
    ours, few = saved(tmp_path / "a.safetensors", 20), saved(tmp_path / "few.safetensors", 7)
    with pytest.raises(UserError, match="has 7 images, too few"):
        run(ours, "--real", few, "--out", tmp_path / "out")
    with pytest.raises(UserError, match="has nothing to do"):
        run(ours, "--real", ours, "--extractor", ENCODER, "--out", tmp_path / "out")
    with pytest.raises(UserError, match="no device 'tpu'"):
        run(ours, "--real", ours, "--device", "tpu")


@embedded
def test_missing_images_damaged_images_and_unknown_extractors_are_refused(tmp_path: Path) -> None:
    ours = folder(tmp_path / "a", *range(9))
    with pytest.raises(UserError, match="no such file or folder"):
        run(ours, "--real", tmp_path / "none", "--out", tmp_path / "out")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.png").write_bytes(encoded(1)[:60])
    with pytest.raises(UserError, match="cannot be read as an image"):
        run(ours, "--real", tmp_path / "b", "--out", tmp_path / "out")
    with pytest.raises(WeightsError, match="there is no model 'eurosat-tiny-clop'"):
        run(ours, "--real", ours, "--extractor", "eurosat-tiny-clop", "--out", tmp_path / "out")
    with pytest.raises(UserError, match="has the option 'size=3'"):
        make_extractor("ViT-B-32,size=3", "cpu")


@embedded
def test_an_older_report_does_not_outlive_a_new_one_without_pictures(tmp_path: Path) -> None:
    images = {
        "synthetic": str(folder(tmp_path / "a", *range(9))),
        "real": str(folder(tmp_path / "b", *range(20, 29))),
    }
    out = tmp_path / "out"
    measure_distance(images, out, device="cpu")  # type: ignore[arg-type]
    assert (out / "nearest.png").is_file()
    run(
        saved(tmp_path / "a.safetensors", 9),
        "--real",
        saved(tmp_path / "b.safetensors", 9, seed=1),
        "--out",
        out,
    )
    assert not (out / "nearest.png").exists()


@embedded
def test_a_caption_missing_or_not_utf_8_is_no_caption_or_an_error(tmp_path: Path) -> None:
    from synrs_data.evaluate.distribution.sets import captions_of
    from synrs_data.image_sources import ImageSource

    def source(name: str, *texts: bytes) -> list[Any]:
        parts = [member(f"{number}.png", encoded(number)) for number in range(2)]
        parts += [member(f"{number}.txt", text) for number, text in enumerate(texts)]
        return list(ImageSource(str(write_tar(tmp_path / f"{name}.tar", *parts))).images)

    assert captions_of(source("whole", b"one", b"two\n")) == ("one", "two")
    assert captions_of(source("partial", b"one")) == ()
    with pytest.raises(UserError, match="is not UTF-8"):
        captions_of(source("bytes", b"\xff", b"two"))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_timm_folder_gives_its_pooled_features_and_other_folders_are_refused(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm", reason="timm is not installed")
    import torch

    model = timm.create_model("test_resnet.r160_in1k", pretrained=False, num_classes=3)
    place = tmp_path / "tiny-resnet"
    timm.models.save_for_hf(model, str(place), safe_serialization=True)
    for extra in place.glob("*.bin"):
        extra.unlink()
    extractor = make_extractor(f"timm:{place}", "cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 160, 160, 3), dtype=np.uint8)
    found = extractor.images(list(pixels))
    assert found.shape == (2, extractor.record.width)
    assert (extractor.record.id, extractor.record.kind) == ("tiny-resnet", "timm")
    config = timm.data.resolve_model_data_config(model)
    transform = timm.data.create_transform(**config, is_training=False)
    with torch.inference_mode():
        batch = torch.stack([transform(Image.fromarray(each)) for each in pixels])
        expected = model.eval().forward_head(model.forward_features(batch), pre_logits=True)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)
    assert extractor.texts(["a"]) is None
    (place / "model.safetensors").write_bytes(b"0" * 20)
    with pytest.raises(SynrsError, match="timm cannot load this model"):
        make_extractor(f"timm:{place}", "cpu")
    (place / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match="no folder of a timm model"):
        make_extractor(f"timm:{place}", "cpu")
