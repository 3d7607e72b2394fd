"""Zero-shot from images: the shipped sample is whole, only pinned bytes are read, and an encoder scores them."""

from __future__ import annotations

import csv
import hashlib
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from synrs_data import files
from synrs_data.errors import UserError, WeightsError
from synrs_data.evaluate import Classification, differences, evaluate, load_classification
from synrs_data.evaluate.baselines.base import Scores
from synrs_data.evaluate.data import open_data
from synrs_data.evaluate.feature_cache import FeatureCache
from synrs_data.evaluate.run import make_baseline
from synrs_data.resources import embedded_models, shipped
from synrs_data.shards.tar import members
from tests.evaluate.tiny import SHARED, features_values, images_values, write_benchmark

NAME = "eurosat-tiny-clip"
needs_encoder = pytest.mark.skipif(
    NAME not in embedded_models(), reason="the embedded encoder is not in this checkout"
)


def painted(folder: Path, **changed: Any) -> Classification:
    values = images_values(folder)
    values["dataset"].update(changed)
    return load_classification(str(write_benchmark(folder, values)))


def read_all(benchmark: Classification) -> list[np.ndarray[Any, Any]]:
    """Read every image of every split, those of the test first."""
    data = open_data(benchmark)
    return [image for part in (data.test, data.train) for _, image in part.read()]


def score(text: str, benchmark: Classification) -> Scores:
    return make_baseline(text, "cpu").score(benchmark, open_data(benchmark), FeatureCache())


def pin(folder: Path, name: str, content: bytes) -> dict[str, str]:
    """Write a file of a benchmark and return its digest for the benchmark."""
    (folder / name).write_bytes(content)
    key = "images_sha256" if name.endswith(".tar") else "items_sha256"
    return {key: hashlib.sha256(content).hexdigest()}


def test_eurosat_mini_is_balanced_whole_and_of_the_pools_that_no_model_saw() -> None:
    folder = shipped("evals") / "eurosat-mini"
    with (folder / "items.csv").open(newline="") as file:
        rows = {row["key"]: row for row in csv.DictReader(file)}
    counts = Counter((row["split"], row["pool"], row["label"]) for row in rows.values())
    assert {(split, pool, count) for (split, pool, _), count in counts.items()} == {
        ("train", "real", 16),
        ("test", "test", 100),
    }
    assert len(counts) == 20
    found = 0
    names = load_classification("eurosat-mini").class_names
    for key, fields in members(folder / "eurosat-mini.tar"):
        assert hashlib.sha256(fields["jpg"]).hexdigest() == rows[key]["sha256"]
        assert names[int(fields["cls"])] == rows[key]["label"] == rows[key]["source"].partition("/")[0]
        found += 1
    assert found == len(rows) == len({row["sha256"] for row in rows.values()}) == 1160
    assert (folder / "LICENSE.txt").read_text().startswith("MIT License")


def test_the_images_of_eurosat_mini_are_read_in_the_order_of_its_items() -> None:
    data = open_data(load_classification("eurosat-mini"))
    assert np.bincount(data.test.labels).tolist() == [100] * 10
    assert np.bincount(data.train.labels).tolist() == [16] * 10
    assert len(data.validation) == 0
    rows, images = zip(*data.test.read(), strict=True)
    assert rows == tuple(range(1000))
    assert {image.shape for image in images} == {(64, 64, 3)}


