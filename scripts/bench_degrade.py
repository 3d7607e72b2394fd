"""Speed of the degradation `real-esrgan` against plain NumPy and OpenCV, one thread; prints ratios and stages.

    OMP_NUM_THREADS=1 python scripts/bench_degrade.py [--images 128] [--repeats 5]

The other side is what one writes first: one image at a time, kernels by NumPy, `cv2.filter2D`, `cv2.resize`, NumPy's
noise, `cv2.imencode` and `cv2.imdecode`. Both sides get the same images and the same drawn values, and take turns; CPU
seconds of the process count, so that a busy machine changes little. Memory is measured in a process of its own for each
number of images.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image as PillowImage
from scipy.special import j1

from synrs_data.degradations.real_esrgan import RealEsrgan, RealEsrganOptions
from synrs_data.degradations.second_order import apply, to_image, to_tensor
from synrs_data.degradations.second_order_draws import taken
from synrs_data.degradations.second_order_preset import load_preset
from synrs_data.resources import shipped

PRESET = "real-esrgan-x4"
SIDE, BATCH, SCALE = 512, 16, 4
MODES = {"area": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}
Drawn = dict[str, Any]
Stages = dict[str, float]


def pictures(count: int) -> list[np.ndarray]:
    """Real images of EuroSAT, four of them side by side on each side and enlarged."""
    files = sorted(shipped("builders", "sources", "eurosat").rglob("*.jpg"))
    tiles = [np.asarray(PillowImage.open(file).convert("RGB")) for file in files[::4]]
    found = []
    for number in range(count):
        block = [tiles[(number * 5 + place) % len(tiles)] for place in range(16)]
        whole = np.vstack([np.hstack(block[row * 4 : row * 4 + 4]) for row in range(4)])
        found.append(
            np.asarray(PillowImage.fromarray(whole).resize((SIDE, SIDE), PillowImage.Resampling.BICUBIC))
        )
    return found


def plain_kernel(drawn: Drawn, name: str) -> np.ndarray:
    """The drawn kernel by NumPy."""
    size, kind = drawn[f"{name}.size"], drawn[f"{name}.kind"]
    at = np.arange(size) - size // 2
    x, y = np.meshgrid(at, at)
    if kind == "sinc":
        cut, radius = drawn[f"{name}.omega_c"], np.hypot(x, y)
        with np.errstate(invalid="ignore"):
            kernel = cut * j1(cut * radius) / (2 * math.pi * radius)
        kernel[size // 2, size // 2] = cut**2 / (4 * math.pi)
        return kernel / kernel.sum()
    sigma_x, turn = drawn[f"{name}.sigma_x"], drawn.get(f"{name}.rotation", 0.0)
    sigma_y = drawn.get(f"{name}.sigma_y", sigma_x)
    basis = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    inverse = np.linalg.inv(basis @ np.diag([sigma_x**2, sigma_y**2]) @ basis.T)
    grid = np.stack([x, y], axis=-1)
    q = ((grid @ inverse) * grid).sum(-1) ** drawn.get(f"{name}.beta", 1.0)
    kernel = 1 / (1 + q) if kind.startswith("plateau") else np.exp(-0.5 * q)
    return kernel / kernel.sum()


def plain_noise(image: np.ndarray, drawn: Drawn, name: str) -> np.ndarray:
    """The drawn noise by NumPy's generator."""
    random = np.random.default_rng(drawn[f"{name}.seed"])
    gray = drawn[f"{name}.channels"] == "gray"
    if drawn[f"{name}.kind"] == "gaussian":
        shape = (*image.shape[:2], 1) if gray else image.shape
        noise = random.standard_normal(shape, dtype=np.float32) * np.float32(drawn[f"{name}.sigma"] / 255)
    else:
        source = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None] if gray else image
        source = np.clip((source * 255).round(), 0, 255) / 255
        values = 2 ** math.ceil(math.log2(len(np.unique(source))))
        noise = random.poisson(source * values).astype(np.float32) / values - source
        noise *= drawn[f"{name}.poisson_scale"]
    return np.clip(image + noise, 0, 1)


