"""Upscaling pipelines of diffusers with a few thousand random weights, written in the stock format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_ENCODER, _DECODER = "DownEncoderBlock2D", "UpDecoderBlock2D"


def _autoencoder(levels: int) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8,) * levels,
        down_block_types=(_ENCODER,) * levels,
        up_block_types=(_DECODER,) * levels,
        norm_num_groups=4,
        latent_channels=4,
        layers_per_block=1,
    )


def write_x4(text: Path, folder: Path) -> Path:
    """Write a StableDiffusionUpscalePipeline (x4) with the text encoder of the pipeline folder `text`."""
    import torch
    from diffusers import DDIMScheduler, DDPMScheduler, StableDiffusionUpscalePipeline, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        block_out_channels=(8, 8),
        norm_num_groups=4,
        in_channels=7,
        out_channels=4,
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=8,
        attention_head_dim=4,
        num_class_embeds=351,
    )
    StableDiffusionUpscalePipeline(
        vae=_autoencoder(3),
        text_encoder=CLIPTextModel.from_pretrained(text / "text_encoder"),
        tokenizer=CLIPTokenizer.from_pretrained(text / "tokenizer"),
        unet=unet,
        low_res_scheduler=DDPMScheduler(),
        scheduler=DDIMScheduler(prediction_type="v_prediction"),
        max_noise_level=350,
    ).save_pretrained(folder)
    return folder


def write_latent_x2(text: Path, folder: Path) -> Path:
    """Write a StableDiffusionLatentUpscalePipeline (x2)."""
    import torch
    from diffusers import EulerDiscreteScheduler, StableDiffusionLatentUpscalePipeline, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        act_fn="gelu",
        attention_head_dim=4,
        norm_num_groups=None,
        block_out_channels=(32, 64, 64),
        # 128 for the noise level and 8 for the pooled prompt.
        time_cond_proj_dim=136,
        conv_in_kernel=1,
        conv_out_kernel=1,
        cross_attention_dim=8,
        down_block_types=("KDownBlock2D", "KCrossAttnDownBlock2D", "KCrossAttnDownBlock2D"),
        in_channels=8,
        layers_per_block=1,
        mid_block_type=None,
        only_cross_attention=False,
        out_channels=5,
        resnet_time_scale_shift="scale_shift",
        time_embedding_type="fourier",
        timestep_post_act="gelu",
        up_block_types=("KCrossAttnUpBlock2D", "KCrossAttnUpBlock2D", "KUpBlock2D"),
    )
    StableDiffusionLatentUpscalePipeline(
        vae=_autoencoder(2),
        text_encoder=CLIPTextModel.from_pretrained(text / "text_encoder"),
        tokenizer=CLIPTokenizer.from_pretrained(text / "tokenizer"),
        unet=unet,
        scheduler=EulerDiscreteScheduler(prediction_type="sample"),
    ).save_pretrained(folder)
    return folder


def write_ldm(folder: Path) -> Path:
    """Write an LDMSuperResolutionPipeline (x2 here), which takes no prompt."""
    import torch
    from diffusers import DDIMScheduler, LDMSuperResolutionPipeline, UNet2DModel, VQModel

    torch.manual_seed(0)
    unet = UNet2DModel(
        block_out_channels=(8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        in_channels=6,
        out_channels=3,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4,
    )
    vqvae = VQModel(
        block_out_channels=(8, 8),
        down_block_types=(_ENCODER,) * 2,
        up_block_types=(_DECODER,) * 2,
        latent_channels=3,
        norm_num_groups=4,
    )
    LDMSuperResolutionPipeline(vqvae=vqvae, unet=unet, scheduler=DDIMScheduler()).save_pretrained(folder)
    return folder
