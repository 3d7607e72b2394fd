"""The dataset card: YAML that the Hub and `datasets` read, then Markdown that people read."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import polars as pl
import yaml

from synrs_data.licenses import licensing
from synrs_data.recipe import Recipe
from synrs_data.report.citations import citations
from synrs_data.report.page import degradation_terms, generator_terms, image_sizes
from synrs_data.report.samples import grid
from synrs_data.report.scores import accepted_ranges, leak_row, score_rows
from synrs_data.report.snippets import snippets
from synrs_data.report.templates import markdown_environment
from synrs_data.report.view import BuildFacts, caption_facts, funnel, label_rows, public_recipe, splits
from synrs_data.shards import features
from synrs_data.shards.folder import BuildFolder

LONG_TABLE = 30
"""A table of labels with more rows is folded away behind a summary of it."""

# Numbers of YAML 1.2 (yaml.org/spec/1.2.2, section 10.3.2), which readers in other languages follow; PyYAML knows
# those of YAML 1.1 and would leave a label "1e3" or "08" without quotes.
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+")
_TAGS = ["remote-sensing", "geospatial", "webdataset"]
_SIZES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
    (10**9, "100M<n<1B"),
    (10**10, "1B<n<10B"),
    (10**11, "10B<n<100B"),
    (10**12, "100B<n<1T"),
)


def render_card(folder: BuildFolder, facts: BuildFacts) -> str:
    """Return the dataset card, the `README.md` of a build folder.

    Comments `<!-- begin:NAME -->` and `<!-- end:NAME -->` on lines of their own, outside fences of code, mark what
    `hub.card.combine_cards` writes anew: "load" and "rebuild". What users wrote is escaped or within a fence.

    Args:
        folder: The build folder, whose file names the card mentions.
        facts: The build's facts.
    """
    rows = label_rows(facts)
    recipe_yaml = public_recipe(facts.recipe)
    return (
        markdown_environment()
        .get_template("dataset_card.md.j2")
        .render(
            front_matter=front_matter(card_data(facts)),
            facts=facts,
            recipe=facts.recipe,
            folder=folder,
            splits=splits(facts),
            size=image_sizes(facts),
            grid=grid(facts) if facts.packed.height else None,
            funnel=funnel(facts),
            rows=rows,
            folded=len(rows) > LONG_TABLE,
            middle=statistics.median_low([row.accepted for row in rows]),
            captions=caption_facts(facts),
            licensing=licensing(facts.recipe, facts.generator),
            generator=generator_terms(facts.generator),
            degradation=degradation_terms(facts.recipe),
            scores=score_rows(facts),
            ranges=accepted_ranges(facts),
            leak=leak_row(facts),
            evaluation=_evaluation(facts.recipe),
            snippets=snippets(facts),
            recipe_yaml=recipe_yaml,
            fence=fence(recipe_yaml),
            has_paths=recipe_yaml != facts.recipe.to_yaml(),
            environment_names=list(dict.fromkeys(name for found in facts.environments for name in found)),
            citations=citations(facts),
        )
    )


class _Dumper(yaml.SafeDumper):
    """Writes texts so that every reader of a card takes them for the same texts."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # A line break in other quotes may be followed by `---`, which ends the metadata for the Hub's client.
    style = '"' if len(text.splitlines()) > 1 or _NUMBER.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _represent_text)


def front_matter(data: Mapping[str, Any]) -> str:
    """Return a card's metadata as YAML."""
    return yaml.dump(dict(data), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=math.inf)


def card_data(facts: BuildFacts) -> dict[str, Any]:
    """Return the card's metadata; a build without samples has no configuration that could be loaded."""
    recipe = facts.recipe
    named = {"license_name": recipe.license_name, "license_link": recipe.license_link}
    data: dict[str, Any] = {
        "license": recipe.license,
        **{key: value for key, value in named.items() if value},
        "pretty_name": " ".join(facts.title.split()),
        "tags": ["synthetic", *_TAGS] if facts.synthetic else _TAGS,
        **_task_data(facts),
        "size_categories": [size_category(facts.packed.height)],
        "source_datasets": ["extended" if facts.sources else "original"],
        "annotations_creators": ["machine-generated"],
    }
    counts = splits(facts)
    if counts:
        lengths: dict[str, int] = dict(facts.packed.group_by("split").agg(pl.col("length").sum()).iter_rows())
        files = [{"split": name, "path": f"data/{name}-*.tar"} for name in counts]
        data["configs"] = [{"config_name": recipe.task, "data_files": files}]
        data["dataset_info"] = {
            "config_name": recipe.task,
            "features": features(
                recipe.task, facts.labels, recipe.image.format, facts.scores, facts.extra_fields
            ),
            # `datasets` checks the number of samples; the number of bytes must be there and is not checked.
            "splits": [
                {"name": name, "num_bytes": lengths[name], "num_examples": count}
                for name, count in counts.items()
            ],
        }
    return data


def _task_data(facts: BuildFacts) -> dict[str, Any]:
    """Return the task ids of the Hub (huggingface.js, packages/tasks; hub-docs, datasetcard.md)."""
    if facts.pairs:
        return {"task_categories": ["image-to-image"], "task_ids": ["super-resolution"]}
    found: dict[str, Any] = {"task_categories": ["text-to-image"]}
    # One label tells no image from another.
    if len(facts.labels.labels) > 1:
        found["task_categories"] += ["image-classification", "zero-shot-image-classification"]
        found["task_ids"] = ["multi-class-image-classification"]
    return {**found, "language_creators": ["machine-generated"]}


def size_category(samples: int) -> str:
    """Return the Hub's category of a number of samples."""
    return next((name for limit, name in _SIZES if samples < limit), "n>1T")


def fence(text: str) -> str:
    """Return a fence for a block of code that nothing in the text can end (CommonMark 0.31, section 4.5)."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    return "`" * max(3, longest + 1)


def _evaluation(recipe: Recipe) -> str:
    """Return the name of the real images of which no source may be one; empty if none were named."""
    value = (recipe.generator.model_extra or {}).get("evaluation")
    return PurePath(value).name if value else ""
