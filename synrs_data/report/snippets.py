"""How to load a build, as code that runs inside its folder."""

from __future__ import annotations

from dataclasses import dataclass

from synrs_data.report.view import BuildFacts, splits
from synrs_data.shards.schema import HR, LR


@dataclass(frozen=True, slots=True)
class Snippet:
    """Some lines of Python under the name of the library they use."""

    library: str
    code: str


def snippets(facts: BuildFacts) -> list[Snippet]:
    """Return how to load the samples and their table; nothing for a build without samples."""
    names = list(splits(facts))
    if not names:
        return []
    image = facts.recipe.image.format
    shown = f'data[0]["{image}"], data[0]["txt"], data[0]["cls"]'
    left, fields = "image, caption, label", f'"{image}", "txt", "cls"'
    if facts.pairs:
        shown, left, fields = f'data[0]["{LR}"], data[0]["{HR}"]', "low, high", f'"{LR}", "{HR}"'
    return [
        Snippet(
            "datasets",
            "import os\n\nfrom datasets import load_dataset\n\n"
            f'data = load_dataset(os.getcwd(), "{facts.recipe.task}", split="{names[0]}")\n'
            f"{shown}",
        ),
        Snippet(
            "webdataset",
            "import webdataset as wds\n\n"
            f'data = wds.WebDataset("{_tars(facts, names[0])}", shardshuffle=False)\n'
            f'{left} = next(iter(data.decode("pil").to_tuple({fields})))',
        ),
        Snippet(
            "polars",
            "import polars as pl\n\n"
            'rows = pl.read_parquet("metadata/*.parquet")\n'
            'rows.group_by("label_name").len()',
        ),
    ]


def _tars(facts: BuildFacts, split: str) -> str:
    files = facts.packed.filter(facts.packed["split"] == split)["file"].unique().sort()
    if len(files) == 1:
        return str(files[0])
    first, last = (name.removesuffix(".tar").rpartition("-")[2] for name in (files[0], files[-1]))
    return f"data/{split}-{{{first}..{last}}}.tar"
