"""The files and records of a build in the terms of Croissant: what lies where, and of which type it is.

mlcroissant 1.1.1 reads a member of a tar as bytes only, and joins two sources at a time. So each field of a
sample has a record set of its own, these are joined one after the other, and what the JSON record holds is typed
by the columns of the tables in `metadata/`, which hold the same values, and by what is the same for all samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from synrs_data.report.croissant_terms import source_types
from synrs_data.report.view import BuildFacts, splits
from synrs_data.shards.schema import HR, LR, fields_of, image_fields

Node = dict[str, Any]

_TEXT, _WHOLE, _REAL, _TRUTH = "sc:Text", "cr:Int64", "cr:Float64", "sc:Boolean"
_COLUMNS: dict[type[pl.DataType], str] = {
    pl.String: _TEXT,
    pl.Int64: _WHOLE,
    pl.Float64: _REAL,
    pl.Boolean: _TRUTH,
}
_VALUES: dict[type, str] = {str: _TEXT, int: _WHOLE, float: _REAL, bool: _TRUTH}
_ENCODINGS = {
    "jpg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "txt": "text/plain",
    "cls": "text/plain",
    "json": "application/json",
}

_KEY = "[0-9]" * 9
"""Glob of a sample's key (`sample.sample_key`), so that `*.png` does not find `000000001.lr.png`."""

_SPLIT_URLS = {"train": "cr:TrainingSplit", "validation": "cr:ValidationSplit", "test": "cr:TestSplit"}
"""Croissant's names of the usual splits (Croissant 1.1, section Splits)."""

SAMPLES, METADATA, SPLITS, LABELS = "samples", "metadata", "splits", "labels"
"""Record sets beside those of single fields."""


def distribution(facts: BuildFacts, shards: Mapping[str, Mapping[str, Any]], tables: str) -> list[Node]:
    """Return the tars, the sets of their members by field, and the set of tables.

    Args:
        facts: The build's facts.
        shards: By path of each packed tar: its `sha256` and `bytes`.
        tables: Glob of the tables of packed samples.
    """
    objects = [
        {
            "@type": "cr:FileObject",
            "@id": path,
            "name": path,
            "contentUrl": path,
            "contentSize": f"{entry['bytes']} B",
            "encodingFormat": "application/x-tar",
            "sha256": entry["sha256"],
        }
        for path, entry in sorted(shards.items())
    ]
    inside: list[Node] = [{"@id": path} for path in sorted(shards)]
    sets = [
        {
            "@type": "cr:FileSet",
            "@id": f"{name}-files",
            "name": f"{name}-files",
            "description": f"The field {name} of each sample.",
            "containedIn": inside,
            "encodingFormat": _ENCODINGS[name.rpartition(".")[2]],
            "includes": f"{_KEY}.{name}",
        }
        for name in _fields(facts)
    ]
    table = {
        "@type": "cr:FileSet",
        "@id": f"{METADATA}-files",
        "name": f"{METADATA}-files",
        "description": "One row a packed sample; manifest.json has the sha256 of each table.",
        "encodingFormat": "application/x-parquet",
        "includes": tables,
    }
    return [*objects, *sets, table]


def record_sets(facts: BuildFacts) -> list[Node]:
    """Return all record sets; `samples` has everything, one record a packed sample."""
    names = _fields(facts)
    sets = [_field_set(facts, name) for name in names]
    left, held = names[0], [names[0]]
    for number, name in enumerate(names[1:], start=2):
        held.append(name)
        joined = f"first-{number}-fields"
        sources = [(part, _content(left, part, number == 2)) for part in held[:-1]]
        description = f"{', '.join(held)} of each sample: a step towards {SAMPLES}."
        sets.append(
            _join(joined, description, left, name, [*sources, (name, _content(name, name, True))], facts)
        )
        left = joined
    return [*sets, *_enumerations(facts), _table_set(facts), _samples(facts, left, names)]


def _fields(facts: BuildFacts) -> tuple[str, ...]:
    return fields_of(facts.recipe.task, facts.recipe.image.format, facts.extra_fields)


def _content(record_set: str, name: str, alone: bool) -> str:
    return f"{record_set}/content" if alone else f"{record_set}/{name}"


def _field(record_set: str, name: str, types: str | list[str], description: str = "", **others: Any) -> Node:
    told = {"description": description} if description else {}
    return {
        "@type": "cr:Field",
        "@id": f"{record_set}/{name}",
        "name": name,
        **told,
        "dataType": types,
        **others,
    }


def _set(name: str, description: str, fields: list[Node], **others: Any) -> Node:
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": description,
        **others,
        "field": fields,
    }


def _file_source(name: str, **extract: str) -> Node:
    return {"fileSet": {"@id": name}, "extract": extract}


