"""Runs of super-resolution: arms are trained and paired, resumed and kept, and results that are not so are found."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from synrs_data import files
from synrs_data.build.run import build
from synrs_data.errors import RecipeError, UserError, VerificationError
from synrs_data.evaluate import SuperResolution
from synrs_data.evaluate.arms import parse_arm, parse_arms
from synrs_data.evaluate.results import read_result
from synrs_data.evaluate.super_resolution import pair_run
from synrs_data.evaluate.super_resolution.arms import draw_pairs, train_arm
from synrs_data.evaluate.super_resolution.compact import CompactSr, make_sr_baseline
from synrs_data.evaluate.super_resolution.degraded_pairs import pixels_digest
from synrs_data.evaluate.super_resolution.network import save_network
from synrs_data.evaluate.super_resolution.pair_run import Places
from synrs_data.evaluate.super_resolution.results import SuperResolutionResult, read_super_resolution
from synrs_data.evaluate.super_resolution.run import evaluate_super_resolution
from synrs_data.evaluate.super_resolution.sources import pair_source
from synrs_data.evaluate.super_resolution.synthetic_pairs import open_pairs
from synrs_data.evaluate.super_resolution.training import TrainingOptions, train
from synrs_data.evaluate.super_resolution.values import mean_difference, measure
from synrs_data.evaluate.super_resolution.verify import find_pair_faults
from tests.build.painted import painted
from tests.evaluate.sr_images import scene, write_images
from tests.evaluate.test_sr_sources import benchmark as _benchmark
from tests.tiny_upscaler import compact_state, write_upscaler

HIGH = {f"t/{number}": scene(number, 48) for number in range(5)}
SPLITS = ("test", "train", "test", "train", "test")
TINY = CompactSr(TrainingOptions(steps=3, batch=2, crop=8, channels=4, blocks=1))
METRICS = [
    {"name": "psnr-y@crop4", "direction": "higher"},
    {"name": "opensr-omission", "direction": "lower"},
]


def tiny(folder: Path, **changes: Any) -> SuperResolution:
    """Return a benchmark of three test and two training tiles of 48 pixels."""
    rows = [
        f"{name},{split},{pixels_digest(image)}"
        for (name, image), split in zip(HIGH.items(), SPLITS, strict=True)
    ]
    table = "\n".join(["name,split,pixels_sha256", *rows]) + "\n"
    return _benchmark(folder, table=table, **({"metrics": METRICS} | changes))


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiles")
    return write_images(folder, {f"{name}.png": image for name, image in HIGH.items()})


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished build of painted pairs, x4."""
    out = tmp_path_factory.mktemp("synthetic") / "pairs"
    recipe = painted(
        name="pairs",
        task="lr-hr",
        candidates=8,
        image={"format": "png"},
        filters=[],
        generator={"method": "paint", "size": 48},
        degradation={"method": "bicubic", "scale": 4},
    )
    build(recipe, out, engine="inline")
    return out


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiles: Path, synthetic: Path) -> Path:
    """Return the folder of a benchmark, `tiny-x4.yaml`, and of a result with kept outputs, `r`."""
    folder = tmp_path_factory.mktemp("trained")
    run(tiny(folder), folder / "r", tiles, synthetic)
    return folder


def run(
    benchmark: SuperResolution, folder: Path, tiles: Path, synthetic: Path | None, **options: Any
) -> SuperResolutionResult:
    values: dict[str, Any] = {"arms": parse_arms("real,synthetic,mixed@1x2"), "seeds": 2}
    values |= {"keep_outputs": True} | options
    return evaluate_super_resolution(
        benchmark,
        values.pop("baseline", TINY),
        folder,
        places=Places(str(tiles), None if synthetic is None else str(synthetic)),
        device="cpu",
        **values,
    )


def faults(folder: Path, tiles: Path | None) -> list[str]:
    found = find_pair_faults(folder / "r", tiny(folder), None if tiles is None else str(tiles))
    return [fault.text for fault in found]


