"""Images and captions of a retrieval benchmark: both file forms, and one message for each thing that is missing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synrs_data.errors import RecipeError, UserError
from synrs_data.evaluate.benchmark import Retrieval, load_benchmark, load_classification
from synrs_data.evaluate.retrieval_data import open_captioned
from tests.evaluate.captioned import CAPTIONS, karpathy, paint, retrieval
from tests.evaluate.tiny import SHARED


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return paint(tmp_path / "data")


def lines(captions: dict[str, list[str]]) -> str:
    rows = [
        {"file": name, "label": "x", "captions": texts, "split": "test"} for name, texts in captions.items()
    ]
    return (
        "\n".join(map(json.dumps, [*rows, {"file": "gone.jpg", "captions": ["x"], "split": "train"}])) + "\n"
    )


def test_the_test_split_is_found_with_its_images_in_the_order_of_the_file(
    tmp_path: Path, folder: Path
) -> None:
    opened = open_captioned(retrieval(tmp_path), str(folder))
    assert opened.images.keys == opened.truth.images == tuple(CAPTIONS)
    assert opened.truth.captions == tuple(text for texts in CAPTIONS.values() for text in texts)
    assert opened.truth.owners.tolist() == [0, 0, 1, 1, 1, 2, 2, 3]
    assert [image.path for image in opened.images.images] == [folder / name for name in CAPTIONS]
    assert (opened.record.test, opened.record.captions, opened.record.pinned) == (4, 8, False)
    assert opened.record.source == "data"


def test_json_lines_are_the_same_data_as_karpathys_json(tmp_path: Path, folder: Path) -> None:
    first = open_captioned(retrieval(tmp_path), str(folder))
    (folder / "captions.jsonl").write_text(lines(CAPTIONS))
    second = open_captioned(retrieval(tmp_path, dataset={"captions": "captions.jsonl"}), str(folder))
    assert second.truth.captions == first.truth.captions
    assert second.record == first.record


def test_captions_are_capitalised_as_the_benchmark_says_and_not_in_the_digest(
    tmp_path: Path, folder: Path
) -> None:
    plain = open_captioned(retrieval(tmp_path), str(folder))
    capital = open_captioned(retrieval(tmp_path, capitalize=True), str(folder))
    assert capital.truth.captions[:3] == ("A red field", "Red soil", "A green field")
    assert capital.record.content_sha256 == plain.record.content_sha256


def test_images_are_found_by_their_name_alone_and_the_captions_in_another_case(
    tmp_path: Path, folder: Path
) -> None:
    shutil.move(folder / "a" / "red.jpg", folder / "red.jpg")
    shutil.move(folder / "dataset_tiny.json", folder / "dataset_TINY.json")
    opened = open_captioned(retrieval(tmp_path), str(folder))
    assert opened.images.images[0].path == folder / "red.jpg"


def test_a_pinned_hash_is_checked(tmp_path: Path, folder: Path) -> None:
    digest = open_captioned(retrieval(tmp_path), str(folder)).record.content_sha256
    pinned = retrieval(tmp_path, dataset={"content_sha256": digest, "path": "data"})
    assert open_captioned(pinned).record.pinned
    shutil.copy(folder / "a" / "green.jpg", folder / "a" / "red.jpg")
    with pytest.raises(UserError, match=f"not {digest}"):
        open_captioned(pinned)


def _write(text: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / "dataset_tiny.json").write_text(text)


def _copy(folder: Path) -> None:
    shutil.move(folder / "a" / "red.jpg", folder / "red.jpg")
    shutil.copy(folder / "red.jpg", folder / "b" / "red.jpg")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "dataset_tiny.json").unlink(), "no file of captions 'dataset_tiny.json'"),
        (lambda folder: (folder / "a" / "red.jpg").unlink(), "has not 1 of the 4 images that have captions"),
        (_copy, "has 2 images that may be 'a/red.jpg', such as b/red.jpg and red.jpg"),
        (_write("{"), "cannot be read as JSON"),
        (_write("[" * 100_000), "cannot be read as JSON"),
        (_write("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "pointer of Git LFS"),
        (_write("[]"), "has no list `images`"),
        (_write('{"images": [1]}'), "its image 1 has not a name, a split and captions"),
        (_write(karpathy(CAPTIONS | {"a/red.jpg": []})), "its image 2 has not a name, a split and captions"),
        (_write(karpathy(CAPTIONS | {"a/red.jpg": [" "]})), "its image 2 has not"),
        (_write(karpathy(CAPTIONS).replace('"raw": "grass"', '"raw": 3')), "its image 3 has not"),
        (_write(karpathy(CAPTIONS, "val")), "no image of the split 'test'; it has train, val"),
        (_write(karpathy(CAPTIONS | {"a/red.jpg": ["one"]})), "has 7 captions, that of the benchmark .* has 8"),
        (_write(karpathy({"a/red.jpg": ["one"]})), "its split 'test' has 1 images, that of the benchmark .* has 4"),
    ],
    ids=["no file", "no image", "two images", "no json", "deep", "lfs", "list", "number", "none", "empty", "type",
         "split", "captions", "images"],
)  # fmt: skip
def test_what_is_missing_or_damaged_is_one_message(
    tmp_path: Path, folder: Path, damage: Callable[[Path], Any], words: str
) -> None:
    damage(folder)
    with pytest.raises(UserError, match=words) as caught:
        open_captioned(retrieval(tmp_path), str(folder))
    assert caught.value.fix
    assert str(folder) in caught.value.where


def test_an_image_that_comes_twice_is_refused(tmp_path: Path, folder: Path) -> None:
    (folder / "captions.jsonl").write_text(lines(CAPTIONS) + lines({"a/red.jpg": ["again"]}))
    benchmark = retrieval(tmp_path, dataset={"captions": "captions.jsonl", "images": None, "sentences": None})
    with pytest.raises(UserError, match=r"the image 'a/red\.jpg' comes 2 times"):
        open_captioned(benchmark, str(folder))


@pytest.mark.parametrize("place", ["absent", "hf://datasets/user/name"])
def test_a_place_that_is_no_folder_here_is_refused(tmp_path: Path, place: str) -> None:
    with pytest.raises(UserError, match="is no folder on this machine") as caught:
        open_captioned(retrieval(tmp_path), place)
    assert caught.value.fix == "paint them again"


def test_without_a_place_the_benchmark_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="needs images and captions"):
        open_captioned(retrieval(tmp_path))


def test_a_metric_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"metrics\.0\.name"):
        retrieval(tmp_path, metrics=[{"name": "i2t-r@2", "direction": "higher"}])


@pytest.mark.parametrize(
    ("name", "images", "sentences"),
    [("rsicd", 1093, 5465), ("rsitmd", 452, 2260), ("ucmerced-retrieval", 210, 1050)],
)
def test_the_shipped_benchmarks_check_the_size_of_their_test(name: str, images: int, sentences: int) -> None:
    found = load_benchmark(name)
    assert isinstance(found, Retrieval)
    assert (found.dataset.images, found.dataset.sentences) == (images, sentences)
    assert found.capitalize
    names = [metric.name for metric in found.metrics]
    assert names[:7] == [f"{way}-r@{k}" for way in ("i2t", "t2i") for k in (1, 5, 10)] + ["mean-recall"]
    with pytest.raises(UserError, match="is of the task retrieval, not classification"):
        load_classification(name)


def test_the_pinned_captions_of_uc_merced_are_found() -> None:
    place = SHARED / "ucmerced"
    if not (place / "captions.jsonl").is_file():
        pytest.skip("the UC Merced captions are not on this machine")
    found = load_benchmark("ucmerced-retrieval")
    assert isinstance(found, Retrieval)
    opened = open_captioned(found, str(place))
    assert opened.record.pinned
    assert len(set(opened.truth.captions)) == 377
