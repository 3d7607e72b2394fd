"""Crops of existing images: each once a round, pixels of the source, what cannot be used is named."""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from synrs_data.build.protocol import check_extra_fields, check_identity, check_inputs
from synrs_data.build.run import build
from synrs_data.build.sources import check_sources
from synrs_data.errors import RecipeError, UserError
from synrs_data.fingerprint import generation_fingerprint
from synrs_data.generators.base import SourcedGenerator
from synrs_data.generators.real_images import TRIES, RealImages, RealImagesOptions, permuted
from synrs_data.geo import GeoRecord
from synrs_data.image_sources import ImageSource, decode_rgb
from synrs_data.sample import Request, sample_seed
from synrs_data.shards import members
from synrs_data.shards.manifest import verify
from tests.build.painted import final_hashes, painted
from tests.image_sources.samples import encoded, member, write_parquet, write_tar


def generator(images: Path, **options: Any) -> RealImages:
    return RealImages(RealImagesOptions(images=str(images), **options))


def request(index: int, recipe_seed: int = 0) -> Request:
    seed = sample_seed(recipe_seed, 0, index)
    return Request(prompt="", label=0, seed=seed, geo=GeoRecord(), index=index)


def noise_folder(root: Path, count: int = 5, size: tuple[int, int] = (24, 40)) -> Path:
    """Write images in which every place looks different, and return their folder."""
    root.mkdir()
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{number}.png")
    return root


def used(found: RealImages, indices: range, recipe_seed: int = 0) -> list[str]:
    return [found.inputs(request(index, recipe_seed)).parameters["source"] for index in indices]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 16, 17, 100])
def test_a_permutation_gives_every_number_once(count: int) -> None:
    orders = [[permuted(place, count, f"{key}") for place in range(count)] for key in range(5)]
    for order in orders:
        assert sorted(order) == list(range(count))
    assert count < 5 or len({tuple(order) for order in orders}) == 5


def test_permutations_favour_no_number() -> None:
    firsts = Counter(permuted(0, 10, f"key {key}") for key in range(4000))
    assert len(firsts) == 10
    # 27.9 is the quantile 0.999 of chi-squared with 9 degrees of freedom.
    assert sum((count - 400) ** 2 / 400 for count in firsts.values()) < 27.9


def test_every_image_comes_once_before_any_comes_again(tmp_path: Path) -> None:
    found = generator(noise_folder(tmp_path / "real", count=7), crop=8)
    names = used(found, range(21))
    rounds = [names[start : start + 7] for start in (0, 7, 14)]
    assert [sorted(part) for part in rounds] == [[f"{number}.png" for number in range(7)]] * 3
    assert len({tuple(part) for part in rounds}) == 3


def test_the_order_is_that_of_the_seed_and_not_of_the_recipe(tmp_path: Path) -> None:
    folder = noise_folder(tmp_path / "real", count=7)
    first = used(generator(folder, crop=8), range(7))
    assert used(generator(folder, crop=8), range(7), recipe_seed=1) == first
    assert used(generator(folder, crop=8, seed=1), range(7)) != first


def test_a_crop_is_the_pixels_of_its_source_at_the_place_that_it_names(tmp_path: Path) -> None:
    folder = noise_folder(tmp_path / "real")
    found = generator(folder, crop=(8, 16))
    requests = [request(index) for index in range(60)]
    places = set()
    for one, image in zip(requests, found.generate(requests), strict=True):
        given = found.inputs(one)
        content = (folder / given.parameters["source"]).read_bytes()
        top, left = given.parameters["crop.top"], given.parameters["crop.left"]
        assert 0 <= top <= 24 - 8
        assert 0 <= left <= 40 - 16
        assert np.array_equal(image, decode_rgb(content, "x")[top : top + 8, left : left + 16])
        assert image.shape == (8, 16, 3)
        assert image.base is None
        assert given.derived_from == hashlib.sha256(content).hexdigest()
        assert given.fields == {}
        places.add((top, left))
    assert {top for top, _ in places} >= {0, 16}
    assert len(places) > 50


def test_one_image_gives_different_crops(tmp_path: Path) -> None:
    found = generator(noise_folder(tmp_path / "real", count=1), crop=8)
    assert len({image.tobytes() for image in found.generate([request(i) for i in range(20)])}) > 15


def test_crops_do_not_depend_on_who_asks_in_which_order(tmp_path: Path) -> None:
    folder = noise_folder(tmp_path / "real")
    requests = [request(index) for index in range(40)]
    together = generator(folder, crop=8).generate(requests)
    alone = {one.index: generator(folder, crop=8, batch_size=1).generate([one])[0] for one in requests[::-1]}
    assert all(np.array_equal(image, alone[index]) for index, image in enumerate(together))


