"""Licences: what the ids of the Hub bind a dataset to, and whether a recipe's own holds all of its parts.

Ids are those of the Hub (hub-docs, hub/repositories-licenses); what each binds to is read from its text, in the
five words below. It is a rule of thumb to stop what is plainly wrong, and no advice of a lawyer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from synrs_data.errors import UserError
from synrs_data.recipe import LicensedPart, Recipe

ATTRIBUTION = "attribution"
SHARE_ALIKE = "share-alike"
NON_COMMERCIAL = "non-commercial"
NO_DERIVATIVES = "no-derivatives"
USE_RESTRICTIONS = "use restrictions"

OTHER = "other"
UNKNOWN = "unknown"

_IDS: dict[tuple[str, ...], str] = {
    (): "cc0-1.0 pddl unlicense wtfpl",
    (ATTRIBUTION,): (
        "mit cc-by-4.0 apache-2.0 bsd-3-clause bsd-2-clause bsd-3-clause-clear cc-by-3.0 cc-by-2.5 cc-by-2.0 odc-by "
        "cdla-permissive-2.0 cdla-permissive-1.0 etalab-2.0 isc zlib ncsa postgresql bsl-1.0 afl-3.0 artistic-2.0 "
        "ecl-2.0"
    ),
    (ATTRIBUTION, USE_RESTRICTIONS): (
        "openrail creativeml-openrail-m openrail++ bigscience-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m "
        "gemma llama2 llama3 llama3.1 llama3.2 llama3.3"
    ),
    (ATTRIBUTION, NON_COMMERCIAL): "cc-by-nc-4.0 cc-by-nc-3.0 cc-by-nc-2.0",
    (ATTRIBUTION, SHARE_ALIKE): (
        "cc-by-sa-4.0 cc-by-sa-3.0 odbl cdla-sharing-1.0 gfdl gpl-3.0 gpl-2.0 lgpl-3.0 lgpl-2.1 agpl-3.0 mpl-2.0 "
        "eupl-1.2 eupl-1.1 osl-3.0"
    ),
    (ATTRIBUTION, NON_COMMERCIAL, SHARE_ALIKE): "cc-by-nc-sa-4.0 cc-by-nc-sa-3.0 cc-by-nc-sa-2.0",
    (ATTRIBUTION, NO_DERIVATIVES): "cc-by-nd-4.0",
    (ATTRIBUTION, NON_COMMERCIAL, NO_DERIVATIVES): "cc-by-nc-nd-4.0 cc-by-nc-nd-3.0",
}

LICENSES: dict[str, frozenset[str]] = {
    name: frozenset(terms) for terms, names in _IDS.items() for name in names.split()
}
"""What each licence binds to, the laxest first and the usual ones of each kind first."""

_NEXT = {
    "cc-by-sa-3.0": ("cc-by-sa-4.0",),
    "cc-by-nc-sa-2.0": ("cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0"),
    "cc-by-nc-sa-3.0": ("cc-by-nc-sa-4.0",),
}
"""Later versions that adaptations may be under as well (CC BY-SA 3.0 and BY-NC-SA 2.0 and 3.0, section 4(b))."""

_PARTS: dict[LicensedPart, str] = {
    "generator": "the generator's weights",
    "lora": "the LoRA",
    "controlnet": "the ControlNet",
    "sources": "the source images",
    "maps": "the control maps",
    "captions": "the captions",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that a dataset is made from.

    Attributes:
        key: Its key below `licenses` of a recipe: "generator", "lora", "controlnet", "sources", "maps", "captions".
        title: What it is, in words.
        name: Which one: a model, a folder without its path, or a file; empty where it has no name.
        license: Its licence as an id of the Hub; or as it was stated, if that is none; "unknown" if it was not.
    """

    key: LicensedPart
    title: str
    name: str
    license: str

    @property
    def known(self) -> bool:
        """Whether the licence is one of `LICENSES`."""
        return self.license in LICENSES

    @property
    def binds(self) -> list[str]:
        """What the licence binds to, sorted; nothing for one that is not known."""
        return sorted(LICENSES.get(self.license, ()))


