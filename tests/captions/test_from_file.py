"""`from-file`: one caption a row, and one message for each way in which a file can be wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from synrs_data.captions.from_file import FromFile, FromFileOptions
from synrs_data.errors import CaptionError
from synrs_data.geo import GeoRecord
from synrs_data.registry import lookup
from synrs_data.sample import Caption
from synrs_data.vocabulary import LabelSet

ROW = '{"caption": "a wide river.", "label": "River"}'


def book(
    folder: Path,
    contents: str | bytes,
    labels: LabelSet,
    *,
    name: str = "captions.jsonl",
    label: str | None = None,
) -> list[Caption]:
    path = folder / name
    path.write_bytes(contents.encode() if isinstance(contents, str) else contents)
    return FromFile(FromFileOptions(path=str(path), label=label)).write(labels, seed=0)


def failure(folder: Path, contents: str | bytes, labels: LabelSet, *, name: str = "captions.jsonl") -> str:
    with pytest.raises(CaptionError) as caught:
        book(folder, contents, labels, name=name)
    return str(caught.value)


def test_rows_keep_their_order_label_line_and_geo_metadata(tmp_path: Path, three_labels: LabelSet) -> None:
    contents = (
        '{"caption": "a wide river.", "label": "River", "lon": 8.5, "lat": 47.25, '
        '"gsd_m": 10, "date": "2021-07-03"}\n'
        "\n"
        '{"caption": "a wide river.", "label": "River"}\n'
        '{"label": "Forest", "caption": "a forest\\nin winter", "cloud": null}\n'
    )
    assert book(tmp_path, contents, three_labels) == [
        Caption(
            "a wide river.",
            1,
            "file:captions.jsonl#1",
            GeoRecord(lon=8.5, lat=47.25, gsd_m=10.0, year=2021, month=7, day=3),
        ),
        Caption("a wide river.", 1, "file:captions.jsonl#3"),
        Caption("a forest in winter", 0, "file:captions.jsonl#4"),
    ]


def test_csv_holds_quoted_commas_line_breaks_and_empty_geo_cells(
    tmp_path: Path, three_labels: LabelSet
) -> None:
    contents = (
        'label,caption,lon,lat\r\nRiver,"a river, wide",,\r\n\r\n'
        'Forest,"a dense\nforest",8,47\r\nForest,"say ""hi""",,\r\n'
    )
    captions = book(tmp_path, contents, three_labels, name="mine.CSV")
    assert [(caption.text, caption.label, caption.source) for caption in captions] == [
        ("a river, wide", 1, "file:mine.CSV#2"),
        ("a dense forest", 0, "file:mine.CSV#5"),
        ('say "hi"', 0, "file:mine.CSV#6"),
    ]
    assert captions[0].geo == GeoRecord()
    assert captions[1].geo == GeoRecord(lon=8.0, lat=47.0)


def test_a_byte_order_mark_of_spreadsheets_is_no_part_of_the_first_column(
    tmp_path: Path, three_labels: LabelSet
) -> None:
    contents = "caption,label\na river,River\n".encode("utf-8-sig")
    assert book(tmp_path, contents, three_labels, name="a.csv")[0].text == "a river"


def test_a_row_may_name_an_image(tmp_path: Path, three_labels: LabelSet) -> None:
    contents = "caption,label,image\na river,River,maps/12.png\na lake,River,\n"
    images = [caption.image for caption in book(tmp_path, contents, three_labels, name="captions.csv")]
    assert images == ["maps/12.png", ""]
    message = failure(tmp_path, '{"caption": "a river", "label": "River", "image": 12}', three_labels)
    assert "line 1: the image 12 is no name" in message


def test_one_label_serves_a_file_without_labels(tmp_path: Path, three_labels: LabelSet) -> None:
    captions = book(tmp_path, "caption\na\nb\n", three_labels, name="a.csv", label="Residential")
    assert [caption.label for caption in captions] == [2, 2]


def test_a_constant_label_that_the_file_contradicts_is_refused(
    tmp_path: Path, three_labels: LabelSet
) -> None:
    with pytest.raises(CaptionError, match="'River' beside the constant 'Forest'"):
        book(tmp_path, ROW, three_labels, label="Forest")


def test_an_unknown_constant_label_is_refused(tmp_path: Path, three_labels: LabelSet) -> None:
    with pytest.raises(CaptionError, match="did you mean 'Forest'"):
        book(tmp_path, '{"caption": "x"}', three_labels, label="Forrest")


