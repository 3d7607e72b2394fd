"""The Jinja environments of card and report: a missing value is an error, what users wrote is escaped."""

from __future__ import annotations

import base64
import hashlib
import html
import re

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from synrs_data.report.view import aligned, share
from synrs_data.resources import shipped

_INLINE = re.compile(r"([\\`*_\[\]|~$])")
_AT_START = re.compile(r"^([#+=-]|\d+(?=[.)](?:\s|$)))")


def html_environment() -> Environment:
    """Return the environment of HTML pages: every value is escaped unless it is `Markup`."""
    return _environment(autoescape=True)


def markdown_environment() -> Environment:
    """Return the environment of Markdown pages, in which texts of users go through the filter `plain`."""
    return _environment(autoescape=False)


def plain(text: str) -> str:
    """Return a text as one line that Markdown and the HTML within it show as it is, in a table too."""
    line = " ".join(text.split())
    return _AT_START.sub(_escape_start, _INLINE.sub(r"\\\1", html.escape(line, quote=False)))


def _escape_start(match: re.Match[str]) -> str:
    # "1." starts a list; a backslash goes before the dot, as one before a digit would be shown.
    return f"{match[1]}\\" if match[1].isdigit() else f"\\{match[1]}"


def csp_hash(script: str) -> str:
    """Return the source expression by which a content security policy allows one inline script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _environment(*, autoescape: bool) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(shipped("cards")),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"plain": plain, "aligned": aligned, "csp_hash": csp_hash, "whole": "{:,}".format}
    environment.globals |= {"share": share}
    return environment
