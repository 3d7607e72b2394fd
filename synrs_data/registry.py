"""Methods by name: generators, captions, degradations, filters and baselines, ours and those of installed plugins.

A name maps to `module:attribute` and is imported when it is used, so that listing or checking a recipe
imports no torch. Third parties register by the entry-point groups `synrs_data.generators`,
`synrs_data.captions`, `synrs_data.degradations`, `synrs_data.filters` and `synrs_data.baselines`; a plugin cannot
take one of our names.
"""

from __future__ import annotations

import importlib
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Literal, Protocol

from pydantic import BaseModel

from synrs_data.errors import MissingExtraError, RecipeError
from synrs_data.resources import suggestion

Kind = Literal["generators", "captions", "degradations", "filters", "baselines"]

BUILTIN: dict[Kind, dict[str, str]] = {
    "generators": {
        "diffusers": "synrs_data.generators.diffusion:DiffusersGenerator",
        "real-guidance": "synrs_data.generators.real_guidance:RealGuidance",
        "inpaint": "synrs_data.generators.inpaint:Inpaint",
        "controlnet": "synrs_data.generators.controlnet:ControlNet",
        "diffusionsat-controlnet": "synrs_data.generators.controlnet_diffusionsat:DiffusionSatControlNet",
        "real-images": "synrs_data.generators.real_images:RealImages",
        "diffusers-upscale": "synrs_data.generators.diffusers_upscale:DiffusersUpscale",
        "spandrel-upscale": "synrs_data.generators.spandrel_upscale:SpandrelUpscale",
    },
    "captions": {
        "class-template": "synrs_data.captions.class_template:ClassTemplate",
        "language-enhancement": "synrs_data.captions.language_enhancement:LanguageEnhancement",
        "from-file": "synrs_data.captions.from_file:FromFile",
        "diffusionsat": "synrs_data.captions.diffusionsat:DiffusionSat",
        "none": "synrs_data.captions.none:NoCaptions",
    },
    "degradations": {
        "bicubic": "synrs_data.degradations.downsample:Bicubic",
        "area": "synrs_data.degradations.downsample:Area",
        "real-esrgan": "synrs_data.degradations.real_esrgan:RealEsrgan",
        "sensor": "synrs_data.degradations.sensor:Sensor",
        "opensr-degradation": "synrs_data.degradations.opensr:OpenSr",
    },
    "filters": {
        "clip-agreement": "synrs_data.filters.clip_agreement:ClipAgreement",
        "clip-score": "synrs_data.filters.clip_score:ClipScore",
        "quality": "synrs_data.filters.quality:Quality",
        "near-duplicate": "synrs_data.filters.near_duplicate:NearDuplicate",
        "leak": "synrs_data.filters.leak:Leak",
        "real-filter": "synrs_data.filters.real_filter:RealFilter",
        "pair-agreement": "synrs_data.filters.pair_agreement:PairAgreement",
        "sharpness": "synrs_data.filters.sharpness:Sharpness",
        "blockiness": "synrs_data.filters.blockiness:Blockiness",
    },
    "baselines": {
        "eurosat-tiny-clip": "synrs_data.evaluate.baselines.eurosat_tiny_clip:EurosatTinyClip",
        "open-clip": "synrs_data.evaluate.baselines.encoder:OpenClip",
        "clip": "synrs_data.evaluate.baselines.published:Clip",
        "remoteclip": "synrs_data.evaluate.baselines.published:RemoteClip",
        "georsclip": "synrs_data.evaluate.baselines.published:GeoRsClip",
        "skyclip": "synrs_data.evaluate.baselines.published:SkyClip",
        "siglip": "synrs_data.evaluate.baselines.siglip:Siglip",
        "git-rsclip": "synrs_data.evaluate.baselines.siglip:GitRsClip",
        "features": "synrs_data.evaluate.baselines.features:Features",
        "pixels": "synrs_data.evaluate.baselines.pixels:Pixels",
    },
}


class Method(Protocol):
    """What every registered class has: a pydantic model of its options, importable without torch."""

    Options: type[BaseModel]


@cache
def targets(kind: Kind) -> dict[str, str]:
    """Return name -> `module:attribute` of every method of a kind, ours first, plugins after."""
    found = dict(BUILTIN[kind])
    for point in sorted(entry_points(group=f"synrs_data.{kind}"), key=lambda point: point.name):
        found.setdefault(point.name, point.value)
    return found


@cache
def lookup(kind: Kind, name: str) -> Any:
    """Import and return the class registered under `name`.

    Raises:
        RecipeError: No such method, or a plugin that cannot be imported.
    """
    known = targets(kind)
    if name not in known:
        raise RecipeError(
            f"unknown method '{name}' of {kind}", fix=suggestion(name, list(known), what=f"method of {kind}")
        )
    module, _, attribute = known[name].partition(":")
    try:
        method = getattr(importlib.import_module(module), attribute)
    except MissingExtraError:
        raise
    except Exception as error:
        # A plugin may raise anything while it is imported.
        raise RecipeError(
            f"the method '{name}' of {kind} cannot be imported from {known[name]}: {error}",
            fix="re-install the package that brings it",
        ) from error
    if not hasattr(method, "Options"):
        raise RecipeError(
            f"the method '{name}' of {kind} cannot be used: {known[name]} has no Options",
            fix="install a version of the package that is made for this synrs-data",
        )
    return method
