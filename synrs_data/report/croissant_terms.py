"""What the RAI vocabulary asks of a dataset: how it came about, what it is for, where it fails.

Terms: docs/croissant-rai-spec.md of mlcommons/croissant, version 1.0. mlcroissant 1.1.1 reads
`rai:dataManipulationProtocol` under another name (core/constants.py); the name of the specification is written.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from synrs_data.report.view import BuildFacts, funnel, splits
from synrs_data.sample import (
    ALGORITHMICALLY_ENHANCED,
    COMPOSITE_ALGORITHMIC_MEDIA,
    DIGITAL_CAPTURE,
    TRAINED_ALGORITHMIC_MEDIA,
)


def responsible_terms(facts: BuildFacts) -> dict[str, Any]:
    """Return the RAI terms of a build."""
    recipe = facts.recipe
    filters = [spec.method for spec in recipe.filters]
    return {
        "rai:dataCollection": _collection(facts),
        "rai:dataCollectionType": ["Synthetic data generation" if facts.synthetic else "Secondary data"],
        # Asked for by the datasets track of NeurIPS 2026; RAI 1.0 has no term that says "synthetic".
        "rai:hasSyntheticData": facts.synthetic,
        "rai:dataCollectionMissingData": _missing(facts),
        "rai:dataPreprocessingProtocol": _preprocessing(facts),
        "rai:dataManipulationProtocol": _manipulation(facts),
        "rai:dataAnnotationProtocol": [
            "No person annotated. The label is "
            f"{'what the generator was asked for' if facts.synthetic else 'that of the recipe'}; captions are of "
            f"the strategy {recipe.captions.method}."
        ],
        "rai:machineAnnotationTools": [
            f"synrs-data captions {recipe.captions.method}",
            *(f"synrs-data filter {name}" for name in filters),
        ],
        "rai:dataUseCases": _uses(facts),
        "rai:dataLimitations": _limitations(facts),
        "rai:dataBiases": _biases(facts),
        "rai:personalSensitiveInformation": [_personal(facts)],
        "rai:dataSocialImpact": (
            "Synthetic overhead images can be taken for observations. Each image, each record and this description "
            "say what they are; keep that with them."
        )
        if facts.synthetic
        else "Degraded copies of real images can be taken for what a sensor took. Keep this description with them.",
        "rai:dataReleaseMaintenancePlan": (
            "A release does not change: its version names the fingerprints of its recipe, manifest.json has the "
            "sha256 of each file. Corrections are new versions; recipe.yaml makes the same bytes again with the same "
            "package versions on the same class of device."
        ),
    }


def source_types(facts: BuildFacts) -> list[str]:
    """Return IPTC's terms for the images of a build, as schema.org's `digitalSourceType`."""
    if not facts.synthetic:
        return [DIGITAL_CAPTURE, *([ALGORITHMICALLY_ENHANCED] if facts.pairs else [])]
    if not facts.sources:
        return [TRAINED_ALGORITHMIC_MEDIA]
    without = facts.packed.filter(pl.col("derived_from") == "").height
    return [COMPOSITE_ALGORITHMIC_MEDIA, *([TRAINED_ALGORITHMIC_MEDIA] if without else [])]


def _collection(facts: BuildFacts) -> str:
    recipe, identity = facts.recipe, facts.generator
    seed = f"Seeds of all images come from the recipe's seed {recipe.seed}."
    if not facts.synthetic:
        return (
            f"No sensor took the low-resolution images. Parts of {facts.sources:,} real images were cut out, and "
            f"{recipe.degradation.method if recipe.degradation else 'a program'} made copies of them. {seed}"
        )
    steps = f" in {identity['steps']} steps of {identity['scheduler']}" if identity["scheduler"] else ""
    pairs = (
        f" The low-resolution images were made from them by the degradation {recipe.degradation.method}."
        if recipe.degradation
        else ""
    )
    return f"The images are synthetic: {identity['family']} made them from {_origin(facts)}{steps}.{pairs} {seed}"


def _origin(facts: BuildFacts) -> str:
    """Return what a generator started from."""
    found = [] if facts.recipe.captions.method == "none" else ["captions"]
    if facts.sources:
        found.append(f"{facts.sources:,} real image{'s' if facts.sources > 1 else ''}")
    elif "derived_from" in facts.packed.columns and (facts.packed["derived_from"] != "").any():
        found.append("other synthetic images")
    return " and ".join(found) or "noise alone"


def _missing(facts: BuildFacts) -> str:
    parts = []
    if facts.quarantined:
        parts.append(f"{len(facts.quarantined):,} shards of candidates failed in every try and are left out.")
    if facts.unreadable:
        parts.append(f"{len(facts.unreadable):,} source images could not be read; others took their place.")
    return " ".join(parts) or "None: each sample has all fields."


def _preprocessing(facts: BuildFacts) -> list[str]:
    quality = "" if facts.recipe.image.format == "png" else f", quality {facts.recipe.image.quality}"
    found = [f"Images are encoded once, as {facts.recipe.image.format}{quality}; packing copies the bytes."]
    if facts.scores:
        meanings = "; ".join(f"{name}: {facts.columns[name]}" for name in facts.scores)
        found.append(f"Scores of each candidate: {meanings}.")
    return found


def _manipulation(facts: BuildFacts) -> str:
    steps = "; ".join(f"{step.rule}: {step.dropped:,} rejected, {step.left:,} left" for step in funnel(facts))
    parts = ", ".join(f"{name} {count:,}" for name, count in splits(facts).items())
    return (
        f"{facts.packed.height:,} of {facts.candidates:,} candidates were selected. "
        f"{f'Rules in their order: {steps}. ' if steps else 'No rule rejected any. '}"
        f"Splits are hashes of keys, or of the real image behind a sample: {parts or 'none'}. "
        "rejects.parquet lists all others with their scores and the reason."
    )


def _uses(facts: BuildFacts) -> list[str]:
    use = (
        "Training super-resolution models, and measuring how well they undo a degradation that is known exactly."
        if facts.pairs
        else "Training and pre-training recognition models beside real images, and measuring whether that helps."
    )
    return [
        use,
        "Not for maps, measurements, change detection, damage or security assessment, or any statement about a real "
        "place, and not as a test set: a score on these images is no score on real ones.",
    ]


def _limitations(facts: BuildFacts) -> list[str]:
    found = []
    if facts.pairs:
        found.append(
            "A program degraded the images; how near that is to a sensor has to be measured on real pairs."
        )
    if facts.synthetic:
        found.append("A label is what the generator was asked to paint, not what a person saw.")
        found.append(
            "Geo-metadata belong to the imagined scene; they are no coordinates of what an image shows."
        )
        found.append(_copies(facts))
    if facts.synthetic and not facts.recipe.filters:
        found.append("No filter scored the images: nothing but the prompt ties an image to its label.")
    if facts.sources:
        found.append(
            "Images that start from one real image are no independent samples; they are in one split."
        )
    return found


def _copies(facts: BuildFacts) -> str:
    looked = any(spec.method == "leak" for spec in facts.recipe.filters)
    return "A generator can repeat a training image. " + (
        "Copies of the real images named in the recipe were looked for, other copies were not."
        if looked
        else "Copies of real images were not looked for."
    )


def _biases(facts: BuildFacts) -> list[str]:
    if not facts.synthetic:
        return [
            "The images have the regions, seasons, sensor and resolution of the real images they are parts of."
        ]
    return [
        "A generator repeats the biases of its training images: their regions, seasons, sensors and resolution.",
        *(
            ["Filters are models too: what they reject is biased by what they were trained on."]
            if facts.recipe.filters
            else []
        ),
    ]


def _personal(facts: BuildFacts) -> str:
    if facts.sources:
        return (
            "None was added. Overhead images at these sizes show no identifiable person as far as we know; the real "
            "images behind them were not searched for any."
        )
    return "None was collected: captions are made by a program or given by the recipe, and no image shows a real place."