@dataclass(frozen=True, slots=True)
class Licensing:
    """The licences of a build.

    Attributes:
        declared: The recipe's licence.
        parts: What the build is made from, generator first.
        strictest: The licence that holds all parts; None if one is not known, or none does.
    """

    declared: str
    parts: tuple[Part, ...]
    strictest: str | None


def covers(license: str, other: str) -> bool:
    """Return whether what is made from something under `other` may be published under `license`; both are known."""
    terms = LICENSES[other]
    if NO_DERIVATIVES in terms or not terms <= LICENSES[license]:
        return False
    return SHARE_ALIKE not in terms or license in (other, *_NEXT.get(other, ()))


def strictest(licenses: list[str]) -> str | None:
    """Return the licence that holds what is made from all of these: the laxest such of them, or of their versions.

    Args:
        licenses: Known ids.

    Returns:
        One id, "cc0-1.0" for nothing; None if they contradict each other.
    """
    choices = {choice for name in licenses for choice in (name, *_NEXT.get(name, ()))} or {"cc0-1.0"}
    fit = [choice for choice in choices if all(covers(choice, name) for name in licenses)]
    order = list(LICENSES)
    # Of equals, the one that most parts have, then the more usual: the answer is the same in any order of parts.
    return min(fit, key=lambda name: (-licenses.count(name), order.index(name)), default=None)


def licensing(recipe: Recipe, generator: Mapping[str, Any]) -> Licensing:
    """Return the parts of a build with their licences, and the strictest. Scores of filters bind nothing.

    Args:
        recipe: The completed recipe.
        generator: The generator's identity, as `generator` of a manifest has it.
    """
    parts = tuple(_parts(recipe, generator))
    found = [part.license for part in parts]
    known = all(name in LICENSES for name in found)
    return Licensing(recipe.license, parts, strictest(found) if known else None)


def check_license(recipe: Recipe, generator: Mapping[str, Any], *, where: str = "") -> Licensing:
    """Return the licences of a build that may be published under the licence that its recipe declares.

    Args:
        recipe: The completed recipe.
        generator: The generator's identity, as `generator` of a manifest has it.
        where: The build folder, for messages.

    Raises:
        UserError: A part's licence is unknown or forbids derivatives, two contradict each other, or the recipe's
            own is unknown or laxer than a part's.
    """
    found = licensing(recipe, generator)
    _check_declared(recipe, where)
    for part in found.parts:
        _check_part(part, recipe, where)
    _check_conflicts(found.parts, where)
    for part in found.parts:
        _check_lax(part, found, where)
    return found


def _check_declared(recipe: Recipe, where: str) -> None:
    if recipe.license == OTHER and not (recipe.license_name and recipe.license_link):
        raise UserError(
            "the recipe's licence is 'other', which says nothing",
            where=where,
            fix="name it by `license_name` and `license_link` of the recipe, or choose an id of the Hub",
        )
    if recipe.license not in (*LICENSES, OTHER):
        raise UserError(
            f"the recipe's licence '{recipe.license}' is no id of the Hub that synrs-data knows",
            where=where,
            fix=f"use one such as {', '.join(list(LICENSES)[:8])}; or `other` with `license_name` and `license_link`",
        )


def _check_part(part: Part, recipe: Recipe, where: str) -> None:
    if part.license in LICENSES:
        if NO_DERIVATIVES in LICENSES[part.license]:
            raise UserError(
                f"the licence '{part.license}' of {_named(part)} forbids to publish what is made from it",
                where=where,
                fix="leave it out, or ask its authors",
            )
        return
    if recipe.license == OTHER and part.license == recipe.license_name:
        return
    unknown = part.license in ("", UNKNOWN, OTHER)
    stated = "unknown" if unknown else f"'{part.license}', no id of the Hub that synrs-data knows"
    own = "" if unknown else f"; or publish under it by `license: other` and `license_name: {part.license}`"
    raise UserError(
        f"the licence of {_named(part)} is {stated}",
        where=where,
        fix=f"find out, and say it in the recipe: `licenses: {{{part.key}: ID}}`; then build on the same folder "
        f"again, which generates nothing{own}",
    )


