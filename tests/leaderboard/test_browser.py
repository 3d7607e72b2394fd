"""In a real browser the leaderboard sorts, filters and opens pages, by mouse and by keys, and asks nobody for anything.

The accessibility check is axe-core (https://github.com/dequelabs/axe-core, MPL-2.0), which is not part of this
repository: `npm install --no-save axe-core` in its root, or AXE_CORE with the path of `axe.min.js`.
"""

from __future__ import annotations

import functools
import json
import os
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from synrs_data.leaderboard.board import Board, Row
from synrs_data.leaderboard.page_text import line
from synrs_data.leaderboard.render import render
from tests.leaderboard.chromium import CHROMIUM, Chromium
from tests.leaderboard.generated import HOSTILE, make_board

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
]

AXE = Path(
    os.environ.get("AXE_CORE", Path(__file__).resolve().parents[2] / "node_modules/axe-core/axe.min.js")
)
MODELS, DATASETS = "#board=eurosat%401&track=models", "#board=eurosat%401&track=datasets"
BOARD = make_board(130)
PAGE, MODEL_ROWS, DATASET_ROWS = 50, 65, 325
NAMES = """[...document.querySelectorAll("#table tbody th a")].map((link) => link.textContent)"""
SCORES = """[...document.querySelectorAll("#table tbody tr")]
  .map((row) => row.querySelector("td.number b").textContent)"""
