"""The pages are a function of the board; names stay text, links lead only to the web, and nothing else is touched."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from synrs_data.cli import app
from synrs_data.errors import BuildFolderError, VerificationError
from synrs_data.leaderboard.add import add_folder
from synrs_data.leaderboard.board import Board
from synrs_data.leaderboard.page_data import page_data
from synrs_data.leaderboard.page_text import NAME, line, lines, link
from synrs_data.leaderboard.render import embedded, render
from synrs_data.report.templates import csp_hash
from tests.leaderboard.generated import HOSTILE, make_benchmark, make_board, make_published, make_row
from tests.leaderboard.made import write_submission
from tests.report.test_page import LOADING, read

SCRIPT = re.compile(r"<script>(.*?)</script>", re.S)


def pages(folder: Path) -> dict[str, str]:
    """Return the text of each page by its path in the site."""
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*.html"))
    }


def data_of(index: str) -> dict[str, Any]:
    """Return the data of the table."""
    block = index.split('<script type="application/json" id="board">')[1].split("</script>")[0]
    found: dict[str, Any] = json.loads(block)
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the site of a board in which every kind of hostile name is."""
    return render(make_board(2 * len(HOSTILE)), tmp_path_factory.mktemp("site")).parent


def test_same_board_gives_the_same_bytes_and_leaves_pages_that_stay_the_same_alone(tmp_path: Path) -> None:
    render(make_board(6), tmp_path / "one")
    render(make_board(6), tmp_path / "two")
    assert pages(tmp_path / "one") == pages(tmp_path / "two")

    for path in (tmp_path / "one").rglob("*.html"):
        os.utime(path, (1, 1))
    board = make_board(6)
    first = board.benchmarks[0]
    changed = replace(first, rows=(replace(first.rows[0], card="Another card."), *first.rows[1:]))
    render(replace(board, benchmarks=(changed, *board.benchmarks[1:])), tmp_path / "one")
    written = {path.name for path in (tmp_path / "one").rglob("*.html") if path.stat().st_mtime > 1}
    assert written == {f"{first.rows[0].submission}.html"}


def test_pages_ask_the_network_for_nothing(site: Path) -> None:
    for name, page in pages(site).items():
        reader = read(page)
        for tag, attributes in reader.tags:
            for attribute in (LOADING - {"href"}) & attributes.keys():
                raise AssertionError((name, tag, attribute))
            if tag == "link":
                assert attributes == {"rel": "icon", "href": "data:,"}
        assert {tag for tag, _ in reader.tags}.isdisjoint(
            {"img", "iframe", "object", "embed", "base", "form"}
        )
        style = page.split("<style>")[1].split("</style>")[0]
        assert "url(" not in style
        assert "@import" not in style


def test_policy_allows_the_pages_own_style_and_scripts_and_no_other(site: Path) -> None:
    for name, page in pages(site).items():
        found = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
        scripts = SCRIPT.findall(page)
        assert len(found) == 1
        assert len(scripts) == (2 if name == "index.html" else 1)
        allowed = " ".join(f"'{csp_hash(script)}'" for script in scripts)
        style = csp_hash(page.split("<style>")[1].split("</style>")[0])
        assert found[0] == (
            f"default-src 'none'; img-src data:; style-src '{style}'; script-src {allowed}; "
            "base-uri 'none'; form-action 'none'"
        )
        for tag, attributes in read(page).tags:
            # The policy would refuse them: a page that has one is broken.
            assert not [each for each in attributes if each == "style" or each.startswith("on")], (name, tag)


def test_names_are_text_on_the_page_of_each_submission(site: Path, tmp_path: Path) -> None:
    found = {page: read(text) for page, text in pages(site).items() if page != "index.html"}
    titles = set()
    for reader in found.values():
        start = reader.text.index("← Leaderboard")
        titles.add(next(text for text in reader.text[start + 1 :] if text.strip() and "Theme" not in text))
    for name in HOSTILE:
        assert (line(name) or "(no name)") in titles
    harmless = pages(render(make_board(2 * len(HOSTILE), hostile=False), tmp_path).parent)
    for page, reader in found.items():
        known = [tag for tag, _ in read(harmless[page]).tags]
        assert [tag for tag, _ in reader.tags] == known


def test_data_of_the_table_ends_no_element_and_says_the_names_as_they_are(site: Path) -> None:
    index = pages(site)["index.html"]
    block = index.split('<script type="application/json" id="board">')[1].split("</script>")[0]
    assert not set(block) & set("<>&")
    names = {each["name"] for each in data_of(index)["submissions"]}
    assert {line(name) or "(no name)" for name in HOSTILE} <= names