def test_an_arm_is_measured_after_training_on_its_pairs(tmp_path: Path, trained: Path, tiles: Path) -> None:
    said = read_super_resolution(trained / "r")
    real, synthetic, mixed = said.arms
    assert (real.counts.real, real.counts.real_pixels, real.counts.synthetic) == (2, 2 * 48 * 48, 0)
    assert (synthetic.counts.real, synthetic.counts.synthetic) == (0, 8)
    assert (mixed.counts.real, mixed.counts.synthetic) == (1, 2)
    benchmark = tiny(tmp_path)
    source = pair_source(benchmark, str(tiles), split="train")
    networks = []
    for seed in range(2):
        drawn = draw_pairs(parse_arm("real"), seed, source.keys, ())
        pairs = [(pair.lr, pair.hr) for pair in source.read(drawn.real)]
        networks.append(train(pairs, 4, TINY.options, seed=seed))
    metrics = pair_run.metric_set(benchmark, "cpu")
    test = list(pair_source(benchmark, str(tiles)).read())
    for name, metric in zip(metrics.ids, real.metrics, strict=True):
        values = [
            [metrics.measure(pair.lr, network.enlarge(pair.lr), pair.hr)[name] for pair in test]
            for network in networks
        ]
        assert metric.n == 3
        assert metric.value == pytest.approx(np.mean(values), abs=1e-12)
        assert metric.per_seed == pytest.approx(np.mean(values, axis=1), abs=1e-12)
        assert metric.value is not None
        assert metric.interval is not None
        assert metric.interval.low <= metric.value <= metric.interval.high


def test_differences_are_to_the_real_arm_and_paired(trained: Path) -> None:
    said = read_super_resolution(trained / "r")
    table = pl.read_parquet(trained / "r" / "predictions.parquet")
    assert said.arms[0].metrics[0].difference is None
    for arm in said.arms[1:]:
        for metric in arm.metrics:
            again = mean_difference(
                table, ("compact-sr", arm.name), ("compact-sr", "real"), metric.name, seed=0
            )
            assert metric.difference is not None
            assert metric.difference.to == "real"
            assert metric.difference.value == again.value
            assert metric.difference.interval.low == again.low
            assert metric.difference.above_zero == again.above_zero


def test_a_baseline_that_is_not_trained_has_one_arm(tmp_path: Path, tiles: Path) -> None:
    baseline = make_sr_baseline("bicubic", "cpu")
    said = run(tiny(tmp_path), tmp_path / "r", tiles, None, baseline=baseline, arms=(), keep_outputs=False)
    assert [arm.name for arm in said.arms] == ["zero-shot"]
    assert (said.seeds, said.outputs, said.n) == ((0,), (), 3)
    assert not (tmp_path / "r" / "outputs").exists()
    assert faults(tmp_path, tiles) == []
    with pytest.raises(UserError, match="'bicubic' is not trained here, so it has no arms"):
        run(tiny(tmp_path), tmp_path / "n", tiles, None, baseline=baseline)


def test_a_saved_network_gives_the_values_of_its_arm(tmp_path: Path, trained: Path, tiles: Path) -> None:
    benchmark = tiny(tmp_path)
    source = pair_source(benchmark, str(tiles), split="train")
    network, _ = train_arm(parse_arm("real"), 1, TINY.options, source)
    save_network(tmp_path / "n.safetensors", network)
    baseline = make_sr_baseline(f"residual:file={tmp_path / 'n.safetensors'},trained_on=painted+x", "cpu")
    said = run(benchmark, tmp_path / "r", tiles, None, baseline=baseline, arms=())
    assert said.baseline.in_domain is True
    assert said.baseline.weights_sha256 == files.sha256(tmp_path / "n.safetensors")
    again, arm = (
        pl.read_parquet(folder / "r" / "predictions.parquet").filter(
            pl.col("arm") == name, pl.col("seed") == seed
        )
        for folder, name, seed in ((tmp_path, "zero-shot", 0), (trained, "real", 1))
    )
    assert again.drop("baseline", "arm", "seed").equals(arm.drop("baseline", "arm", "seed"))
    assert faults(tmp_path, tiles) == []


def test_weights_that_spandrel_loads_are_a_baseline(tmp_path: Path, tiles: Path) -> None:
    path = write_upscaler(tmp_path / "small.pth", compact_state())
    baseline = make_sr_baseline(f"spandrel:model={path}", "cpu")
    said = run(tiny(tmp_path), tmp_path / "r", tiles, None, baseline=baseline, arms=())
    assert (said.baseline.method, said.baseline.in_domain) == ("spandrel", None)
    assert said.baseline.weights_sha256 == files.sha256(path)
    assert faults(tmp_path, tiles) == []


