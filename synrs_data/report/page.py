"""The HTML report of a build: one file that asks the network for nothing."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import Any

from synrs_data.recipe import Recipe
from synrs_data.report.pairs import GAIN, pair_views
from synrs_data.report.plots import Histogram, drawn_plot, funnel_bar, histogram
from synrs_data.report.sheet import ACCEPTED, REJECTED, contact_sheets
from synrs_data.report.snippets import snippets
from synrs_data.report.templates import html_environment
from synrs_data.report.view import BuildFacts, Step, caption_facts, funnel, label_rows, public_recipe, splits
from synrs_data.shards.folder import BuildFolder


def render_report(folder: BuildFolder, facts: BuildFacts) -> str:
    """Return the report as HTML: self-contained, below 20 MB, the same bytes for the same build.

    Args:
        folder: The build folder, whose packed and candidate shards give the images.
        facts: The build's facts.

    Raises:
        VerificationError: A packed sample cannot be read.
    """
    template = html_environment().get_template("build_report.html.j2")
    return template.render(
        facts=facts,
        recipe=facts.recipe,
        splits=splits(facts),
        sizes=image_sizes(facts),
        funnel=[(step, funnel_bar(step, facts.candidates)) for step in _steps(facts)],
        sheets=contact_sheets(folder, facts),
        most={"accepted": ACCEPTED, "rejected": REJECTED},
        histograms=histograms(facts),
        pairs=pair_views(folder, facts),
        degradation=degradation_terms(facts.recipe),
        gain=GAIN,
        drawn=[drawn_plot(drawn) for drawn in facts.drawn],
        rows=label_rows(facts),
        captions=caption_facts(facts),
        generator=generator_terms(facts.generator),
        snippets=snippets(facts),
        recipe_yaml=public_recipe(facts.recipe),
    )


def histograms(facts: BuildFacts) -> list[Histogram]:
    """Return the plot of every score that is a number; nothing for a build without candidates."""
    if not facts.candidates:
        return []
    limits = facts.recipe.select.thresholds
    return [
        histogram(
            name,
            facts.columns[name],
            facts.packed[name].cast(float).to_numpy(),
            facts.rejected[name].cast(float).to_numpy(),
            limits.get(name),
        )
        for name in facts.scores
    ]


def image_sizes(facts: BuildFacts) -> str:
    """Return the sizes of the packed images: "64 × 64", or the range of widths and heights."""
    sizes = facts.packed.select("width", "height").unique().sort("width", "height")
    if sizes.is_empty():
        return ""
    if sizes.height == 1:
        return "{} × {}".format(*sizes.row(0))
    sides = [sorted(sizes[side].to_list()) for side in ("width", "height")]
    return " × ".join(f"{side[0]}–{side[-1]}" if side[0] < side[-1] else str(side[0]) for side in sides)


def generator_terms(generator: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what made the images as pairs of term and value, what is empty left out."""
    named = {
        "Model": generator["model"],
        "Revision": generator["revision"],
        "sha256 of the weights": generator["sha256"],
        "Licence of the weights": generator["license"],
        "Pipeline": generator["family"],
        "Scheduler": generator["scheduler"],
        "Steps": generator["steps"],
        "Guidance scale": generator["guidance_scale"],
        "Negative prompt": generator["negative_prompt"],
    }
    named |= dict(sorted(generator["parameters"].items()))
    texts = {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in named.items()
    }
    return [(name, text) for name, text in texts.items() if text not in ("", "null", "[]")]


def degradation_terms(recipe: Recipe) -> list[tuple[str, str]]:
    """Return the options of the degradation; of a path of this machine, only the last name."""
    options = (recipe.degradation.model_extra if recipe.degradation else None) or {}
    return [(name, PurePath(str(value)).name) for name, value in options.items() if value is not None]


def _steps(facts: BuildFacts) -> list[Step]:
    return [Step("candidates generated", 0, facts.candidates), *funnel(facts)]
