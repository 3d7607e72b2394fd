"""The leaderboard as a static site: `index.html` and a page a submission, which ask no host for anything.

Every page has its style and scripts within it, and a content security policy that allows these and no others. The
names of submitters reach the page as text: Jinja escapes them, the data of the table is JSON in which no `<` is left,
and the script makes text nodes of it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from synrs_data import __version__
from synrs_data.files import make_folder, remove, writable, write_text
from synrs_data.leaderboard.board import Board
from synrs_data.leaderboard.page_data import check, page_data
from synrs_data.leaderboard.page_text import keys_of, scale_of
from synrs_data.leaderboard.page_view import AXIS, submission_views
from synrs_data.report.templates import html_environment
from synrs_data.resources import shipped

INDEX = "index.html"
FOLDER = "submissions"

_MADE_HERE = '<meta name="generator" content="synrs-data leaderboard">'
_HEAD = 2000


def render(board: Board, out: Path) -> Path:
    """Write the site, and remove pages of submissions that an earlier one had and this one has not.

    The same board gives the same bytes. Other files in the folder stay as they are.

    Args:
        board: What to show.
        out: Folder of the site, made if it is not there.

    Returns:
        The path of `index.html`.

    Raises:
        VerificationError: A submission's id is no file name, or a number is not finite.
        BuildFolderError: The folder cannot be written.
    """
    check(board)
    environment = _environment()
    views = submission_views(board)
    make_folder(out / FOLDER)
    page = environment.get_template("leaderboard_submission.html.j2")
    kept = set()
    for view in views:
        path = out / FOLDER / f"{view.id}.html"
        kept.add(path.name)
        _write(path, page.render(submission=view))
    index = out / INDEX
    text = environment.get_template("leaderboard.html.j2").render(
        board=board,
        benchmarks=list(zip(keys_of(board), board.benchmarks, strict=True)),
        views=views,
        data=Markup(embedded(page_data(board))),
        scores=sum(len(benchmark.rows) for benchmark in board.benchmarks),
        unverified=any(not row.verified for benchmark in board.benchmarks for row in benchmark.rows),
    )
    _write(index, text)
    _remove_old(out / FOLDER, kept)
    return index


def embedded(data: dict[str, Any]) -> str:
    """Return JSON that ends no element and begins no comment of the page that it stands in."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _environment() -> Environment:
    environment = html_environment()
    environment.globals |= {
        "version": __version__,
        "axis": AXIS,
        "folder": FOLDER,
        "scale_of": scale_of,
        # Our own files: the policy's hashes are those of their very characters.
        "css": Markup(_part("leaderboard.css")),
        "common_script": Markup(_part("leaderboard_common.js")),
        "index_script": Markup(_part("leaderboard.js")),
    }
    return environment


def _part(name: str) -> str:
    return shipped("cards", name).read_text(encoding="utf-8")


def _write(path: Path, text: str) -> None:
    # A page that stays the same keeps its time, so that a copy to a Space sends what is new.
    with writable(path):
        if path.is_file() and path.read_bytes() == text.encode():
            return
    write_text(path, text, durable=path.name == INDEX)


def _remove_old(folder: Path, kept: set[str]) -> None:
    for path in sorted(folder.glob("*.html")):
        if path.name in kept or path.is_symlink() or not path.is_file():
            continue
        with path.open("rb") as file:
            head = file.read(_HEAD)
        if _MADE_HERE.encode() in head:
            remove(path)