def test_a_program_that_gives_a_wrong_size_is_one_message_and_leaves_no_result(
    tmp_path: Path, tiles: Path
) -> None:
    program = tmp_path / "copy.py"
    program.write_text(
        "import shutil, sys, pathlib\n"
        "for path in pathlib.Path(sys.argv[1]).glob('*.png'):\n"
        "    shutil.copy(path, sys.argv[2])\n"
    )
    text = f"external-command:command={sys.executable} {program} {{input}} {{output}},name=copies"
    with pytest.raises(UserError, match="48"):
        run(tiny(tmp_path), tmp_path / "r", tiles, None, baseline=make_sr_baseline(text, "cpu"), arms=())
    assert not (tmp_path / "r" / "result.json").exists()


def test_a_whole_result_has_no_faults_with_and_without_its_images(
    trained: Path, tiles: Path, tmp_path: Path
) -> None:
    assert faults(trained, tiles) == []
    assert faults(trained, None) == []
    shutil.copytree(trained, tmp_path / "c")
    shutil.rmtree(tmp_path / "c" / "r" / "outputs")
    assert faults(tmp_path / "c", tiles) == []


def test_an_interrupted_run_trains_only_what_is_missing(
    tmp_path: Path, tiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, int]] = []
    real_train = train_arm

    def counted(arm: Any, seed: int, *rest: Any, **more: Any) -> Any:
        if len(calls) == 1:
            calls.append(("stopped", seed))
            raise KeyboardInterrupt
        calls.append((arm.name, seed))
        return real_train(arm, seed, *rest, **more)

    monkeypatch.setattr(pair_run, "train_arm", counted)
    options: dict[str, Any] = {"arms": parse_arms("real,real@1"), "keep_outputs": False}
    with pytest.raises(KeyboardInterrupt):
        run(tiny(tmp_path), tmp_path / "r", tiles, None, **options)
    assert not (tmp_path / "r" / "result.json").exists()
    lines: list[str] = []
    said = run(tiny(tmp_path), tmp_path / "r", tiles, None, report=lines.append, **options)
    assert calls == [("real", 0), ("stopped", 0), ("real@1", 0), ("real", 1), ("real@1", 1)]
    assert lines[0] == "real, seed 0: kept from before"
    assert not (tmp_path / "r" / ".work").exists()
    calls[:] = [("x", 0)] * 2
    other = run(tiny(tmp_path), tmp_path / "o", tiles, None, **options)
    assert other.predictions.sha256 == said.predictions.sha256


def test_other_options_begin_anew(tmp_path: Path, tiles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"arms": parse_arms("real"), "seeds": 1, "keep_outputs": False}
    with monkeypatch.context() as patch:
        patch.setattr("synrs_data.evaluate.super_resolution.run.end_work", lambda folder: None)
        first = run(tiny(tmp_path), tmp_path / "r", tiles, None, **options)
    longer = CompactSr(TINY.options.model_copy(update={"steps": 4}))
    lines: list[str] = []
    second = run(tiny(tmp_path), tmp_path / "r", tiles, None, baseline=longer, report=lines.append, **options)
    assert lines == ["real, seed 0: trained"]
    assert second.predictions.sha256 != first.predictions.sha256


