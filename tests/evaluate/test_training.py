"""Arms trained for real on painted images: what a result says, resumes and refuses, and what verification finds."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load_file, save_file

from synrs_data import files
from synrs_data.build.run import build
from synrs_data.errors import MethodError, UserError
from synrs_data.evaluate import (
    Classification,
    Result,
    differences,
    evaluate,
    load_classification,
    read_result,
)
from synrs_data.evaluate.arms import parse_arms
from synrs_data.evaluate.baselines.pixels import Pixels, PixelsOptions
from synrs_data.evaluate.data import open_data
from synrs_data.evaluate.protocols import make_protocol
from synrs_data.evaluate.protocols.base import ProtocolOptions, Samples
from synrs_data.evaluate.run import make_baseline
from synrs_data.evaluate.synthetic_set import open_synthetic
from tests.build.painted import painted
from tests.evaluate.tiny import Colours, features_values, folder_values, write_benchmark, write_features

ARMS = "real@2,synthetic@2,mixed@2x1,more-real@1x1,flip-crop@2x1"


class Nearest:
    """A protocol that gives each test item the class of the nearest training mean; it keeps what it was given."""

    Options = ProtocolOptions
    name = "nearest"
    inputs = "features"
    needs_text = False

    def __init__(self, options: Any = None, device: str = "cpu") -> None:
        self.options = ProtocolOptions()
        self.seen: list[tuple[Samples, Samples, int]] = []
        self.stop_after = 1000

    def fit_predict(
        self,
        train: Samples,
        validation: Samples,
        test: NDArray[Any],
        classes: int,
        *,
        text: NDArray[np.float32] | None,
        seed: int,
    ) -> NDArray[np.float32]:
        if len(self.seen) == self.stop_after:
            raise KeyboardInterrupt
        self.seen.append((train, validation, seed))
        means = np.stack([train.inputs[train.labels == each].mean(axis=0) for each in range(classes)])
        return np.asarray(test @ means.T, dtype=np.float32)


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished build of painted images of ten classes, Forest and River among them."""
    out = tmp_path_factory.mktemp("synthetic") / "painted"
    recipe = painted(candidates=60, filters=[], select={"splits": {"train": 0.75, "test": 0.25}})
    build(recipe, out, engine="inline")
    return out


@pytest.fixture
def blocks(tmp_path: Path) -> Classification:
    return load_classification(str(write_benchmark(tmp_path, folder_values(tmp_path))))


def run(
    benchmark: Classification,
    folder: Path,
    protocol: Any,
    synthetic: Path | None,
    arms: str = ARMS,
    **options: Any,
) -> Result:
    return evaluate(
        benchmark,
        options.pop("baseline", None) or Colours(),
        folder,
        protocol=protocol,
        synthetic=str(synthetic) if synthetic else None,
        arms=parse_arms(arms),
        seeds=options.pop("seeds", 3),
        device="cpu",
        **options,
    )


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    values = json.loads((folder / "result.json").read_text())
    change(values)
    (folder / "result.json").write_text(json.dumps(values))


