"""Images a second of ways to sample, with random weights of real shapes; prints ratios to the one-prompt loop.

    python scripts/bench_generate.py                                    (small shapes, CPU)
    python scripts/bench_generate.py --shapes full --device cuda --size 512 --dtype bfloat16
    python scripts/bench_generate.py full-size diffusionsat --size 512 --steps 2      (one image: time and peak memory)

Weights are random, so images mean nothing and times are those of the architecture. `full` has the shapes of
Stable Diffusion 2.1 (its public configuration): UNet 866 M parameters, text encoder 340 M, VAE 84 M.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from synrs_data.generators.diffusion import DiffusersGenerator, DiffusersOptions
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
    DDIMScheduler(beta_schedule="scaled_linear", prediction_type="v_prediction").save_pretrained(
        folder / "scheduler"
    )
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


def peak_mib(device: str) -> float:
    """Peak memory of the device, or of this process on the CPU."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def matrix_rate(device: str, dtype: torch.dtype, side: int) -> float:
    """TFLOP/s of a square matrix product, median of ten."""
    a = torch.randn(side, side, device=device, dtype=dtype)
    times = [_timed(lambda: a @ a, device) for _ in range(12)][2:]
    return 2 * side**3 / statistics.median(times) / 1e12


def _timed(run: Callable[[], Any], device: str) -> float:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    started = time.perf_counter()
    run()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - started


def full_size(family: str, chosen: argparse.Namespace) -> dict[str, Any]:
    """Write, load and run a family once through the generator `diffusers`; one image."""
    with tempfile.TemporaryDirectory() as place:
        folder = write_model(Path(place), family, chosen.shapes)
        written = peak_mib("cpu")
        options = DiffusersOptions(
            model=str(folder), steps=chosen.steps, guidance_scale=7.5, width=chosen.size, height=chosen.size,
            dtype=chosen.dtype, batch_size=1,
        )  # fmt: skip
        generator = DiffusersGenerator(options)
        load = _timed(lambda: generator.load(chosen.device), chosen.device)
        image = _timed(lambda: generator.generate(requests(1)), chosen.device)
    return {
        "family": family, "size": chosen.size, "steps": chosen.steps, "dtype": chosen.dtype, "load_s": round(load, 1),
        "image_s": round(image, 1), "peak_mib_while_writing": round(written),
        "peak_mib": round(peak_mib(chosen.device)),
    }  # fmt: skip


def sampling(chosen: argparse.Namespace) -> dict[str, Any]:
    """Images a second of the one-prompt loop, batches, bf16 with channels_last, compile, and our generator."""
    dtype, rates = getattr(torch, chosen.dtype), {}
    with tempfile.TemporaryDirectory() as place:
        folder = write_model(Path(place), "plain", chosen.shapes)
        call = {
            "num_inference_steps": chosen.steps,
            "guidance_scale": 7.5,
            "height": chosen.size,
            "width": chosen.size,
        }

        def rate(pipeline: Any, batch: int) -> float:
            run = lambda: pipeline([PROMPT] * batch, output_type="np", **call)  # noqa: E731
            run()
            return batch / statistics.median(_timed(run, chosen.device) for _ in range(chosen.repeats))

        def pipeline(kind: torch.dtype) -> Any:
            made = StableDiffusionPipeline.from_pretrained(folder, dtype=kind, safety_checker=None).to(
                chosen.device
            )
            made.set_progress_bar_config(disable=True)
            return made

        plain = pipeline(torch.float32)
        rates["loop, one prompt, float32"] = rate(plain, 1)
        rates[f"batches of {chosen.batch}, float32"] = rate(plain, chosen.batch)
        del plain
        fast = pipeline(dtype)
        for part in (fast.unet, fast.vae):
            part.to(memory_format=torch.channels_last)
        rates[f"batches, {chosen.dtype}, channels_last"] = rate(fast, chosen.batch)
        if chosen.compile:
            fast.unet = torch.compile(fast.unet)
            rates[f"batches, {chosen.dtype}, channels_last, compile"] = rate(fast, chosen.batch)
        del fast
        generator = DiffusersGenerator(
            DiffusersOptions(
                model=str(folder), steps=chosen.steps, guidance_scale=7.5, width=chosen.size, height=chosen.size,
                dtype=chosen.dtype, channels_last=True, compile=chosen.compile, batch_size=chosen.batch,
            )
        )  # fmt: skip
        generator.load(chosen.device)
        ask = requests(chosen.batch)
        generator.generate(ask)
        times = [_timed(lambda: generator.generate(ask), chosen.device) for _ in range(chosen.repeats)]
        rates["generator `diffusers`, same settings"] = chosen.batch / statistics.median(times)
    first = rates["loop, one prompt, float32"]
    return {
        "matrix product, TFLOP/s": round(
            matrix_rate(chosen.device, dtype, 4096 if chosen.device != "cpu" else 1024), 3
        ),
        "images a second": {name: round(value, 3) for name, value in rates.items()},
        "times the loop": {name: round(value / first, 2) for name, value in rates.items()},
        "peak_mib": round(peak_mib(chosen.device)),
    }


def main() -> None:
    """Run and print JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("mode", nargs="*", default=["sampling"], help="sampling, or full-size FAMILY")
    parser.add_argument("--shapes", choices=list(SHAPES))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--compile", action="store_true")
    chosen = parser.parse_args()
    one_image = chosen.mode[0] == "full-size"
    if chosen.mode != ["sampling"] and not (one_image and chosen.mode[1:] and chosen.mode[1] in FAMILIES):
        parser.error(f"give nothing, or: full-size {'|'.join(FAMILIES)}")
    chosen.shapes = chosen.shapes or ("full" if one_image else "small")
    packages = {name: version(name) for name in ("synrs-data", "torch", "diffusers")}
    name = torch.cuda.get_device_name() if chosen.device.startswith("cuda") else platform.processor() or "cpu"
    settings = {key: value for key, value in vars(chosen).items() if key != "mode"}
    result = full_size(chosen.mode[1], chosen) if one_image else sampling(chosen)
    print(
        json.dumps(
            {"device": name, "threads": torch.get_num_threads(), **packages, **settings, **result}, indent=1
        )
    )


if __name__ == "__main__":
    main()