STATUS = "document.querySelector('#table-status').textContent"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of a board of 130 submissions with all kinds of hostile names."""
    return render(BOARD, tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """Return a browser that the tests of this module share."""
    with Chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def page(browser: Chromium, index: Path) -> Chromium:
    """Return the browser with the models of the first benchmark open, light and wide."""
    browser.look(width=1280)
    browser.open(index.as_uri() + MODELS)
    return browser


def rows_of(track: str) -> list[Row]:
    """Return the rows of a track by rank."""
    rows = [row for row in BOARD.benchmarks[0].rows if row.track == track]
    return sorted(rows, key=lambda row: row.rank)


def shown(rows: list[Row]) -> list[str]:
    """Return the names of rows as a page has them."""
    return [line(row.name) or "(no name)" for row in rows]


def click(browser: Chromium, label: str) -> None:
    """Click the button of a column of the table."""
    browser.value(
        f"[...document.querySelectorAll('#table thead button')]"
        f".find((button) => button.firstChild.textContent === {json.dumps(label)}).click()"
    )


def choose(browser: Chromium, element: str, value: str) -> None:
    """Choose an option as a user does."""
    browser.value(
        f"(() => {{ const select = document.getElementById({json.dumps(element)});"
        f"select.value = {json.dumps(value)}; select.dispatchEvent(new Event('change', {{bubbles: true}})); }})()"
    )


def leave(browser: Chromium, action: str) -> None:
    """Do what leads to another page, after the answer: a page that is gone gives none."""
    browser.value(f"void setTimeout(() => {{ {action}; }}, 0)")


def show_all(browser: Chromium) -> None:
    """Click the button that shows all rows, and wait for the last of them."""
    browser.value("document.querySelector('#app .more .all').click()")
    browser.until(
        "document.querySelectorAll('#table tbody tr').length ==="
        " Number(document.getElementById('table-status').textContent.match(/of ([\\d,]+) row/)[1].replace(',', ''))"
    )


def search(browser: Chromium, text: str) -> None:
    """Type into the empty search box."""
    browser.value("document.getElementById('query').focus()")
    browser.type(text)


def test_rows_stand_by_rank_with_score_interval_and_mark(page: Chromium) -> None:
    rows = rows_of("models")
    assert page.value(NAMES) == shown(rows[:PAGE])
    assert page.value(SCORES) == [f"{row.value * 100:.2f}" for row in rows[:PAGE]]
    ties = page.value(
        "[...document.querySelectorAll('#table tbody .rank')].map((cell) => cell.textContent.includes('told'))"
    )
    assert ties == [row.tied_with_best for row in rows[:PAGE]]
    assert 1 < sum(ties) < PAGE
    assert page.value("document.querySelectorAll('#table tbody svg').length") == PAGE


def test_a_click_on_a_column_sorts_by_it_and_another_turns_it_round(page: Chromium) -> None:
    values = sorted((row.value for row in rows_of("models")), reverse=True)
    click(page, "Score")
    assert page.value(SCORES) == [f"{value * 100:.2f}" for value in values[:PAGE]]
    assert page.value(STATUS) == f"{PAGE} of {MODEL_ROWS} rows, sorted by score, descending."

    click(page, "Score")
    assert page.value(SCORES) == [f"{value * 100:.2f}" for value in values[::-1][:PAGE]]
    sorted_by = """[...document.querySelectorAll("#table th[aria-sort]")]
      .map((header) => [header.querySelector("button").firstChild.textContent, header.ariaSort])"""
    assert page.value(sorted_by) == [["Score", "ascending"]]


def test_names_are_sorted_with_their_numbers_and_what_is_missing_comes_last(page: Chromium) -> None:
    search(page, "RS-0")
    click(page, "Model")
    names = page.value(NAMES)
    assert len(names) > 3
    assert names == sorted(names)

    page.value("document.getElementById('reset').click()")
    for _ in range(2):
        click(page, "Trained on")
        show_all(page)
        declared = page.value(
            "[...document.querySelectorAll('#table tbody tr')].map((row) => !row.innerText.includes('not declared'))"
        )
        assert declared == sorted(declared, reverse=True)
        assert len(set(declared)) == 2
        page.value("document.getElementById('reset').click()")


def test_filters_narrow_the_rows_together_and_clear(page: Chromium) -> None:
    rows = rows_of("models")
    search(page, "  BIGEARTHNET ")
    expected = [row for row in rows if "BigEarthNet" in (row.trained_on or ())]
    assert page.value(NAMES) == shown(expected[:PAGE])

    choose(page, "domain", "1")
    assert page.value(NAMES) == []
    assert page.value("document.querySelector('#table-region .empty').checkVisibility()") is True
    assert page.value(STATUS).startswith("0 of 0 rows")

    page.value("document.getElementById('reset').click()")
    assert page.value(STATUS).startswith(f"{PAGE} of {MODEL_ROWS} rows")
    for value, wanted in (("0", False), ("1", True), ("null", None)):
        choose(page, "domain", value)
        show_all(page)
        assert page.value(NAMES) == shown([row for row in rows if row.in_domain is wanted])
    choose(page, "domain", "")
    page.value("document.getElementById('tied').click()")
    assert page.value(NAMES) == shown([row for row in rows if row.tied_with_best])


def test_datasets_have_a_row_an_arm_or_their_best_alone(page: Chromium) -> None:
    rows = rows_of("datasets")
    page.value("document.querySelector('input[value=datasets]').click()")
    assert page.value(STATUS).startswith(f"{PAGE} of {DATASET_ROWS} rows")
    better = "[...document.querySelectorAll('#table tbody tr')].map((row) => row.innerText.includes('▲'))"
    assert page.value(better) == [row.difference is not None and row.difference[1] > 0 for row in rows[:PAGE]]

    page.value("document.getElementById('best').click()")
    show_all(page)
    best = {row.submission: row for row in reversed(rows)}
    assert page.value(NAMES) == shown(sorted(best.values(), key=lambda row: row.rank))


def test_more_rows_come_fifty_at_a_time_and_take_the_focus(page: Chromium) -> None:
    page.value("document.querySelector('input[value=datasets]').click()")
    page.value("document.querySelector('.more .next').click()")
    assert page.value(STATUS).startswith(f"{2 * PAGE} of {DATASET_ROWS} rows")
    assert page.value("document.activeElement.closest('tr').rowIndex") == PAGE + 1
    show_all(page)
    assert page.value("document.querySelectorAll('#table tbody tr').length") == DATASET_ROWS
    assert page.value("document.querySelector('.more .next').checkVisibility()") is False


def test_plot_shows_the_best_series_in_colour_and_follows_the_filters(page: Chromium) -> None:
    assert page.value("document.getElementById('plot').checkVisibility()") is False
    page.value("document.querySelector('input[value=datasets]').click()")
    assert page.value("document.querySelectorAll('#chart .series').length") == 8
    assert page.value("document.querySelectorAll('#chart .rest').length") == MODEL_ROWS - 8
    first = shown([row for row in rows_of("datasets") if row.ratio])[0]
    assert page.value("document.querySelector('#legend a').textContent") == first
    ticks = page.value(
        "[...document.querySelectorAll('#chart text[text-anchor=middle]')].map((text) => text.textContent)"
    )
    assert ticks == ["0", "0.5", "1", "2", "4", "added images for a real one"]

    search(page, "a_very_long_name")
    assert page.value("document.querySelectorAll('#chart .series').length") == 1
    assert page.value("document.querySelectorAll('#chart .mark').length") == 5


def test_a_name_opens_the_page_of_its_submission_and_back_is_the_same_view(page: Chromium) -> None:
    search(page, "nobody else")
    page.value("document.getElementById('reset').click()")
    click(page, "Score")
    click(page, "Score")
    choose(page, "domain", "0")
    before = page.value(NAMES)
    leave(page, "document.querySelector('#table tbody a').click()")
    page.until("document.readyState === 'complete' && location.pathname.includes('/submissions/')")
    assert page.value("document.querySelector('h1').textContent") == before[0]
    assert page.value("document.querySelectorAll('table').length") >= 2
    leave(page, "history.back()")
    page.until("!location.pathname.includes('/submissions/') && document.readyState === 'complete'")
    assert page.value(NAMES) == before
    assert page.complaints == []


def test_board_and_track_of_a_link_are_shown(page: Chromium, index: Path) -> None:
    page.open(index.as_uri() + "#board=realsr-x4%401")
    assert page.value("document.querySelector('#board-title').textContent").startswith("RealSR")
    assert page.value(SCORES) == ["26.00", "25.00"]
    assert "in dB, higher is better" in page.value("document.querySelector('#table caption').textContent")
    assert page.value("document.querySelector('input[value=datasets]').disabled") is True
    page.value("document.querySelector('.pills a').click()")
    assert page.value("document.querySelector('.pills [aria-current]').dataset.board") == "eurosat@1"
    assert page.value("document.activeElement.textContent").startswith("EuroSAT")


@pytest.mark.parametrize(
    "fragment", ["#board=no%40such", "#nonsense", "#board=eurosat%401&group=99&sort=-no&track=x"]
)
def test_a_broken_link_shows_the_usual_view(page: Chromium, index: Path, fragment: str) -> None:
    page.open(index.as_uri() + fragment)
    assert page.value(STATUS).startswith(f"{PAGE} of {MODEL_ROWS} rows")
    assert page.complaints == []


def test_all_can_be_done_with_keys(page: Chromium) -> None:
    page.press("Tab")
    assert page.value("document.activeElement.textContent") == "Skip to the scores"
    page.press("Enter")
    page.value("document.querySelector('input[name=track]:checked').focus()")
    page.press("ArrowRight")
    assert page.value("document.querySelector('input[name=track]:checked').value") == "datasets"
    # Group (there is only one), search, data set, two boxes, the button, legend, table, then the head of the table.
    for _ in range(40):
        page.press("Tab")
        if page.value("document.activeElement.closest('thead') !== null"):
            break
    assert page.value("document.activeElement.innerText.trim()").startswith("Rank")
    page.press("Tab", "Tab", "Tab", "Tab", "Enter")
    assert page.value(STATUS).endswith("sorted by score, descending.")
    assert page.value("document.activeElement.firstChild.textContent") == "Score"
    page.press(" ")
    assert page.value(STATUS).endswith("sorted by score, ascending.")
    outline = page.value("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"


def test_every_control_has_a_name_and_every_table_a_caption(page: Chromium, index: Path) -> None:
    unnamed = """[...document.querySelectorAll("a, button, input, select")].filter((element) =>
      element.checkVisibility() && !(element.textContent.trim() || element.labels?.[0]?.textContent.trim())).length"""
    bare = (
        "[...document.querySelectorAll('table')].filter((table) => !table.caption?.textContent.trim()).length"
    )
    for name in ("index.html", f"submissions/{rows_of('datasets')[0].submission}.html"):
        page.open((index.parent / name).as_uri())
        assert page.value(unnamed) == 0
        assert page.value(bare) == 0
        assert page.value("document.querySelectorAll('main').length") == 1
        assert page.value("document.querySelectorAll('h1').length") == 1


def test_theme_goes_round_and_is_remembered(page: Chromium) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    light, dark = "rgb(247, 247, 244)", "rgb(18, 21, 22)"
    seen = []
    for _ in range(3):
        seen.append((page.value("document.getElementById('theme').textContent"), page.value(colour)))
        page.value("document.getElementById('theme').click()")
    assert seen == [("Theme: auto", light), ("Theme: light", light), ("Theme: dark", dark)]
    page.look(width=1280, dark=True)
    assert page.value(colour) == dark
    page.value("document.getElementById('theme').click()")
    page.call("Page.reload")
    page.until(f"document.readyState === 'complete' && {colour} === '{light}'")
    assert page.value("document.getElementById('theme').textContent") == "Theme: light"
    page.value("localStorage.clear()")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [320, 768, 1280])
def test_pages_fit_their_window(page: Chromium, index: Path, width: int, dark: bool) -> None:
    page.look(width=width, dark=dark)
    names = [f"submissions/{row.submission}.html" for row in rows_of("datasets") if "very_long" in row.name]
    for name in (f"index.html{MODELS}", f"index.html{DATASETS}", names[0]):
        page.open(f"{index.parent.as_uri()}/{name}")
        page.value("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        assert page.value("[innerWidth, document.documentElement.scrollWidth]") == [width, width], name
        assert page.value("getComputedStyle(document.body).backgroundColor") == (
            "rgb(18, 21, 22)" if dark else "rgb(247, 247, 244)"
        )


def test_plot_is_drawn_anew_when_the_window_changes(page: Chromium, index: Path) -> None:
    page.open(index.as_uri() + DATASETS)
    before = page.value("document.querySelector('#chart svg').clientWidth")
    page.look(width=400)
    page.until(f"document.querySelector('#chart svg').clientWidth < {before}")
    assert page.value("document.documentElement.scrollWidth") == 400


def test_no_name_becomes_markup_or_runs(page: Chromium, index: Path) -> None:
    show_all(page)
    page.value("document.querySelector('input[value=datasets]').click()")
    show_all(page)
    pages = [
        f"submissions/{row.submission}.html"
        for row in (*rows_of("models"), *rows_of("datasets"))
        if row.name in HOSTILE
    ]
    for name in ("", *dict.fromkeys(pages)):
        if name:
            page.open((index.parent / name).as_uri())
        found = page.value(
            "[window.hacked ?? null, document.querySelectorAll('img, iframe, script[src]').length,"
            " document.scripts.length]"
        )
        assert found == [None, 0, 1 if name else 3], name
        assert page.complaints == [], name


def test_policy_stops_what_a_hole_in_the_page_would_let_in(page: Chromium) -> None:
    page.value(
        """(() => {
          const holder = document.createElement("div");
          holder.innerHTML = '<img src="data:," onerror="window.hacked = 1"><p style="color: red">';
          document.body.append(holder);
          const script = document.createElement("script");
          script.textContent = "window.hacked = 2";
          document.body.append(script);
        })()"""
    )
    assert page.value("fetch('https://example.org').then(() => 'reached', () => 'refused')") == "refused"
    assert page.value("window.hacked ?? null") is None
    assert page.value("getComputedStyle(document.querySelector('p[style]')).color") != "rgb(255, 0, 0)"
    refused = " ".join(page.complaints)
    assert "script-src" in refused
    assert "style-src" in refused
    assert "connect-src" in refused or "default-src" in refused


def test_published_numbers_are_sorted_and_searched_apart(page: Chromium) -> None:
    models = """[...document.querySelectorAll("#published-table tbody th")].map((cell) => cell.textContent)"""
    assert page.value(models) == [row.model for row in BOARD.published]
    page.value(
        """[...document.querySelectorAll("#published-table thead button")]
          .find((button) => button.innerText.includes("Value")).click()"""
    )
    assert page.value(models) == [row.model for row in BOARD.published][::-1]
    page.value("document.getElementById('published-query').focus()")
    page.type("paper model 3")
    assert page.value(models) == ["Paper model 3"]
    assert page.value(STATUS).startswith(f"{PAGE} of {MODEL_ROWS} rows")
    assert page.value("document.querySelector('#published-table tbody').innerText.includes('≈')") is False


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and says nothing about it."""

    def log_message(self, format: str, *values: Any) -> None:
        """Say nothing."""


