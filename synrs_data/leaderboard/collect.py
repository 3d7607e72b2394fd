"""Make the board of a results repository: a folder, or a dataset of the Hub."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import Field

from synrs_data.errors import UserError
from synrs_data.evaluate.parts import Part
from synrs_data.image_sources.hub import parse_address
from synrs_data.leaderboard.board import Board, PublishedRow
from synrs_data.leaderboard.ranking import rank
from synrs_data.leaderboard.repository import stored
from synrs_data.leaderboard.submission import Address, Text
from synrs_data.resources import shipped
from synrs_data.vocabulary import load_yaml


class _Value(Part):
    dataset: Text
    value: float = Field(ge=0, le=1)
    in_domain: bool | None = None


class _Published(Part):
    """Numbers of one model in one source.

    Attributes:
        model: As the source names it.
        metric: What the numbers are.
        protocol: How they were found, as far as the source says.
        trained_on: Data sets it was trained on, None if the source does not say.
        source: Paper and table.
        url: Its address.
        values: In 0 to 1, by data set.
    """

    model: Text
    metric: Text
    protocol: Text
    trained_on: tuple[Text, ...] | None
    source: Text
    url: Address
    values: tuple[_Value, ...] = Field(min_length=1)


class _PublishedFile(Part):
    published: tuple[_Published, ...]


def read_board(
    location: str, *, report: Callable[[str], None] = lambda line: None, token: str | None = None
) -> Board:
    """Return the board of a results repository.

    Args:
        location: A folder with `submissions/`, or hf://datasets/USER/NAME[@REVISION].
        report: Takes a line for each submission that is left out.
        token: For the Hub; None takes HF_TOKEN or that of `hf auth login`.

    Raises:
        UserError: There is no such repository.
    """
    with _opened(location, token) as root:
        return Board(rank(stored(root, report)), published())


def published() -> tuple[PublishedRow, ...]:
    """Return the numbers of papers, which nobody recomputed, from `evals/leaderboard/published.yaml`."""
    found = load_yaml(shipped("evals", "leaderboard", "published.yaml"), _PublishedFile)
    return tuple(
        PublishedRow(
            model=each.model,
            dataset=value.dataset,
            metric=each.metric,
            value=value.value,
            protocol=each.protocol,
            trained_on=each.trained_on,
            in_domain=value.in_domain,
            source=each.source,
            url=each.url,
        )
        for each in found.published
        for value in each.values
    )


@contextlib.contextmanager
def _opened(location: str, token: str | None) -> Iterator[Path]:
    address = parse_address(location)
    if address is None:
        yield Path(location)
        return
    if address.path:
        raise UserError(
            "is a part of a repository",
            where=location,
            fix=f"name all of it: hf://datasets/{address.name}",
        )
    from synrs_data.leaderboard.remote import fetch_repository

    with tempfile.TemporaryDirectory() as folder:
        fetch_repository(address.name, address.revision or "main", Path(folder), token=token)
        yield Path(folder)