@pytest.mark.skipif(not (SHARED / "eurosat_rgb").is_dir(), reason="the shared EuroSAT is not here")
def test_the_script_makes_the_shipped_bytes_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    script = Path(__file__).parents[2] / "scripts" / "make_eurosat_mini.py"
    spec = importlib.util.spec_from_file_location("make_eurosat_mini", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.make(SHARED / "eurosat_rgb", tmp_path)
    for name in ("eurosat-mini.tar", "items.csv", "LICENSE.txt"):
        assert files.sha256(tmp_path / name) == files.sha256(shipped("evals") / "eurosat-mini" / name)


def test_splits_are_kept_apart(tmp_path: Path) -> None:
    data = open_data(painted(tmp_path))
    assert data.test.keys == tuple(f"{number:09d}" for number in range(4))
    assert data.test.labels.tolist() == [0, 0, 1, 1]
    assert [image.mean(axis=(0, 1)).argmax() for _, image in data.test.read()] == [1, 1, 2, 2]
    assert data.train.keys == ("000000004", "000000005")
    assert (data.record.train, data.record.validation, data.record.test) == (2, 0, 4)
    assert set(data.train.digests).isdisjoint(data.test.digests)


@pytest.mark.parametrize("name", ["images.tar", "items.csv"])
def test_a_file_of_other_bytes_is_refused_with_both_hashes(tmp_path: Path, name: str) -> None:
    benchmark = painted(tmp_path)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(UserError, match="is not the file that the benchmark 'painted' pins") as caught:
        read_all(benchmark)
    assert files.sha256(tmp_path / name) in caught.value.what
    assert hashlib.sha256(content).hexdigest() in caught.value.what
    assert caught.value.where == str(tmp_path / name)
    assert caught.value.fix.startswith("paint them again; for other data, copy the benchmark's YAML")


@pytest.mark.parametrize("name", ["images.tar", "items.csv"])
def test_a_missing_file_is_named_with_what_to_do(tmp_path: Path, name: str) -> None:
    benchmark = painted(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(UserError, match="the benchmark 'painted' needs this file") as caught:
        read_all(benchmark)
    assert (caught.value.where, caught.value.fix) == (str(tmp_path / name), "paint them again")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("SeaLake", "Sea"), "has labels that are no class of the benchmark: Sea"),
        (lambda text: text.replace("test", "val"), "has no row of the split 'test'"),
        (lambda text: text.replace("split", "part"), "has no column split"),
        (lambda text: text + "000000009,test\n", "row 7 has not one value for each column"),
        (lambda text: text + "000000009,test,,x\n", "row 7 has not one value for each column"),
        (lambda text: text + "000000009,test,Forest,x,y\n", "cannot be read as CSV"),
        (
            lambda text: text.replace("SeaLake", "Forest"),
            "has no image of the class SeaLake in its train split",
        ),
        (lambda text: text.replace("000000003", "000000002"), "the key '000000002' comes back"),
        (
            lambda text: text + f"000000009,train,Forest,{text.splitlines()[1].split(',')[3]}\n",
            "the image '000000000' of the test split is also '000000009' of the train split",
        ),
        (lambda text: text + '"', "cannot be read as CSV"),
        (lambda text: text + "\udcff", "cannot be read as CSV"),
    ],
)
def test_a_wrong_table_is_named(tmp_path: Path, change: Any, message: str) -> None:
    images_values(tmp_path)
    text = change((tmp_path / "items.csv").read_text())
    values = images_values(tmp_path)
    values["dataset"].update(pin(tmp_path, "items.csv", text.encode(errors="surrogateescape")))
    benchmark = load_classification(str(write_benchmark(tmp_path, values)))
    with pytest.raises(UserError, match=message):
        open_data(benchmark)


def test_a_split_may_not_be_the_test_too(tmp_path: Path) -> None:
    values = images_values(tmp_path)
    values["dataset"]["splits"] = {"test": "test", "train": "test"}
    with pytest.raises(UserError, match="of the test split is also '000000000' of the train split"):
        open_data(load_classification(str(write_benchmark(tmp_path, values))))


def test_a_table_of_another_system_is_read_alike(tmp_path: Path) -> None:
    first = open_data(painted(tmp_path))
    text = "\ufeff" + (tmp_path / "items.csv").read_text().replace("\n", "\r\n")
    values = images_values(tmp_path)
    values["dataset"].update(pin(tmp_path, "items.csv", text.encode()))
    again = open_data(load_classification(str(write_benchmark(tmp_path, values))))
    assert (again.test.keys, again.test.digests) == (first.test.keys, first.test.digests)


def test_an_image_that_the_table_does_not_list_so_is_refused(tmp_path: Path) -> None:
    values = images_values(tmp_path)
    lines = (tmp_path / "items.csv").read_text().splitlines()
    digest = lines[2].rpartition(",")[2]
    content = "\n".join(lines).replace(digest, "0" * 64).encode()
    values["dataset"].update(pin(tmp_path, "items.csv", content))
    benchmark = load_classification(str(write_benchmark(tmp_path, values)))
    with pytest.raises(UserError, match="the image '000000001' is not the one that"):
        read_all(benchmark)


