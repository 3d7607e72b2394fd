"""The data, the models and the commands of `bench_eval.py`."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from PIL import Image

from synrs_data.evaluate import load_classification
from synrs_data.evaluate.parts import prompts_digest
from synrs_data.shards.tar import TarWriter, sample_bytes

REPOSITORY = Path(__file__).resolve().parents[1]
EMBEDDED = REPOSITORY / "synrs_data" / "models" / "embedded"
PROCESSES = len(os.sched_getaffinity(0))
CLIP_BENCHMARK = "clip_benchmark"
OURS, SHARDS = "images.tar", tuple(f"test/{number}.tar" for number in range(PROCESSES))
MODELS = ("eurosat-tiny-clip", "ViT-B-32")

# clip_benchmark 1.6.2 takes the float of an array of one, which NumPy 2.4 refuses.
_SHIM = """
import numpy, clip_benchmark.metrics.zeroshot_classification as metrics
metrics.float = lambda value: float(numpy.asarray(value).item())
from clip_benchmark.cli import main
main()
"""


class Times(NamedTuple):
    """Seconds on the clock, and of all processors."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Task:
    """The same images and prompts for both programs.

    Attributes:
        benchmark: Ours.
        root: Folder that clip_benchmark reads.
    """

    benchmark: Path
    root: Path

    def score(self, program: str, out: Path) -> float:
        """Return the top-1 that a program wrote, so that nobody compares the speed of different results."""
        if program == "synrs-data":
            result = json.loads((out / "ours" / "result.json").read_text())
            return float(result["arms"][0]["metrics"][0]["value"])
        return float(json.loads((out / f"{program}.json").read_text())["metrics"]["acc1"])


def write_task(folder: Path, *, images: int, edge: int, prompts: str = "clip-eurosat") -> Task:
    """Write images as tars with our benchmark and the files that clip_benchmark wants beside it.

    Args:
        folder: Where; tars are kept if they are there, so that another set of prompts has the same ones.
        images: How many, at most 9,280.
        edge: Height and width in pixels.
        prompts: A set of templates.
    """
    shipped = load_classification("eurosat-mini")
    if not (folder / OURS).exists():
        (folder / "test").mkdir(parents=True)
        _write_images(folder, list(shipped.class_names), images, edge)
    values = yaml.safe_load((REPOSITORY / "evals" / "eurosat-mini.yaml").read_text())
    templates = yaml.safe_load(
        (REPOSITORY / "builders" / "vocab" / "templates" / f"{prompts}.yaml").read_text()
    )
    texts = tuple(templates["templates"])
    values["id"] = f"bench-{prompts}"
    values["prompts"] = {"name": prompts, "count": len(texts), "sha256": prompts_digest(texts)}
    values["dataset"] |= {
        "splits": {"test": "test"},
        "images": OURS,
        "images_sha256": hashlib.sha256((folder / OURS).read_bytes()).hexdigest(),
        "items": "items.csv",
        "items_sha256": hashlib.sha256((folder / "items.csv").read_bytes()).hexdigest(),
    }
    benchmark = folder / f"{prompts}.yaml"
    benchmark.write_text(yaml.safe_dump(values, sort_keys=False))
    (folder / "test" / "nshards.txt").write_text(str(len(SHARDS)))
    # Phrases with their article, as ours; clip_benchmark knows one placeholder.
    spoken = [label.spoken for label in load_classification(str(benchmark)).classes]
    phrases = [label.phrase for label in load_classification(str(benchmark)).classes]
    takes_article = any("{spoken}" in text for text in texts)
    (folder / "classnames.txt").write_text("\n".join(spoken if takes_article else phrases))
    theirs = [text.replace("{spoken}", "{c}").replace("{label}", "{c}") for text in texts]
    (folder / "zeroshot_classification_templates.txt").write_text("\n".join(theirs))
    return Task(benchmark, folder)


