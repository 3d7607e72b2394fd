"""The parts that Croissant's record sets are made of, as JSON-LD nodes."""

from __future__ import annotations

from typing import Any

Node = dict[str, Any]

TEXT, WHOLE, REAL, TRUTH = "sc:Text", "cr:Int64", "cr:Float64", "sc:Boolean"
"""Croissant's types of texts, whole numbers, real numbers and truth values."""

SAMPLES, METADATA, SPLITS, LABELS = "samples", "metadata", "splits", "labels"
"""Record sets beside those of single fields."""


def field(within: str, name: str, types: str | list[str], description: str = "", **others: Any) -> Node:
    """Return a field of a record set, with more properties."""
    told = {"description": description} if description else {}
    return {
        "@type": "cr:Field",
        "@id": f"{within}/{name}",
        "name": name,
        **told,
        "dataType": types,
        **others,
    }


def record_set(name: str, description: str, fields: list[Node], **others: Any) -> Node:
    """Return a record set, with more properties."""
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": description,
        **others,
        "field": fields,
    }


def file_source(name: str, **extract: str) -> Node:
    """Return where a field comes from: a set of files, and what of them."""
    return {"fileSet": {"@id": name}, "extract": extract}


def field_source(name: str) -> Node:
    """Return where a field comes from: a field of another record set."""
    return {"field": {"@id": name}}