@pytest.mark.parametrize("text", ["</script>", "<!--", "]]>", "\u2028", "&lt;"])
def test_embedded_json_is_harmless_and_says_the_same(text: str) -> None:
    found = embedded({"name": text})
    assert json.loads(found) == {"name": text}
    assert found.isascii()
    assert not set(found) & set("<>&")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://example.org/paper?a=1&b=2#c", "example.org"),
        ("http://EXAMPLE.org:8080/", "example.org"),
    ],
)
def test_links_to_the_web_are_followed_and_say_their_host(address: str, shown: str) -> None:
    assert link("paper", address) == type(link("", ""))("paper", address, shown)


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\nscript:alert(1)",
        "\x01javascript:alert(1)",
        " https://example.org",
        "https://user@example.org/",
        "https://user:password@example.org/",
        "https://example.org@evil.example/",
        "https:\\\\example.org",
        "https:///path",
        "https://",
        "https://[::1",
        "https://example.org:port/",
        'https://example.org/"onclick="',
        "https://exаmple.org/",
        "//example.org",
        "data:text/html,x",
        "file:///etc/passwd",
        "ftp://example.org",
        "vbscript:x",
        "",
    ],
)
def test_other_addresses_are_text(address: str, tmp_path: Path) -> None:
    assert link("label", address).address == ""
    row = make_row(links=(("label", address),))
    page = render(Board((make_benchmark((row,)),), ()), tmp_path).parent / "submissions"
    tags = read((page / f"{row.submission}.html").read_text(encoding="utf-8")).tags
    links = [attributes["href"] or "" for tag, attributes in tags if tag == "a"]
    assert [each for each in links if not each.startswith(("../index.html", "#"))] == []


def test_links_of_submitters_open_apart_and_give_nothing_away(site: Path) -> None:
    seen = 0
    for page in pages(site).values():
        for tag, attributes in read(page).tags:
            if tag == "a" and (attributes["href"] or "").startswith("http"):
                seen += 1
                assert (attributes["rel"], attributes["target"]) == ("noopener noreferrer nofollow", "_blank")
    assert seen > len(HOSTILE)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u202eb", "a\ufffdb"),
        ("a\u0000b\u0007", "a\ufffdb\ufffd"),
        ("a\ud800b", "a\ufffdb"),
        ("a\u2066b\ufeff\u200b", "a\ufffdb\ufffd\ufffd"),
        ("  many \n\t lines\r\n", "many lines"),
        ("a" + "\u0301" * 9, "a" + "\u0301" * 3),
        ("क्षि \U0001f468\u200d\U0001f680 Gauß 卫星", "क्षि \U0001f468\u200d\U0001f680 Gauß 卫星"),
        ("a" * (NAME + 1), "a" * (NAME - 1) + "…"),
    ],
)
def test_a_name_is_one_line_of_visible_characters(text: str, shown: str) -> None:
    assert line(text) == shown


def test_a_text_keeps_its_lines_and_loses_what_nobody_sees() -> None:
    assert lines("a:\r\n\tb\rc\u202e\x00", 100) == "a:\n\tb\nc\ufffd\ufffd"
    assert lines("a\n\x1b[31mb") == "a\n\ufffd[31mb"
    assert lines("abc", 2) == "a…"


@pytest.mark.parametrize(
    "identity", ["../evil", "a/b", "a\\b", "", ".hidden", "..", "a\x00b", "a b", "ä", "a" * 300]
)
def test_an_id_that_is_no_file_name_is_refused_and_nothing_is_written(tmp_path: Path, identity: str) -> None:
    board = Board((make_benchmark((make_row(submission=identity),)),), ())
    with pytest.raises(VerificationError, match="no plain file name"):
        render(board, tmp_path / "site")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("field", ["value", "low", "high", "ratio"])
@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_none_is_refused(tmp_path: Path, field: str, number: float) -> None:
    changes: dict[str, Any] = {field: number}
    board = Board((make_benchmark((make_row(0, **changes),)),), ())
    with pytest.raises(VerificationError, match="not finite"):
        render(board, tmp_path / "site")


def test_a_difference_that_is_no_number_is_refused(tmp_path: Path) -> None:
    board = Board((make_benchmark((make_row(difference=(0.0, float("nan"), 0.1)),)),), ())
    with pytest.raises(VerificationError, match="not finite"):
        render(board, tmp_path / "site")


def test_pages_of_submissions_that_are_gone_go_and_files_of_others_stay(tmp_path: Path) -> None:
    rows = (make_row(0), make_row(1))
    render(Board((make_benchmark(rows),), ()), tmp_path)
    folder = tmp_path / "submissions"
    (folder / "notes.html").write_text("<title>My own</title>", encoding="utf-8")
    (folder / "elsewhere.html").symlink_to(folder / f"{rows[1].submission}.html")
    (tmp_path / "README.md").write_text("---\nsdk: static\n---\n", encoding="utf-8")

    render(Board((make_benchmark(rows[:1]),), ()), tmp_path)

    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if not path.is_dir()}
    kept = {"submissions/notes.html", "submissions/elsewhere.html", "README.md"}
    assert left == {"index.html", f"submissions/{rows[0].submission}.html", *kept}


def test_a_folder_that_cannot_be_made_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "site").write_text("a file", encoding="utf-8")
    with pytest.raises(BuildFolderError, match="cannot be written"):
        render(make_board(1), tmp_path / "site")


