"""The report is one bounded file that asks the network for nothing and says the same every time."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from synrs_data.errors import VerificationError
from synrs_data.report import render_report
from synrs_data.report.sheet import contact_sheets
from synrs_data.report.templates import csp_hash
from tests.report.fake_build import make_build, shuffled, tiny_image

HOSTILE = "<script>alert(1)</script> \"><img src=x onerror=alert(2)> {{ 7 * 7 }} ' &amp;"
LOADING = {"src", "href", "srcset", "poster", "data", "action", "formaction", "background", "xlink:href"}
EMPTY = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}


class Reader(HTMLParser):
    """Collects tags, attributes and texts, and checks that elements are nested."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in EMPTY and not (self.get_starttag_text() or "").endswith("/>"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(page: str) -> Reader:
    """Parse a page to its end."""
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert not reader.open
    return reader


def images(page: str) -> list[dict[str, str | None]]:
    """Return the attributes of the images of the contact sheets."""
    sheets = page.split("<h2>Samples by label</h2>")[1].split("<h2>Labels in numbers</h2>")[0]
    reader = Reader()
    reader.feed(sheets)
    return [attributes for tag, attributes in reader.tags if tag == "img"]


def test_same_build_gives_the_same_page_in_any_folder_and_order_of_rows(tmp_path: Path) -> None:
    folder, facts = make_build(tmp_path / "one", splits={"train": 0.5, "test": 0.5})
    other_folder, other_facts = make_build(tmp_path / "two", splits={"train": 0.5, "test": 0.5})

    assert render_report(folder, facts) == render_report(other_folder, shuffled(other_facts))


def test_page_asks_the_network_for_nothing(tmp_path: Path) -> None:
    page = render_report(*make_build(tmp_path / "build"))
    reader = read(page)

    for tag, attributes in reader.tags:
        for name in LOADING & attributes.keys():
            value = attributes[name] or ""
            assert value.startswith(("data:", "#")), (tag, name, value)
    assert {tag for tag, _ in reader.tags}.isdisjoint({"link", "iframe", "object", "embed", "base", "form"})
    style = page.split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def test_policy_allows_this_script_and_no_other(tmp_path: Path) -> None:
    page = render_report(*make_build(tmp_path / "build"))
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.S)

    assert len(scripts) == 1
    assert (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src '{csp_hash(scripts[0])}'"
        in page
    )


def test_page_holds_the_stored_bytes_of_its_images(tmp_path: Path) -> None:
    folder, facts = make_build(tmp_path / "build", labels=["Forest"], candidates=9)
    shown = {str(image["src"]).partition("base64,")[2] for image in images(render_report(folder, facts))}

    assert shown == {base64.b64encode(tiny_image(index)).decode() for index in range(9)}


@pytest.mark.parametrize("image_format", ["jpg", "png", "webp"])
def test_images_say_their_media_type(tmp_path: Path, image_format: str) -> None:
    page = render_report(
        *make_build(
            tmp_path / "build",
            image=lambda index: tiny_image(index, image_format),
            recipe={"image": {"format": image_format}},
        )
    )
    media = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}[image_format]

    assert {str(image["src"]).partition(";")[0] for image in images(page)} == {f"data:{media}"}


def test_caption_is_the_alternative_text_of_its_image(tmp_path: Path) -> None:
    folder, facts = make_build(tmp_path / "build", candidates=24)
    captions = {*facts.packed["caption"], *facts.rejected["caption"]}

    assert {image["alt"] for image in images(render_report(folder, facts))} == captions


def test_hostile_texts_are_shown_and_not_run(tmp_path: Path) -> None:
    folder, facts = make_build(
        tmp_path / "build",
        labels=[HOSTILE, "River"],
        caption=lambda index, name: HOSTILE,
        verdict=lambda index: (HOSTILE, HOSTILE) if index % 3 == 0 else ("", ""),
        recipe={"title": HOSTILE, "description": HOSTILE},
    )
    facts = replace(facts, generator=facts.generator | {"model": HOSTILE}, environments=[{HOSTILE: HOSTILE}])
    reader = read(render_report(folder, facts))

    assert [tag for tag, _ in reader.tags].count("script") == 1
    assert not [name for _, attributes in reader.tags for name in attributes if name.startswith("on")]
    assert "x" not in {attributes.get("src") for _, attributes in reader.tags}
    assert HOSTILE in "".join(reader.text)
    assert "49" not in "".join(reader.text).split("{{ 7")[0]