@pytest.mark.parametrize(
    ("arms", "build_too", "message"),
    [
        ("synthetic", False, "the arm 'synthetic' needs synthetic pairs"),
        ("real", True, "no arm trains on the synthetic pairs"),
        ("real@3", False, "needs 3 real pairs, and there are 2"),
        ("flip-cropx1", False, "adds altered copies"),
    ],
)
def test_arms_that_cannot_be_are_refused_before_any_training(
    tmp_path: Path, tiles: Path, synthetic: Path, arms: str, build_too: bool, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        run(tiny(tmp_path), tmp_path / "r", tiles, synthetic if build_too else None, arms=parse_arms(arms))
    assert not (tmp_path / "r").exists()


def test_a_crop_larger_than_a_pair_is_refused_with_the_one_that_fits(tmp_path: Path, tiles: Path) -> None:
    large = CompactSr(TINY.options.model_copy(update={"crop": 13}))
    with pytest.raises(UserError, match="has a side of 12 pixels, less than a crop of 13") as caught:
        run(tiny(tmp_path), tmp_path / "r", tiles, None, baseline=large, arms=parse_arms("real"))
    assert "compact-sr:crop=12" in str(caught.value)


def test_a_benchmark_without_real_pairs_trains_on_synthetic_ones_alone(
    tmp_path: Path, tiles: Path, synthetic: Path
) -> None:
    dataset = {"items": None, "items_sha256": None, "split": None}
    benchmark = tiny(tmp_path, dataset=dataset)
    said = run(benchmark, tmp_path / "r", tiles, synthetic, arms=parse_arms("synthetic@2"), seeds=1)
    assert (said.n, said.dataset.pinned, said.dataset.train) == (5, False, 0)
    assert [f.text for f in find_pair_faults(tmp_path / "r", benchmark, str(tiles))] == []
    with pytest.raises(UserError, match="has no splits"):
        run(benchmark, tmp_path / "n", tiles, None, arms=parse_arms("real"))


def test_a_metric_the_wrong_way_round_is_refused(tmp_path: Path, tiles: Path) -> None:
    wrong = tiny(tmp_path, metrics=[{"name": "psnr-y", "direction": "lower"}])
    with pytest.raises(RecipeError, match="psnr-y is better when it is higher, not lower"):
        run(wrong, tmp_path / "r", tiles, None, arms=parse_arms("real"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "scene-caption"}, "is of the task scene-caption, not lr-hr"),
        ({"generator": {"synthetic": False}}, "holds real images, no synthetic ones"),
    ],
)
def test_what_is_no_build_of_synthetic_pairs_is_refused(
    tmp_path: Path, tiles: Path, synthetic: Path, change: dict[str, Any], message: str
) -> None:
    source = pair_source(tiny(tmp_path), str(tiles))
    with pytest.raises(UserError, match="is no finished build: it has no manifest"):
        open_pairs(str(tmp_path / "absent"), 4, source)
    out = Path(shutil.copytree(synthetic, tmp_path / "b"))
    manifest = json.loads((out / "manifest.json").read_text())
    (out / "manifest.json").write_text(json.dumps(manifest | change))
    with pytest.raises(UserError, match=message):
        open_pairs(str(out), 4, source)


def test_a_damaged_build_and_one_of_another_scale_are_refused(
    tmp_path: Path, tiles: Path, synthetic: Path
) -> None:
    source = pair_source(tiny(tmp_path), str(tiles))
    with pytest.raises(UserError, match="which is not a scale of 2"):
        open_pairs(str(synthetic), 2, source)
    out = Path(shutil.copytree(synthetic, tmp_path / "b"))
    shard = next((out / "data").iterdir())
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match="has other contents than the manifest of its build says"):
        open_pairs(str(out), 4, source)


def test_a_build_that_holds_a_test_image_is_refused(tmp_path: Path, synthetic: Path) -> None:
    class Leaking:
        """The build's own pairs as a test."""

        def __init__(self) -> None:
            from synrs_data.evaluate.super_resolution.pairs import PackedPairs

            self._pairs = PackedPairs(str(synthetic), 4)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._pairs, name)

    with pytest.raises(UserError, match="holds an image of the benchmark's test"):
        open_pairs(str(synthetic), 4, Leaking())


def _row(change: pl.Expr, number: int = 4) -> Callable[[pl.DataFrame], pl.DataFrame]:
    where = pl.int_range(pl.len()) == number
    name = change.meta.output_name()
    return lambda table: table.with_columns(pl.when(where).then(change).otherwise(pl.col(name)).alias(name))


PSNR = "psnr-y@crop4"
FORGED: list[tuple[Callable[[pl.DataFrame], pl.DataFrame], str]] = [
    (_row(pl.col(PSNR) + 0.5), "psnr-y@crop4.value is"),
    (_row(pl.lit("f" * 64).alias("sha256")), "the output has the sha256"),
    (_row(pl.lit("not one").alias("sha256")), "sha256 is none: t/2"),
    (_row(pl.lit("t/9").alias("key")), "is no item of the benchmark: t/9"),
    (_row(pl.lit("other").alias("baseline")), "is not of the baseline compact-sr"),
    (_row(pl.lit(float("inf")).alias(PSNR)), "psnr-y@crop4 is infinite: t/2"),
    (lambda table: table.head(-1), "is missing: t/4"),
    (lambda table: table.head(-3), "there are no values of: mixed@1x2 seed 1"),
    (lambda table: pl.concat([table.tail(3), table.head(-3)]), "not in the order of the result's arms"),
    (lambda table: table.drop(PSNR), "has the columns"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(FORGED)))