def plain_jpeg(image: np.ndarray, quality: float) -> np.ndarray:
    """JPEG by OpenCV."""
    levels = (np.clip(image, 0, 1) * 255).round().astype(np.uint8)
    _, data = cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    return cv2.imdecode(data, cv2.IMREAD_COLOR).astype(np.float32) / 255


def plain(image: np.ndarray, drawn: Drawn, stages: Stages | None = None) -> np.ndarray:
    """Second-order degradation of one image by NumPy and OpenCV; adds seconds a stage to `stages`."""
    low = (image.shape[1] / SCALE, image.shape[0] / SCALE)

    def blur(name: str) -> Callable[[np.ndarray], np.ndarray]:
        return lambda x: cv2.filter2D(x, -1, plain_kernel(drawn, name), borderType=cv2.BORDER_REFLECT_101)

    def resize(name: str, *, to_low: bool) -> Callable[[np.ndarray], np.ndarray]:
        factor = drawn.get(f"{name}.scale", 1.0)

        def change(x: np.ndarray) -> np.ndarray:
            width, height = low if to_low else (x.shape[1], x.shape[0])
            size = (int(width * factor), int(height * factor))
            return cv2.resize(x, size, interpolation=MODES[drawn[f"{name}.mode"]])

        return change

    def noise(name: str) -> Callable[[np.ndarray], np.ndarray]:
        return lambda x: plain_noise(x, drawn, name)

    def jpeg(name: str) -> Callable[[np.ndarray], np.ndarray]:
        return lambda x: plain_jpeg(x, drawn[f"{name}.quality"])

    chain = [
        ("blur1", blur("blur1")),
        ("resize1", resize("resize1", to_low=False)),
        ("noise1", noise("noise1")),
    ]
    chain += [("jpeg1", jpeg("jpeg1"))]
    chain += [("blur2", blur("blur2"))] if drawn["blur2.applied"] else []
    chain += [("resize2", resize("resize2", to_low=True)), ("noise2", noise("noise2"))]
    back = [("resize3", resize("resize3", to_low=True))]
    back += [("sinc", blur("sinc"))] if drawn["sinc.applied"] else []
    last = [("jpeg2", jpeg("jpeg2"))]
    chain += back + last if drawn["final.order"].startswith("back") else last + back
    begin = time.process_time()
    pixels = image.astype(np.float32) / 255
    _count(stages, "to float", begin)
    for name, step in chain:
        begin = time.process_time()
        pixels = step(pixels)
        _count(stages, name, begin)
    begin = time.process_time()
    result = np.clip((pixels * 255).round(), 0, 255).astype(np.uint8)
    _count(stages, "to 8 bits", begin)
    return result


def staged(image: np.ndarray, drawn: Drawn, steps: Any, stages: Stages) -> np.ndarray:
    """Ours for one image, with seconds a stage."""
    begin = time.process_time()
    pixels = to_tensor(image, "cpu")
    _count(stages, "to float", begin)
    for step in taken(steps, drawn):
        begin = time.process_time()
        pixels = apply(pixels, step, drawn, (image.shape[0] / SCALE, image.shape[1] / SCALE))
        _count(stages, step.name, begin)
    begin = time.process_time()
    result = to_image(pixels)
    _count(stages, "to 8 bits", begin)
    return result


def _count(stages: Stages | None, name: str, begin: float) -> None:
    if stages is not None:
        stages[name] += time.process_time() - begin


def plain_sharpen(image: np.ndarray) -> np.ndarray:
    """Unsharp masking by OpenCV, as basicsr's `usm_sharp`."""
    pixels = image.astype(np.float32) / 255
    rest = pixels - cv2.GaussianBlur(pixels, (51, 51), 0)
    mask = cv2.GaussianBlur((np.abs(rest) * 255 > 10).astype(np.float32), (51, 51), 0)
    found = mask * np.clip(pixels + 0.5 * rest, 0, 1) + (1 - mask) * pixels
    return np.clip((found * 255).round(), 0, 255).astype(np.uint8)


