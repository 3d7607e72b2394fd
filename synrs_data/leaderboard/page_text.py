"""How texts and values are shown: of strangers' texts no invisible characters, and no address but http and https."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from urllib.parse import urlsplit

from synrs_data.leaderboard.board import BenchmarkBoard, Board, Row

NAME = 120
"""Characters of a name, an author or another short text that are shown."""

TEXT = 50_000
"""Characters of a card or a recipe that are shown."""

SHARES = ("classification", "retrieval")
"""Tasks whose metrics are shares, with a chance of guessing."""

_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Controls, formats (which turn the direction of writing), halves of characters, separators of lines."""

# Persian, Indic scripts and emoji cannot be written without joiners.
_JOINERS = "\u200c\u200d"
_MARKS = 3


@dataclass(frozen=True, slots=True)
class Link:
    """A link as submitted.

    Attributes:
        label: What it is, in the submitter's words.
        address: What it leads to; empty if nobody should be led there.
        shown: The host that it leads to, or the address that is not followed.
    """

    label: str
    address: str
    shown: str


@dataclass(frozen=True, slots=True)
class Scale:
    """How values of a metric are written.

    Attributes:
        factor: What they are multiplied by.
        digits: After the point.
        unit: Behind them, empty for none.
    """

    factor: float
    digits: int
    unit: str

    def text(self, value: float, *, signed: bool = False) -> str:
        """Return a value as it is written, with a true minus."""
        number = f"{value * self.factor:{'+' if signed else ''}.{self.digits}f}"
        return number.replace("-", "−")


def scale_of(benchmark: BenchmarkBoard) -> Scale:
    """Return how values of a benchmark's metric are written: shares in per cent, PSNR in dB."""
    if benchmark.task in SHARES:
        return Scale(100.0, 2, "%")
    return Scale(1.0, 2, "dB") if benchmark.metric.startswith("psnr") else Scale(1.0, 4, "")


def keys_of(board: Board) -> tuple[str, ...]:
    """Return the names of the benchmarks in addresses: id and version, with a number where a version was changed."""
    found: list[str] = []
    for benchmark in board.benchmarks:
        key = f"{benchmark.id}@{benchmark.version}"
        same = sum(each.split("~")[0] == key for each in found)
        found.append(f"{key}~{same + 1}" if same else key)
    return tuple(found)


def shown_group(group: str) -> str:
    """Return what rows are ranked among, as it is shown; names in it are a submitter's."""
    return line(group, 200) or "all"


def name_of(row: Row) -> str:
    """Return the name of a row's model or data set, as it is shown."""
    return line(row.name) or "(no name)"


def line(text: str, most: int = NAME) -> str:
    """Return a text as one line of visible characters."""
    return _cut(_visible(" ".join(text.split())), most)


def lines(text: str, most: int = TEXT) -> str:
    """Return a text of many lines, of which tabs and ends of lines are kept."""
    kept = text.replace("\r\n", "\n").replace("\r", "\n")
    return _cut(_visible(kept, keep="\n\t"), most)


def link(label: str, address: str) -> Link:
    """Return a link that leads only where it says: http or https, a plain host, no user or password before it."""
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    # A browser drops tabs and line ends within an address, so what was checked must not have any.
    plain = address.isascii() and address.isprintable() and not set(address) & set(" \\\"'<>`")
    if plain and host and parts.scheme in ("http", "https") and "@" not in parts.netloc:
        return Link(line(label), address, line(host))
    return Link(line(label), "", line(address))


def _visible(text: str, keep: str = "") -> str:
    if text.isascii() and text.translate(dict.fromkeys(map(ord, keep))).isprintable():
        return text
    found, marks = [], 0
    for character in text:
        category = unicodedata.category(character)
        # A pile of accents would cover the lines above.
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if marks > _MARKS:
            continue
        hidden = category in _UNSEEN and character not in keep and character not in _JOINERS
        found.append("\ufffd" if hidden else character)
    return "".join(found)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
