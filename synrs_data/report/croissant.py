"""Croissant: a build's files, records, provenance and limits as JSON-LD that machines read.

Croissant 1.1, because of its provenance (https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html, section
Provenance Representation), with the RAI vocabulary 1.0 (docs/croissant-rai-spec.md of mlcommons/croissant).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from synrs_data import __version__
from synrs_data.recipe import Recipe
from synrs_data.report.croissant_nodes import Node
from synrs_data.report.croissant_records import distribution, record_sets
from synrs_data.report.croissant_terms import responsible_terms, source_types
from synrs_data.report.view import BuildFacts, rules

CONFORMS_TO = ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"]

_ALIASES = (
    "arrayShape citeAs column containedIn equivalentProperty extract field fileObject fileProperty "
    "fileSet format includes isArray isLiveDataset jsonPath key md5 parentField path recordSet references "
    "regex repeated replace samplingRate sdVersion separator source subField transform"
)

CONTEXT: Node = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **{name: f"cr:{name}" for name in _ALIASES.split()},
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
}
"""The context of Croissant 1.1 with PROV-O (its appendix; mlcroissant, core/rdf.py)."""

_LICENSES = {
    "apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0",
    "cc0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "cdla-permissive-2.0": "https://cdla.dev/permissive-2-0/",
    "mit": "https://opensource.org/license/mit",
    "odbl": "https://opendatacommons.org/licenses/odbl/1-0/",
    "odc-by": "https://opendatacommons.org/licenses/by/1-0/",
    "pddl": "https://opendatacommons.org/licenses/pddl/1-0/",
}
"""Addresses of the licences that datasets have most often, beside Creative Commons."""


def render_croissant(facts: BuildFacts, shards: Mapping[str, Mapping[str, Any]], tables: str) -> str:
    """Return the Croissant description of a build, the `croissant.json` of its folder.

    It grows by about 500 bytes a tar, whatever the number of samples.

    Args:
        facts: The build's facts.
        shards: By path of each packed tar, relative to the folder: its `sha256` and `bytes`.
        tables: Glob of the tables of packed samples, relative to the folder.
    """
    fingerprints = facts.fingerprints
    return croissant_text(
        {
            "@context": CONTEXT,
            "@type": "sc:Dataset",
            "conformsTo": CONFORMS_TO,
            "name": facts.recipe.name,
            "alternateName": facts.title,
            "description": _description(facts),
            "license": license_address(facts.recipe),
            "citeAs": _citation(facts),
            # Which recipe it is of, as SemVer's build metadata: two selections of one build are two versions.
            "version": f"1.0.0+{fingerprints['generation'][:12]}.{fingerprints['selection'][:12]}",
            "keywords": [*(["synthetic"] if facts.synthetic else []), "remote sensing", facts.recipe.task],
            "isLiveDataset": False,
            "digitalSourceType": source_types(facts),
            **responsible_terms(facts),
            **_provenance(facts),
            "distribution": distribution(facts, shards, tables) if shards else [],
            "recordSet": record_sets(facts) if shards else [],
        }
    )


def croissant_text(document: Node) -> str:
    """Return a description as it is written: JSON with one file a line, so that many stay readable."""
    parts = []
    for key, value in document.items():
        if key == "distribution" and value:
            body = "[\n" + ",\n".join(f"  {json.dumps(node, ensure_ascii=False)}" for node in value) + "\n ]"
        else:
            body = json.dumps(value, ensure_ascii=False, indent=1).replace("\n", "\n ")
        parts.append(f" {json.dumps(key)}: {body}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def license_address(recipe: Recipe) -> str:
    """Return the address of a licence's text, as schema.org asks; its id where we know no address."""
    if recipe.license_link:
        return recipe.license_link
    commons = re.fullmatch(r"cc-(by(?:-nc)?(?:-sa|-nd)?)-(\d[.]\d)", recipe.license)
    if commons:
        return f"https://creativecommons.org/licenses/{commons[1]}/{commons[2]}/"
    return _LICENSES.get(recipe.license, recipe.license)


def _description(facts: BuildFacts) -> str:
    kind = "pairs of a low- and a high-resolution image" if facts.pairs else "scene/caption pairs"
    degraded = " and copies of them that a program degraded" if facts.pairs else ""
    images = (
        "Every image is synthetic: a generative model made it, and it is no observation of a place, time or event."
        if facts.synthetic
        else f"The images are parts of {facts.sources:,} real images{degraded}."
    )
    own = f"{facts.recipe.description.strip()} " if facts.recipe.description.strip() else ""
    return f"{own}{images} {facts.packed.height:,} {kind}, selected from {facts.candidates:,} candidates."


def _citation(facts: BuildFacts) -> str:
    title = facts.title.translate(str.maketrans("", "", "{}\\"))
    kind = "synthetic images" if facts.synthetic else "parts of real images"
    return (
        f"@misc{{{facts.recipe.name}, title = {{{title}}}, note = {{Remote-sensing dataset of {kind}, made by "
        f"synrs-data {__version__} from the recipe with fingerprint {facts.fingerprints['generation']}}}}}"
    )


def _provenance(facts: BuildFacts) -> Node:
    """Return what the dataset was made from, by what, and by whom, in PROV-O."""
    identity, recipe = facts.generator, facts.recipe
    agent = {
        "@type": "prov:SoftwareAgent",
        "prov:label": f"synrs-data {__version__}",
        "softwareVersion": __version__,
    }
    model = {
        "@type": "prov:Entity",
        "prov:label": f"{'The generator' if facts.synthetic else 'Real images:'} {identity['model']}",
        "name": identity["model"],
        "version": identity["revision"],
        "sha256": identity["sha256"],
        "license": identity["license"],
    }
    made_of = {
        "@type": "prov:Entity",
        "prov:label": f"The recipe {recipe.name}",
        "name": "recipe.yaml",
        "identifier": facts.fingerprints["generation"],
    }
    degraded = f", then the degradation {recipe.degradation.method}" if recipe.degradation else ""
    generation = {
        "@type": "prov:Activity",
        "prov:label": f"Generation of {facts.candidates:,} candidates by {recipe.generator.method}{degraded}",
        "description": "; ".join(
            ", ".join(f"{name} {version}" for name, version in found.items()) for found in facts.environments
        ),
        "prov:used": [model, made_of],
        "prov:wasAssociatedWith": agent,
    }
    chosen = {"identifier": facts.fingerprints["selection"], "prov:wasAssociatedWith": agent}
    selection = {
        "@type": "prov:Activity",
        "prov:label": f"Selection of {facts.packed.height:,} of {facts.candidates:,} candidates",
        "description": "; ".join(rules(recipe).values()) or "all candidates were accepted",
        **chosen,
    }
    return {
        "prov:wasDerivedFrom": [model, *_sources(facts)] if facts.synthetic else [model],
        "prov:wasGeneratedBy": [generation, selection],
        "prov:wasAttributedTo": agent,
    }


def _sources(facts: BuildFacts) -> list[Node]:
    if not facts.sources:
        return []
    return [
        {
            "@type": "prov:Entity",
            "prov:label": f"{facts.sources:,} real images",
            "description": "Each sample's `derived_from` is the sha256 of the real image that it was made from; the "
            "licence of these images applies too.",
        }
    ]