def _field_source(name: str) -> Node:
    return {"field": {"@id": name}}


def _types(facts: BuildFacts, name: str) -> str | list[str]:
    if name in (*image_fields(facts.recipe.task, facts.recipe.image.format), *facts.extra_fields):
        return "sc:ImageObject"
    return [_WHOLE, "cr:Label"] if name == "cls" else _TEXT


def _meaning(facts: BuildFacts, name: str) -> str:
    meanings = {
        LR: "The low-resolution image.",
        HR: "The high-resolution image.",
        facts.recipe.image.format: "The image.",
        "txt": "The caption, which was also the prompt.",
        "cls": "Index of the label.",
        "json": "The record of how the sample was made, as JSON text.",
    }
    return meanings.get(name, "What the generator started from, as it saw it.")


def _field_set(facts: BuildFacts, name: str) -> Node:
    source = _file_source(f"{name}-files", fileProperty="filename") | {"transform": {"regex": "^([0-9]+)[.]"}}
    content = _file_source(f"{name}-files", fileProperty="content")
    fields = [
        _field(name, "key", _TEXT, "Key of the sample.", source=source),
        _field(name, "content", _types(facts, name), _meaning(facts, name), source=content),
    ]
    return _set(name, f"The field {name} of each sample.", fields, key={"@id": f"{name}/key"})


def _join(
    name: str, description: str, left: str, right: str, sources: Iterable[tuple[str, str]], facts: BuildFacts
) -> Node:
    key = _field(
        name,
        "key",
        _TEXT,
        "Key of the sample.",
        source=_field_source(f"{left}/key"),
        references=_field_source(f"{right}/key"),
    )
    fields = [
        _field(name, part, _types(facts, part), _meaning(facts, part), source=_field_source(source))
        for part, source in sources
    ]
    return _set(name, description, [key, *fields], key={"@id": f"{name}/key"})


def _samples(facts: BuildFacts, left: str, names: tuple[str, ...]) -> Node:
    sources = [(name, f"{left}/{name}") for name in names]
    total = facts.packed.height
    joined = _join(SAMPLES, f"All {total:,} samples with all their fields.", left, METADATA, sources, facts)
    columns = [
        _field(SAMPLES, name, types, meaning, source=_field_source(f"{METADATA}/{name}"))
        for name, (types, meaning) in _columns(facts).items()
        if name != "key"
    ]
    prompt = _field(SAMPLES, "prompt", _TEXT, "What the generator was asked for.")
    prompt["source"] = _field_source(f"{METADATA}/caption")
    constants = [
        _field(SAMPLES, name, _VALUES[type(value)], "The same for all samples.", value=value)
        for name, value in _constants(facts).items()
    ]
    joined["field"] += [*columns, prompt, *constants]
    return joined


def _table_set(facts: BuildFacts) -> Node:
    references = {"split": f"{SPLITS}/name", "label": f"{LABELS}/index"}
    fields = []
    for name, (types, meaning) in _columns(facts).items():
        field = _field(METADATA, name, types, meaning)
        field["source"] = _file_source(f"{METADATA}-files", column=name)
        if name in references:
            field["references"] = _field_source(references[name])
        fields.append(field)
    return _set(
        METADATA,
        "What the tables say of each sample: label, caption, seed, geo-metadata, scores, place.",
        fields,
        key={"@id": f"{METADATA}/key"},
    )


def _columns(facts: BuildFacts) -> dict[str, tuple[str | list[str], str]]:
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


def _constants(facts: BuildFacts) -> dict[str, Any]:
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


def _enumerations(facts: BuildFacts) -> list[Node]:
    """Return the splits and the labels."""
    found = list(splits(facts))
    known = all(name in _SPLIT_URLS for name in found)
    split_fields = [_field(SPLITS, "name", _TEXT), *([_field(SPLITS, "url", "sc:URL")] if known else [])]
    rows = [
        {f"{SPLITS}/name": name, **({f"{SPLITS}/url": _SPLIT_URLS[name]} if known else {})} for name in found
    ]
    labels = [
        {f"{LABELS}/index": index, f"{LABELS}/name": name} for index, name in enumerate(facts.labels.names)
    ]
    return [
        _set(
            SPLITS,
            "The splits of the samples.",
            split_fields,
            key={"@id": f"{SPLITS}/name"},
            dataType="cr:Split",
            data=rows,
        ),
        _set(
            LABELS,
            "The labels.",
            [_field(LABELS, "index", _WHOLE), _field(LABELS, "name", _TEXT)],
            key={"@id": f"{LABELS}/index"},
            dataType="sc:Enumeration",
            data=labels,
        ),
    ]
