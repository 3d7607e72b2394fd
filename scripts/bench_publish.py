"""Measure `synrs-data publish` against `upload_folder`, and streaming of shards against Parquet and an image folder.

    python scripts/bench_publish.py [--megabytes 512] [--images 1000] [--repeats 3] [--only NAME]

Everything goes through the loopback Hub of `tests/hub`, which keeps what it gets in memory. Every figure is the
median of repeats in one run on one machine; ratios compare alternatives of that run, because machines differ and are
noisy. Results go to docs/benchmarks.md with versions and device.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests" / "plugin")]

SHARDS = 8
OWNER, REPO = "alice", "alice/bench"
FORMS = ("shards", "parquet", "imagefolder")


def timed_publish(root: Path, token: str) -> float:
    """Publish a build; return the seconds. Runs in the client process."""
    from synrs_data.hub.publish import publish

    started = time.perf_counter()
    publish([root], REPO, token=token)
    return time.perf_counter() - started


def timed_upload_folder(root: Path, token: str) -> float:
    """Upload the same folder as the Hub's client does, repository made first; return the seconds."""
    from huggingface_hub import HfApi

    started = time.perf_counter()
    api = HfApi(token=token)
    api.create_repo(REPO, repo_type="dataset")
    api.upload_folder(
        repo_id=REPO,
        folder_path=root,
        path_in_repo="scene-caption",
        repo_type="dataset",
        ignore_patterns=["candidates/*", "events.jsonl", ".lock"],
    )
    return time.perf_counter() - started


def timed_stream(repo: str, config: str | None, decode: bool) -> tuple[float, int]:
    """Stream the training split; return seconds from opening it to the last sample, and how many samples came."""
    import datasets

    data = datasets.load_dataset(repo, config, split="train", streaming=True)
    if not decode:
        for name, kind in data.features.items():
            if isinstance(kind, datasets.Image):
                data = data.cast_column(name, datasets.Image(decode=False))
    # Opening counts: what a reader waits for its first sample differs, as Parquet comes in groups of rows.
    started, count = time.perf_counter(), 0
    for row in data:
        count += 1 if row else 0
    return time.perf_counter() - started, count


def noise(size: int) -> bytes:
    """Return a tar of random samples of about this many bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for number in range(max(1, size // 2**17)):
            entry = tarfile.TarInfo(f"{number:09d}.jpg")
            entry.size = min(size, 2**17) - 512
            tar.addfile(entry, io.BytesIO(os.urandom(entry.size)))
    return out.getvalue()


def make_build(place: Path, *, candidates: int, size: int) -> Path:
    """Build painted scenes, all of them packed for training."""
    from synrs_data.build.run import build
    from tests.hub.publishing import scenes

    recipe = scenes(
        candidates=candidates,
        shard_size=250,
        filters=[],
        generator={"method": "paint", "size": size},
        select={"splits": {"train": 1.0}, "samples_per_shard": 250},
    )
    return build(recipe, place, engine="inline").folder.root


def uploading(hub: Any, client: Any, place: Path, megabytes: int, repeats: int) -> dict[str, Any]:
    """Bytes a second of `publish`, checks and reading back included, against `upload_folder` of the same folder."""
    from tests.hub.publishing import write_manifest

    root = make_build(place / "build", candidates=16, size=16)
    (root / "more").mkdir()
    for number in range(SHARDS):
        write_manifest(root, {f"more/{number:05d}.tar": noise(megabytes * 2**20 // SHARDS)})
    total = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    ways: dict[str, Callable[[Path, str], float]] = {
        "publish": timed_publish,
        "upload_folder": timed_upload_folder,
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(-1, repeats):
        # Taking turns at being first; the first round warms caches and imports and does not count.
        for name in sorted(ways, reverse=repeat % 2 == 1):
            hub.reset()
            took = client(ways[name], root, hub.add_token(OWNER))
            if repeat >= 0:
                seconds[name].append(took)
    ratios = [
        theirs / ours for ours, theirs in zip(seconds["publish"], seconds["upload_folder"], strict=True)
    ]
    return {
        "MB": total / 1e6,
        **{f"{name}, MB/s": [total / 1e6 / took for took in values] for name, values in seconds.items()},
        "publish is as fast as upload_folder by": statistics.median(ratios),
        "goal": "at least 0.9",
    }


def streaming(hub: Any, client: Any, place: Path, images: int, repeats: int) -> dict[str, Any]:
    """Samples a second that `load_dataset` streams from shards, Parquet and a folder of the same images."""
    token = hub.add_token(OWNER)
    root = make_build(place / "build", candidates=images, size=256)
    client(timed_publish, root, token)
    for form in FORMS[1:]:
        hub.create(f"datasets/{OWNER}/{form}")
        hub.commit(f"datasets/{OWNER}/{form}", FILES[form](root, place))
    names = {"shards": (REPO, "scene-caption"), **{form: (f"{OWNER}/{form}", None) for form in FORMS[1:]}}
    found: dict[str, Any] = {"images": images}
    for decode in (True, False):
        rates: dict[str, list[float]] = {form: [] for form in FORMS}
        for _ in range(repeats):
            for form in FORMS:
                seconds, count = client(timed_stream, *names[form], decode)
                if count != images:
                    raise SystemExit(f"{form}: {count} of {images} samples came")
                rates[form].append(count / seconds)
        middle = {form: statistics.median(values) for form, values in rates.items()}
        found["samples/s, decoded" if decode else "samples/s, encoded"] = middle | {
            f"shards against {form}": middle["shards"] / middle[form] for form in FORMS[1:]
        }
    return found


def parquet_files(root: Path, place: Path) -> dict[str, bytes]:
    """Return a build's samples as Parquet files, a file a shard, every field included, as `datasets` writes them."""
    import datasets

    found = {}
    for number, tar in enumerate(sorted((root / "data").glob("*.tar"))):
        data = datasets.load_dataset(
            str(root), split="train", data_files=f"data/{tar.name}", cache_dir=str(place)
        )
        data.to_parquet(place / "one.parquet")
        found[f"data/train-{number:05d}.parquet"] = (place / "one.parquet").read_bytes()
    return found


