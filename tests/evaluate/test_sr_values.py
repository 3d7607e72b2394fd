"""Tables of values: rows of every image, means with intervals, paired differences, and tampering that is found."""

from __future__ import annotations

import hashlib
import io
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from synrs_data.errors import UserError, VerificationError
from synrs_data.evaluate.statistics import mean_interval, paired_mean_difference
from synrs_data.evaluate.super_resolution.enlarge import enlarge
from synrs_data.evaluate.super_resolution.metrics import MetricSet
from synrs_data.evaluate.super_resolution.pairs import Pair
from synrs_data.evaluate.super_resolution.values import (
    mean_difference,
    means,
    measure,
    recompute,
    schema,
)
from synrs_data.resampling import shrink
from synrs_data.shards.tar import members
from tests.evaluate.sr_images import scene

METRICS = MetricSet(["psnr-y@crop2", "ssim-rgb"])


def pair(seed: int) -> Pair:
    high = scene(seed, 32)
    return Pair(f"tile/{seed}", shrink([high], "matlab", 2)[0], high)


PAIRS = [pair(seed) for seed in range(4)]
BICUBIC = [enlarge(each.lr, 2, "bicubic") for each in PAIRS]
NEAREST = [np.repeat(np.repeat(each.lr, 2, axis=0), 2, axis=1) for each in PAIRS]


def table(keep: Path | None = None) -> pl.DataFrame:
    return measure(PAIRS, BICUBIC, METRICS, baseline="bicubic", arm="", seed=0, keep=keep)