def _check_conflicts(parts: tuple[Part, ...], where: str) -> None:
    known = [part for part in parts if part.license in LICENSES]
    for one, other in combinations(known, 2):
        if strictest([one.license, other.license]) is None and SHARE_ALIKE in {*one.binds, *other.binds}:
            raise UserError(
                f"'{one.license}' of {_named(one)} and '{other.license}' of {_named(other)} contradict each other: "
                "nothing may be made from both",
                where=where,
                fix="replace one of them",
            )
    alike = [part for part in known if SHARE_ALIKE in part.binds]
    foreign = [part for part in parts if part.license not in LICENSES]
    if alike and foreign:
        raise UserError(
            f"'{alike[0].license}' of {_named(alike[0])} asks for itself, and '{foreign[0].license}' of "
            f"{_named(foreign[0])} is another",
            where=where,
            fix="replace one of them",
        )


def _check_lax(part: Part, found: Licensing, where: str) -> None:
    own = found.declared
    if own == OTHER:
        # Terms of one's own can hold anything but what asks for itself.
        if SHARE_ALIKE not in part.binds:
            return
        missing = [SHARE_ALIKE]
    elif covers(own, part.license):
        return
    else:
        missing = sorted(LICENSES[part.license] - LICENSES[own]) or [SHARE_ALIKE]
    advice = f"set `license: {found.strictest}`"
    if found.strictest is None:
        advice = "no id holds all parts: set `license: other` with `license_name` and `license_link`, terms of your own"
    raise UserError(
        f"the recipe's licence '{own}' does not hold '{part.license}' of {_named(part)}: {', '.join(missing)}",
        where=where,
        fix=f"{advice}, and build in another folder, because every sample carries the licence; or replace the part",
    )


def _named(part: Part) -> str:
    return f"{part.title} ({part.name})" if part.name else part.title


def _parts(recipe: Recipe, generator: Mapping[str, Any]) -> list[Part]:
    spec = recipe.generator.model_extra or {}
    parameters = generator["parameters"]
    found: dict[LicensedPart, tuple[str, str]] = {}
    if generator.get("synthetic", True) and recipe.generator.method != "real-images":
        found["generator"] = (generator["model"], generator["license"])
    extras: tuple[LicensedPart, ...] = ("lora", "controlnet")
    for key in extras:
        if key in parameters:
            found[key] = (parameters[key], parameters[f"{key}_license"])
    if recipe.generator.method == "real-images":
        found["sources"] = (generator["model"], generator["license"])
    elif "images_license" in parameters:
        found["sources"] = (parameters["images"], parameters["images_license"])
    elif source := spec.get("sources") or spec.get("images"):
        found["sources"] = (_last(source), "")
    if maps := spec.get("maps"):
        found["maps"] = (_last(maps), "")
    captions = recipe.captions.model_extra or {}
    if written := captions.get("path") or captions.get("model"):
        found["captions"] = (_last(written), "")
    return [
        Part(key, _PARTS[key], name, _agreed(stated, recipe.licenses.get(key, "")))
        for key, (name, stated) in found.items()
    ]


def _agreed(stated: str, said: str) -> str:
    """Return a part's licence: the recipe may say one where the part states none, or a stricter one."""
    if stated in LICENSES and not (said in LICENSES and covers(said, stated)):
        return stated
    return said or stated or UNKNOWN


def _last(path: str) -> str:
    return path if path.startswith("hf://") else path.rstrip("/").rpartition("/")[2]
