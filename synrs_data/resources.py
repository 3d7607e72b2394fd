"""Where the files that ship with the package are: `builders/`, `cards/`, `evals/` and the embedded models.

In a checkout they lie beside the package; in a wheel, inside it.
"""

from __future__ import annotations

import contextlib
import difflib
from pathlib import Path

from synrs_data.errors import RecipeError

_PACKAGE = Path(__file__).resolve().parent


def shipped(*parts: str) -> Path:
    """Return the path of a shipped file or folder, for example `shipped("builders", "vocab")`."""
    inside = _PACKAGE / "_shipped"
    return (inside if inside.is_dir() else _PACKAGE.parent).joinpath(*parts)


def embedded_models() -> dict[str, Path]:
    """Return the embedded models by name."""
    root = _PACKAGE / "models" / "embedded"
    return {path.name: path for path in sorted(root.iterdir()) if path.is_dir()} if root.is_dir() else {}


def named_files(kind: str, pattern: str = "*.yaml") -> dict[str, Path]:
    """Return shipped YAML files below `kind` (such as `builders/vocab/labels`) by their bare name."""
    return {path.stem: path for path in sorted(shipped(*kind.split("/")).rglob(pattern))}


def recipes() -> dict[str, Path]:
    """Return the shipped recipes by name; files under `builders/vocab` are vocabulary, not recipes."""
    vocab = shipped("builders", "vocab")
    return {name: path for name, path in named_files("builders").items() if vocab not in path.parents}


def find(name: str, known: dict[str, Path], *, what: str) -> Path:
    """Return the file that a user named, by path or by the bare name of a shipped one.

    Args:
        name: A path, or a key of `known`.
        known: Shipped files by name.
        what: What is looked for, in the user's words, such as "recipe".

    Raises:
        RecipeError: There is neither such a file nor such a name.
    """
    if name in known:
        return known[name]
    # A name that is no path at all (too long, of an unknown user) is as unknown as any other.
    with contextlib.suppress(OSError, RuntimeError):
        path = Path(name).expanduser()
        if path.is_file():
            return path
    raise RecipeError(f"there is no {what} '{name}'", fix=suggestion(name, known, what=what))


def suggestion(name: str, known: dict[str, Path] | list[str], *, what: str) -> str:
    """Return the sentence that helps after an unknown name: the nearest one, and all there are."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    guess = f"did you mean '{near[0]}'? " if near else ""
    return f"{guess}known: {', '.join(names)}" if names else f"{guess}no {what} is known"