@pytest.mark.parametrize(
    ("options", "shape", "corner"),
    [
        ({}, (16, 32), (1, 2)),
        ({"multiple_of": 1}, (19, 37), (0, 0)),
        ({"multiple_of": 12}, (12, 36), (3, 0)),
        ({"crop": (19, 37)}, (19, 37), (0, 0)),
    ],
)
def test_whole_images_are_cut_at_the_centre_to_a_multiple(
    tmp_path: Path, options: dict[str, Any], shape: tuple[int, int], corner: tuple[int, int]
) -> None:
    folder = noise_folder(tmp_path / "real", count=1, size=(19, 37))
    found = generator(folder, **options)
    (image,) = found.generate([request(0)])
    assert image.shape[:2] == shape
    parameters = found.inputs(request(0)).parameters
    assert (parameters["crop.top"], parameters["crop.left"]) == corner
    whole = decode_rgb((folder / "0.png").read_bytes(), "x")
    assert np.array_equal(image, whole[corner[0] : corner[0] + shape[0], corner[1] : corner[1] + shape[1]])


def _spoil(folder: Path) -> dict[str, str]:
    """Spoil three images of eight and return a part of each one's reason."""
    content = (folder / "2.png").read_bytes()
    (folder / "2.png").write_bytes(content[: len(content) // 2])
    Image.fromarray(np.zeros((64, 64), np.uint16)).save(folder / "3.png")
    (folder / "6.png").write_bytes(encoded(6, side=4))
    return {
        "2.png": "cannot be read as an image",
        "3.png": "has 16 bits a channel",
        "6.png": "is 4 x 4 pixels, smaller than 8 x 8",
    }


def test_what_cannot_be_used_is_passed_over_named_and_counted(tmp_path: Path) -> None:
    folder = noise_folder(tmp_path / "real", count=8)
    reasons = _spoil(folder)
    found = generator(folder, crop=8)
    given = [found.inputs(request(index)).parameters for index in range(80)]
    assert not {one["source"] for one in given} & reasons.keys()
    first = [one.get("unreadable", [one["source"]])[0] for one in given]
    assert Counter(first) == {f"{number}.png": 10 for number in range(8)}
    assert {name for one in given for name in one.get("unreadable", [])} == reasons.keys()
    assert "unreadable" not in next(one for one in given if one["source"] == first[given.index(one)])
    assert found.unreadable.keys() == reasons.keys()
    for name, reason in reasons.items():
        assert reason in found.unreadable[name]
        assert str(folder / name) in found.unreadable[name]
    replaced = Counter(one["source"] for one in given if "unreadable" in one)
    assert len(replaced) == 5


def test_passing_over_depends_on_the_request_alone(tmp_path: Path) -> None:
    folder = noise_folder(tmp_path / "real", count=8)
    _spoil(folder)
    one = generator(folder, crop=8)
    forward = [one.inputs(request(index)) for index in range(40)]
    for index in range(39, -1, -1):
        assert generator(folder, crop=8).inputs(request(index)) == forward[index]


def test_an_image_smaller_than_the_multiple_is_passed_over(tmp_path: Path) -> None:
    folder = noise_folder(tmp_path / "real", count=2)
    (folder / "1.png").write_bytes(encoded(6, side=4))
    found = generator(folder)
    assert used(found, range(4)) == ["0.png"] * 4
    assert "smaller than 8 x 8" in found.unreadable["1.png"]


def test_a_source_of_which_nothing_can_be_used_is_an_error(tmp_path: Path) -> None:
    folder = noise_folder(tmp_path / "real", count=3)
    message = (
        r"3 images one after the other cannot be used; the first: .*\.png: is 24 x 40 pixels, smaller than 99"
    )
    with pytest.raises(UserError, match=message) as caught:
        generator(folder, crop=99).generate([request(0)])
    assert caught.value.where == str(folder)
    folder = noise_folder(tmp_path / "many", count=TRIES + 9, size=(8, 8))
    with pytest.raises(UserError, match=f"{TRIES} images one after the other"):
        generator(folder, crop=9).inputs(request(0))


def test_a_file_that_has_gone_stops_the_build(tmp_path: Path) -> None:
    folder = noise_folder(tmp_path / "real", count=1)
    found = generator(folder, crop=8)
    found.load("cpu")
    (folder / "0.png").unlink()
    with pytest.raises(UserError, match="cannot be read: No such file"):
        found.generate([request(0)])


def test_a_source_without_images_is_refused_when_planned(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there are no images"):
        check_sources(generator(tmp_path), ["a"])


def test_the_identity_says_what_the_images_are(tmp_path: Path) -> None:
    folder = noise_folder(tmp_path / "real")
    found = generator(folder, license="cc-by-4.0")
    identity = check_identity(found.load("cuda:7"), "real-images")
    assert (identity.model, identity.revision, identity.family) == ("real", "local", "real images")
    assert (identity.steps, identity.guidance_scale, identity.license) == (0, 0.0, "cc-by-4.0")
    assert identity.sha256 == found.digest() == ImageSource(str(folder)).digest()
    assert not identity.synthetic
    assert generator(folder).load("cpu").license == "unknown"
    assert isinstance(found, SourcedGenerator)
    assert check_extra_fields(found, "real-images") == ()
    check_inputs(found.inputs(request(0)), (), "real-images")


@pytest.mark.parametrize(
    "options",
    [
        {"crop": 0},
        {"crop": [8]},
        {"crop": [8, 8, 8]},
        {"crop": [8, 0]},
        {"crop": True},
        {"multiple_of": 0},
        {"batch_size": 0},
        {"seed": -1},
        {"field": ""},
        {"crops": 8},
    ],
)
def test_odd_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RealImagesOptions(images="x", **options)


def pairs(images: str, **options: Any) -> Any:
    return painted(
        task="lr-hr",
        labels="scene",
        captions={"method": "none"},
        image={"format": "png"},
        degradation={"method": "shrink"},
        generator={"method": "real-images", "images": images, "batch_size": 4} | options,
        filters=[],
    )


def test_a_build_of_pairs_from_real_images_is_a_function_and_says_so(tmp_path: Path) -> None:
    folder = noise_folder(tmp_path / "real", count=12)
    _spoil(folder)
    recipe = pairs(str(folder), crop=8)
    first = build(recipe, tmp_path / "a", engine="inline")
    assert list(verify(first.folder)) == []
    records = [
        json.loads(fields["json"]) for tar in first.folder.data.iterdir() for _, fields in members(tar)
    ]
    assert len(records) == 40
    assert not any(record["synthetic"] for record in records)
    parameters = [json.loads(record["parameters"]) for record in records]
    assert {name for one in parameters for name in one.get("unreadable", [])} == {"2.png", "3.png", "6.png"}
    splits = {record["derived_from"]: set[str]() for record in records}
    for tar in first.folder.data.iterdir():
        for _, fields in members(tar):
            splits[json.loads(fields["json"])["derived_from"]].add(tar.name.partition("-")[0])
    assert all(len(found) == 1 for found in splits.values())
    build(recipe, tmp_path / "b", engine="inline", shards=(2, 4))
    build(recipe, tmp_path / "b", engine="inline")
    assert final_hashes(tmp_path / "b") == final_hashes(tmp_path / "a")


def test_a_build_of_pairs_is_a_source_of_its_high_resolution_images(tmp_path: Path) -> None:
    build(pairs(str(noise_folder(tmp_path / "real")), crop=16), tmp_path / "a", engine="inline")
    found = generator(tmp_path / "a", crop=8)
    assert len(found.sources([])) == 40
    assert not found.load("cpu").synthetic
    one = found.inputs(request(0)).parameters
    tar, _, inside = one["source"].partition(":")
    key, _, field = inside.partition(".")
    sample = dict(members(tmp_path / "a" / tar))[key][field]
    assert field == "hr.png"
    top, left = one["crop.top"], one["crop.left"]
    pixels = np.asarray(Image.open(io.BytesIO(sample)))[top : top + 8, left : left + 8]
    assert np.array_equal(found.generate([request(0)])[0], pixels)


@pytest.mark.parametrize("kind", ["tar", "parquet"])
def test_an_image_of_the_evaluation_is_no_source_wherever_it_lies(tmp_path: Path, kind: str) -> None:
    noise = noise_folder(tmp_path / "real", count=3, size=(32, 32))
    contents = [path.read_bytes() for path in sorted(noise.iterdir())]
    if kind == "tar":
        parts = [member(f"{number}.png", content) for number, content in enumerate([*contents, b"x"])]
        source = write_tar(tmp_path / "x.tar", *parts)
    else:
        source = write_parquet(tmp_path / "x.parquet", [*contents, b"x"])
    twin = contents[1]
    test = tmp_path / "test"
    test.mkdir()
    (test / "other.png").write_bytes(encoded(9))
    check_sources(generator(source, evaluation=str(test)), [])
    (test / "twin.png").write_bytes(twin)
    with pytest.raises(UserError, match=r"this source is the same file as .*twin\.png") as caught:
        check_sources(generator(source, evaluation=str(test)), [])
    assert caught.value.where.startswith(f"{source}:")
    (test / "twin.png").unlink()
    Image.open(io.BytesIO(twin)).save(test / "twin.jpg", quality=95, subsampling=0)
    with pytest.raises(UserError, match=r"this source looks like .*twin\.jpg"):
        check_sources(generator(source, evaluation=str(test)), [])


def test_sources_that_nobody_can_read_clash_with_nothing(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a.png").write_bytes(b"x")
    check_sources(generator(tmp_path / "real", evaluation=str(noise_folder(tmp_path / "test"))), [])


def test_the_fingerprint_counts_contents_and_options_but_no_path(tmp_path: Path) -> None:
    def fingerprint(folder: Path, **options: Any) -> str:
        recipe = pairs(str(folder), **options)
        return generation_fingerprint(recipe, {"generator": generator(folder).digest()})

    first = noise_folder(tmp_path / "a")
    base = fingerprint(first)
    assert fingerprint(noise_folder(tmp_path / "b")) == base
    assert fingerprint(noise_folder(tmp_path / "c", count=4)) != base
    assert fingerprint(first, crop=8) != base


def test_a_wrong_crop_of_a_recipe_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"'generator' \(real-images\): .*crop"):
        pairs(str(tmp_path), crop=-1)
