"""Boards of any size, from a seed, with names that try to be more than names."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from synrs_data.leaderboard.board import BenchmarkBoard, Board, PublishedRow, Row

HOSTILE = (
    "<script>window.hacked = 1</script>",
    '"><img src=x onerror="window.hacked = 2">',
    "</script><script>window.hacked = 3</script>",
    "<!--<script>",
    "{{ 7 * 7 }} ${window.hacked = 4} {% raw %}",
    "' onmouseover='window.hacked = 5' &amp; &lt;b&gt;",
    "\u202egpj.exe\u202c \u0000\u0007\ud800 turned",
    "a_very_long_name_without_any_place_to_break_" * 20,
    "Z" + "\u0301\u0322" * 60 + "algo",
    "__proto__",
    "javascript:window.hacked=6",
    "  \n\t ",
)
LINKS = (
    ("paper", "https://example.org/paper"),
    ("code <b>", "http://example.org:8080/a?b=1&c=2"),
    ("script", "javascript:window.hacked=7"),
    ("data", "data:text/html,<script>window.hacked=8</script>"),
    ("user", "https://huggingface.co@example.org/"),
    ("quote", 'https://example.org/"onclick="window.hacked=9'),
    ("line", "java\nscript:window.hacked=10"),
    ("file", "file:///etc/passwd"),
)
CLASSES = ("AnnualCrop", "Forest", "Highway", "SeaLake")
RATIOS = (0.0, 0.5, 1.0, 2.0, 4.0)


def make_row(number: int = 0, **changes: Any) -> Row:
    """Return a row of the models track."""
    row = Row(
        submission=f"model-{number:04d}-{number:012x}",
        track="models",
        name=f"Model {number}",
        revision=f"{number:08x}",
        kind="baseline",
        authors=("Ada Lovelace", "Carl Friedrich Gauß"),
        license="apache-2.0",
        links=LINKS[:1],
        trained_on=("EuroSAT",),
        in_domain=True,
        protocol="linear-probe",
        arm="real@16",
        shots=16,
        ratio=0.0,
        value=0.5,
        low=0.45,
        high=0.55,
        n=3600,
        seeds=5,
        rank=number + 1,
        tied_with_best=number == 0,
        difference=None,
        per_class=dict.fromkeys(CLASSES, 0.5),
        recipe="",
        card=f"# Model {number}\n\nWhat it is.",
        reproduce=f"synrs-data eval run eurosat --baseline model-{number}",
        task_hash="ab" * 32,
        verified="synrs-data 0.1.0: every score and interval from the predictions",
        group="linear-probe, 16 real images a class",
        baseline=f"model-{number}",
    )
    return replace(row, **changes)


def make_benchmark(rows: tuple[Row, ...], **changes: Any) -> BenchmarkBoard:
    """Return a benchmark of classification."""
    benchmark = BenchmarkBoard(
        id="eurosat",
        version=1,
        title="EuroSAT RGB, split at random",
        task="classification",
        metric="top1",
        direction="higher",
        chance=0.1,
        license="mit",
        rows=rows,
    )
    return replace(benchmark, **changes)


def make_published() -> tuple[PublishedRow, ...]:
    """Return numbers of papers that nobody wrote."""
    return tuple(
        PublishedRow(
            model=f"Paper model {number}" if number else HOSTILE[1],
            dataset="EuroSAT",
            metric="zero-shot top-1",
            value=0.4 + number / 50,
            protocol="prompts of the paper",
            trained_on=None if number % 2 else ("RET-3",),
            in_domain=None if number % 2 else False,
            source=f"A paper, table {number}",
            url="https://example.org/paper" if number else "javascript:window.hacked=11",
        )
        for number in range(5)
    )


def make_board(submissions: int, *, seed: int = 0, hostile: bool = True) -> Board:
    """Return a board on which every second submission is a synthetic dataset with an arm a ratio."""
    draw = random.Random(seed)
    names = [
        *(HOSTILE if hostile else ()),
        *(f"RS-{each:05d}" for each in draw.sample(range(99999), submissions)),
    ]
    models, datasets, quality = [], [], []
    for number in range(submissions):
        name, good = names[number], draw.uniform(0.4, 0.97)
        common: dict[str, Any] = {
            "name": name,
            "authors": (name, "B. Author"),
            "license": draw.choice(["mit", "apache-2.0", "cc-by-nc-4.0"]),
            "links": LINKS if number % 7 == 0 else LINKS[:2],
            "card": f"# {name}\n\n{name * 3}\n\nText of a card. " * (1 + number % 5),
            "reproduce": f"synrs-data eval run eurosat --baseline {name}",
        }
        trained = draw.choice([None, ("EuroSAT",), ("fMoW", "BigEarthNet"), ()])
        common |= {"trained_on": trained, "in_domain": None if trained is None else "EuroSAT" in trained}
        if number % 2 == 0:
            width = draw.uniform(0.004, 0.03)
            models.append(_scored(make_row(number, **common), good, width, draw))
        else:
            quality.append((number, common, good))
    for number, common, good in quality:
        real = make_row(number, **common)
        for ratio in RATIOS:
            value = 0.82 + (good - 0.7) * 0.2 * ratio / (1 + ratio)
            arm = "real@16" if ratio == 0 else f"mixed@16x{ratio:g}"
            row = replace(
                real,
                submission=f"dataset-{number:04d}-{number:012x}",
                track="datasets",
                kind="synthetic-dataset",
                arm=arm,
                ratio=ratio,
                recipe=f"task: scene-caption\ntitle: {real.name!r}\nseed: {number}\n",
                group="scratch, 16 real images a class, ResNet-18",
            )
            row = _scored(row, value, 0.012, draw)
            if ratio:
                change = (value - 0.82, value - 0.82 - 0.008, value - 0.82 + 0.008)
                row = replace(row, difference=change)
            datasets.append(row)
    rows = (*_ranked(models), *_ranked(datasets))
    sharp = tuple(
        make_row(
            number,
            name=f"Enlarger {number}",
            protocol="none",
            arm="zero-shot",
            shots=None,
            ratio=None,
            group="no training",
            value=26.0 - number,
            low=25.5 - number,
            high=26.4 - number,
            per_class={},
            in_domain=None,
            trained_on=None,
            seeds=1,
        )
        for number in range(2)
    )
    pairs = make_benchmark(
        sharp,
        id="realsr-x4",
        title="RealSR test pairs of two cameras, x4",
        task="super-resolution",
        metric="psnr-y",
        chance=0.0,
    )
    return Board((make_benchmark(rows), pairs), make_published())


def _scored(row: Row, value: float, width: float, draw: random.Random) -> Row:
    shares = {name: min(1.0, max(0.0, value + draw.uniform(-0.1, 0.1))) for name in CLASSES}
    return replace(
        row, value=value, low=value - width, high=min(1.0, value + width), per_class={**shares, "River": None}
    )


def _ranked(rows: list[Row]) -> list[Row]:
    ordered = sorted(rows, key=lambda row: -row.value)
    best = ordered[0].low if ordered else 0.0
    return [
        replace(row, rank=number + 1, tied_with_best=row.high >= best) for number, row in enumerate(ordered)
    ]