@pytest.mark.parametrize(
    "board", [Board((), ()), Board((make_benchmark(()),), ()), Board((), make_published())]
)
def test_a_board_without_scores_is_a_page_too(tmp_path: Path, board: Board) -> None:
    page = render(board, tmp_path).read_text(encoding="utf-8")
    read(page)
    assert "No score has been submitted yet." in page
    assert ("As published, not recomputed" in page) is bool(board.published)


def test_page_claims_that_all_was_recomputed_only_where_it_was(tmp_path: Path) -> None:
    rows = (make_row(0), make_row(1, verified=""))
    claim = "Every score was recomputed"
    assert claim in render(Board((make_benchmark(rows[:1]),), ()), tmp_path / "all").read_text("utf-8")
    index = render(Board((make_benchmark(rows),), ()), tmp_path / "some")
    assert claim not in index.read_text("utf-8")
    own = {name: page for name, page in pages(index.parent).items() if name != "index.html"}
    assert [">not verified<" in page for page in own.values()] == [False, True]


def test_numbers_of_papers_are_apart_and_have_no_rank(tmp_path: Path) -> None:
    board = make_board(4)
    found = data_of(render(board, tmp_path).read_text(encoding="utf-8"))
    assert [row["value"] for row in found["published"]] == pytest.approx(
        [row.value for row in board.published]
    )
    assert {"rank", "low", "high"}.isdisjoint(found["published"][0])
    assert "Paper model 1" in {row["model"] for row in found["published"]}
    assert "Paper model 1" not in {row["name"] for row in found["submissions"]}
    assert [row["url"] for row in found["published"]][:2] == ["", "https://example.org/paper"]


def test_a_page_has_every_score_rank_class_and_command_of_its_submission(tmp_path: Path) -> None:
    rows = (
        make_row(0, value=0.91239, low=0.9, high=0.92, recipe="seed: 7\n", card="First.\n\nSecond."),
        make_row(1),
    )
    render(Board((make_benchmark(rows),), ()), tmp_path)
    text = "".join(read((tmp_path / "submissions" / f"{rows[0].submission}.html").read_text("utf-8")).text)
    for part in ("91.24", "90.00 to 92.00", "1 of 2", "AnnualCrop", "50.0", "seed: 7\n", "First.\n\nSecond."):
        assert part in text
    assert rows[0].reproduce in text


def test_lower_is_better_turns_the_marks_of_differences(tmp_path: Path) -> None:
    row = make_row(difference=(-0.02, -0.03, -0.01), track="datasets")
    for direction, word in (("lower", "better"), ("higher", "worse")):
        index = render(Board((make_benchmark((row,), direction=direction),), ()), tmp_path / direction)
        page = (index.parent / "submissions" / f"{row.submission}.html").read_text("utf-8")
        assert f'class="unseen"> {word}<' in page


def test_shares_are_in_per_cent_and_psnr_in_db(tmp_path: Path) -> None:
    found = data_of(render(make_board(2), tmp_path).read_text(encoding="utf-8"))
    assert [board["scale"]["unit"] for board in found["benchmarks"]] == ["%", "dB"]
    assert [board["chance"] for board in found["benchmarks"]] == [0.1, None]


def test_two_tasks_of_one_version_have_addresses_of_their_own() -> None:
    board = Board((make_benchmark((make_row(0),)), make_benchmark((make_row(1),))), ())
    assert [each["key"] for each in page_data(board)["benchmarks"]] == ["eurosat@1", "eurosat@1~2"]


def test_groups_whose_texts_look_alike_stay_apart() -> None:
    rows = (make_row(0, group="probe\u202e"), make_row(1, group="probe\u202d"))
    (found,) = page_data(Board((make_benchmark(rows),), ()))["benchmarks"]
    assert found["groups"]["models"] == ["probe\ufffd", "probe\ufffd"]
    assert [row[1] for row in found["rows"]["models"]] == [0, 1]


def test_render_makes_a_site_of_a_results_repository_and_says_what_it_left_out(tmp_path: Path) -> None:
    repository = tmp_path / "results"
    for number, (name, right) in enumerate([("Low <b>", 0.5), ("High", 0.8)]):
        folder = write_submission(tmp_path / str(number), name=name, right={"real": right}, first_seed=number)
        add_folder(folder, repository)
    (repository / "submissions" / "stray").mkdir()

    done = CliRunner().invoke(
        app, ["leaderboard", "render", str(repository), "--out", str(tmp_path / "site")]
    )

    assert done.exit_code == 0, done.output
    assert "left out 'stray'" in done.stderr
    assert done.stdout == f"{tmp_path / 'site' / 'index.html'}: 2 submissions with 2 scores\n"
    found = data_of((tmp_path / "site" / "index.html").read_text(encoding="utf-8"))
    rank = found["fields"].index("rank")
    names = [
        (row[rank], found["submissions"][row[0]]["name"]) for row in found["benchmarks"][0]["rows"]["models"]
    ]
    assert names == [(1, "High"), (2, "Low <b>")]
    assert found["published"]
