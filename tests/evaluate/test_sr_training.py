"""The residual network: bicubic before training, better after, the same for the same seed, whole in its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from synrs_data.errors import UserError, WeightsError
from synrs_data.evaluate.super_resolution.enlarge import enlarge
from synrs_data.evaluate.super_resolution.fidelity import psnr
from synrs_data.evaluate.super_resolution.network import (
    ResidualNetwork,
    load_network,
    save_network,
)
from synrs_data.evaluate.super_resolution.training import NetworkOptions, TrainingOptions, train
from synrs_data.resampling import shrink
from tests.evaluate.sr_images import scene

Pixels = NDArray[np.uint8]

SMALL: dict[str, Any] = {"steps": 4, "batch": 2, "crop": 8, "channels": 4, "blocks": 1}


def pairs(count: int = 2, scale: int = 2, side: int = 32) -> list[tuple[Pixels, Pixels]]:
    high = [scene(seed, side) for seed in range(count)]
    return list(zip(shrink(high, "matlab", scale), high, strict=True))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_an_untrained_network_is_bicubic_interpolation(scale: int) -> None:
    image = scene(0, 16)[:, :13]
    found = ResidualNetwork(
        NetworkOptions.model_validate({"scale": scale, "channels": 4, "blocks": 1})
    ).enlarge(image)
    difference = np.abs(found.astype(int) - enlarge(image, scale, "bicubic", "pillow"))
    assert found.shape == (16 * scale, 13 * scale, 3)
    # Pillow rounds between columns and rows.
    assert difference.mean() < 0.5


def test_training_beats_bicubic_on_images_of_its_kind() -> None:
    train_pairs, [(low, high)] = pairs(4), [pairs(5)[4]]
    options = TrainingOptions(steps=60, batch=4, crop=16, channels=8, blocks=1, learning_rate=5e-3)
    network = train(train_pairs, 2, options, seed=0)
    ours = psnr(network.enlarge(low), high, on_luma=True)
    assert ours > psnr(enlarge(low, 2, "bicubic"), high, on_luma=True) + 0.2


def test_the_same_seed_gives_the_same_weights_and_another_one_others() -> None:
    import torch

    options = TrainingOptions(**SMALL)
    torch.manual_seed(1)
    first = train(pairs(), 2, options, seed=3).digest()
    torch.manual_seed(2)
    np.random.seed(2)
    assert train(pairs(), 2, options, seed=3).digest() == first
    assert train(pairs(), 2, options, seed=4).digest() != first
    assert train(pairs(3), 2, options, seed=3).digest() != first


def test_training_leaves_the_callers_random_numbers_alone() -> None:
    import torch

    torch.manual_seed(5)
    expected = float(torch.rand(1))
    torch.manual_seed(5)
    train(pairs(), 2, TrainingOptions(**SMALL), seed=3)
    assert float(torch.rand(1)) == expected


def test_crops_of_a_pair_show_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    seen: list[tuple[Any, Any]] = []
    original = ResidualNetwork.forward

    def forward(self: ResidualNetwork, low: Any) -> Any:
        found = original(self, low)
        seen.append((low, found))
        return found

    monkeypatch.setattr(ResidualNetwork, "forward", forward)
    l1 = torch.nn.functional.l1_loss

    def loss(found: Any, high: Any) -> Any:
        low = seen[-1][0]
        down = torch.nn.functional.avg_pool2d(high, 2)
        assert torch.abs(down - low).max() < 0.01
        return l1(found, high)

    monkeypatch.setattr(torch.nn.functional, "l1_loss", loss)
    high = [scene(seed, 32) for seed in range(2)]
    exact = list(zip(shrink(high, "area", 2), high, strict=True))
    train(exact, 2, TrainingOptions(**{**SMALL, "steps": 12}), seed=0)
    assert len(seen) == 12


def test_progress_is_told() -> None:
    told: list[tuple[int, float]] = []
    train(pairs(), 2, TrainingOptions(**SMALL), seed=0, report=lambda step, loss: told.append((step, loss)))
    assert [step for step, _ in told] == [1, 2, 3, 4]
    assert all(0 < loss < 1 for _, loss in told)


def test_pairs_that_cannot_be_trained_on_are_refused() -> None:
    options = TrainingOptions(**SMALL)
    with pytest.raises(UserError, match="there are no pairs"):
        train([], 2, options, seed=0)
    low, high = pairs()[0]
    with pytest.raises(UserError, match="pair 1 have 16 x 16 and 30 x 32 pixels, which is not a scale of 2"):
        train([(low, high), (low, high[:, :30])], 2, options, seed=0)
    with pytest.raises(UserError, match=r"16 x 16 pixels, less than a crop of 24\n.*at most 16"):
        train([(low, high)], 2, TrainingOptions(**{**SMALL, "crop": 24}), seed=0)


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"learning_rate": 0}, {"scale": 2}, {"learning_rate": float("nan")}]
)
def test_wrong_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TrainingOptions.model_validate({**SMALL, **wrong})


def test_a_saved_network_is_the_same_bytes_and_gives_the_same_image(tmp_path: Path) -> None:
    network = train(pairs(), 2, TrainingOptions(**SMALL), seed=0)
    for name in ("a", "b"):
        save_network(tmp_path / f"{name}.safetensors", network, training=SMALL, seed=0)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    loaded = load_network(tmp_path / "a.safetensors")
    assert loaded.options == network.options
    assert loaded.digest() == network.digest()
    assert np.array_equal(loaded.enlarge(scene(9, 16)), network.enlarge(scene(9, 16)))


def test_files_that_hold_no_network_are_refused(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    path = tmp_path / "x.safetensors"
    with pytest.raises(WeightsError, match="cannot be read as safetensors"):
        load_network(path)
    path.write_bytes(b"no tensors")
    with pytest.raises(WeightsError, match="cannot be read as safetensors"):
        load_network(path)
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="is no file of the format"):
        load_network(path)
    said = {"format": "synrs-data residual network 1", "network": {"scale": 2, "channels": 4, "blocks": 1}}
    save_file({"x": torch.zeros(1)}, path, {"synrs-data": json.dumps(said)})
    with pytest.raises(WeightsError, match="its weights are not those of its configuration"):
        load_network(path)
    save_file({"x": torch.zeros(1)}, path, {"synrs-data": "[1]"})
    with pytest.raises(WeightsError, match="its weights are not those of its configuration"):
        load_network(path)


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_network(path, ResidualNetwork(NetworkOptions(scale=2, channels=4, blocks=1)))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="cannot be read as safetensors"):
        load_network(path)
