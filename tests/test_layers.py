"""The house rules that a reader relies on: who imports whom, what is heavy, how long a module is."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import synrs_data

PACKAGE = Path(synrs_data.__file__).parent

FLOORS: tuple[tuple[str, ...], ...] = (
    (
        "__init__",
        "recipe",
        "recipe_file",
        "fingerprint",
        "sample",
        "geo",
        "registry",
        "events",
        "files",
        "errors",
        "image_sources",
        "licenses",
        "places",
        "real_images",
        "resampling",
        "resources",
        "vocabulary",
    ),
    ("models", "shards"),
    ("generators", "captions", "degradations", "filters", "report"),
    ("build",),
    ("hub", "evaluate"),
    ("leaderboard",),
    ("inventory", "cli", "__main__"),
)
"""Rooms from the ground up. A room imports itself and rooms of lower floors; on the ground, anyone else there."""

SAME_FLOOR = {("cli", "inventory"), ("__main__", "cli")}
"""Neighbours of a floor that may be imported all the same."""

HEAVY = (
    "torch",
    "torchvision",
    "diffusers",
    "transformers",
    "open_clip",
    "datasets",
    "pyiqa",
    "spandrel",
    "huggingface_hub",
)


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "_shipped" not in path.parts)


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and room of every import of ours in a module, those inside functions included."""
    own = path.relative_to(PACKAGE.parent).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            base = ".".join(own[: -node.level]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            names = [f"{module}.{alias.name}" for alias in node.names]
        for name in names:
            package, _, rest = name.partition(".")
            if package == "synrs_data":
                room = rest.partition(".")[0]
                known = (PACKAGE / room).is_dir() or (PACKAGE / f"{room}.py").is_file()
                yield node.lineno, room if room and known else "__init__"


def floor_of(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def may_import(room: str, other: str) -> bool:
    if room == other or (room, other) in SAME_FLOOR:
        return True
    return floor_of(other) < floor_of(room) or floor_of(room) == floor_of(other) == 0


def test_every_room_has_a_floor() -> None:
    rooms = {room_of(path) for path in modules()}
    assert rooms <= {room for floor in FLOORS for room in floor}


def test_the_rule_itself_tells_up_from_down() -> None:
    assert may_import("build", "filters")
    assert may_import("recipe", "errors")
    assert not may_import("filters", "build")
    assert not may_import("filters", "captions")
    assert not may_import("recipe", "models")


def test_imports_inside_functions_and_relative_ones_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = PACKAGE / "shards" / "imaginary.py"
    text = (
        "import synrs_data.build.run\nfrom synrs_data import files, __version__\n"
        "def f():\n    from ..cli import main\n    from . import tar\n    import os\n"
    )
    monkeypatch.setattr(Path, "read_text", lambda path, **options: text)
    assert sorted(imported(module)) == [
        (1, "build"),
        (2, "__init__"),
        (2, "files"),
        (4, "cli"),
        (5, "shards"),
    ]


def test_a_room_imports_only_rooms_below_it() -> None:
    faults = [
        f"{path.relative_to(PACKAGE)}:{line} imports {other}"
        for path in modules()
        for line, other in imported(path)
        if not may_import(room_of(path), other)
    ]
    assert faults == []


def test_the_ground_floor_has_no_circles() -> None:
    edges = {room: set[str]() for room in FLOORS[0]}
    for path in modules():
        if room_of(path) in edges:
            edges[room_of(path)] |= {other for _, other in imported(path)} - {room_of(path)}
    while edges:
        free = [room for room, others in edges.items() if not others & edges.keys()]
        assert free, f"these import each other: {sorted(edges)}"
        for room in free:
            del edges[room]


def test_a_module_stays_under_600_lines() -> None:
    long = {path.name: count for path in modules() if (count := len(path.read_text().splitlines())) >= 600}
    assert long == {}


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("synrs_data.cli", (*HEAVY, "polars", "numpy", "PIL", "pydantic")),
        ("synrs_data.recipe", (*HEAVY, "polars", "numpy", "PIL")),
        ("synrs_data.generators.diffusion", HEAVY),
        ("synrs_data.generators.diffusers_upscale", HEAVY),
        ("synrs_data.generators.spandrel_upscale", HEAVY),
        ("synrs_data.build.run", HEAVY),
        ("synrs_data.shards", HEAVY),
        ("synrs_data.models", HEAVY),
    ],
)
def test_importing_a_module_does_not_import_heavy_libraries(module: str, absent: tuple[str, ...]) -> None:
    text = f"import sys, {module}\nprint(*[name for name in {absent!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == []
