"""DiffusionSat's ControlNets: images of other resolutions, bands or dates, and geo-metadata of target and images.

Khanna et al. (ICLR 2024), section 3.3; layouts and names of the tensors as in github.com/samar-khanna/DiffusionSat
at 68259b0, diffusionsat/controlnet.py and controlnet_3d.py.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from diffusers import ControlNetModel
from diffusers.models.controlnets.controlnet import ControlNetOutput
from diffusers.models.embeddings import TimestepEmbedding
from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel
from torch import Tensor, nn

VAE_FACTOR = 8
"""Side of an image by side of its latents, down to which the conditioning net strides."""

_ALIEN = ("class_embed_type", "num_class_embeds", "addition_embed_type", "global_pool_conditions")
"""What a stock configuration may ask for and DiffusionSat's ControlNets never have."""


class ConditioningNet(nn.Module):
    """From images to the features that are added to the first features of the UNet's copy.

    Args:
        channels_in: Channels of an image.
        widths: Channels of its stages.
        channels_out: Channels of the features.
        scale: Side of the generated image by side of the images: a stage halves them while that is below 8.
        dates: Whether images are stacks of dates, (batch, channels, dates, height, width).
    """

    def __init__(
        self, channels_in: int, widths: Sequence[int], channels_out: int, *, scale: float, dates: bool
    ) -> None:
        super().__init__()
        conv: Any = nn.Conv3d if dates else nn.Conv2d
        self.conv_in = conv(channels_in, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        for stage, (width, wider) in enumerate(pairwise(widths)):
            side = 2 if scale * 2**stage < VAE_FACTOR else 1
            # The layer that halves images looks at one date, the others at its neighbours too.
            over = {"kernel_size": (1, 3, 3), "padding": (0, 1, 1), "stride": (1, side, side)}
            plain = {"kernel_size": 3, "padding": 1, "stride": side}
            self.blocks.append(conv(width, width, 3, padding=1))
            self.blocks.append(conv(width, wider, **(over if dates else plain)))
        self.conv_out = conv(widths[-1], channels_out, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Return features, (batch, channels_out, [dates,] height, width)."""
        features = nn.functional.silu(self.conv_in(images))
        for block in self.blocks:
            features = nn.functional.silu(block(features))
        output: Tensor = self.conv_out(features)
        return output


class SatControlNet(ControlNetModel):  # type: ignore[misc]
    """A ControlNet of images of other channels and another resolution, with metadata.

    Args:
        conditioning_in_channels: Channels of an image.
        conditioning_scale: Side of the generated image by side of the image.
        use_metadata: Whether it takes metadata.
        num_metadata: Numbers a record has.
        stock: Arguments of `ControlNetModel`.
    """

    def __init__(
        self,
        *,
        conditioning_in_channels: int = 3,
        conditioning_scale: float = 1,
        use_metadata: bool = True,
        num_metadata: int = 7,
        **stock: Any,
    ) -> None:
        super().__init__(**stock)
        self.register_to_config(
            conditioning_in_channels=conditioning_in_channels,
            conditioning_scale=conditioning_scale,
            use_metadata=use_metadata,
            num_metadata=num_metadata,
        )
        _refuse_alien(self.config)
        self.controlnet_cond_embedding = ConditioningNet(
            conditioning_in_channels, *_widths(self.config), scale=conditioning_scale, dates=False
        )
        self.metadata_embedding = _metadata_embedding(self) if use_metadata else None

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor | float,
        encoder_hidden_states: Tensor,
        controlnet_cond: Tensor,
        conditioning_scale: float = 1.0,
        metadata: Tensor | None = None,
        cond_metadata: Tensor | None = None,
        guess_mode: bool = False,
        return_dict: bool = True,
    ) -> ControlNetOutput | tuple[list[Tensor], Tensor]:
        """Return what is added to the UNet's skip connections and middle.

        Args:
            sample: Noisy latents, (batch, 4, height, width).
            timestep: One, or one a sample.
            encoder_hidden_states: Text features, (batch, tokens, width).
            controlnet_cond: Images, (batch, channels, height, width).
            conditioning_scale: Strength of control.
            metadata: Normalised metadata of the target, (batch, num_metadata).
            cond_metadata: That of the images, (batch, num_metadata) or (batch, num_metadata, images), summed.
            guess_mode: Not supported.
            return_dict: Whether to return a `ControlNetOutput`.
        """
        emb = self._embed(timestep, sample, metadata, guess_mode)
        if self.metadata_embedding is not None and cond_metadata is not None:
            records = cond_metadata if cond_metadata.ndim == 3 else cond_metadata[..., None]
            emb = emb + self._of_metadata(records).sum(dim=1)
        features = self.conv_in(sample) + self.controlnet_cond_embedding(controlnet_cond)
        skips, middle = self._encode(features, emb, encoder_hidden_states)
        down = [block(skip) for skip, block in zip(skips, self.controlnet_down_blocks, strict=True)]
        return _scaled(down, self.controlnet_mid_block(middle), conditioning_scale, return_dict)

    def _embed(
        self, timestep: Tensor | float, sample: Tensor, metadata: Tensor | None, guess_mode: bool
    ) -> Tensor:
        """Return the embedding of timestep and target metadata, (batch, width)."""
        if guess_mode:
            raise ValueError("DiffusionSat's ControlNets have no guess mode")
        steps = torch.as_tensor(timestep, device=sample.device).reshape(-1).expand(len(sample))
        emb: Tensor = self.time_embedding(self.time_proj(steps).to(sample.dtype))
        if self.metadata_embedding is None:
            return emb
        if metadata is None:
            raise ValueError("this ControlNet needs metadata")
        return emb + self._of_metadata(metadata[..., None]).squeeze(1)

    def _of_metadata(self, records: Tensor) -> Tensor:
        """Return the embeddings, (batch, images, width), of records, (batch, num_metadata, images)."""
        assert self.metadata_embedding is not None
        if records.shape[1] != len(self.metadata_embedding):
            raise ValueError(f"has {records.shape[1]} numbers a record, not {len(self.metadata_embedding)}")
        # The sinusoid is of float32 numbers: in float16 a longitude would be rounded to 0.18 degrees.
        waves = self.time_proj(records.float().flatten()).view(*records.shape, -1).to(self.dtype)
        parts = [embed(waves[:, number]) for number, embed in enumerate(self.metadata_embedding)]
        return torch.stack(parts).sum(dim=0)

    def _encode(self, features: Tensor, emb: Tensor, context: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return every skip connection and the middle of the UNet's copy."""
        skips = [features]
        for block in self.down_blocks:
            more = {"encoder_hidden_states": context} if getattr(block, "has_cross_attention", False) else {}
            features, found = block(hidden_states=features, temb=emb, **more)
            skips += found
        return skips, self.mid_block(features, emb, encoder_hidden_states=context)


class SatControlNet3D(SatControlNet):
    """A ControlNet of images of several dates, (batch, channels, dates, height, width), with metadata of each.

    Args:
        use_temporal_transformer: Whether dates attend to each other, mixed in by a learned share a block.
        others: Arguments of `SatControlNet` but `conditioning_scale`.
    """

    def __init__(self, *, use_temporal_transformer: bool = False, **others: Any) -> None:
        super().__init__(**others)
        self.register_to_config(use_temporal_transformer=use_temporal_transformer)
        config = self.config
        self.controlnet_cond_embedding = ConditioningNet(
            config.conditioning_in_channels, *_widths(config), scale=1, dates=True
        )
        flat: Any = self
        self.controlnet_down_blocks = nn.ModuleList(_conv3d(block) for block in flat.controlnet_down_blocks)
        self.controlnet_mid_block = _conv3d(flat.controlnet_mid_block)
        self.temporal_blocks: nn.ModuleList | None = None
        if use_temporal_transformer:
            self.temporal_blocks = nn.ModuleList(_temporal_blocks(config))
            self.mixing_attns = nn.ParameterList(
                nn.Parameter(torch.tensor(0.0)) for _ in self.temporal_blocks
            )

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor | float,
        encoder_hidden_states: Tensor,
        controlnet_cond: Tensor,
        conditioning_scale: float = 1.0,
        metadata: Tensor | None = None,
        cond_metadata: Tensor | None = None,
        guess_mode: bool = False,
        return_dict: bool = True,
    ) -> ControlNetOutput | tuple[list[Tensor], Tensor]:
        """Return what is added to the UNet's skip connections and middle; see `SatControlNet.forward`.

        `controlnet_cond` is (batch, channels, dates, height, width) and `cond_metadata` (batch, num_metadata,
        dates), or (batch, num_metadata) for all dates alike. Each date is encoded alone; the sum is returned.
        """
        dates = controlnet_cond.shape[2]
        emb = self._embed(timestep, sample, metadata, guess_mode).repeat_interleave(dates, dim=0)
        if self.metadata_embedding is not None and cond_metadata is not None:
            records = cond_metadata if cond_metadata.ndim == 3 else cond_metadata[..., None]
            emb = emb + self._of_metadata(records.expand(-1, -1, dates)).flatten(0, 1)
        control = self.controlnet_cond_embedding(controlnet_cond).transpose(1, 2).flatten(0, 1)
        features = self.conv_in(sample).repeat_interleave(dates, dim=0) + control
        context = encoder_hidden_states.repeat_interleave(dates, dim=0)
        skips, middle = self._encode(features, emb, context)
        down = [self._over_dates(number, skip, dates) for number, skip in enumerate(skips)]
        mid = self.controlnet_mid_block(_by_date(middle, dates)).sum(dim=2)
        return _scaled(down, mid, conditioning_scale, return_dict)

    def _over_dates(self, number: int, skip: Tensor, dates: int) -> Tensor:
        found = self.controlnet_down_blocks[number](_by_date(skip, dates))
        block = None if self.temporal_blocks is None else self.temporal_blocks[number]
        if isinstance(block, TransformerTemporalModel):
            share = self.mixing_attns[number].clamp(0, 1).to(found.dtype)
            mixed = _by_date(block(found.transpose(1, 2).flatten(0, 1), num_frames=dates).sample, dates)
            found = share * mixed + (1 - share) * found
        summed: Tensor = found.sum(dim=2)
        return summed


def _widths(config: Any) -> tuple[Sequence[int], int]:
    return config.conditioning_embedding_out_channels, config.block_out_channels[0]


def _refuse_alien(config: Any) -> None:
    found = [name for name in _ALIEN if config[name]]
    if found:
        raise ValueError(f"DiffusionSat's ControlNets have no {', '.join(found)}")
    if config.controlnet_conditioning_channel_order != "rgb":
        raise ValueError("the order of the channels is the order of the bands, not 'bgr'")


def _metadata_embedding(net: SatControlNet) -> nn.ModuleList:
    width = net.config.block_out_channels[0]
    return nn.ModuleList(TimestepEmbedding(width, 4 * width) for _ in range(net.config.num_metadata))


def _temporal_blocks(config: Any) -> list[nn.Module]:
    """Return one block a skip connection: attention at the first and after each halving, nothing elsewhere."""
    widths, heads = config.block_out_channels, config.attention_head_dim
    heads = [heads] * len(widths) if isinstance(heads, int) else heads
    blocks: list[nn.Module] = [TransformerTemporalModel(8, 64, in_channels=widths[0], num_layers=1)]
    for number, (width, size) in enumerate(zip(widths, heads, strict=True)):
        blocks += [nn.Identity() for _ in range(config.layers_per_block)]
        if number < len(widths) - 1:
            groups = config.norm_num_groups
            blocks.append(
                TransformerTemporalModel(
                    width // size, size, in_channels=width, num_layers=1, norm_num_groups=groups
                )
            )
    return blocks


def _conv3d(block: Any) -> nn.Conv3d:
    return nn.Conv3d(block.in_channels, block.out_channels, 1)


def _by_date(features: Tensor, dates: int) -> Tensor:
    """Return (batch * dates, channels, ...) as (batch, channels, dates, ...)."""
    return features.reshape(-1, dates, *features.shape[1:]).transpose(1, 2)


def _scaled(
    down: list[Tensor], middle: Tensor, scale: float, return_dict: bool
) -> ControlNetOutput | tuple[list[Tensor], Tensor]:
    down, middle = [item * scale for item in down], middle * scale
    if not return_dict:
        return down, middle
    return ControlNetOutput(down_block_res_samples=tuple(down), mid_block_res_sample=middle)


def _declare(cls: type[SatControlNet], parent: type[ControlNetModel]) -> None:
    """Write out the arguments of a class: diffusers drops from a configuration what the signature lacks."""
    found: dict[str, inspect.Parameter] = {}
    for source in (parent.__init__, cls.__init__):
        for name, parameter in inspect.signature(source).parameters.items():
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
                kind = inspect.Parameter.POSITIONAL_ONLY if name == "self" else inspect.Parameter.KEYWORD_ONLY
                found[name] = parameter.replace(kind=kind)
    cls.__init__.__signature__ = inspect.Signature(list(found.values()))  # type: ignore[attr-defined]


_declare(SatControlNet, ControlNetModel)
_declare(SatControlNet3D, SatControlNet)