def folder_files(root: Path, place: Path) -> dict[str, bytes]:
    """Return a build's images as files, with captions and labels in `metadata.jsonl`."""
    from synrs_data.shards import members

    found, rows = {}, []
    for tar in sorted((root / "data").glob("*.tar")):
        for key, fields in members(tar):
            found[f"train/{key}.jpg"] = fields["jpg"]
            texts = {
                "text": fields["txt"].decode(),
                "label": int(fields["cls"]),
                "json": fields["json"].decode(),
            }
            rows.append(json.dumps({"file_name": f"{key}.jpg", **texts}))
    return found | {"train/metadata.jsonl": "\n".join(rows).encode()}


FILES: dict[str, Callable[[Path, Path], dict[str, bytes]]] = {
    "parquet": parquet_files,
    "imagefolder": folder_files,
}


def main() -> None:
    """Run the benchmarks and print their results as JSON lines."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=512, help="size of the folder that is uploaded")
    parser.add_argument("--images", type=int, default=1000, help="samples that are streamed")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", help="the name of one benchmark")
    chosen = parser.parse_args()
    from tests.hub.client import Client
    from tests.hub.server import Hub

    packages = {name: version(name) for name in ("synrs-data", "huggingface_hub", "datasets", "httpx2")}
    print(
        json.dumps({"python": platform.python_version(), "cores": len(os.sched_getaffinity(0)), **packages})
    )
    benchmarks: dict[str, Callable[[Any, Any, Path], dict[str, Any]]] = {
        "upload": lambda hub, client, place: uploading(hub, client, place, chosen.megabytes, chosen.repeats),
        "stream": lambda hub, client, place: streaming(hub, client, place, chosen.images, chosen.repeats),
    }
    hub = Hub()
    hub.start()
    for name, run in benchmarks.items():
        if chosen.only in (None, name):
            with tempfile.TemporaryDirectory() as folder:
                place = Path(folder)
                hub.reset()
                client = Client(hub.env(place), place / "stderr.txt")
                print(json.dumps({name: run(hub, client, place)}), flush=True)
                # Streams that were read to their end may leave threads of `datasets` that end late.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    client.close()
    hub.stop()


if __name__ == "__main__":
    # The client process finds the timed functions by the name of this module.
    from scripts import bench_publish

    bench_publish.main()