def test_a_row_has_the_values_and_the_digest_of_its_output(tmp_path: Path) -> None:
    found = table(tmp_path / "new" / "outputs.tar")
    assert dict(found.schema) == schema(METRICS.ids)
    assert found["key"].to_list() == [each.key for each in PAIRS]
    for row, each, image in zip(found.iter_rows(named=True), PAIRS, BICUBIC, strict=True):
        assert {name: row[name] for name in METRICS.ids} == METRICS.measure(each.lr, image, each.hr)
    for row, image, (_, fields) in zip(
        found.iter_rows(named=True), BICUBIC, members(tmp_path / "new" / "outputs.tar"), strict=True
    ):
        assert hashlib.sha256(fields["png"]).hexdigest() == row["sha256"]
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(fields["png"]))), image)
        assert fields["txt"].decode() == row["key"]


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (BICUBIC[:3], "gave no output for 'tile/3'"),
        ([*BICUBIC, BICUBIC[0]], "gave more outputs than there are images"),
        ([BICUBIC[0][:30], *BICUBIC[1:]], "32 x 30 pixels is compared with one of 32 x 32"),
    ],
)
def test_outputs_that_do_not_fit_are_refused_and_nothing_is_left(
    tmp_path: Path, outputs: list[np.ndarray], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        measure(PAIRS, outputs, METRICS, baseline="x", arm="", seed=0, keep=tmp_path / "x.tar")
    assert list(tmp_path.iterdir()) == []


def test_means_are_over_seeds_and_images_with_the_interval_of_statistics() -> None:
    both = pl.concat(
        [
            measure(PAIRS, outputs, METRICS, baseline="net", arm="real", seed=seed)
            for seed, outputs in ((0, BICUBIC), (1, NEAREST))
        ]
    ).sample(fraction=1, shuffle=True, seed=3)
    [psnr, ssim] = means(both, "net", "real", seed=7)
    values = np.array(
        [
            [
                METRICS.measure(each.lr, image, each.hr)["psnr-y@crop2"]
                for each, image in zip(PAIRS, made, strict=True)
            ]
            for made in (BICUBIC, NEAREST)
        ]
    )
    assert psnr.value == pytest.approx(values.mean())
    assert (psnr.low, psnr.high) == mean_interval(values, seed=7)
    assert (psnr.metric, psnr.n, psnr.seeds) == ("psnr-y@crop2", 4, 2)
    assert ssim.metric == "ssim-rgb"


def test_images_without_a_value_are_left_out_and_counted() -> None:
    found = table().with_columns(
        pl.when(pl.col("key") == "tile/1").then(math.nan).otherwise(pl.col("ssim-rgb")).alias("ssim-rgb")
    )
    psnr, ssim = means(found, "bicubic", "", seed=0)
    assert (psnr.n, ssim.n) == (4, 3)
    assert ssim.value == pytest.approx(table().filter(pl.col("key") != "tile/1")["ssim-rgb"].mean())
    none = found.with_columns(pl.lit(math.nan).alias("ssim-rgb"))
    [_, ssim] = means(none, "bicubic", "", seed=0)
    assert (ssim.n, math.isnan(ssim.value), math.isnan(ssim.low)) == (0, True, True)
    assert math.isnan(mean_difference(none, ("bicubic", ""), ("bicubic", ""), "ssim-rgb", seed=0).value)


def test_a_difference_is_paired_and_a_fixed_baseline_meets_every_seed() -> None:
    net = pl.concat(
        [
            measure(PAIRS, outputs, METRICS, baseline="net", arm="real", seed=seed)
            for seed, outputs in ((0, BICUBIC), (1, NEAREST))
        ]
    )
    nearest = measure(PAIRS, NEAREST, METRICS, baseline="nearest", arm="", seed=0)
    whole = pl.concat([net, nearest])
    found = mean_difference(whole, ("net", "real"), ("nearest", ""), "psnr-y@crop2", seed=1)
    first = net.sort("seed", "key")["psnr-y@crop2"].to_numpy().reshape(2, 4)
    second = np.repeat(nearest.sort("key")["psnr-y@crop2"].to_numpy()[None], 2, axis=0)
    assert found == paired_mean_difference(first, second, seed=1)
    assert abs(found.value) > 0.1


def test_arms_of_other_images_or_seeds_are_not_compared() -> None:
    other = measure(PAIRS[:3], NEAREST[:3], METRICS, baseline="nearest", arm="", seed=0)
    with pytest.raises(VerificationError, match="not of the same images and seeds"):
        mean_difference(pl.concat([table(), other]), ("bicubic", ""), ("nearest", ""), "ssim-rgb", seed=0)


def test_incomplete_repeated_and_absent_rows_are_told() -> None:
    with pytest.raises(VerificationError, match="no values of ssim-rgb for net real"):
        means(table().select("baseline", "arm", "seed", "key", "sha256", "ssim-rgb"), "net", "real", seed=0)
    two = pl.concat([table(), table().with_columns(pl.lit(1, pl.Int64()).alias("seed"))])
    for broken in (two.head(7), pl.concat([table(), table().head(4)])):
        with pytest.raises(VerificationError, match="not one for each of 4 images"):
            means(broken, "bicubic", "", seed=0)


def test_kept_outputs_give_every_value_again(tmp_path: Path) -> None:
    found = table(tmp_path / "x.tar")
    assert list(recompute(found, tmp_path / "x.tar", PAIRS, METRICS)) == []


def test_a_changed_value_row_or_output_is_found(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    found = table(path)
    better = found.with_columns(pl.col("psnr-y@crop2") + pl.Series([0.0, 0.01, 0.0, 0.0]))
    [sentence] = recompute(better, path, PAIRS, METRICS)
    assert sentence.startswith("'tile/1': psnr-y@crop2 is ")
    forged = found.with_columns(pl.Series("sha256", ["0" * 64, *found["sha256"].to_list()[1:]]))
    [sentence] = recompute(forged, path, PAIRS, METRICS)
    assert f"the table says {'0' * 64}" in sentence
    assert list(recompute(found.head(3), path, PAIRS, METRICS)) == ["'tile/3' has no row"]
    assert list(recompute(found, path, PAIRS[:3], METRICS)) == [
        "there are more rows or outputs than test images"
    ]
    assert list(recompute(found.reverse(), path, PAIRS, METRICS)) == [
        "the row or output of 'tile/3' stands where 'tile/0' belongs"
    ]
    assert list(recompute(found.drop("ssim-rgb"), path, PAIRS, METRICS)) == [
        "has the columns baseline, arm, seed, key, sha256, psnr-y@crop2, not baseline, arm, seed, key, sha256, "
        "psnr-y@crop2, ssim-rgb"
    ]


def test_a_damaged_tar_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    found = table(path)
    path.write_bytes(path.read_bytes()[:-10240])
    with pytest.raises(VerificationError, match="is no whole tar"):
        list(recompute(found, path, PAIRS, METRICS))
