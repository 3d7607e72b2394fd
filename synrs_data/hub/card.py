"""One card for a dataset repository, from the cards of its configs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from synrs_data.errors import VerificationError
from synrs_data.licenses import LICENSES, OTHER, strictest
from synrs_data.report.card import front_matter, size_category
from synrs_data.report.templates import plain
from synrs_data.vocabulary import NOT_YAML, parse_yaml

_CARD = re.compile(r"\A---\n(.*?)\n---\n(.*)\Z", re.DOTALL)
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_MARK = re.compile(r"<!-- (begin|end):([a-z]+) -->")
# What users wrote has a backslash before each bracket (`report.templates.plain`).
_LINK = re.compile(r"(?<!\\)\]\((?!https?://|#)")
_UNITED = (
    "tags",
    "task_categories",
    "task_ids",
    "language_creators",
    "annotations_creators",
    "source_datasets",
)

Line = tuple[str, bool]
"""A line of Markdown, and whether it is of a fenced block of code."""


def combine_cards(cards: dict[str, str], repo: str) -> str:
    """Return the `README.md` of a dataset repository that has a folder for each config.

    A function of its arguments alone, whatever the order of `cards`. The first config by name is the default one.

    Args:
        cards: By config: the text of its `<config>/README.md`, at least one.
        repo: The repository, "user/name".

    Raises:
        VerificationError: A text is no card of a build, as `report.render_card` writes them.
    """
    parts = {config: _split(config, cards[config]) for config in sorted(cards)}
    data = {config: data for config, (data, _) in parts.items()}
    bodies = {config: _body(body, config, repo, demote=len(parts) > 1) for config, (_, body) in parts.items()}
    merged = front_matter(_merged(data, repo))
    if len(bodies) == 1:
        return f"---\n{merged}---\n{''.join(bodies.values())}"
    return f"---\n{merged}---\n\n{_overview(data, repo)}\n" + "\n".join(
        body.strip("\n") + "\n" for body in bodies.values()
    )


def _split(config: str, text: str) -> tuple[dict[str, Any], str]:
    """Return a card's metadata and its body."""
    try:
        match = _CARD.match(text)
        if match is None:
            raise ValueError("there is no metadata")
        data: dict[str, Any] = parse_yaml(match[1])
        # What every use below takes for granted.
        _ = (
            str(data["license"]),
            data["pretty_name"],
            _counts(data),
            data["configs"][0]["data_files"][0]["path"],
        )
        return data, match[2]
    except (*NOT_YAML, TypeError, IndexError) as error:
        raise VerificationError(
            "is no dataset card of a build",
            where=f"{config}/README.md",
            fix=f"publish the build of '{config}' again, or remove its folder from the repository",
        ) from error


def _counts(data: dict[str, Any]) -> dict[str, int]:
    return {split["name"]: int(split["num_examples"]) for split in data["dataset_info"]["splits"]}


def _merged(data: dict[str, dict[str, Any]], repo: str) -> dict[str, Any]:
    """Return the metadata of the repository; keys stand in the order of a build's card."""
    each = list(data.values())
    samples = sum(sum(_counts(part).values()) for part in each)
    united = {
        key: list(dict.fromkeys(value for part in each for value in part.get(key, []))) for key in _UNITED
    }
    return {
        **_license(each),
        "pretty_name": each[0]["pretty_name"] if len(each) == 1 else repo.partition("/")[2],
        **{key: values for key, values in united.items() if values},
        "size_categories": [size_category(samples)],
        "configs": [
            {
                "config_name": config,
                **({"default": True} if place == 0 else {}),
                "data_files": [
                    {**entry, "path": f"{config}/{entry['path']}"}
                    for entry in part["configs"][0]["data_files"]
                ],
            }
            for place, (config, part) in enumerate(data.items())
        ],
        "dataset_info": [{**part["dataset_info"], "config_name": config} for config, part in data.items()],
    }