@pytest.mark.parametrize("served", [False, True], ids=["file", "server"])
def test_no_request_leaves_the_site_and_the_console_is_silent(
    page: Chromium, index: Path, served: bool
) -> None:
    handler = functools.partial(Quiet, directory=str(index.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        root = f"http://127.0.0.1:{server.server_port}" if served else index.parent.as_uri()
        page.open(f"{root}/index.html{DATASETS}")
        click(page, "Score")
        search(page, "RS")
        leave(page, "document.querySelector('#table tbody a').click()")
        page.until("document.readyState === 'complete' && location.pathname.includes('/submissions/')")
        page.value("document.querySelector('.copy').click()")
        server.shutdown()
    assert [each for each in page.requests if not each.startswith((root, "data:", "about:"))] == []
    assert sum(each.startswith(root) for each in page.requests) == 2
    assert page.complaints == []


def test_page_works_where_storage_and_history_are_refused(page: Chromium, index: Path) -> None:
    refusal = """Object.defineProperty(window, "localStorage",
        {get() { throw new DOMException("no", "SecurityError"); }});
      history.replaceState = () => { throw new DOMException("no", "SecurityError"); };"""
    found = page.call("Page.addScriptToEvaluateOnNewDocument", source=refusal)
    try:
        page.open(index.as_uri())
        page.value("document.getElementById('theme').click()")
        click(page, "Score")
        assert page.value(STATUS).endswith("sorted by score, descending.")
        assert page.value("document.documentElement.dataset.theme") == "light"
        assert page.complaints == []
    finally:
        page.call("Page.removeScriptToEvaluateOnNewDocument", identifier=found["identifier"])


@pytest.mark.parametrize("scripts", [False, True], ids=["without scripts", "with scripts"])
def test_without_scripts_every_submission_can_still_be_reached(
    page: Chromium, index: Path, scripts: bool
) -> None:
    page.call("Emulation.setScriptExecutionDisabled", value=not scripts)
    try:
        page.call("Page.navigate", url=index.as_uri())
        page.until("document.readyState === 'complete' && document.querySelector('footer') !== null")
        listed = page.value("document.querySelectorAll('noscript a').length")
    finally:
        page.call("Emulation.setScriptExecutionDisabled", value=False)
    submissions = {row.submission for benchmark in BOARD.benchmarks for row in benchmark.rows}
    assert listed == (0 if scripts else len(submissions))


def test_an_empty_board_is_a_page_without_errors(page: Chromium, tmp_path: Path) -> None:
    page.open(render(Board((), ()), tmp_path).as_uri())
    assert page.complaints == []
    assert page.value("document.querySelector('#theme').checkVisibility()") is True


@pytest.mark.skipif(
    not AXE.is_file(), reason="axe-core is not there: npm install --no-save axe-core, or set AXE_CORE"
)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [375, 1280])
def test_axe_finds_nothing(page: Chromium, tmp_path: Path, width: int, dark: bool) -> None:
    index = render(make_board(2 * len(HOSTILE)), tmp_path)
    page.look(width=width, dark=dark)
    datasets = "dataset-0001-000000000001"
    for name in (f"index.html{MODELS}", f"index.html{DATASETS}", f"submissions/{datasets}.html"):
        page.open(f"{index.parent.as_uri()}/{name}")
        page.value("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        page.value(f"{AXE.read_text(encoding='utf-8')}; 0")
        found = page.value(
            """axe.run(document).then((result) => ({passes: result.passes.length, violations: result.violations
              .map((each) => [each.id, each.impact, each.nodes[0].html, each.nodes[0].failureSummary])}))"""
        )
        assert found["passes"] > 20
        assert found["violations"] == [], name
