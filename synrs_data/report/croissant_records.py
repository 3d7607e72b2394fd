"""The files and records of a build in the terms of Croissant: what lies where, and of which type it is.

mlcroissant 1.1.1 reads a member of a tar as bytes only, and joins two sources at a time. So each field of a
sample has a record set of its own, these are joined one after the other, and what the JSON record holds is typed
by the columns of the tables in `metadata/`, which hold the same values, and by what is the same for all samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from synrs_data.report.croissant_nodes import (
    METADATA,
    SAMPLES,
    TEXT,
    WHOLE,
    Node,
    field,
    field_source,
    file_source,
    record_set,
)
from synrs_data.report.croissant_tables import VALUE_TYPES, columns_of, constants_of, enumerations, table_set
from synrs_data.report.view import BuildFacts
from synrs_data.shards.schema import HR, LR, fields_of, image_fields

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
    return [*sets, *enumerations(facts), table_set(facts), _samples(facts, left, names)]


def _fields(facts: BuildFacts) -> tuple[str, ...]:
    return fields_of(facts.recipe.task, facts.recipe.image.format, facts.extra_fields)


def _content(within: str, name: str, alone: bool) -> str:
    return f"{within}/content" if alone else f"{within}/{name}"


def _types(facts: BuildFacts, name: str) -> str | list[str]:
    if name in (*image_fields(facts.recipe.task, facts.recipe.image.format), *facts.extra_fields):
        return "sc:ImageObject"
    return [WHOLE, "cr:Label"] if name == "cls" else TEXT


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
    source = file_source(f"{name}-files", fileProperty="filename") | {"transform": {"regex": "^([0-9]+)[.]"}}
    content = file_source(f"{name}-files", fileProperty="content")
    fields = [
        field(name, "key", TEXT, "Key of the sample.", source=source),
        field(name, "content", _types(facts, name), _meaning(facts, name), source=content),
    ]
    return record_set(name, f"The field {name} of each sample.", fields, key={"@id": f"{name}/key"})


def _join(
    name: str, description: str, left: str, right: str, sources: Iterable[tuple[str, str]], facts: BuildFacts
) -> Node:
    key = field(
        name,
        "key",
        TEXT,
        "Key of the sample.",
        source=field_source(f"{left}/key"),
        references=field_source(f"{right}/key"),
    )
    fields = [
        field(name, part, _types(facts, part), _meaning(facts, part), source=field_source(source))
        for part, source in sources
    ]
    return record_set(name, description, [key, *fields], key={"@id": f"{name}/key"})


def _samples(facts: BuildFacts, left: str, names: tuple[str, ...]) -> Node:
    sources = [(name, f"{left}/{name}") for name in names]
    total = facts.packed.height
    joined = _join(SAMPLES, f"All {total:,} samples with all their fields.", left, METADATA, sources, facts)
    table = columns_of(facts)
    columns = [
        field(SAMPLES, name, types, meaning, source=field_source(f"{METADATA}/{name}"))
        for name, (types, meaning) in table.items()
        if name != "key"
    ]
    prompt = field(SAMPLES, "prompt", TEXT, "What the generator was asked for.")
    prompt["source"] = field_source(f"{METADATA}/caption")
    constants = [
        field(SAMPLES, name, VALUE_TYPES[type(value)], "The same for all samples.", value=value)
        for name, value in constants_of(facts).items()
        if name not in table
    ]
    joined["field"] += [*columns, prompt, *constants]
    return joined
