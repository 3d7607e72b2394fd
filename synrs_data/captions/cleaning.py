"""What a caption may hold: one line of printable text of a bounded length."""

from __future__ import annotations

import unicodedata

MAX_CHARACTERS = 2_000
"""Longest caption, in characters; text encoders read 77 to 512 tokens, so more is a mistake in the file."""

_NOT_TEXT = {"Cc", "Cs", "Zl", "Zp"}
_DIRECTION_MARKS = {chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}


def one_line(text: str) -> str:
    """Return `text` in one line: control characters and line breaks become spaces, runs of spaces one.

    Lone surrogates go too, because they have no UTF-8, and marks that reverse the direction of a line,
    because a card that shows them would read differently from what is stored.
    """
    plain = (
        " " if character in _DIRECTION_MARKS or unicodedata.category(character) in _NOT_TEXT else character
        for character in text
    )
    return " ".join("".join(plain).split())