def _license(each: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the licence of the repository: the strictest of all, or all of them where none holds the others.

    Configs lie side by side and are not made from each other, so licences that could not be mixed can.
    """
    found = list(dict.fromkeys(part["license"] for part in each))
    known = all(name in LICENSES for name in found)
    one = strictest([part["license"] for part in each]) if known else None
    named = [part for part in each if part["license"] == OTHER]
    names = list(dict.fromkeys(str(part.get("license_name", "")) for part in named))
    links = list(dict.fromkeys(str(part.get("license_link", "")) for part in named))
    if len(found) == 1:
        one = found[0]
    # The Hub has room for one name and link; each config's section has its own.
    extra = {"license_name": ", ".join(filter(None, names)), "license_link": next(filter(None, links), "")}
    return {"license": one or found, **{key: value for key, value in extra.items() if value}}


def _overview(data: dict[str, dict[str, Any]], repo: str) -> str:
    """Return title, table of configs and how to load one."""
    rows = [
        f"| `{config}` | {plain(str(part['pretty_name']))} | "
        f"{', '.join(f'{name} {count:,}' for name, count in _counts(part).items())} | "
        f"{plain(str(part.get('license_name') or part['license']))} |"
        for config, part in data.items()
    ]
    first, part = next(iter(data.items()))
    split = next(iter(_counts(part)))
    lines = [
        f"# {plain(repo.partition('/')[2])}",
        "",
        f"{len(data)} datasets of remote-sensing images in one repository, each a config with a section below.",
        "",
        "| Config | What | Samples | Licence |",
        "|---|---|---|---|",
        *rows,
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        f'data = load_dataset("{repo}", "{first}", split="{split}")',
        "```",
        "",
    ]
    return "\n".join(lines)


def _body(text: str, config: str, repo: str, *, demote: bool) -> str:
    """Return the body of a config's card as it stands in the repository's."""
    lines: list[str] = []
    for line, fenced in _lines(_replaced(text, config, repo)):
        if not fenced:
            line = _LINK.sub(f"]({config}/", line)
            if demote and (match := re.match(r"(#{1,5}) (.*)", line)):
                title = f"`{config}`: {match[2]}" if len(match[1]) == 1 else match[2]
                line = f"#{match[1]} {title}"
        lines.append(line)
    return "\n".join(lines) + "\n"


def _lines(text: str) -> Iterator[Line]:
    """Yield each line, and whether it is of a fenced block, fences included (CommonMark 0.31, section 4.5)."""
    fence = ""
    for line in text.removesuffix("\n").split("\n"):
        match = _FENCE.fullmatch(line)
        if fence:
            yield line, True
            if match and match[1].startswith(fence) and not match[2].strip():
                fence = ""
        else:
            # Backticks behind an opening fence of backticks make it code within a line.
            fence = match[1] if match and not (match[1][0] == "`" and "`" in match[2]) else ""
            yield line, bool(fence)


def _replaced(text: str, config: str, repo: str) -> str:
    """Return the body with the marked blocks written anew, their marks included."""
    found: list[str] = []
    block: list[str] = []
    name = ""
    for line, fenced in _lines(text):
        mark = None if fenced else _MARK.fullmatch(line)
        if mark and mark[1] == "begin" and not name:
            name, block = mark[2], []
        elif mark and mark[1] == "end" and mark[2] == name:
            found += _anew(name, "\n".join(block), config, repo).split("\n")
            name = ""
        else:
            (block if name else found).append(line)
    # A mark without an end is kept as it stands: nothing of a card is lost.
    return "\n".join([*found, *([f"<!-- begin:{name} -->", *block] if name else [])]) + "\n"


def _anew(name: str, block: str, config: str, repo: str) -> str:
    if name == "load":
        return _load(block, config, repo)
    if name == "rebuild":
        return _rebuild(config, repo)
    return block


def _load(block: str, config: str, repo: str) -> str:
    """Return how to load a config from the Hub, from how to load the folder (`report.snippets`)."""
    address = f"{repo}/{config}"
    tars = f"https://huggingface.co/datasets/{repo}/resolve/main/{config}/data/"
    block = block.replace(
        "In this folder:",
        "From the Hub; `streaming=True` downloads no more than is read, by `next(iter(data))`:",
    )
    block = block.replace("import os\n\n", "")
    block = re.sub(r'load_dataset\(os\.getcwd\(\), "[^"]*"', f'load_dataset("{repo}", "{config}"', block)
    block = block.replace('WebDataset("data/', f'WebDataset("{tars}')
    return block.replace('read_parquet("metadata/', f'read_parquet("hf://datasets/{address}/metadata/')


def _rebuild(config: str, repo: str) -> str:
    address = f"hf://datasets/{repo}/{config}"
    return f"""```bash
synrs-data rebuild {address} --shard 0
```

makes the first shard again from the published recipe and compares it: the same bytes on the same class of device
with the same package versions. `synrs-data verify {address}` streams every file and checks it against
[`manifest.json`](manifest.json). All of it is made by

```bash
hf download {repo} {config}/recipe.yaml --repo-type dataset --local-dir .
synrs-data build {config}/recipe.yaml
```"""