def seconds(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    begin = time.process_time()
    call()
    return time.process_time() - begin


def compare(ours: Callable[[], object], other: Callable[[], object], repeats: int) -> dict[str, Any]:
    """Both in turns; the median of the ratios, their spread, and the fastest time of each."""
    pairs = [(seconds(ours), seconds(other)) for _ in range(repeats)]
    ratios = [b / a for a, b in pairs]
    return {
        "times_as_fast": round(statistics.median(ratios), 3), "lowest": round(min(ratios), 3),
        "highest": round(max(ratios), 3), "ours_s": min(a for a, _ in pairs), "other_s": min(b for _, b in pairs),
    }  # fmt: skip


def measure(chosen: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    images = pictures(chosen.images)
    method = RealEsrgan(RealEsrganOptions(preset=PRESET))
    method.load("cpu")
    drawn = [method.draw(seed, SIDE, SIDE) for seed in range(len(images))]
    batches = [slice(at, at + BATCH) for at in range(0, len(images), BATCH)]

    def ours() -> None:
        for part in batches:
            method.degrade(images[part], drawn[part])

    def other() -> None:
        for image, values in zip(images, drawn, strict=True):
            plain(image, values)

    few = min(len(images), BATCH)
    method.degrade(images[:few], drawn[:few])  # tables and FFT plans are made once
    result: dict[str, Any] = {"degrade": compare(ours, other, chosen.repeats)}
    for side in ("ours", "other"):
        result["degrade"][f"{side}_ms_an_image"] = round(
            result["degrade"].pop(f"{side}_s") / len(images) * 1e3, 2
        )
    sharpen = compare(
        lambda: method.prepare(images[:few]),
        lambda: [plain_sharpen(image) for image in images[:few]],
        chosen.repeats,
    )
    for side in ("ours", "other"):
        sharpen[f"{side}_ms_an_image"] = round(sharpen.pop(f"{side}_s") / few * 1e3, 2)
    result["sharpen"] = sharpen
    steps = load_preset(PRESET).steps
    tables: dict[str, Stages] = {"ours": defaultdict(float), "other": defaultdict(float)}
    for image, values in zip(images, drawn, strict=True):
        with torch.inference_mode():
            staged(image, values, steps, tables["ours"])
        plain(image, values, tables["other"])
    result["stages_ms_an_image"] = {
        name: [round(tables[side].get(name, 0.0) / len(images) * 1e3, 2) for side in ("ours", "other")]
        for name in tables["ours"]
    }
    alone = [method.degrade([image], [values])[0] for image, values in zip(images[:few], drawn, strict=False)]
    together = method.degrade(images[:few], drawn[:few])
    result["alone_and_in_a_batch_equal"] = all(
        np.array_equal(a, b) for a, b in zip(alone, together, strict=True)
    )
    if torch.cuda.is_available():
        method.load("cuda")
        method.degrade(images[:few], drawn[:few])
        begin = time.perf_counter()
        ours()  # the images that it returns are on the CPU, so that it has waited for the GPU
        gpu = (time.perf_counter() - begin) / len(images) * 1e3
        core = result["degrade"]["ours_ms_an_image"]
        result["cuda"] = {"ms_an_image": round(gpu, 3), "times_one_core": round(core / gpu, 2)}
    return result


def memory(count: int) -> float:
    """Peak MiB, beyond what it had before, of a process that degrades `count` images in one call."""
    command = [sys.executable, str(Path(__file__)), "--memory", str(count)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _memory_here(count: int) -> float:
    method = RealEsrgan(RealEsrganOptions(preset=PRESET))
    method.load("cpu")
    images = pictures(BATCH) * (count // BATCH)
    drawn = [method.draw(seed % BATCH, SIDE, SIDE) for seed in range(count)]
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of the imports (Linux, proc(5))
    method.degrade(images, drawn)
    return (_status("VmHWM") - before) / 1024


def _status(key: str) -> float:
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return float(lines[key].split()[0])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--memory", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if chosen.memory:
        print(_memory_here(chosen.memory))
        return
    packages = ("synrs-data", "torch", "numpy", "opencv-python-headless", "scipy")
    facts = {"machine": platform.processor() or platform.machine(), "python": platform.python_version()}
    facts |= {name: version(name) for name in packages}
    found = measure(chosen) | {"peak_MiB": {str(count): round(memory(count), 1) for count in (16, 256)}}
    print(json.dumps({**facts, "images": chosen.images, "repeats": chosen.repeats, **found}, indent=1))


if __name__ == "__main__":
    main()
