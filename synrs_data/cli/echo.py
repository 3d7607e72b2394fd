"""Print text that may hold names of strangers: a terminal obeys control characters, so they are shown as escapes."""

from __future__ import annotations

import typer


def say(text: str, *, err: bool = False) -> None:
    """Print lines with every character escaped that is not printable, such as terminal escapes and bidirectional marks.

    Args:
        text: One or several lines.
        err: Whether to print to standard error.
    """
    typer.echo(shown(text), err=err)


def shown(text: str) -> str:
    r"""Return a text with all but its line ends printable: ESC as `\x1b`, as in a Python string."""
    return "\n".join("".join(map(_shown, line)) for line in text.split("\n"))


def _shown(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