def test_rejected_images_say_why(tmp_path: Path) -> None:
    folder, facts = make_build(tmp_path / "build")
    text = "".join(read(render_report(folder, facts)).text)

    for reason in facts.rejected["reason"].unique():
        assert reason in text


def test_every_rule_is_among_the_rejected_that_are_shown(tmp_path: Path) -> None:
    folder, facts = make_build(
        tmp_path / "build",
        labels=["Forest"],
        candidates=60,
        verdict=lambda index: ("top_k", "outside the best 2") if index == 59 else ("clip_agreement_p", "low"),
    )
    shown = contact_sheets(folder, facts).sheets[0].rejected

    assert len(shown) == 8
    assert "outside the best 2" in {picture.reason for picture in shown}


def test_funnel_ends_with_the_number_of_samples(tmp_path: Path) -> None:
    folder, facts = make_build(tmp_path / "build")
    page = render_report(folder, facts)

    left = [int(n) for n in re.findall(r'class="left">(\d+)<', page)]
    assert left == [30, 26, 23, 20] == [30, *left[1:-1], facts.packed.height]


@pytest.mark.parametrize(
    ("verdict", "sentence"),
    [(("", ""), "No candidate was rejected"), (("top_k", "outside"), "No candidate was accepted")],
)
def test_label_with_one_kind_only_says_so(tmp_path: Path, verdict: tuple[str, str], sentence: str) -> None:
    page = render_report(*make_build(tmp_path / "build", verdict=lambda index: verdict))

    assert page.count(sentence) == 3
    read(page)


def test_build_without_candidates_has_a_page(tmp_path: Path) -> None:
    page = render_report(*make_build(tmp_path / "build", candidates=0))

    assert page.count("no candidates</p>") == 3
    read(page)


def test_build_without_scores_has_no_plots(tmp_path: Path) -> None:
    page = render_report(*make_build(tmp_path / "build", scored=False))

    assert "<h2>Scores</h2>" not in page
    assert "Fake scenes" in page


def test_large_label_set_is_shown_whole(tmp_path: Path) -> None:
    names = [f"class_{i:02d}" for i in range(62)]
    page = render_report(*make_build(tmp_path / "build", labels=names, candidates=62 * 3))

    assert len(re.findall(r'<section class="label', page)) == 62
    assert len(images(page)) == 62 * 3
    assert "has room for fewer" not in page


def test_page_stays_below_its_bound_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    heavy = tiny_image(1) + bytes(700_000)
    page = render_report(
        *make_build(tmp_path / "build", labels=["Forest", "River"], candidates=40, image=lambda index: heavy)
    )

    assert 10_000_000 < len(page.encode()) < 20_000_000
    assert "has room for fewer" in page


def test_images_are_shared_out_evenly_when_there_is_no_room_for_all(tmp_path: Path) -> None:
    folder, facts = make_build(tmp_path / "build", labels=["Forest", "River"], candidates=60)
    size = contact_sheets(folder, facts).sheets[0].accepted[0].characters
    sheets = contact_sheets(folder, facts, room=12 * size)

    counts = [len(sheet.accepted) + len(sheet.rejected) for sheet in sheets.sheets]
    assert not sheets.full
    assert abs(counts[0] - counts[1]) <= 1
    assert 10 <= sum(counts) <= 12


def test_packed_sample_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    folder, facts = make_build(tmp_path / "build")
    broken = facts.packed.with_columns(offset=pl.col("offset") + 17)

    with pytest.raises(VerificationError):
        render_report(folder, replace(facts, packed=broken))


def test_missing_shards_are_named(tmp_path: Path) -> None:
    folder, facts = make_build(tmp_path / "build")

    assert "shards 3, 7" in render_report(folder, replace(facts, quarantined=[3, 7]))


def test_page_shows_no_path_of_this_machine(tmp_path: Path) -> None:
    model = tmp_path / "weights" / "my-model"
    page = render_report(
        *make_build(tmp_path / "build", recipe={"generator": {"method": "diffusers", "model": str(model)}})
    )

    assert str(tmp_path) not in page
    assert "my-model" in page
