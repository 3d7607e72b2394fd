"""The dataset card: YAML that the Hub and `datasets` read, then Markdown that people read."""

from __future__ import annotations

from typing import Any

import polars as pl
import yaml

from synrs_data.report.page import degradation_terms, generator_terms, image_sizes
from synrs_data.report.snippets import snippets
from synrs_data.report.templates import markdown_environment
from synrs_data.report.view import BuildFacts, caption_facts, funnel, label_rows, splits
from synrs_data.shards import features
from synrs_data.shards.folder import BuildFolder

_TASKS = ["text-to-image", "image-classification", "zero-shot-image-classification"]
_TAGS = ["remote-sensing", "geospatial", "webdataset"]
_SIZES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
    (10**9, "100M<n<1B"),
)


def render_card(folder: BuildFolder, facts: BuildFacts) -> str:
    """Return the dataset card, the `README.md` of a build folder.

    Args:
        folder: The build folder, whose file names the card mentions.
        facts: The build's facts.
    """
    front_matter = yaml.safe_dump(card_data(facts), sort_keys=False, allow_unicode=True, width=110)
    return (
        markdown_environment()
        .get_template("dataset_card.md.j2")
        .render(
            front_matter=front_matter,
            facts=facts,
            recipe=facts.recipe,
            splits=splits(facts),
            size=image_sizes(facts),
            funnel=funnel(facts),
            rows=label_rows(facts),
            captions=caption_facts(facts),
            generator=generator_terms(facts.generator),
            degradation=degradation_terms(facts.recipe),
            snippets=snippets(facts),
            report=folder.report.name,
            environment_names=list(dict.fromkeys(name for found in facts.environments for name in found)),
            has_leak=any(spec.method == "leak" for spec in facts.recipe.filters),
        )
    )


def card_data(facts: BuildFacts) -> dict[str, Any]:
    """Return the card's metadata; a build without samples has no configuration that could be loaded."""
    data: dict[str, Any] = {
        "license": facts.recipe.license,
        "pretty_name": facts.title,
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
        data["configs"] = [{"config_name": "default", "data_files": files}]
        data["dataset_info"] = {
            "config_name": "default",
            "features": features(
                facts.recipe.task, facts.labels, facts.recipe.image.format, facts.scores, facts.extra_fields
            ),
            # `datasets` checks the number of samples; the number of bytes must be there and is not checked.
            "splits": [
                {"name": name, "num_bytes": lengths[name], "num_examples": count}
                for name, count in counts.items()
            ],
        }
    return data


def _task_data(facts: BuildFacts) -> dict[str, Any]:
    if facts.pairs:
        return {"task_categories": ["image-to-image"], "task_ids": ["super-resolution"]}
    return {"task_categories": _TASKS, "language_creators": ["machine-generated"]}


def size_category(samples: int) -> str:
    """Return the Hub's category of a number of samples below 10**9, the most a recipe can ask for."""
    return next(name for limit, name in _SIZES if samples < limit)
