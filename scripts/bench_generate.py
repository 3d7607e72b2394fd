"""Speed and memory of sampling, with random weights of real shapes; prints ratios of alternatives of one run.

    python scripts/bench_generate.py                                    (small shapes, CPU)
    python scripts/bench_generate.py --shapes full --device cuda --size 512 --dtype bfloat16 --compile
    python scripts/bench_generate.py memory slicing                     (these two alone)
    python scripts/bench_generate.py full-size diffusionsat --size 512 --steps 2      (one image: time and peak memory)

Weights are random, so images mean nothing and times are those of the architecture. `full` has the shapes of
Stable Diffusion 2.1 (its public configuration): UNet 866 M parameters, text encoder 340 M, VAE 84 M.

sampling    ways to sample against the loop of one prompt in float32
arithmetic  matrix products, and the share of their rate that the UNet reaches
build       the whole worker of a build, which encodes and writes beside the next batch, against the bare sampler
memory      peak memory by batch size: on a GPU until it runs out, on the CPU the growth of a fresh process
slicing     a batch made whole, in halves and quarters as a build does when memory runs out, and by diffusers' slicing
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from _bench_measure import in_turns, matrix_rate, peak_mib, ratio, timed, unet_flops
from _bench_memory import Job, memory_by_batch, slicing
from _bench_models import FAMILIES, PROMPT, SHAPES, requests, write_model
from diffusers import StableDiffusionPipeline

from synrs_data.generators.diffusion import DiffusersGenerator, DiffusersOptions
from synrs_data.models.diffusers_folder import quiet_libraries

GUIDANCE = 7.5
BATCHES_OF_A_SHARD = 4


def full_size(family: str, chosen: argparse.Namespace) -> dict[str, Any]:
    """Write, load and run a family once through the generator `diffusers`; one image."""
    with tempfile.TemporaryDirectory() as place:
        folder = write_model(Path(place), family, chosen.shapes)
        written = peak_mib("cpu")
        generator = DiffusersGenerator(options(folder, chosen, batch_size=1))
        load = timed(lambda: generator.load(chosen.device), chosen.device)
        image = timed(lambda: generator.generate(requests(1)), chosen.device)
    return {
        "family": family, "load_s": round(load, 1), "image_s": round(image, 1),
        "peak_mib_while_writing": round(written), "peak_mib": round(peak_mib(chosen.device)),
    }  # fmt: skip


def options(folder: Path, chosen: argparse.Namespace, **changes: Any) -> DiffusersOptions:
    """Return the options of the generator `diffusers` for a run."""
    values = {
        "model": str(folder), "steps": chosen.steps, "guidance_scale": GUIDANCE, "width": chosen.size,
        "height": chosen.size, "dtype": chosen.dtype, "batch_size": chosen.batch,
    }  # fmt: skip
    return DiffusersOptions(**values | changes)


def sampling(folder: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """Images a second of the one-prompt loop, batches, another dtype with channels_last, compile, and our generator."""
    call = {
        "num_inference_steps": chosen.steps, "guidance_scale": GUIDANCE, "height": chosen.size, "width": chosen.size,
    }  # fmt: skip

    def pipeline(dtype: torch.dtype) -> Any:
        made = StableDiffusionPipeline.from_pretrained(folder, dtype=dtype, safety_checker=None)
        made.set_progress_bar_config(disable=True)
        return made.to(chosen.device)

    plain, fast = pipeline(torch.float32), pipeline(getattr(torch, chosen.dtype))
    for part in (fast.unet, fast.vae):
        part.to(memory_format=torch.channels_last)
    loop, ask = "loop, one prompt, float32", requests(chosen.batch)
    prompts = [PROMPT] * chosen.batch
    generator = DiffusersGenerator(options(folder, chosen, channels_last=True, compile=chosen.compile))
    generator.load(chosen.device)
    runs = {
        loop: lambda: [plain([prompt], output_type="np", **call) for prompt in prompts],
        "batches, float32": lambda: plain(prompts, output_type="np", **call),
        f"batches, {chosen.dtype}, channels_last": lambda: fast(prompts, output_type="np", **call),
    }
    if chosen.compile:
        compiled = pipeline(getattr(torch, chosen.dtype))
        for part in (compiled.unet, compiled.vae):
            part.to(memory_format=torch.channels_last)
        compiled.unet = torch.compile(compiled.unet)
        runs["the same, compile"] = lambda: compiled(prompts, output_type="np", **call)
    runs["generator `diffusers`, settings of the last"] = lambda: generator.generate(ask)
    seconds = in_turns(runs, chosen.device, chosen.repeats)
    rates = {name: round(chosen.batch / statistics.median(own), 3) for name, own in seconds.items()}
    return {"images a second": rates, "times the loop": {name: ratio(seconds, name, loop) for name in runs}}


def arithmetic(folder: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """TFLOP/s of matrix products and of the UNet on a guided batch, for each type of numbers."""
    side, tokens = chosen.size // 8, 77
    found = {}
    for name in dict.fromkeys(("bfloat16", chosen.dtype)):
        dtype = getattr(torch, name)
        products = matrix_rate(chosen.device, dtype, 1024 if chosen.device == "cpu" else 8192)
        unet = StableDiffusionPipeline.from_pretrained(folder, dtype=dtype, safety_checker=None).unet
        unet = unet.to(chosen.device, memory_format=torch.channels_last)
        # Guidance doubles the batch.
        latents = torch.randn(2 * chosen.batch, 4, side, side, device=chosen.device, dtype=dtype)
        context = torch.randn(
            2 * chosen.batch, tokens, unet.config.cross_attention_dim, device=chosen.device, dtype=dtype
        )
        step = torch.tensor(500, device=chosen.device)
        with torch.inference_mode():
            call = lambda: unet(latents, step, context)  # noqa: B023, E731
            seconds = in_turns({"unet": call}, chosen.device, chosen.repeats)["unet"]
        rate = unet_flops(unet, len(latents), side, tokens) / statistics.median(seconds) / 1e12
        found[name] = {
            "matrix product, TFLOP/s": round(products, 3),
            "UNet, TFLOP/s": round(rate, 3),
            "share of it that the UNet reaches": round(rate / products, 3),
        }
    return found


def build(folder: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """The worker of a build against its generator alone, on the same requests, both warm, as a build sets threads."""
    from synrs_data.build.plan import BuildPlan, digests_of, write_captions
    from synrs_data.build.worker import ShardWorker
    from synrs_data.recipe_file import complete
    from synrs_data.shards.folder import BuildFolder

    count = BATCHES_OF_A_SHARD * chosen.batch
    recipe = complete(
        {
            "name": "bench",
            "license": "mit",
            "labels": "eurosat",
            "candidates": count,
            "shard_size": count,
            "captions": {"method": "class-template"},
            "generator": {"method": "diffusers", **options(folder, chosen).model_dump()},
            "filters": [],
        },
        folder=folder,
        where="bench",
    )
    plan = BuildPlan(recipe, write_captions(recipe), digests_of(recipe))
    out = BuildFolder(folder / "out")
    out.candidates.mkdir(parents=True)
    worker = ShardWorker(plan, out, chosen.device, lambda event, **fields: None)
    threads = torch.get_num_threads()
    worker.run_shard(0)
    batches = [[plan.request(i)[1] for i in indices] for indices in plan.batches(0, chosen.batch)]
    runs = {
        "bare sampler": lambda: [worker._generator.generate(batch) for batch in batches],
        "worker": lambda: worker.run_shard(0),
    }
    seconds = in_turns(runs, chosen.device, chosen.repeats)
    used = torch.get_num_threads()
    torch.set_num_threads(threads)
    return {
        "images": count,
        "threads": used,
        "images a second": {name: round(count / statistics.median(own), 3) for name, own in seconds.items()},
        "worker, times the bare sampler": ratio(seconds, "worker", "bare sampler"),
    }


def memory(folder: Path, chosen: argparse.Namespace) -> list[dict[str, Any]]:
    """Peak memory by batch size."""
    largest = 32 if chosen.device == "cpu" and chosen.largest is None else chosen.largest
    return memory_by_batch(job(folder, chosen), largest, chosen.repeats)


def sliced(folder: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """Ways to make one batch with less memory."""
    return slicing(job(folder, chosen), chosen.repeats)


def job(folder: Path, chosen: argparse.Namespace) -> Job:
    """Return one whole batch of a run."""
    return Job(options(folder, chosen), chosen.device, torch.get_num_threads(), chosen.batch)


PARTS = {
    "sampling": sampling, "arithmetic": arithmetic, "build": build, "memory": memory, "slicing": sliced,
}  # fmt: skip


def main() -> None:
    """Run and print JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", help=f"some of {', '.join(PARTS)}; or: full-size FAMILY")
    parser.add_argument("--shapes", choices=list(SHAPES))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--size", type=int, default=128, help="pixels")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=8, help="a multiple of 4")
    parser.add_argument("--largest", type=int, help="largest batch of `memory`; on the CPU 32")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--compile", action="store_true")
    chosen = parser.parse_args()
    one_image = chosen.parts[:1] == ["full-size"]
    if one_image and (len(chosen.parts) != 2 or chosen.parts[1] not in FAMILIES):
        parser.error(f"give full-size {'|'.join(FAMILIES)}")
    if not one_image and (not set(chosen.parts) <= PARTS.keys() or chosen.batch % 4):
        parser.error(f"give some of {', '.join(PARTS)}, and a batch that is a multiple of 4")
    chosen.shapes = chosen.shapes or ("full" if one_image else "small")
    torch.set_num_threads(chosen.threads)
    quiet_libraries()
    packages = {name: version(name) for name in ("synrs-data", "torch", "diffusers", "transformers")}
    name = torch.cuda.get_device_name() if chosen.device.startswith("cuda") else platform.processor() or "cpu"
    settings = {key: value for key, value in vars(chosen).items() if key not in ("parts", "device")}
    show({"device": name, "python": platform.python_version(), **packages, **settings})
    if one_image:
        show(full_size(chosen.parts[1], chosen))
        return
    with tempfile.TemporaryDirectory() as place:
        folder = write_model(Path(place) / "model", "plain", chosen.shapes)
        for part in chosen.parts or PARTS:
            show({part: PARTS[part](folder, chosen)})


def show(found: dict[str, Any]) -> None:
    """Print what was found, at once: a run may take long."""
    print(json.dumps(found, indent=1), flush=True)


if __name__ == "__main__":
    main()
