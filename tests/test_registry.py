"""Methods by name: ours, those of plugins, and plugins that are broken."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint

import pytest

from synrs_data import registry
from synrs_data.errors import MissingExtraError, RecipeError
from synrs_data.registry import BUILTIN, Kind, lookup, targets


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Start from an empty cache, and leave one."""
    targets.cache_clear()
    lookup.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    targets.cache_clear()
    lookup.cache_clear()


def plugin(monkeypatch: pytest.MonkeyPatch, **points: str) -> None:
    def entry_points(*, group: str) -> list[EntryPoint]:
        return [EntryPoint(name.replace("_", "-"), value, group) for name, value in points.items()]

    monkeypatch.setattr(registry, "entry_points", entry_points)


def test_the_methods_of_an_installed_plugin_are_found_by_name() -> None:
    assert "paint" in targets("generators")
    assert "ruler" in targets("filters")
    assert lookup("generators", "paint").__name__ == "Paint"
    assert "paint" not in targets("filters")


@pytest.mark.parametrize("kind", BUILTIN)
def test_every_method_of_ours_can_be_imported_and_has_options(kind: Kind) -> None:
    for name in BUILTIN[kind]:
        assert lookup(kind, name).Options.model_fields is not None


def test_a_plugin_cannot_take_one_of_our_names(install: pytest.MonkeyPatch) -> None:
    plugin(install, quality="evil:Quality", own="own:Own")
    assert targets("filters")["quality"] == BUILTIN["filters"]["quality"]
    assert targets("filters")["own"] == "own:Own"
    assert "own" not in BUILTIN["filters"]


@pytest.mark.parametrize("kind", BUILTIN)
def test_an_unknown_method_is_answered_with_the_nearest(kind: Kind) -> None:
    name = next(iter(BUILTIN[kind]))
    with pytest.raises(RecipeError, match=f"unknown method '{name}x' of {kind}") as caught:
        lookup(kind, f"{name}x")
    assert f"did you mean '{name}'?" in caught.value.fix


def test_a_plugin_that_cannot_be_imported_is_one_message(
    install: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "synrs_broken_a.py").write_text("import there_is_no_such_package\n")
    (folder / "synrs_broken_b.py").write_text("def f(:\n")
    (folder / "synrs_broken_c.py").write_text("raise RuntimeError('needs a newer driver')\n")
    (folder / "synrs_broken_d.py").write_text("class Own: ...\n")
    install.syspath_prepend(str(folder))
    plugin(
        install,
        gone="there_is_no_such_plugin:Own",
        a="synrs_broken_a:Own",
        b="synrs_broken_b:Own",
        c="synrs_broken_c:Own",
        d="synrs_broken_d:Absent",
        e="synrs_broken_d:Own",
    )
    for name in ("gone", "a", "b", "c", "d", "e"):
        with pytest.raises(RecipeError, match=f"method '{name}' of filters cannot be ") as caught:
            lookup("filters", name)
        assert targets("filters")[name] in str(caught.value)
        assert "install" in caught.value.fix


def test_a_plugin_that_lacks_an_extra_of_ours_says_so(
    install: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "synrs_wants_iqa.py").write_text(
        "from synrs_data.errors import MissingExtraError\nraise MissingExtraError('it', 'iqa')\n"
    )
    install.syspath_prepend(str(folder))
    plugin(install, it="synrs_wants_iqa:It")
    with pytest.raises(MissingExtraError):
        lookup("filters", "it")


def test_listing_methods_imports_neither_them_nor_torch() -> None:
    text = (
        "import sys\nfrom synrs_data.registry import BUILTIN, targets\n"
        "names = [name for kind in BUILTIN for name in targets(kind)]\n"
        "assert 'paint' in names\n"
        "print([name for name in ('torch', 'numpy', 'synrs_data.filters', 'synrs_test_plugin') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_the_options_of_our_methods_are_checked_without_torch() -> None:
    text = (
        "import sys\nfrom synrs_data.registry import BUILTIN, lookup\n"
        "[lookup(kind, name).Options for kind in BUILTIN for name in BUILTIN[kind]]\n"
        "print([name for name in ('torch', 'diffusers', 'transformers', 'open_clip', 'pyiqa') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_kinds_are_those_of_the_entry_points() -> None:
    kinds = ["baselines", "captions", "degradations", "filters", "generators"]
    assert sorted(BUILTIN) == kinds
