"""What Croissant says of the tables of packed samples, of what is the same for all, of splits and of labels."""

from __future__ import annotations

from typing import Any

import polars as pl

from synrs_data.report.croissant_nodes import (
    LABELS,
    METADATA,
    REAL,
    SPLITS,
    TEXT,
    TRUTH,
    WHOLE,
    Node,
    field,
    field_source,
    file_source,
    record_set,
)
from synrs_data.report.croissant_terms import source_types
from synrs_data.report.view import BuildFacts, splits

_COLUMNS: dict[type[pl.DataType], str] = {
    pl.String: TEXT,
    pl.Int64: WHOLE,
    pl.Float64: REAL,
    pl.Boolean: TRUTH,
}
VALUE_TYPES: dict[type, str] = {str: TEXT, int: WHOLE, float: REAL, bool: TRUTH}

_SPLIT_URLS = {"train": "cr:TrainingSplit", "validation": "cr:ValidationSplit", "test": "cr:TestSplit"}
"""Croissant's names of the usual splits (Croissant 1.1, section Splits)."""


def table_set(facts: BuildFacts) -> Node:
    """Return the record set of the tables, which refers to splits and labels."""
    references = {"split": f"{SPLITS}/name", "label": f"{LABELS}/index"}
    fields = []
    for name, (types, meaning) in columns_of(facts).items():
        refers = {"references": field_source(references[name])} if name in references else {}
        source = file_source(f"{METADATA}-files", column=name)
        fields.append(field(METADATA, name, types, meaning, source=source, **refers))
    return record_set(
        METADATA,
        "What the tables say of each sample: label, caption, seed, geo-metadata, scores, place.",
        fields,
        key={"@id": f"{METADATA}/key"},
    )


def columns_of(facts: BuildFacts) -> dict[str, tuple[str | list[str], str]]:
    """Return type and meaning of each column of the tables of packed samples."""
    meanings = {
        "key": "Key of the sample.",
        "split": "The split it is in.",
        "label": "Index of the label.",
        "geo": "Geo-metadata of the imagined scene, JSON text.",
        "file": "The tar that holds it.",
        "offset": "Where its members begin in that tar, in bytes.",
        "length": "How many bytes its members take.",
        "sha256": "sha256 of these bytes.",
        "derived_from": "sha256 of the file of the image that it was made from; empty for none.",
    } | facts.columns
    found: dict[str, tuple[str | list[str], str]] = {}
    for name, kind in facts.packed.schema.items():
        if type(kind) in _COLUMNS:
            types = _COLUMNS[type(kind)]
            found[name] = ([types, "cr:Label"] if name == "label" else types, meanings.get(name, ""))
    return found


def constants_of(facts: BuildFacts) -> dict[str, Any]:
    """Return the values of the JSON record that are the same for all samples of a build."""
    identity, recipe = facts.generator, facts.recipe
    degradation = {"degradation": recipe.degradation.method} if recipe.degradation else {}
    mixed = facts.synthetic and len(source_types(facts)) > 1
    source_type = {} if mixed else {"digital_source_type": source_types(facts)[0]}
    return {
        "task": recipe.task,
        "negative_prompt": identity["negative_prompt"],
        "generator": recipe.generator.method,
        "model": identity["model"],
        "model_revision": identity["revision"],
        "model_sha256": identity["sha256"],
        "model_license": identity["license"],
        "pipeline": identity["family"],
        "scheduler": identity["scheduler"],
        "steps": identity["steps"],
        "guidance_scale": float(identity["guidance_scale"]),
        "license": recipe.license,
        "synthetic": facts.synthetic,
        **source_type,
        "recipe": recipe.name,
        "recipe_fingerprint": facts.fingerprints["generation"],
        **degradation,
    }


def enumerations(facts: BuildFacts) -> list[Node]:
    """Return the splits and the labels."""
    found = list(splits(facts))
    known = all(name in _SPLIT_URLS for name in found)
    split_fields = [field(SPLITS, "name", TEXT), *([field(SPLITS, "url", "sc:URL")] if known else [])]
    rows = [
        {f"{SPLITS}/name": name, **({f"{SPLITS}/url": _SPLIT_URLS[name]} if known else {})} for name in found
    ]
    labels = [
        {f"{LABELS}/index": index, f"{LABELS}/name": name} for index, name in enumerate(facts.labels.names)
    ]
    return [
        record_set(
            SPLITS,
            "The splits of the samples.",
            split_fields,
            key={"@id": f"{SPLITS}/name"},
            dataType="cr:Split",
            data=rows,
        ),
        record_set(
            LABELS,
            "The labels.",
            [field(LABELS, "index", WHOLE), field(LABELS, "name", TEXT)],
            key={"@id": f"{LABELS}/index"},
            dataType="sc:Enumeration",
            data=labels,
        ),
    ]