def test_values_that_were_tampered_with_are_found(
    tmp_path: Path, trained: Path, tiles: Path, number: int
) -> None:
    forge, message = FORGED[number]
    folder = Path(shutil.copytree(trained, tmp_path / "c"))
    path = folder / "r" / "predictions.parquet"
    table = forge(pl.read_parquet(path))
    table.write_parquet(path)
    found = faults(folder, tiles)
    assert any(message in text for text in found), found
    # The digest is made anew as well: what is said of the values stays.
    values = json.loads((folder / "r" / "result.json").read_text())
    values["predictions"]["sha256"] = files.sha256(path)
    (folder / "r" / "result.json").write_text(json.dumps(values))
    again = faults(folder, tiles)
    assert any(message in text for text in again), again


def test_values_made_up_with_their_digest_and_numbers_do_not_fit_the_kept_outputs(
    tmp_path: Path, trained: Path, tiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        pair_run,
        "measure",
        lambda *rest, **more: measure(*rest, **more).with_columns(pl.col(PSNR) + 0.5),
    )
    benchmark = tiny(tmp_path)
    run(benchmark, tmp_path / "r", tiles, None, arms=parse_arms("real"), seeds=1)
    assert faults(tmp_path, None) == []
    found = faults(tmp_path, tiles)
    assert len(found) == 3
    assert all("psnr-y@crop4 is" in text and "the output gives" in text for text in found)


