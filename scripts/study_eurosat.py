"""The study of docs/study-eurosat.md: what synthetic images are worth on EuroSAT, for two classifiers.

    python scripts/study_eurosat.py builds      the three synthetic sets: an hour of two cores
    python scripts/study_eurosat.py run         every training: two hours of two cores; started again it goes on
    python scripts/study_eurosat.py distances   how far the sets are from pool `real`, in the space of encoders
    python scripts/study_eurosat.py report      figures and page, from the results alone

Results are in docs/study/eurosat, a folder for each run, and `synrs-data eval verify` computes each again.
"""

from __future__ import annotations

import csv
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import typer
from _eurosat import DEFAULT_DATA, REPO
from _study_plan import SEEDS, STRATEGIES, build_all, plan, start, synrs

from synrs_data import files

RESULTS = REPO / "docs/study/eurosat"
DEFAULT_WORK = Path("out/study-eurosat")

Data = Annotated[Path, typer.Option(help="EuroSAT RGB with `pools.csv`.")]
Work = Annotated[Path, typer.Option(help="Where builds and features are kept.")]
Results = Annotated[Path, typer.Option(help="Where results are.")]

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.command()
def builds(work: Work = DEFAULT_WORK) -> None:
    """Build the synthetic sets B, LE and LE+CF."""
    build_all(work)


@app.command()
def run(
    names: Annotated[list[str] | None, typer.Argument(help="Runs by name; default: all.")] = None,
    data: Data = DEFAULT_DATA,
    work: Work = DEFAULT_WORK,
    results: Results = RESULTS,
    workers: Annotated[int, typer.Option(min=1, help="Runs at a time.")] = 2,
    seeds: Annotated[int, typer.Option(min=1, help="Fewer, to end what has not been finished.")] = SEEDS,
) -> None:
    """Train and test every arm, the most important first; what is finished stays."""
    chosen = [each for each in plan() if not names or each.name in names]
    sets = {name: work / name for name in STRATEGIES}
    with ThreadPoolExecutor(workers) as pool:
        waiting = [pool.submit(start, each, data, sets, results, work / "cache", seeds) for each in chosen]
        for each, done in zip(chosen, waiting, strict=True):
            typer.echo(f"{each.name}: {'finished' if done.result() else 'nothing to do'}")


@app.command()
def distances(
    data: Data = DEFAULT_DATA,
    work: Work = DEFAULT_WORK,
    results: Results = RESULTS,
    timm: Annotated[Path | None, typer.Option(help="Folder of a timm encoder, as `timm:FOLDER`.")] = None,
    most: Annotated[int, typer.Option(min=8, help="Images of each set for the encoder of timm.")] = 400,
    names: Annotated[str, typer.Option(help="Sets, with commas.")] = ",".join(STRATEGIES),
) -> None:
    """Measure the sets against pool `real`, with pool `test` as the floor."""
    pools = _pools(data, work / "pools")
    for name in names.split(","):
        sets = [str(work / name), "--real", str(pools / "real"), "--test", str(pools / "test")]
        if timm is None:
            _distance(name, "eurosat-tiny-clip", ["--train", str(pools / "generator")], sets, work, results)
        else:
            options = ["--extractor", f"timm:{timm}", "--most", str(most)]
            _distance(name, timm.name, options, sets, work, results)


def _distance(
    name: str, extractor: str, options: list[str], sets: list[str], work: Path, results: Path
) -> None:
    out = work / f"distance-{name}-{extractor}"
    if not (out / "distance.json").is_file():
        synrs("eval", "distance", *sets, *options, "--device", "cpu", "--out", str(out))
    report = json.loads((out / "distance.json").read_text(encoding="utf-8"))
    for each in report["sets"]:
        # Where images lay on one machine says nothing to a reader on another one.
        each["location"] = Path(each["location"]).name
    files.make_folder(results / "distances")
    target = results / "distances" / f"{name}-{extractor}.json"
    files.write_text(target, json.dumps(report, indent=2) + "\n")


def _pools(data: Path, folder: Path) -> Path:
    """Copy the pools of EuroSAT into a folder each."""
    if not folder.is_dir():
        with (data / "pools.csv").open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                target = folder.with_suffix(".new") / row["pool"] / row["path"]
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(data / row["path"], target)
        folder.with_suffix(".new").rename(folder)
    return folder


@app.command()
def report(results: Results = RESULTS) -> None:
    """Draw the figures and write the page."""
    from _study_page import write

    for path in write(results):
        typer.echo(str(path))


if __name__ == "__main__":
    app()
