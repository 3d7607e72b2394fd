"""Pipelines with random weights of real shapes, written in the layout of each family, and requests for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from synrs_data.geo import GeoRecord
from synrs_data.models.sat_unet import SatUNet
from synrs_data.sample import Request

SHAPES: dict[str, dict[str, Any]] = {
    "small": {"unet": (32, 64, 128, 128), "heads": (2, 4, 8, 8), "vae": (16, 32, 32, 32), "text": 64, "layers": 2},
    "full": {
        "unet": (320, 640, 1280, 1280), "heads": (5, 10, 20, 20), "vae": (128, 256, 512, 512),
        "text": 1024, "layers": 23,
    },
}  # fmt: skip
FAMILIES = ("plain", "diffusionsat", "text2earth")
PROMPT = "a fmow satellite image of a airport in italy"


def write_model(folder: Path, family: str, shapes: str) -> Path:
    """Write a pipeline folder with random weights in the layout of a family, as fp32."""
    sizes = SHAPES[shapes]
    torch.manual_seed(0)
    unet_options: dict[str, Any] = {
        "sample_size": 64, "in_channels": 4, "out_channels": 4, "layers_per_block": 2,
        "block_out_channels": sizes["unet"], "cross_attention_dim": sizes["text"],
        "attention_head_dim": sizes["heads"], "use_linear_projection": True,
    }  # fmt: skip
    if family == "text2earth":
        unet_options["class_embed_type"] = "timestep"
    kind = SatUNet if family == "diffusionsat" else UNet2DConditionModel
    kind(**unet_options).save_pretrained(folder / "unet")
    AutoencoderKL(
        block_out_channels=sizes["vae"], layers_per_block=2, latent_channels=4, norm_num_groups=16, sample_size=512,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    ).save_pretrained(folder / "vae")  # fmt: skip
    vocabulary = {"<|startoftext|>": 0, "<|endoftext|>": 1}
    for letter in "abcdefghijklmnopqrstuvwxyz0123456789.,-":
        vocabulary |= {letter: len(vocabulary), f"{letter}</w>": len(vocabulary) + 1}
    CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77).save_pretrained(folder / "tokenizer")
    CLIPTextModel(
        CLIPTextConfig(
            # The table of a real vocabulary, for its memory; the short one above reads letters.
            vocab_size=49408, hidden_size=sizes["text"], intermediate_size=4 * sizes["text"],
            num_hidden_layers=sizes["layers"], num_attention_heads=max(1, sizes["text"] // 64),
            max_position_embeddings=77, bos_token_id=0, eos_token_id=1, pad_token_id=1,
        )
    ).save_pretrained(folder / "text_encoder")  # fmt: skip
    DDIMScheduler(
        beta_schedule="scaled_linear", prediction_type="v_prediction", steps_offset=1, clip_sample=False
    ).save_pretrained(folder / "scheduler")
    index = {
        "_class_name": "StableDiffusionPipeline", "unet": ["diffusers", kind.__name__],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"],
        "scheduler": ["diffusers", "DDIMScheduler"], "safety_checker": [None, None], "feature_extractor": [None, None],
        "image_encoder": [None, None], "requires_safety_checker": False,
    }  # fmt: skip
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def requests(count: int, seed: int = 0) -> list[Request]:
    """Requests with a whole geo record, which families that know none ignore."""
    geo = GeoRecord(lon=12.25, lat=41.8, gsd_m=0.5, cloud=0.1, year=2016, month=6, day=21)
    return [Request(prompt=PROMPT, label=0, seed=seed + i, geo=geo) for i in range(count)]
