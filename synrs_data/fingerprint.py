"""Fingerprints of the two parts of a recipe, and what changed between two recipes."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from synrs_data.recipe import Recipe, path_options
from synrs_data.registry import Kind, lookup

FINGERPRINT_VERSION = 1

EXCLUDED: dict[str, str] = {
    "title": "a label for people; it is in no shard",
    "description": "a text for people; it is in no shard",
    "licenses": "what is known of the parts' licences; it is in no shard",
    "license_name": "the name behind `license: other`; it is in no shard",
    "license_link": "the address of that licence; it is in no shard",
    "labels": "where the label set lies; the digest of its contents counts instead",
    "options made with `path_option`": "where a file or model lies; the digest of its contents counts instead",
    "select": "decides nothing about the candidates; it has a fingerprint of its own",
}
"""What the fingerprint of the generation part leaves out, and why."""


def generation_fingerprint(recipe: Recipe, digests: dict[str, str]) -> str:
    """Return the fingerprint of the generation part.

    Args:
        recipe: A completed recipe.
        digests: sha256 of the contents that stand for excluded paths: captions, weights, label set.
    """
    values = recipe.model_dump(mode="json", exclude=EXCLUDED.keys() & type(recipe).model_fields.keys())
    methods: list[tuple[Kind, dict[str, Any]]] = [
        ("captions", values["captions"]),
        ("generators", values["generator"]),
    ]
    if values["degradation"] is not None:
        methods.append(("degradations", values["degradation"]))
    methods += [("filters", spec) for spec in values["filters"]]
    for kind, spec in methods:
        for name in path_options(lookup(kind, spec["method"]).Options):
            del spec[name]
    return _fingerprint({"generation": values, "digests": digests})


def selection_fingerprint(recipe: Recipe) -> str:
    """Return the fingerprint of the selection part."""
    return _fingerprint({"selection": recipe.selection_part()})


def changed_keys(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """Return dotted keys, with both values, in which two recipes' plain values differ."""
    changes: list[str] = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            changes += changed_keys(before, after, f"{prefix}{key}.")
        elif before != after:
            changes.append(f"{prefix}{key} (was {before!r}, is {after!r})")
    return changes


def _fingerprint(values: dict[str, Any]) -> str:
    text = json.dumps({"version": FINGERPRINT_VERSION, **values}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