def test_an_image_that_is_missing_in_the_tar_is_named(tmp_path: Path) -> None:
    values = images_values(tmp_path)
    content = (tmp_path / "items.csv").read_text() + f"000000008,test,Forest,{'0' * 64}\n"
    values["dataset"].update(pin(tmp_path, "items.csv", content.encode()))
    benchmark = load_classification(str(write_benchmark(tmp_path, values)))
    with pytest.raises(UserError, match="has no image '000000008'"):
        read_all(benchmark)


@needs_encoder
def test_an_encoder_scores_images_as_open_clip_alone_does(tmp_path: Path) -> None:
    import open_clip
    import torch

    benchmark = painted(tmp_path)
    scores = score(f"{NAME}:batch=3", benchmark)
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{embedded_models()[NAME]}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{embedded_models()[NAME]}")
    model.eval()
    rows = []
    with torch.inference_mode():
        classes = []
        for phrase in ("forest", "sea or lake"):
            texts = [f"a centered satellite photo of {article}{phrase}." for article in ("", "a ", "the ")]
            embedded = model.encode_text(tokenizer(texts))
            mean = (embedded / embedded.norm(dim=-1, keepdim=True)).mean(dim=0)
            classes.append(mean / mean.norm())
        for _, image in open_data(benchmark).test.read():
            vector = model.encode_image(transform(Image.fromarray(image))[None])[0]
            rows.append([float(vector / vector.norm() @ each) for each in classes])
    np.testing.assert_allclose(scores.values, rows, atol=1e-6)
    assert scores.record.weights_sha256
    assert scores.record.preprocessing["size"] == 64


@needs_encoder
def test_the_mean_of_raw_embeddings_is_another_ensemble(tmp_path: Path) -> None:
    first = score(NAME, painted(tmp_path)).values
    values = images_values(tmp_path) | {"ensemble": "mean-normalise"}
    second = score(NAME, load_classification(str(write_benchmark(tmp_path, values)))).values
    assert np.abs(first - second).max() > 1e-6
    np.testing.assert_allclose(first, second, atol=0.05)


@needs_encoder
def test_a_folder_of_open_clip_is_a_baseline_with_what_its_user_declares(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(embedded_models()[NAME], tmp_path / "my encoder"))
    benchmark = painted(tmp_path)
    baseline = make_baseline(f"open-clip:model={folder},trained_on=painted+other", "cpu")
    assert baseline.name == "my-encoder"
    result = evaluate(benchmark, baseline, tmp_path / "result", device="cpu")
    assert (result.baseline.trained_on, result.baseline.in_domain) == (("painted", "other"), True)
    assert result.baseline.weights_sha256 == score(NAME, benchmark).record.weights_sha256
    assert list(differences(tmp_path / "result", benchmark)) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("open-clip:model=no-such-model", "there is no model 'no-such-model'"),
        ("open-clip:model=ViT-B-32,weights=absent.pt", "there is no such file of weights"),
    ],
)
def test_missing_weights_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        score(text, painted(tmp_path))


def test_an_encoder_cannot_score_saved_features(tmp_path: Path) -> None:
    benchmark = load_classification(str(write_benchmark(tmp_path, features_values())))
    with pytest.raises(UserError, match="has no images, only features") as caught:
        make_baseline(NAME, "cpu").score(benchmark, None, FeatureCache())
    assert caught.value.fix == "make the features anew"


@needs_encoder
def test_an_architecture_is_recorded_by_the_digest_of_its_file_of_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from synrs_data.evaluate.baselines import encoder
    from synrs_data.models.encoder import load_encoder

    asked = []

    def load(*names: str | None) -> Any:
        asked.append(names)
        return load_encoder(NAME, "", "cpu")

    monkeypatch.setattr(encoder, "load_encoder", load)
    weights = tmp_path / "tuned.pt"
    weights.write_bytes(b"weights")
    record = score(f"open-clip:model=ViT-B-32,weights={weights}", painted(tmp_path)).record
    assert set(asked) == {("ViT-B-32", str(weights), "cpu", None)}
    assert (record.name, record.weights_sha256) == ("ViT-B-32-tuned", files.sha256(weights))