def forge(folder: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Replace the predictions and the digest, as one does who wants to deceive."""
    change(pl.read_parquet(folder / "predictions.parquet")).write_parquet(folder / "predictions.parquet")
    digest = files.sha256(folder / "predictions.parquet")
    edit(folder, lambda values: values["predictions"].update(sha256=digest))


def test_a_result_says_what_each_arm_was_trained_on_and_verifies(
    tmp_path: Path, blocks: Classification, synthetic: Path
) -> None:
    result = run(blocks, tmp_path / "r", Nearest(), synthetic)
    assert [arm.name for arm in result.arms] == ARMS.split(",")
    assert [(arm.counts.real, arm.counts.synthetic, arm.counts.copies) for arm in result.arms] == [
        (4, 0, 0), (0, 4, 0), (4, 4, 0), (4, 0, 0), (4, 0, 4),
    ]  # fmt: skip
    assert {arm.counts.validation for arm in result.arms} == {2, 4}
    assert (result.seeds, result.n, result.protocol.name) == ((0, 1, 2), 12, "nearest")
    assert [arm.metrics[0].difference and arm.metrics[0].difference.to for arm in result.arms] == [
        None, "real@2", "real@2", "real@2", "real@2",
    ]  # fmt: skip
    assert result.synthetic is not None
    manifest = synthetic / "manifest.json"
    assert result.synthetic.manifest_sha256 == files.sha256(manifest)
    assert result.synthetic.recipe_fingerprints == json.loads(manifest.read_text())["fingerprints"]
    assert result.synthetic.generator["model"]
    assert (result.synthetic.recipe.captions, result.synthetic.recipe.filters) == ("class-template", ())
    assert result.synthetic.recipe.select["splits"] == {"train": 0.75, "test": 0.25}
    assert result.synthetic.images + result.synthetic.other_labels == 60
    assert result.synthetic.leaks.model_dump() == {
        "derived_from_train": 0, "derived_from_other": 0, "equal_to_train": 0,
    }  # fmt: skip
    assert list(differences(tmp_path / "r", blocks)) == []
    assert read_result(tmp_path / "r") == result
    assert not (tmp_path / "r" / ".work").exists()


def test_numbers_follow_from_the_predictions_by_plain_means(
    tmp_path: Path, blocks: Classification, synthetic: Path
) -> None:
    result = run(blocks, tmp_path / "r", Nearest(), synthetic)
    table = pl.read_parquet(tmp_path / "r" / "predictions.parquet")
    assert table.height == 5 * 3 * 12
    values = {}
    for arm in result.arms:
        own = table.filter(pl.col("arm") == arm.name).with_columns(
            right=pl.col("label") == pl.col("predicted")
        )
        per_seed = [float(part["right"].mean()) for _, part in own.group_by("seed", maintain_order=True)]  # type: ignore[arg-type]
        assert arm.metrics[0].per_seed == pytest.approx(per_seed)
        values[arm.name] = sum(per_seed) / 3
        assert arm.metrics[0].value == pytest.approx(values[arm.name])
        for label, name in enumerate(("Forest", "River")):
            assert arm.per_class[name] == pytest.approx(own.filter(pl.col("label") == label)["right"].mean())
    difference = result.arms[2].metrics[0].difference
    assert difference is not None
    assert difference.value == pytest.approx(values["mixed@2x1"] - values["real@2"])
    assert difference.interval.low <= difference.value <= difference.interval.high


def test_arms_get_the_images_that_their_names_say(
    tmp_path: Path, blocks: Classification, synthetic: Path
) -> None:
    protocol, encoder, data = Nearest(), Colours(), open_data(blocks)
    run(blocks, tmp_path / "r", protocol, synthetic, seeds=1)
    real, made, mixed, more, flipped = (train for train, _, _ in protocol.seen)
    assert not real.synthetic.any()
    assert made.synthetic.all()
    assert mixed.synthetic.tolist() == [False] * 4 + [True] * 4
    assert np.array_equal(mixed.inputs[:4], real.inputs)
    assert np.array_equal(mixed.labels[:4], real.labels)
    assert np.array_equal(flipped.inputs[:4], real.inputs)
    assert not flipped.synthetic.any()
    assert not np.array_equal(np.sort(flipped.inputs[4:], axis=0), np.sort(real.inputs, axis=0))
    train = encoder.encode([image for _, image in sorted(data.train.read(), key=lambda pair: pair[0])])
    test = encoder.encode([image for _, image in data.test.read()])
    for samples in (real, more, protocol.seen[0][1]):
        for feature, label in zip(samples.inputs, samples.labels, strict=True):
            (row,) = np.flatnonzero((train == feature).all(axis=1))
            assert data.train.labels[row] == label
            assert not (test == feature).all(axis=1).any()
    # What is validated on is never what is trained on.
    for trained, validation, _ in protocol.seen:
        assert not (trained.inputs[:, None] == validation.inputs).all(axis=2).any()


def test_the_same_run_gives_the_same_predictions(
    tmp_path: Path, blocks: Classification, synthetic: Path
) -> None:
    for name in ("a", "b"):
        run(blocks, tmp_path / name, Nearest(), synthetic)
    assert files.sha256(tmp_path / "a" / "predictions.parquet") == files.sha256(
        tmp_path / "b" / "predictions.parquet"
    )


def test_an_interrupted_run_keeps_what_is_finished_and_ends_as_an_uninterrupted_one(
    tmp_path: Path, blocks: Classification, synthetic: Path
) -> None:
    run(blocks, tmp_path / "whole", Nearest(), synthetic)
    first, second = Nearest(), Nearest()
    first.stop_after = 7
    lines: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        run(blocks, tmp_path / "r", first, synthetic)
    assert not (tmp_path / "r" / "result.json").exists()
    run(blocks, tmp_path / "r", second, synthetic, report=lines.append)
    assert len(second.seen) == 15 - 7
    assert sum("kept from before" in line for line in lines) == 7
    assert files.sha256(tmp_path / "r" / "predictions.parquet") == files.sha256(
        tmp_path / "whole" / "predictions.parquet"
    )


def test_what_was_finished_under_other_conditions_or_is_damaged_is_made_again(
    tmp_path: Path, blocks: Classification, synthetic: Path
) -> None:
    stopped = Nearest()
    stopped.stop_after = 7
    with pytest.raises(KeyboardInterrupt):
        run(blocks, tmp_path / "r", stopped, synthetic)
    (tmp_path / "r" / ".work" / "real@2-0.parquet").write_bytes(b"PAR1")
    shutil.copytree(tmp_path / "r", tmp_path / "other")
    again = Nearest()
    run(blocks, tmp_path / "r", again, synthetic)
    assert len(again.seen) == 15 - 6
    renamed = Nearest()
    renamed.name = "otherwise"
    run(blocks, tmp_path / "other", renamed, synthetic)
    assert len(renamed.seen) == 15


def test_features_are_embedded_once(tmp_path: Path, blocks: Classification, synthetic: Path) -> None:
    encoder = Colours()
    run(blocks, tmp_path / "r", Nearest(), synthetic, "real@2,mixed@2x1", baseline=encoder)
    first = encoder.embedded
    run(blocks, tmp_path / "s", Nearest(), synthetic, "real@3,mixed@1x1", baseline=encoder)
    evaluate(blocks, encoder, tmp_path / "z", device="cpu")
    assert encoder.embedded == first
    data = open_data(blocks)
    assert first == len(data.train) + len(data.test) + read_result(tmp_path / "r").synthetic.images  # type: ignore[union-attr]


def test_features_of_another_shape_or_with_a_changed_value_are_embedded_again(
    tmp_path: Path, blocks: Classification, synthetic: Path
) -> None:
    encoder, cache = Colours(), tmp_path / "cache"
    first = run(blocks, tmp_path / "r", Nearest(), synthetic, baseline=encoder, cache=cache)
    changes: list[Callable[[NDArray[Any]], NDArray[Any]]] = [
        lambda values: values[:, :-1],
        lambda values: values + 1,
    ]
    for number, change in enumerate(changes):
        count = encoder.embedded
        for path in cache.iterdir():
            tensors = load_file(path)
            save_file(tensors | {"features": np.ascontiguousarray(change(tensors["features"]))}, path)
        again = run(blocks, tmp_path / str(number), Nearest(), synthetic, baseline=encoder, cache=cache)
        assert encoder.embedded == (number + 2) * count / (number + 1)
        assert again.arms == first.arms


def test_too_few_images_are_told_before_a_model_is_read(
    tmp_path: Path, blocks: Classification, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Colours, "record", lambda *parts: pytest.fail("the model was read"))
    with pytest.raises(UserError, match="the arm 'real@9' needs 13"):
        run(blocks, tmp_path / "r", Nearest(), None, "real@2,real@9")
    assert not (tmp_path / "r").exists()


def test_a_cache_that_cannot_be_written_is_named_with_its_option(
    tmp_path: Path, blocks: Classification
) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(UserError, match="cannot be written") as caught:
        run(blocks, tmp_path / "r", Nearest(), None, "real@2", cache=tmp_path / "cache")
    assert "--cache" in caught.value.fix


@pytest.mark.parametrize("content", [b"", b"nothing"])
def test_damaged_features_are_embedded_again(
    tmp_path: Path, blocks: Classification, synthetic: Path, content: bytes
) -> None:
    encoder, cache = Colours(), tmp_path / "cache"
    first = run(blocks, tmp_path / "r", Nearest(), synthetic, baseline=encoder, cache=cache)
    count = encoder.embedded
    for path in cache.iterdir():
        path.write_bytes(content)
    second = run(blocks, tmp_path / "s", Nearest(), synthetic, baseline=encoder, cache=cache)
    assert encoder.embedded == 2 * count
    assert first.arms == second.arms


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.with_columns(predicted=pl.when(pl.int_range(pl.len()) == 40).then(1 - pl.col("predicted"))
                                          .otherwise(pl.col("predicted"))), r"top1\.per_seed\.0 is"),
        (lambda table: table.with_columns(label=1 - pl.col("label")), "label is not the benchmark's"),
        (lambda table: table.filter(pl.col("seed") != 2), "there are no predictions of: .*seed 2"),
        (lambda table: table.filter(pl.col("arm") != "real@2"), "there are no predictions of: real@2 seed 0"),
        (lambda table: table.with_columns(seed=pl.col("seed") + 1), "the result does not name: .*seed 3"),
        (lambda table: table[:-1], "is missing"),
        (lambda table: table.reverse(), "not in the order of the result's arms and seeds"),
        (lambda table: table.with_columns(predicted=pl.lit(2, dtype=pl.Int64)), "predicted is no index"),
        (lambda table: table.drop("seed"), "has the columns"),
    ],
)  # fmt: skip
def test_forged_predictions_are_found(
    tmp_path: Path,
    blocks: Classification,
    synthetic: Path,
    change: Callable[[pl.DataFrame], pl.DataFrame],
    message: str,
) -> None:
    run(blocks, tmp_path / "r", Nearest(), synthetic)
    forge(tmp_path / "r", change)
    assert any(_matches(message, fault) for fault in differences(tmp_path / "r", blocks))


def _matches(pattern: str, text: str) -> bool:
    import re

    return re.search(pattern, text) is not None


def arm(index: int, *path: str | int, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(values: Any) -> None:
        place = values["arms"][index]
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = to(place[path[-1]]) if callable(to) else to

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (arm(2, "metrics", 0, "value", to=lambda value: value + 0.001), r"mixed@2x1: top1\.value is"),
        (arm(2, "metrics", 0, "per_seed", 1, to=lambda value: value - 0.001), r"mixed@2x1: top1\.per_seed\.1"),
        (arm(2, "metrics", 0, "difference", "value", to=0.5), r"mixed@2x1: top1\.difference\.value is 0\.5"),
        (arm(2, "metrics", 0, "difference", "above_zero", to=0.9999), r"difference\.above_zero is 0\.9999"),
        (arm(2, "metrics", 0, "difference", "interval", "low", to=0.123), r"difference\.interval\.low is 0\.123"),
        (arm(2, "metrics", 0, "difference", to=None), "difference is to another arm"),
        (arm(2, "metrics", 0, "difference", "to", to="synthetic@2"), "difference is to another arm"),
        (arm(2, "per_class", "River", to=0.111), r"mixed@2x1: per_class\.River is 0\.111"),
        (arm(0, "counts", "real", to=40), r"real@2: counts\.real is 40, not 4"),
        (arm(1, "counts", "synthetic", to=0), r"synthetic@2: counts\.synthetic is 0, not 4"),
        (arm(1, "counts", "validation", to=5), r"synthetic@2: counts\.validation is 5, not 4"),
        (arm(2, "counts", "synthetic", to=5), r"mixed@2x1: counts\.synthetic is 5, not 4"),
        (arm(3, "counts", "real", to=5), r"more-real@1x1: counts\.real is 5, not 4"),
        (arm(3, "counts", "validation", to=3), r"more-real@1x1: counts\.validation is 3, not 2"),
        (arm(4, "counts", "copies", to=5), r"flip-crop@2x1: counts\.copies is 5, not 4"),
        (lambda values: values["synthetic"].update(images=7), "the arm 'synthetic@2' has 8 of 7 synthetic images"),
        (lambda values: values["dataset"].update(train=13), r"dataset\.train is 13, not 12"),
        (lambda values: values["dataset"].update(validation=1), r"dataset\.validation is 1, not 0"),
        (arm(1, "name", to="real@2"), "an arm comes twice"),
        (arm(1, "name", to="magic"), "there is no arm 'magic'"),
        (lambda values: values.update(seeds=[0, 1]), "the result does not name: .*seed 2"),
        (lambda values: values.update(seeds=[0, 1, 1]), "a seed comes twice"),
        (lambda values: values.update(synthetic=None), "the result names no synthetic set"),
        (lambda values: values["protocol"].update(name="zero-shot"), "the protocol is zero-shot, the arms are"),
        (lambda values: values["bootstrap"].update(seed=1), r"interval\.(low|high) is"),
        (lambda values: values["dataset"].update(content_sha256="0" * 64), "the content hash is 0000"),
    ],
)  # fmt: skip
def test_a_tampered_number_is_found(
    tmp_path: Path,
    blocks: Classification,
    synthetic: Path,
    change: Callable[[dict[str, Any]], None],
    message: str,
) -> None:
    run(blocks, tmp_path / "r", Nearest(), synthetic)
    edit(tmp_path / "r", change)
    assert any(_matches(message, fault) for fault in differences(tmp_path / "r", blocks))


@pytest.mark.parametrize(
    ("arms", "given", "message"),
    [
        ("real@2,mixed@2x1", False, "the arm 'mixed@2x1' needs synthetic images"),
        ("real@2", True, "no arm trains on the synthetic images"),
        ("real@6", False, "the class 'Forest' has 6 real images, the arm 'real@6' needs 10"),
        ("cutmix@2x1", False, "the arm 'cutmix@2x1' mixes the labels of two images"),
        ("real,mixedx9", True, "synthetic images, the arm 'mixedx9' needs 45"),
    ],
)
def test_arms_that_cannot_be_are_refused_before_anything_is_trained(
    tmp_path: Path, blocks: Classification, synthetic: Path, arms: str, given: bool, message: str
) -> None:
    protocol = Nearest()
    with pytest.raises(UserError, match=message):
        run(blocks, tmp_path / "r", protocol, synthetic if given else None, arms)
    assert protocol.seen == []
    assert not (tmp_path / "r").exists()


def test_baselines_that_cannot_do_a_protocol_are_refused(tmp_path: Path, blocks: Classification) -> None:
    pixels = Pixels(PixelsOptions(), "cpu")
    features = make_baseline(f"features:file={write_features(tmp_path / 'm.safetensors')}", "cpu")
    with pytest.raises(UserError, match="'pixels' gives no features"):
        run(blocks, tmp_path / "r", Nearest(), None, "real@2", baseline=pixels)
    with pytest.raises(UserError, match="'m' gives no features of other images"):
        run(blocks, tmp_path / "r", Nearest(), None, "real@2", baseline=features)
    with pytest.raises(UserError, match="trains on pixels, it has no use for 'colours'"):
        run(blocks, tmp_path / "r", make_protocol("from-scratch", "cpu"), None, "real@2")
    with pytest.raises(UserError, match="'pixels' has no model"):
        evaluate(blocks, pixels, tmp_path / "r", device="cpu")
    with pytest.raises(UserError, match="zero-shot trains nothing"):
        run(blocks, tmp_path / "r", None, None, "real@2")
    saved = load_classification(str(write_benchmark(tmp_path, features_values())))
    with pytest.raises(UserError, match="'tiny' has no images to train on"):
        run(saved, tmp_path / "r", Nearest(), None, "real@2")


def test_a_benchmark_without_images_to_train_on_is_refused(tmp_path: Path) -> None:
    values = folder_values(tmp_path, rule={"train": 0, "salt": "x"})
    benchmark = load_classification(str(write_benchmark(tmp_path, values)))
    with pytest.raises(UserError, match="'blocks' has no images to train on"):
        run(benchmark, tmp_path / "r", Nearest(), None, "real@2")


def test_a_baseline_of_another_task_is_refused(tmp_path: Path, blocks: Classification) -> None:
    baseline = Colours()
    baseline.tasks = ("retrieval",)  # type: ignore[attr-defined]
    with pytest.raises(
        UserError, match="'colours' cannot do classification, the task of 'blocks'; it does retrieval"
    ):
        evaluate(blocks, baseline, tmp_path / "r", device="cpu")


def test_a_protocol_that_gives_no_numbers_is_named(tmp_path: Path, blocks: Classification) -> None:
    class Broken(Nearest):
        def fit_predict(self, *arguments: Any, **options: Any) -> NDArray[np.float32]:
            return super().fit_predict(*arguments, **options) * np.float32("nan")

    with pytest.raises(MethodError, match="or not finite"):
        run(blocks, tmp_path / "r", Broken(), None, "real@2")


def test_linear_probe_and_from_scratch_run_on_their_inputs(
    tmp_path: Path, blocks: Classification, synthetic: Path
) -> None:
    run(blocks, tmp_path / "p", make_protocol("linear-probe", "cpu"), synthetic, "real@3,mixed@2x1", seeds=2)
    pixels = Pixels(PixelsOptions(), "cpu")
    protocol = make_protocol("from-scratch:steps=2,batch=4", "cpu")
    arms = "real@2,mixed@2x1,cutmix@2x1,cutout@2x1"
    result = run(blocks, tmp_path / "s", protocol, synthetic, arms, seeds=1, baseline=pixels)
    assert (result.baseline.model, result.baseline.weights_sha256) == ("none", None)
    assert result.protocol.options["steps"] == 2
    assert [arm.counts.copies for arm in result.arms] == [0, 0, 4, 4]
    for name in ("p", "s"):
        assert list(differences(tmp_path / name, blocks)) == []


def opened(
    location: Path, benchmark: Classification, *, train: tuple[str, ...] = (), test: tuple[str, ...] = ()
) -> Any:
    return open_synthetic(str(location), benchmark, train=train, test=test)


def test_images_of_other_sizes_need_a_size(
    tmp_path: Path, blocks: Classification, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scratch(text: str, benchmark: Classification, name: str) -> Result:
        pixels = Pixels(PixelsOptions(), "cpu")
        return run(
            benchmark, tmp_path / name, make_protocol(text, "cpu"), None, "real@2", seeds=1, baseline=pixels
        )

    with monkeypatch.context() as patch:
        patch.setattr("synrs_data.evaluate.training._MOST", 1000)
        with pytest.raises(UserError, match=r"12 images of 16 x 16 pixels fill 0\.0 GiB of memory") as caught:
            scratch("from-scratch:steps=1,batch=2", blocks, "r")
    assert "from-scratch:size=64" in caught.value.fix
    for path in (tmp_path / "Pictures" / "River").iterdir():
        with Image.open(path) as image:
            image.resize((20, 24)).save(path)
    with pytest.raises(
        UserError, match=r"the images differ in size: '.*' has [0-9]+ x [0-9]+ pixels, others"
    ):
        scratch("from-scratch:steps=1,batch=2", blocks, "r")
    assert scratch("from-scratch:steps=1,batch=2,size=8", blocks, "s").n == 12


def test_a_config_of_the_hub_is_the_build_that_was_published(
    tmp_path: Path, synthetic: Path, blocks: Classification, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, asked = "0123456789abcdef0123456789abcdef01234567", []

    def snapshot(name: str, *, allow_patterns: list[str], revision: str | None, **options: Any) -> str:
        asked.append((name, revision))
        for path in (path for path in synthetic.rglob("*") if path.is_file()):
            inside = f"scenes/{path.relative_to(synthetic).as_posix()}"
            if any(fnmatch.fnmatch(inside, pattern) for pattern in allow_patterns):
                (tmp_path / commit / inside).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, tmp_path / commit / inside)
        return str(tmp_path / commit)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    (tmp_path / commit).mkdir()
    found = open_synthetic("hf://datasets/me/x@v1/scenes", blocks, train=(), test=())
    local = opened(synthetic, blocks)
    assert asked[0] == ("me/x", "v1")
    assert (found.record.source, found.record.revision) == ("me/x", commit)
    assert found.record.manifest_sha256 == local.record.manifest_sha256
    assert found.images.digests == local.images.digests
    fetched = {path.relative_to(tmp_path / commit).parts[1] for path in (tmp_path / commit).rglob("*.*")}
    assert {"data", "metadata"} <= fetched
    assert "candidates" not in fetched
    # The only build of a dataset needs no name.
    alone = open_synthetic("hf://datasets/me/x", blocks, train=(), test=())
    assert alone.record.manifest_sha256 == local.record.manifest_sha256


def test_labels_of_a_build_are_matched_by_name(synthetic: Path, blocks: Classification) -> None:
    found = opened(synthetic, blocks)
    rows = pl.concat([pl.read_parquet(path) for path in sorted((synthetic / "metadata").glob("*.parquet"))])
    names = dict(zip(rows["key"], rows["label_name"], strict=True))
    assert [blocks.class_names[label] for label in found.images.labels] == [
        names[key] for key in found.images.keys
    ]
    for image, digest in zip(found.images.images, found.images.digests, strict=True):
        assert hashlib.sha256(image.read()).hexdigest() == digest
    assert len(list(found.images.read())) == len(found.images)


def test_a_set_without_a_class_is_refused_by_name(tmp_path: Path, synthetic: Path) -> None:
    values = folder_values(tmp_path) | {"classes": ["Forest", "River", "Volcano"]}
    benchmark = load_classification(str(write_benchmark(tmp_path, values)))
    with pytest.raises(
        UserError, match="has no image of 1 of the benchmark's 3 classes: Volcano; its labels are"
    ):
        opened(synthetic, benchmark)


def test_a_set_that_holds_the_test_or_was_made_from_it_is_refused(
    tmp_path: Path, synthetic: Path, blocks: Classification
) -> None:
    images = opened(synthetic, blocks).images
    with pytest.raises(UserError, match="holds 1 images of the benchmark's test, such as"):
        opened(synthetic, blocks, test=images.digests[:1])
    assert opened(synthetic, blocks, train=images.digests[:3]).record.leaks.equal_to_train == 3
    derived = derive(synthetic, tmp_path / "derived", "d" * 64)
    with pytest.raises(
        UserError, match=r"holds [0-9]+ images that were made from images of the benchmark's test"
    ):
        opened(derived, blocks, test=("d" * 64,))
    leaks = opened(derived, blocks, train=("d" * 64,)).record.leaks
    assert leaks.derived_from_train > 0
    assert leaks.derived_from_other == 0
    assert opened(derived, blocks).record.leaks.derived_from_other == leaks.derived_from_train


def derive(source: Path, out: Path, origin: str) -> Path:
    """Copy a build whose tables say that every image was made from one of this digest."""
    shutil.copytree(source, out)
    manifest = json.loads((out / "manifest.json").read_text())
    for path in (out / "metadata").glob("*.parquet"):
        pl.read_parquet(path).with_columns(derived_from=pl.lit(origin)).write_parquet(path)
        manifest["files"][f"metadata/{path.name}"]["sha256"] = files.sha256(path)
    (out / "manifest.json").write_text(json.dumps(manifest))
    return out


@pytest.mark.parametrize("name", ["data", "metadata"])
def test_a_build_with_changed_or_missing_files_is_refused(
    tmp_path: Path, synthetic: Path, blocks: Classification, name: str
) -> None:
    out = tmp_path / "changed"
    shutil.copytree(synthetic, out)
    path = next((out / name).iterdir())
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(UserError, match="has other contents than the manifest of its build says"):
        opened(out, blocks)
    path.unlink()
    with pytest.raises(UserError, match="is missing"):
        opened(out, blocks)


def replace_tables(source: Path, out: Path, content: bytes | None) -> Path:
    """Copy a build with other bytes for its tables, under a manifest made for them; None takes them out of it."""
    shutil.copytree(source, out)
    manifest = json.loads((out / "manifest.json").read_text())
    for name in [name for name in manifest["files"] if name.startswith("metadata/")]:
        if content is None:
            del manifest["files"][name]
        else:
            (out / name).write_bytes(content)
            manifest["files"][name]["sha256"] = hashlib.sha256(content).hexdigest()
    (out / "manifest.json").write_text(json.dumps(manifest))
    return out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "lists no table of packed images"),
        (b"", "is no table of packed images"),
        (b"PAR1" * 9, "is no table of packed images"),
    ],
)
def test_a_build_whose_tables_are_none_is_refused(
    tmp_path: Path, synthetic: Path, blocks: Classification, content: bytes | None, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        opened(replace_tables(synthetic, tmp_path / "changed", content), blocks)


def test_a_build_whose_tables_have_other_columns_is_refused(
    tmp_path: Path, synthetic: Path, blocks: Classification
) -> None:
    pl.DataFrame({"key": ["a"], "label_name": ["Forest"]}).write_parquet(tmp_path / "t.parquet")
    out = replace_tables(synthetic, tmp_path / "changed", (tmp_path / "t.parquet").read_bytes())
    with pytest.raises(UserError, match="is no table of packed images") as caught:
        opened(out, blocks)
    assert caught.value.where.endswith(".parquet")


def test_what_is_no_finished_build_of_synthetic_scenes_is_refused(
    tmp_path: Path, synthetic: Path, blocks: Classification
) -> None:
    with pytest.raises(UserError, match="is no finished build: it has no manifest"):
        opened(tmp_path / "absent", blocks)
    for number, (change, message) in enumerate(
        [
            ({"task": "lr-hr"}, "is of the task lr-hr, not scene-caption"),
            ({"generator": {"synthetic": False}}, "holds real images, no synthetic ones"),
        ]
    ):
        out = tmp_path / str(number)
        shutil.copytree(synthetic, out)
        manifest = json.loads((out / "manifest.json").read_text())
        (out / "manifest.json").write_text(json.dumps(manifest | change))
        with pytest.raises(UserError, match=message):
            opened(out, blocks)


def test_nothing_is_left_half_done_where_the_work_folder_cannot_be_made(
    tmp_path: Path, blocks: Classification
) -> None:
    (tmp_path / "r").write_text("a file")
    with pytest.raises(UserError, match="cannot be written"):
        run(blocks, tmp_path / "r", Nearest(), None, "real@2")