def test_kept_outputs_that_were_changed_are_found(tmp_path: Path, trained: Path, tiles: Path) -> None:
    folder = Path(shutil.copytree(trained, tmp_path / "c"))
    outputs = folder / "r" / "outputs"
    shutil.copyfile(outputs / "real-0.tar", outputs / "synthetic-0.tar")
    (outputs / "real-1.tar").write_bytes((outputs / "real-1.tar").read_bytes()[:700])
    found = faults(folder, tiles)
    assert any(text.startswith("outputs/synthetic-0.tar has the sha256") for text in found)
    assert any(text.startswith("outputs/synthetic-0.tar: 't/0': the output has the sha256") for text in found)
    assert any(text.startswith("outputs/real-1.tar: ") for text in found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r["arms"][0]["metrics"][0].update(value=99.0), "real: psnr-y@crop4.value is 99.0"),
        (lambda r: r["arms"][1]["metrics"][1]["difference"].update(above_zero=1.0), "above_zero is"),
        (lambda r: r["arms"][1]["metrics"][0].update(difference=None), "is to another arm"),
        (lambda r: r["arms"][0]["metrics"][0].update(n=2), "psnr-y@crop4.n is 2, not 3"),
        (lambda r: r["arms"][2]["counts"].update(real=2), "the arm 'mixed@1x2' has 2 pairs, not 1"),
        (lambda r: r["arms"][1]["counts"].update(real=2), "the arm 'synthetic' has 2 real and 8 synthetic"),
        (lambda r: r.update(synthetic=None), "the result names no synthetic set"),
        (lambda r: r.update(n=4), "n is 4, there are 3 values"),
        (lambda r: r["bootstrap"].update(replicates=10), "bootstrap is"),
        (lambda r: r["dataset"].update(pinned=False), "dataset.pinned is False, not True"),
        (lambda r: r.update(task_hash="0" * 64), "task_hash is"),
        (lambda r: r["protocol"].update(name="zero-shot"), "the protocol is zero-shot, the arms are real"),
        (lambda r: r["metrics"][0]["configuration"].update(crop=8), "is not computed as this version does"),
        (lambda r: r["outputs"].pop(), "outputs are not those of the result's arms and seeds"),
        (lambda r: r["baseline"].update(in_domain=True), "in_domain is True, not False"),
    ],
)  # fmt: skip
def test_a_record_that_was_tampered_with_is_found(
    tmp_path: Path, trained: Path, tiles: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    folder = Path(shutil.copytree(trained, tmp_path / "c"))
    values = json.loads((folder / "r" / "result.json").read_text())
    change(values)
    (folder / "r" / "result.json").write_text(json.dumps(values))
    found = faults(folder, None)
    assert any(message in text for text in found), found


def test_a_damaged_result_is_one_message(tmp_path: Path, trained: Path) -> None:
    folder = Path(shutil.copytree(trained, tmp_path / "c"))
    (folder / "r" / "result.json").write_text("{")
    with pytest.raises(VerificationError, match="is no result of super-resolution"):
        faults(folder, None)
    shutil.rmtree(folder / "r")
    with pytest.raises(UserError, match="there is no result"):
        faults(folder, None)
    with pytest.raises(UserError, match="is a result of super-resolution, which is not read here"):
        read_result(trained / "r")


def command(*arguments: str) -> Any:
    from synrs_data.cli import app

    return CliRunner().invoke(app, ["eval", *arguments])


def test_the_commands_run_and_verify_and_name_what_was_measured_again(
    tmp_path: Path, tiles: Path, synthetic: Path
) -> None:
    tiny(tmp_path)
    benchmark, out = str(tmp_path / "tiny-x4.yaml"), tmp_path / "out"
    compact = "compact-sr:steps=2,batch=2,crop=8,channels=4,blocks=1"
    done = command(
        "run", benchmark, "--data", str(tiles), "--baseline", "lanczos", "--baseline", compact, "--synthetic",
        str(synthetic), "--seeds", "2", "--out", str(out), "--device", "cpu", "--keep-outputs",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "compact-sr on tiny-x4: 2 seeds, 3 test images" in done.stdout
    assert [line.split()[0] for line in done.stdout.splitlines() if line.startswith(("real", "syn", "mix"))] == [
        "real", "synthetic", "mixedx1",
    ] * 2  # fmt: skip
    verify = ("verify", str(out / "compact-sr"), "--benchmark", benchmark)
    done = command(*verify, "--data", str(tiles))
    assert done.exit_code == 0, done.output
    assert (
        "18 rows of values and 6 metrics of compact-sr are as they say, 18 kept outputs measured again"
        in done.stdout
    )
    assert "no output measured again" in command(*verify).stdout
    result = out / "compact-sr" / "result.json"
    result.write_text(result.read_text().replace('"n": 3', '"n": 2'))
    done = command(*verify)
    assert isinstance(done.exception, VerificationError)
    assert done.exception.exit_code == 3
    assert "psnr-y@crop4.n is 2, not 3" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "there is nothing to evaluate"),
        (["--baseline", "bicubik"], "unknown baseline 'bicubik' of super-resolution"),
        (["--baseline", "compact-sr:step=2"], "step"),
        (["--baseline", "bicubic", "--arms", "real"], "none of the baselines is trained here"),
        (["--baseline", "bicubic", "--protocol", "knn"], "super-resolution has no protocol"),
        (["--baseline", "bicubic", "--baseline", "bicubic"], "two baselines are called 'bicubic'"),
        (["--baseline", "bicubic"], "needs its images"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_message(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    tiny(tmp_path)
    done = command("run", str(tmp_path / "tiny-x4.yaml"), *arguments, "--out", str(tmp_path / "r"))
    assert isinstance(done.exception, UserError | RecipeError), done.output
    assert message in str(done.exception)
    assert not (tmp_path / "r").exists()


def test_outputs_are_kept_of_super_resolution_alone() -> None:
    done = command("run", "eurosat-mini", "--baseline", "eurosat-tiny-clip", "--keep-outputs")
    assert "classification makes no images to keep" in str(done.exception)


def test_the_published_schema_is_what_the_command_prints(trained: Path) -> None:
    printed = command("schema", "--task", "super-resolution").stdout
    published = Path(__file__).parents[2] / "docs" / "super-resolution-result.schema.json"
    assert published.read_text(encoding="utf-8") == printed, (
        "run `synrs-data eval schema --task super-resolution > docs/super-resolution-result.schema.json`"
    )
    schema, values = json.loads(printed), json.loads((trained / "r" / "result.json").read_text())
    assert set(schema["required"]) <= set(values) == set(schema["properties"])
    assert "there is no task 'x'" in str(command("schema", "--task", "x").exception)


def test_baselines_are_listed_with_their_options() -> None:
    from synrs_data.cli import app

    lines = CliRunner().invoke(app, ["list", "baselines"]).stdout.splitlines()
    named = [line.split()[0] for line in lines if "(super-resolution):" in line]
    assert named == [
        "bicubic", "lanczos", "spandrel", "residual", "diffusers-upscale", "external-command", "compact-sr",
    ]  # fmt: skip
    compact = next(number for number, line in enumerate(lines) if line.startswith("  compact-sr"))
    assert lines[compact + 1] == "      steps (1000): Updates; the same in every arm."


def test_a_benchmark_may_name_a_metric_of_pyiqa_with_capitals(tmp_path: Path) -> None:
    metric = {"name": "pyiqa:clipiqa+_vitL14_512", "direction": "higher"}
    assert tiny(tmp_path, metrics=[metric]).metrics[0].name == "pyiqa:clipiqa+_vitL14_512"
