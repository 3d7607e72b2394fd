"""`real-esrgan` says by how much its first resizing moves the middle of the scene."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from synrs_data.degradations.real_esrgan import RealEsrgan, RealEsrganOptions

QUIET: dict[str, Any] = {
    "blur1.kind": "iso", "blur1.size": 7, "blur1.sigma_x": 0.2,
    "noise1.kind": "gaussian", "noise1.channels": "gray", "noise1.sigma": 0.01, "noise1.seed": 1,
    "noise2.kind": "gaussian", "noise2.channels": "gray", "noise2.sigma": 0.01, "noise2.seed": 2,
    "jpeg1.quality": 95.0, "jpeg2.quality": 95.0, "blur2.applied": False, "sinc.applied": False,
    "resize2.kind": "keep", "resize2.mode": "bilinear", "resize3.mode": "bilinear", "final.order": "back jpeg2",
}  # fmt: skip


def shifts(seed: int, side: int = 256) -> tuple[float, float, dict[str, Any]]:
    made = RealEsrgan(RealEsrganOptions())
    drawn = made.draw(seed, side, side)
    return float(drawn["shift.x"]), float(drawn["shift.y"]), dict(drawn)


def seeds_with(mode: str, *, least: float) -> list[int]:
    found = []
    for seed in range(400):
        x, _, drawn = shifts(seed)
        if drawn["resize1.mode"] == mode and x > least:
            found.append(seed)
    return found


def test_means_over_areas_move_nothing() -> None:
    for seed in range(200):
        x, y, drawn = shifts(seed)
        if drawn["resize1.mode"] == "area" or drawn["resize1.kind"] == "keep":
            assert [x, y] == pytest.approx([0, 0], abs=1e-9)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_a_spot_in_the_middle_lands_where_the_shift_says(mode: str) -> None:
    import torch

    made = RealEsrgan(RealEsrganOptions(sharpen=False))
    made.load("cpu")
    rows, columns = np.mgrid[:256, :256] - 127.5
    spot = 40 + 180 * np.exp(-(rows**2 + columns**2) / (2 * 20**2))
    image = np.repeat(np.rint(spot)[..., None], 3, axis=2).astype(np.uint8)
    chosen = seeds_with(mode, least=0.25)[:3]
    assert chosen
    for seed in chosen:
        drawn = shifts(seed)[2]
        quiet = QUIET | {name: drawn[name] for name in drawn if name.startswith(("resize1.", "shift."))}
        with torch.inference_mode():
            [low] = made.degrade([image], [quiet])
        weight = low.astype(np.float64).mean(axis=2) - 40
        weight[weight < 8] = 0
        middle = (weight.sum(axis=0) * np.arange(64)).sum() / weight.sum() - 31.5
        assert middle == pytest.approx(drawn["shift.x"], abs=0.05)
