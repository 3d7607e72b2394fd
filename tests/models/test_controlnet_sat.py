"""DiffusionSat's ControlNets on random weights: the published layout, and the mathematics against stock classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from synrs_data.errors import WeightsError
from synrs_data.models.controlnet_folder import load_controlnet
from synrs_data.models.source import locate
from tests.tiny_controlnet import randomise

TINY: dict[str, Any] = {
    "block_out_channels": (32, 64),
    "norm_num_groups": 8,
    "layers_per_block": 1,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "cross_attention_dim": 12,
    "attention_head_dim": (4, 8),
    "use_linear_projection": True,
    "conditioning_embedding_out_channels": (4, 8, 8, 16),
}
BATCH, DATES, LATENT = 2, 3, 4


def sat(dates: bool = False, **changes: Any) -> Any:
    from synrs_data.models.controlnet_sat import SatControlNet, SatControlNet3D

    net = (SatControlNet3D if dates else SatControlNet)(**TINY | changes)
    randomise(net)
    return net.eval()


def stock(net: Any) -> Any:
    """Return diffusers' own ControlNet with the weights of ours as far as it has them."""
    from diffusers import ControlNetModel

    plain = ControlNetModel(**TINY, conditioning_channels=net.config.conditioning_in_channels)
    own = {name: value for name, value in net.state_dict().items() if name in plain.state_dict()}
    plain.load_state_dict(
        {name: value[:, :, value.shape[2] // 2] if value.ndim == 5 else value for name, value in own.items()}
    )
    return plain.eval()


def inputs(seed: int = 0) -> dict[str, Any]:
    import torch

    torch.manual_seed(seed)
    return {
        "sample": torch.randn(BATCH, 4, LATENT, LATENT),
        "timestep": torch.tensor(321),
        "encoder_hidden_states": torch.randn(BATCH, 5, 12),
    }


def images(*shape: int) -> Any:
    import torch

    return torch.rand(BATCH, *shape, 8 * LATENT, 8 * LATENT)


def records(*shape: int) -> Any:
    import torch

    return torch.rand(BATCH, 7, *shape) * 1000


def run(net: Any, *added: Any, **given: Any) -> list[Any]:
    """Return all outputs; `added` are embeddings to add to that of the time, (batch, width)."""
    import torch

    hook = net.time_embedding.register_forward_hook(lambda module, args, output: sum(added, output))
    with torch.no_grad():
        down, middle = net(**given, return_dict=False)
    hook.remove()
    return [*down, middle]


def of_record(net: Any, record: Any) -> Any:
    """Return the embedding of one record a sample, (batch, 7), number by number."""
    from diffusers.models.embeddings import get_timestep_embedding

    width = net.config.block_out_channels[0]
    total = 0
    for number in range(7):
        wave = get_timestep_embedding(record[:, number], width, flip_sin_to_cos=True, downscale_freq_shift=0)
        total = total + net.metadata_embedding[number](wave)
    return total


def assert_close(one: list[Any], other: list[Any]) -> None:
    import torch

    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        torch.testing.assert_close(left, right, rtol=2e-5, atol=2e-5 * float(right.abs().max()))


def publish(folder: Path, net: Any, name: str) -> Path:
    """Write a folder as the authors' release of diffusers did: pickled weights and their class's name."""
    import torch

    folder.mkdir(parents=True)
    torch.save(net.state_dict(), folder / "diffusion_pytorch_model.bin")
    config = {key: value for key, value in net.config.items() if not key.startswith("_")}
    (folder / "config.json").write_text(
        json.dumps({"_class_name": name, "_diffusers_version": "0.17.0.dev0", **config})
    )
    return folder


def test_without_metadata_it_is_the_stock_controlnet() -> None:
    net = sat(use_metadata=False)
    given = inputs() | {"controlnet_cond": images(3), "conditioning_scale": 0.7}
    assert_close(run(net, **given), run(stock(net), **given))


@pytest.mark.parametrize("dates", [0, 1, DATES])
def test_metadata_of_target_and_images_are_summed_into_the_time(dates: int) -> None:
    net = sat()
    target = records()
    others: Any = records(dates) if dates else None
    added = [of_record(net, target), *(of_record(net, others[..., date]) for date in range(dates))]
    given = inputs() | {"controlnet_cond": images(3)}
    plain = run(stock(net), *added, **given)
    assert_close(run(net, **given, metadata=target, cond_metadata=others), plain)
    if dates == 1:
        assert_close(run(net, **given, metadata=target, cond_metadata=others[..., 0]), plain)


@pytest.mark.parametrize(("scale", "strides"), [(1, 3), (2, 2), (4, 1), (8, 0)])
def test_images_of_a_coarser_resolution_meet_the_latents(scale: int, strides: int) -> None:
    import torch

    net = sat(conditioning_scale=scale, conditioning_in_channels=10)
    halving = [module for module in net.controlnet_cond_embedding.blocks if module.stride == (2, 2)]
    assert len(halving) == strides
    side = 8 * LATENT // scale
    outputs = run(net, **inputs(), controlnet_cond=torch.rand(BATCH, 10, side, side), metadata=records())
    assert outputs[0].shape == (BATCH, 32, LATENT, LATENT)


def test_dates_that_do_not_meet_are_encoded_alone_and_summed() -> None:
    net = sat(dates=True)
    import torch

    # Without their outer slices the 3D convolutions see one date alone.
    with torch.no_grad():
        for name, weight in net.controlnet_cond_embedding.named_parameters():
            if name.endswith("weight") and weight.shape[2] == 3:
                weight[:, :, 0] = weight[:, :, 2] = 0
    target, others, shown = records(), records(DATES), images(3, DATES)
    plain = stock(net)
    parts = [
        run(
            plain,
            of_record(net, target),
            of_record(net, others[..., date]),
            **inputs(),
            controlnet_cond=shown[:, :, date],
        )
        for date in range(DATES)
    ]
    expected = [sum(items) for items in zip(*parts, strict=True)]
    given = inputs() | {"controlnet_cond": shown, "metadata": target}
    assert_close(run(net, **given, cond_metadata=others), expected)


def test_one_record_for_all_dates_is_that_of_each() -> None:
    net = sat(dates=True, use_temporal_transformer=True)
    one = records()
    given = inputs() | {"controlnet_cond": images(3, DATES), "metadata": records()}
    every = one[..., None].repeat(1, 1, DATES)
    assert_close(run(net, **given, cond_metadata=one), run(net, **given, cond_metadata=every))


def test_dates_attend_to_each_other_by_a_learned_share_of_0_to_1() -> None:
    import torch

    net = sat(dates=True, use_temporal_transformer=True)
    given = inputs() | {"controlnet_cond": images(3, DATES), "metadata": records()}

    def at(share: float) -> list[Any]:
        with torch.no_grad():
            for parameter in net.mixing_attns:
                parameter.fill_(share)
        return run(net, **given)

    none, half, full = at(0.0), at(0.5), at(1.0)
    assert_close(at(-3.0), none)
    assert_close(at(7.0), full)
    assert_close(half, [(one + other) / 2 for one, other in zip(none, full, strict=True)])
    temporal = [
        number for number, pair in enumerate(zip(none, full, strict=True)) if not pair[0].equal(pair[1])
    ]
    # The first skip connection and the one after the halving; two of five, and never the middle.
    assert temporal == [0, 2]


def test_names_and_shapes_of_tensors_are_those_published() -> None:
    net = sat(dates=True, use_temporal_transformer=True)
    shapes = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    assert shapes["metadata_embedding.6.linear_1.weight"] == (128, 32)
    assert shapes["metadata_embedding.6.linear_2.bias"] == (128,)
    assert shapes["controlnet_cond_embedding.conv_in.weight"] == (4, 3, 3, 3, 3)
    assert shapes["controlnet_cond_embedding.blocks.0.weight"] == (4, 4, 3, 3, 3)
    assert shapes["controlnet_cond_embedding.blocks.5.weight"] == (16, 8, 1, 3, 3)
    assert shapes["controlnet_cond_embedding.conv_out.weight"] == (32, 16, 3, 3, 3)
    assert shapes["controlnet_down_blocks.3.weight"] == (64, 64, 1, 1, 1)
    assert shapes["controlnet_mid_block.weight"] == (64, 64, 1, 1, 1)
    # 8 heads of 64 at the first, the UNet's own heads after that.
    assert shapes["temporal_blocks.0.proj_in.weight"] == (512, 32)
    assert shapes["temporal_blocks.2.proj_in.weight"] == (32, 32)
    assert shapes["temporal_blocks.2.transformer_blocks.0.attn2.to_k.weight"] == (32, 32)
    assert [name for name in shapes if name.startswith("mixing_attns")] == [
        f"mixing_attns.{number}" for number in range(4)
    ]
    assert not [name for name in shapes if name.startswith(("temporal_blocks.1.", "temporal_blocks.3."))]
    flat = {name: tuple(value.shape) for name, value in sat(conditioning_in_channels=10).state_dict().items()}
    assert flat["controlnet_cond_embedding.conv_in.weight"] == (4, 10, 3, 3)
    assert sum(name.startswith("metadata_embedding.") for name in flat) == 28


@pytest.mark.parametrize(
    ("dates", "name", "changes"),
    [
        (False, "ControlNetModel", {"conditioning_in_channels": 10, "conditioning_scale": 2}),
        (True, "ControlNetModel3D", {"use_temporal_transformer": True}),
    ],
)
def test_a_published_folder_is_loaded_whole(
    tmp_path: Path, dates: bool, name: str, changes: dict[str, Any]
) -> None:
    import torch

    net = sat(dates, **changes)
    model = locate(str(publish(tmp_path / "net", net, name)))
    found = load_controlnet(model, dtype=torch.float32)
    assert type(found) is type(net)
    assert found.state_dict().keys() == net.state_dict().keys()
    assert all(value.equal(net.state_dict()[key]) for key, value in found.state_dict().items())
    for key, value in (TINY | changes).items():
        assert found.config[key] == value or list(found.config[key]) == list(value)
    found.save_pretrained(tmp_path / "again")
    again = type(net).from_pretrained(tmp_path / "again")
    assert again.config.num_metadata == 7
    assert {**again.config}.items() >= {key: again.config[key] for key in changes}.items()


def test_weights_that_would_be_dropped_or_random_are_refused(tmp_path: Path) -> None:
    import torch

    folder = publish(tmp_path / "net", sat(dates=True, use_temporal_transformer=True), "ControlNetModel3D")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"use_temporal_transformer": False}))
    with pytest.raises(WeightsError, match=r"would be dropped: mixing_attns\.0"):
        load_controlnet(locate(str(folder)), dtype=torch.float32)
    (folder / "config.json").write_text(json.dumps(config | {"num_metadata": 9}))
    with pytest.raises(WeightsError, match=r"missing and would be random: metadata_embedding\.7"):
        load_controlnet(locate(str(folder)), dtype=torch.float32)


@pytest.mark.parametrize(
    "changes", [{"class_embed_type": "timestep"}, {"controlnet_conditioning_channel_order": "bgr"}]
)
def test_what_these_nets_never_have_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    import torch

    folder = publish(tmp_path / "net", sat(), "ControlNetModel")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    with pytest.raises(WeightsError, match="cannot be loaded"):
        load_controlnet(locate(str(folder)), dtype=torch.float32)


def test_missing_metadata_and_records_of_another_length_are_refused() -> None:
    net = sat()
    given = inputs() | {"controlnet_cond": images(3)}
    with pytest.raises(ValueError, match="needs metadata"):
        run(net, **given)
    with pytest.raises(ValueError, match="6 numbers a record, not 7"):
        run(net, **given, metadata=records()[:, :6])
    with pytest.raises(ValueError, match="no guess mode"):
        run(net, **given, metadata=records(), guess_mode=True)