def write_model(folder: Path, name: str) -> Path:
    """Return the folder of a model in open_clip's layout: the embedded one, or an architecture of random weights."""
    if name in {path.name for path in EMBEDDED.iterdir()}:
        return EMBEDDED / name
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = open_clip.create_model(name)
    place = folder / name
    place.mkdir(exist_ok=True)
    preprocess = {
        key: value for key, value in model.visual.preprocess_cfg.items() if key not in ("size", "mode")
    }
    config = {"model_cfg": open_clip.get_model_config(name), "preprocess_cfg": preprocess}
    (place / "open_clip_config.json").write_text(json.dumps(config))
    save_file(
        {key: value.contiguous() for key, value in model.state_dict().items()},
        place / "open_clip_model.safetensors",
    )
    return place


def commands(task: Task, model: Path, out: Path) -> dict[str, list[str]]:
    """Return the arguments of Python for each program, which writes below `out`."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    ours = ["-m", "synrs_data", "eval", "run", str(task.benchmark), "--baseline", f"open-clip:model={model}"]
    theirs = [
        "-c", _SHIM, "eval", "--dataset", "wds/bench", "--dataset_root", str(task.root),
        "--task", "zeroshot_classification", "--model", f"local-dir:{model}", "--pretrained", "", "--quiet",
    ]  # fmt: skip
    return {
        "synrs-data": [*ours, "--device", "cpu", "--cache", str(out / "cache"), "--out", str(out / "ours")],
        # 32 bits as ours, by default it computes with 16; a process that reads for each core, by default it has four.
        CLIP_BENCHMARK: [
            *theirs,
            "--no_amp",
            "--num_workers",
            str(PROCESSES),
            "--output",
            str(out / f"{CLIP_BENCHMARK}.json"),
        ],
    }


def command(arguments: list[str], *, threads: int, folder: Path) -> Times:
    """Run Python with arguments and return its times; of the processor with those of its children."""
    environment: dict[str, Any] = os.environ | {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    environment.pop("OMP_NUM_THREADS", None)
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    before, started = _children(), time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, cwd=folder, check=False
    )
    took = Times(time.perf_counter() - started, _children() - before)
    if done.returncode:
        raise SystemExit(f"{arguments} failed:\n{done.stderr}")
    return took


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _write_images(folder: Path, names: list[str], count: int, edge: int) -> None:
    """Write the tar of ours, and the same images in a shard for each process of clip_benchmark, which reads no less."""
    sources = _shipped()
    with ExitStack() as stack:
        files = [stack.enter_context((folder / name).open("wb")) for name in (OURS, *SHARDS)]
        rows = csv.writer(stack.enter_context((folder / "items.csv").open("w", newline="")))
        tars = [TarWriter(file) for file in files]
        rows.writerow(["key", "split", "label", "sha256"])
        for number in range(count):
            label, source = sources[number % len(sources)]
            content, key = _altered(source, number // len(sources), edge), f"{number:09d}"
            sample = sample_bytes(key, {"jpg": content, "cls": str(names.index(label)).encode()})
            for tar in (tars[0], tars[1 + number % len(SHARDS)]):
                tar.write(sample)
            rows.writerow([key, "test", label, hashlib.sha256(content).hexdigest()])
        for tar in tars:
            tar.close()


def _shipped() -> list[tuple[str, bytes]]:
    """Return label and bytes of every image of `eurosat-mini`, classes in turns."""
    place = REPOSITORY / "evals" / "eurosat-mini"
    with (place / "items.csv").open() as file:
        labels = {row["key"]: row["label"] for row in csv.DictReader(file)}
    by_label: dict[str, list[bytes]] = {}
    with tarfile.open(place / "eurosat-mini.tar") as tar:
        for member in tar:
            key = member.name.partition(".")[0]
            if member.name.endswith(".jpg") and key in labels:
                extracted = tar.extractfile(member)
                assert extracted is not None
                by_label.setdefault(labels[key], []).append(extracted.read())
    columns = zip(*(by_label[label] for label in sorted(by_label)), strict=True)
    return [pair for column in columns for pair in zip(sorted(by_label), column, strict=True)]


def _altered(content: bytes, way: int, edge: int) -> bytes:
    """Return an image turned by 90 degrees `way % 4` times, also flipped from 4 on, of the wanted size."""
    image = Image.open(io.BytesIO(content)).rotate(90 * (way % 4))
    if way >= 4:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if image.width != edge:
        image = image.resize((edge, edge), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95)
    return file.getvalue()