@pytest.mark.parametrize(
    ("contents", "told"),
    [
        ('{"caption": "x", "label": "Riber"}', ["line 1", "unknown label 'Riber'", "did you mean 'River'?"]),
        ('{"caption": "x", "label": 1}', ["line 1", "unknown label 1", "known: Forest, Residential, River"]),
        ('{"caption": "x"}', ["line 1", "no label", "captions.label"]),
        (f'{ROW}\n{{"captoin": "x", "label": "River"}}', ["line 2", "'captoin'", "did you mean 'caption'?"]),
        (f'{ROW}\n{{"label": "River"}}', ["line 2", "no caption"]),
        ('{"caption": " \\n\\u0000 ", "label": "River"}', ["line 1", "no caption"]),
        ('{"caption": 7, "label": "River"}', ["line 1", "7 is no text"]),
        (f"{ROW}\n{{caption: x}}", ["line 2", "is not JSON"]),
        (f"{ROW}\n" + ROW[:20], ["line 2", "is not JSON"]),
        ("[" * 100_000, ["line 1", "is not JSON"]),
        ('["x"]', ["line 1", "is a JSON list, not an object"]),
        ('{"caption": "x", "label": "River", "lat": 91}', ["line 1", "lat is 91", "-90 to 90"]),
        ('{"caption": "x", "label": "River", "lat": NaN}', ["line 1", "lat is nan"]),
        ('{"caption": "x", "label": "River", "year": Infinity}', ["line 1", "no numbers"]),
        ('{"caption": "x", "label": "River", "date": "July"}', ["line 1", "July", "YYYY-MM-DD"]),
        ("", ["captions.jsonl", "holds no caption"]),
        ("\n \n", ["captions.jsonl", "holds no caption"]),
        (ROW.encode("utf-16"), ["captions.jsonl", "not UTF-8"]),
        ('{"caption": "Zürich"}'.encode("latin-1"), ["captions.jsonl", "not UTF-8"]),
    ],
)
def test_a_broken_jsonl_file_is_told_in_one_message(
    contents: str | bytes, told: list[str], tmp_path: Path, three_labels: LabelSet
) -> None:
    message = failure(tmp_path, contents, three_labels)
    assert not [part for part in told if part not in message], message


@pytest.mark.parametrize(
    ("contents", "told"),
    [
        ("caption,label\na river,River,8\n", ["line 2", "has 3 cells where the header has 2"]),
        ("caption,label\na river,River\na river\n", ["line 3", "has 1 cells where the header has 2"]),
        ("caption,lable\na river,River\n", ["line 1", "'lable'", "did you mean 'label'?"]),
        ("Caption,label\na river,River\n", ["line 1", "'Caption'", "did you mean 'caption'?"]),
        ("caption,caption\na,b\n", ["line 1", "appear twice: caption"]),
        ("label\nRiver\n", ["line 2", "no caption"]),
        ('caption,label\n"a river,River\n', ["is not CSV"]),
        ("caption,label\n", ["holds no caption"]),
        ("", ["holds no caption"]),
    ],
)
def test_a_broken_csv_file_is_told_in_one_message(
    contents: str, told: list[str], tmp_path: Path, three_labels: LabelSet
) -> None:
    message = failure(tmp_path, contents, three_labels, name="a.csv")
    assert not [part for part in told if part not in message], message


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_a_caption_of_a_hundred_thousand_letters_is_refused_with_its_line(
    name: str, tmp_path: Path, three_labels: LabelSet
) -> None:
    long = "x" * 100_000
    rows = {
        "a.jsonl": json.dumps({"caption": long, "label": "River"}),
        "a.csv": f"caption,label\n{long},River\n",
    }
    message = failure(tmp_path, rows[name], three_labels, name=name)
    assert "100,000 characters, over 2,000" in message
    assert f"{name}, line {1 if name == 'a.jsonl' else 2}" in message
    assert len(message) < 500


def test_a_caption_of_the_greatest_length_is_kept(tmp_path: Path, three_labels: LabelSet) -> None:
    contents = json.dumps({"caption": "x" * 2_000, "label": "River"})
    assert len(book(tmp_path, contents, three_labels)[0].text) == 2_000


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: None, "no such captions file"),
        (lambda path: path.mkdir(), "is a folder"),
    ],
)
def test_a_missing_file_and_a_folder_are_told_before_the_build(
    make: object, told: str, tmp_path: Path
) -> None:
    path = tmp_path / "captions.jsonl"
    assert callable(make)
    make(path)
    with pytest.raises(CaptionError, match=told):
        FromFile(FromFileOptions(path=str(path))).inputs()


def test_another_format_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    path = tmp_path / "captions.parquet"
    path.touch()
    with pytest.raises(CaptionError, match=r"'\.parquet'.*\n.*\.csv or \.jsonl"):
        FromFile(FromFileOptions(path=str(path))).inputs()


def test_the_captions_file_is_the_only_input(tmp_path: Path) -> None:
    path = tmp_path / "captions.jsonl"
    path.write_text(ROW)
    assert FromFile(FromFileOptions(path=str(path))).inputs() == [path]


@pytest.mark.parametrize("options", [{}, {"path": "a.csv", "labels": "River"}])
def test_missing_and_unknown_options_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        FromFileOptions.model_validate(options)


def test_the_method_is_registered_by_its_name() -> None:
    assert lookup("captions", "from-file") is FromFile
