"""One Croissant description of a dataset repository, from those of its configs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from synrs_data.errors import VerificationError
from synrs_data.report.croissant import CONFORMS_TO, CONTEXT, croissant_text

Node = dict[str, Any]

_LISTED = (
    "license",
    "keywords",
    "digitalSourceType",
    "creator",
    "prov:wasDerivedFrom",
    "prov:wasGeneratedBy",
)
"""Terms whose values are collected, each once."""


def combine_croissants(files: dict[str, str], repo: str) -> str:
    """Return the `croissant.json` of a dataset repository that has a folder for each config.

    Ids, paths and record sets of a config begin with its name. A function of its arguments alone, whatever the order
    of `files`.

    Args:
        files: By config: the text of its `<config>/croissant.json`.
        repo: The repository, "user/name".

    Raises:
        VerificationError: A text is no Croissant description as `report.croissant` writes them.
    """
    parts = {config: _parsed(config, files[config]) for config in sorted(files)}
    digest = hashlib.sha256(json.dumps(dict(sorted(files.items()))).encode()).hexdigest()
    each = list(parts.values())
    return croissant_text(
        {
            "@context": CONTEXT,
            "@type": "sc:Dataset",
            "conformsTo": CONFORMS_TO,
            "name": repo,
            "url": f"https://huggingface.co/datasets/{repo}",
            # The Hub has one namespace of users and organizations, so this may be either.
            "creator": {
                "@type": "sc:Organization",
                "name": repo.partition("/")[0],
                "url": f"https://huggingface.co/{repo.partition('/')[0]}",
            },
            "description": _told(parts, "description"),
            "citeAs": "\n\n".join(dict.fromkeys(part["citeAs"] for part in each)),
            # Which descriptions it joins, as SemVer's build metadata.
            "version": f"1.0.0+{digest[:24]}",
            **{name: _collected(each, name) for name in _LISTED},
            "isLiveDataset": False,
            **_responsible(parts),
            "prov:wasGeneratedBy": _activities(parts),
            "distribution": [
                node for config, part in parts.items() for node in _moved(part["distribution"], config)
            ],
            "recordSet": [
                node for config, part in parts.items() for node in _moved(part["recordSet"], config)
            ],
        }
    )


def _parsed(config: str, text: str) -> Node:
    try:
        part: Any = json.loads(text)
        if not isinstance(part, dict) or part.get("conformsTo") != CONFORMS_TO:
            raise ValueError("it is no description of ours")
        for name in ("description", "citeAs"):
            if not isinstance(part[name], str):
                raise TypeError(f"its {name} is no text")
        for name in ("distribution", "recordSet"):
            if not all(isinstance(node[key], str) for node in part[name] for key in ("@id", "@type")):
                raise TypeError(f"its {name} has an @id or @type that is no text")
        if not all(isinstance(item, dict) for item in _items(part.get("prov:wasGeneratedBy"))):
            raise TypeError("its prov:wasGeneratedBy is no activity")
        told = [item for name, value in part.items() if name.startswith("rai:") for item in _items(value)]
        if not all(isinstance(item, str | bool) for item in told):
            raise TypeError("one of its rai terms is no text")
        for node in part["distribution"]:
            if "contentUrl" not in node and not isinstance(node["includes"], str):
                raise TypeError("its sets of files have more than one glob")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise VerificationError(
            f"cannot be read as Croissant ({error})",
            where=f"{config}/croissant.json",
            fix=f"publish the build of '{config}' again",
        ) from error
    return part


def _moved(nodes: list[Node], config: str) -> list[Node]:
    """Return nodes with the name of their config before each id and path."""

    def moved(value: Any, key: str = "") -> Any:
        if isinstance(value, list):
            return [moved(item, key) for item in value]
        if isinstance(value, dict) and key == "data":
            return {f"{config}/{name}": item for name, item in value.items()}
        if isinstance(value, dict):
            return {name: moved(item, name) for name, item in value.items()}
        return f"{config}/{value}" if key in ("@id", "contentUrl") else value

    found: list[Node] = moved(nodes)
    for node in found:
        # What lies in no archive is looked for from the folder of the description.
        if node["@type"] == "cr:FileSet" and "containedIn" not in node:
            node["includes"] = f"{config}/{node['includes']}"
    return found


def _told(parts: dict[str, Node], name: str) -> str:
    """Return a text once if all configs have the same, or each config's under its name."""
    texts = {config: part[name] for config, part in parts.items() if name in part}
    if len(set(texts.values())) == 1 and len(texts) == len(parts):
        return str(next(iter(texts.values())))
    return "\n".join(f"{config}: {text}" for config, text in texts.items())


def _responsible(parts: dict[str, Node]) -> Node:
    """Return the RAI terms of all configs: texts told by config where they differ, lists joined."""
    names = dict.fromkeys(name for part in parts.values() for name in part if name.startswith("rai:"))
    found: Node = {}
    for name in names:
        values = [part[name] for part in parts.values() if name in part]
        if all(isinstance(value, bool) for value in values):
            # The one such term, `rai:hasSyntheticData`, holds for a dataset if it holds for a part.
            found[name] = any(values)
        elif all(isinstance(value, str) for value in values):
            found[name] = _told(parts, name)
        else:
            found[name] = _by_config(parts, name)
    return found


def _by_config(parts: dict[str, Node], name: str) -> list[str]:
    """Return the items of a list of texts: those of all configs once, others under the name of theirs."""
    lists = {config: [str(item) for item in _items(part.get(name))] for config, part in parts.items()}
    found: dict[str, None] = {}
    for config, items in lists.items():
        for item in items:
            shared = all(item in other for other in lists.values())
            found[item if shared else f"{config}: {item}"] = None
    return list(found)


def _activities(parts: dict[str, Node]) -> list[Node]:
    """Return what made each config, under its name if there are several: two may be made alike and are two."""
    return [
        activity | {"prov:label": f"{config}: {activity.get('prov:label', '')}"}
        if len(parts) > 1
        else activity
        for config, part in parts.items()
        for activity in _items(part.get("prov:wasGeneratedBy"))
    ]


def _collected(parts: list[Node], name: str) -> Any:
    """Return all values of a term, each once; the value itself if there is one."""
    found = {json.dumps(item, sort_keys=True): item for part in parts for item in _items(part.get(name))}
    items = list(found.values())
    return items[0] if len(items) == 1 else items


def _items(value: Any) -> Iterable[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
