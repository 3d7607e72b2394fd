"""What becomes of hostile text."""

from __future__ import annotations

import pytest

from synrs_data.captions.cleaning import one_line


@pytest.mark.parametrize(
    ("hostile", "clean"),
    [
        ("a river\nwith\r\nbanks", "a river with banks"),
        ("a\tforest\x00 here\x1b", "a forest here"),
        ("  a   lake ", "a lake"),
        ("a\u2028b\u2029c\u0085d", "a b c d"),
        ("a \u202egpj.exe\u202c name", "a gpj.exe name"),
        ("half \ud800 a pair", "half a pair"),
        ("Zürich, 水田 and 🛰", "Zürich, 水田 and 🛰"),
        ("\n\t ", ""),
    ],
)
def test_text_becomes_one_printable_line(hostile: str, clean: str) -> None:
    assert one_line(hostile) == clean
    assert one_line(clean) == clean
    clean.encode()
