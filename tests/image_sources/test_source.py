"""Every kind of source gives its images by name, in order, and a digest of names and contents."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synrs_data.build.run import build
from synrs_data.errors import UserError
from synrs_data.image_sources import ImageSource, decode_rgb
from synrs_data.shards import members
from tests.build.painted import painted
from tests.image_sources.samples import encoded, member, plain_tar, write_parquet, write_tar
from tests.real_folder import paint, real_folder

PAIRS: dict[str, Any] = {
    "task": "lr-hr",
    "labels": "scene",
    "captions": {"method": "none"},
    "image": {"format": "png"},
    "degradation": {"method": "shrink"},
}


def names(location: Path, field: str | None = None) -> list[str]:
    return [image.name for image in ImageSource(str(location), field).images]


def contents(location: Path, field: str | None = None) -> list[bytes]:
    return [image.read() for image in ImageSource(str(location), field).images]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "out"
    build(painted(**PAIRS, candidates=16, filters=[]), folder, engine="inline")
    return folder


def test_a_folder_gives_the_images_of_all_its_folders(tmp_path: Path) -> None:
    root = real_folder(tmp_path / "real", count=2)
    (root / "notes.txt").write_text("x")
    (root / "10.JPG").write_bytes(encoded(9, format="JPEG"))
    assert names(root) == ["10.JPG", "Forest/0.png", "Forest/1.png", "River/0.png", "River/1.png"]
    assert contents(root)[2] == (root / "Forest/1.png").read_bytes()
    source = ImageSource(str(root))
    assert (source.name, source.revision, source.synthetic) == ("real", "local", False)


def test_hidden_files_and_folders_are_no_images(tmp_path: Path) -> None:
    for name in ("a.png", ".b.png", "._a.png", ".cache/c.png", "d/.e/f.png"):
        path = tmp_path / "real" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(1))
    assert names(tmp_path / "real") == ["a.png"]


def test_one_file_is_a_source(tmp_path: Path) -> None:
    path = tmp_path / "scene.png"
    path.write_bytes(encoded(1))
    assert names(path) == ["scene.png"]
    assert contents(path) == [encoded(1)]


def test_links_to_files_are_followed_and_links_to_nothing_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "real"
    root.mkdir()
    (tmp_path / "blob").write_bytes(encoded(1))
    (root / "a.png").symlink_to(tmp_path / "blob")
    assert contents(root) == [encoded(1)]
    (root / "b.png").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"b\.png: is a link to nothing"):
        names(root)


def test_tars_give_one_image_a_sample_by_position(tmp_path: Path) -> None:
    plain_tar(tmp_path / "data/b.tar", 2)
    plain_tar(tmp_path / "data/sub/a.tar", 1, first=7)
    assert names(tmp_path / "data") == ["b.tar:0000.png", "b.tar:0001.png", "sub/a.tar:0007.png"]
    assert contents(tmp_path / "data") == [encoded(0), encoded(1), encoded(7)]
    assert names(tmp_path / "data/b.tar") == ["b.tar:0000.png", "b.tar:0001.png"]
    where = ImageSource(str(tmp_path / "data")).images[0].where
    assert where == f"{tmp_path}/data/b.tar:0000.png"


def test_a_field_is_named_where_samples_have_several_images(tmp_path: Path) -> None:
    path = write_tar(
        tmp_path / "x.tar",
        member("7.jpg", encoded(1, format="JPEG")),
        member("7.mask.png", encoded(2)),
        member("8.jpg", encoded(3, format="JPEG")),
    )
    with pytest.raises(UserError, match=r"sample '7' has the images 'jpg', 'mask\.png'.*\n.*`field`"):
        names(path)
    assert names(path, "jpg") == ["x.tar:7.jpg", "x.tar:8.jpg"]
    assert contents(path, "MASK.png") == [encoded(2)]
    with pytest.raises(UserError, match=r"no images with the field 'hr\.png'"):
        names(path, "hr.png")


def test_of_pairs_the_high_resolution_image_is_taken(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", member("7.hr.png", encoded(1)), member("7.lr.png", encoded(2)))
    assert contents(path) == [encoded(1)]
    assert contents(path, "lr.png") == [encoded(2)]


def test_samples_of_different_formats_are_one_source(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", member("b.png", encoded(1)), member("./a/c.webp", encoded(2)))
    assert names(path) == ["x.tar:./a/c.webp", "x.tar:b.png"]


def test_a_finished_build_gives_its_packed_shards_and_never_its_candidates(built: Path) -> None:
    packed = {
        f"data/{tar.name}:{key}.hr.png": fields["hr.png"]
        for tar in (built / "data").iterdir()
        for key, fields in members(tar)
    }
    assert list(packed)
    assert len(list((built / "candidates").glob("*.tar"))) == 2
    for place in (built, built / "data"):
        assert dict(zip(names(place), contents(place), strict=True)) == packed
    shard = sorted((built / "data").iterdir())[0]
    assert set(names(shard)) == {name for name in packed if name.startswith(f"data/{shard.name}:")}
    assert set(names(built, "lr.png")) == {name.replace(".hr.", ".lr.") for name in packed}
    with pytest.raises(UserError, match="candidates: holds no packed shards of the build"):
        names(built / "candidates")


def test_images_of_a_model_stay_synthetic_and_crops_of_real_ones_stay_real(
    built: Path, tmp_path: Path
) -> None:
    assert ImageSource(str(built)).synthetic
    assert ImageSource(str(built / "data")).synthetic
    real = real_folder(tmp_path / "real")
    recipe = painted(
        **PAIRS, generator={"method": "real-images", "images": str(real)}, candidates=4, filters=[]
    )
    build(recipe, tmp_path / "out", engine="inline")
    assert not ImageSource(str(tmp_path / "out")).synthetic


@pytest.mark.parametrize("kept", ["nothing", "half of it"])
def test_an_unfinished_build_is_refused(built: Path, tmp_path: Path, kept: str) -> None:
    copy = shutil.copytree(built, tmp_path / "copy")
    text = (copy / "manifest.json").read_text()
    (copy / "manifest.json").unlink()
    if kept != "nothing":
        (copy / "manifest.json").write_text(text[: len(text) // 2])
    for place in (copy, copy / "data"):
        with pytest.raises(UserError, match="is a build that is not finished"):
            names(place)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:-512]), "has another size than the manifest"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"x"), "cut short|damaged"),
        (lambda path: path.write_bytes(path.read_bytes().replace(b"IDAT", b"IDAX")), "has other contents"),
    ],
)
def test_a_changed_build_is_refused(
    built: Path, tmp_path: Path, spoil: Callable[[Path], Any], message: str
) -> None:
    copy = shutil.copytree(built, tmp_path / "copy")
    spoil(sorted((copy / "data").iterdir())[0])
    with pytest.raises(UserError, match=message):
        ImageSource(str(copy)).digest()


def test_a_manifest_leads_nowhere_else(built: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(built, tmp_path / "copy")
    values = json.loads((copy / "manifest.json").read_text())
    plain_tar(tmp_path / "secret.tar")
    values["files"] |= {"data/../../secret.tar": {"bytes": 1, "sha256": "x"}, "../secret.tar": {}}
    (copy / "manifest.json").write_text(json.dumps(values))
    assert names(copy) == names(built)


def test_a_manifest_of_something_else_makes_no_build(tmp_path: Path) -> None:
    plain_tar(tmp_path / "x/data/a.tar", 1)
    (tmp_path / "x/manifest.json").write_text('{"files": {}}')
    assert names(tmp_path / "x") == ["data/a.tar:0000.png"]


def test_a_folder_of_builds_is_refused(built: Path, tmp_path: Path) -> None:
    shutil.copytree(built, tmp_path / "all/one")
    with pytest.raises(UserError, match=r"holds a build of synrs-data among other things: .*/all/one"):
        names(tmp_path / "all")


def test_parquet_shards_are_read_by_row(tmp_path: Path) -> None:
    write_parquet(tmp_path / "d/data/train-00001.parquet", [encoded(3), None])
    write_parquet(tmp_path / "d/data/train-00000.parquet", [encoded(1), encoded(2)])
    assert names(tmp_path / "d") == [
        f"data/train-0000{file}.parquet:00000{row}" for file in (0, 1) for row in (0, 1)
    ]
    assert contents(tmp_path / "d") == [encoded(1), encoded(2), encoded(3), b""]
    assert contents(tmp_path / "d/data/train-00001.parquet") == [encoded(3), b""]


def test_a_column_is_named_where_parquet_has_several(tmp_path: Path) -> None:
    import polars as pl

    cell = [{"bytes": encoded(1), "path": "x"}]
    pl.DataFrame({"before": cell, "after": [{"bytes": encoded(2), "path": None}]}).write_parquet(
        tmp_path / "x.parquet"
    )
    with pytest.raises(UserError, match=r"has the images 'before', 'after'\n.*`field`"):
        names(tmp_path)
    assert contents(tmp_path, "after") == [encoded(2)]
    with pytest.raises(UserError, match="has the images 'before', 'after', not 'image'"):
        names(tmp_path, "image")


def test_columns_named_like_patterns_are_themselves(tmp_path: Path) -> None:
    import polars as pl

    for number, name in enumerate(("*", "^.*$", "hr.png")):
        pl.DataFrame({"a": [{"x": 1}], name: [{"bytes": encoded(number)}]}).write_parquet(
            tmp_path / f"[{number}]*.parquet"
        )
    assert contents(tmp_path) == [encoded(0), encoded(1), encoded(2)]


def test_tables_beside_tars_are_left_alone(tmp_path: Path) -> None:
    import polars as pl

    plain_tar(tmp_path / "00000.tar", 1)
    pl.DataFrame({"url": ["x"]}).write_parquet(tmp_path / "00000.parquet")
    assert names(tmp_path) == ["00000.tar:0000.png"]


def test_a_folder_of_several_kinds_is_refused(tmp_path: Path) -> None:
    plain_tar(tmp_path / "data/a.tar")
    (tmp_path / "banner.png").write_bytes(encoded(1))
    with pytest.raises(UserError, match=r"1 image files \(such as banner\.png\) and 1 tars \(such as data/a"):
        names(tmp_path)
    assert len(names(tmp_path / "data")) == 3


def test_image_files_have_no_fields(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="have no field 'jpg'"):
        names(real_folder(tmp_path / "real"), "jpg")


@pytest.mark.parametrize("content", [{}, {"a.txt": b"x"}, {"a.tar.gz": b"x", "b.zip": b"x"}])
def test_a_source_without_images_says_so(tmp_path: Path, content: dict[str, bytes]) -> None:
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=r"there are no images .*\n.*unpack zip"):
        names(tmp_path)


def test_a_tar_without_images_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there are no images"):
        names(write_tar(tmp_path / "x.tar", member("a.txt", b"x")))


@pytest.mark.parametrize("location", ["", "nowhere", "~nobody-of-this-name/x", "a\0b", "x" * 5000])
def test_a_location_that_is_nothing_is_named(location: str) -> None:
    with pytest.raises(UserError, match=r"(?s)there is no such file or folder.*hf://datasets"):
        assert ImageSource(location).images


def test_a_device_is_no_source() -> None:
    with pytest.raises(UserError, match="is neither a file nor a folder"):
        assert ImageSource("/dev/null").images


def test_a_relative_path_is_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, built: Path) -> None:
    monkeypatch.chdir(built)
    assert ImageSource(".").name == "out"
    assert names(Path("data")) == names(built)


@pytest.mark.parametrize("kind", ["folder", "tar", "parquet"])
def test_the_digest_is_that_of_names_and_contents_wherever_they_lie(tmp_path: Path, kind: str) -> None:
    def write(root: Path, numbers: tuple[int, ...]) -> Path:
        root.mkdir()
        if kind == "folder":
            for place, number in enumerate(numbers):
                (root / f"{place}.png").write_bytes(encoded(number))
        elif kind == "tar":
            parts = [member(f"{place}.png", encoded(number)) for place, number in enumerate(numbers)]
            write_tar(root / "x.tar", *parts)
        else:
            write_parquet(root / "x.parquet", [encoded(number) for number in numbers])
        return root

    def digest(path: Path) -> str:
        return ImageSource(str(path)).digest()

    first = digest(write(tmp_path / "a", (1, 2)))
    assert digest(write(tmp_path / "b", (1, 2))) == first
    others = [digest(write(tmp_path / name, numbers)) for name, numbers in (("c", (2, 1)), ("d", (1, 2, 3)))]
    assert len({first, *others}) == 3


def test_what_has_gone_or_shrunk_is_named_when_it_is_read(tmp_path: Path) -> None:
    image = ImageSource(str(plain_tar(tmp_path / "x.tar"))).images[2]
    whole = (tmp_path / "x.tar").read_bytes()
    (tmp_path / "x.tar").write_bytes(whole[: image.offset + 5])
    with pytest.raises(UserError, match=r"x\.tar:0002\.png: is cut short"):
        image.read()
    (tmp_path / "x.tar").unlink()
    with pytest.raises(UserError, match="cannot be read"):
        image.read()
    row = ImageSource(str(write_parquet(tmp_path / "p" / "x.parquet", [encoded(1)]))).images[0]
    (tmp_path / "p/x.parquet").unlink()
    with pytest.raises(UserError, match="is no whole parquet file"):
        row.read()


def test_pixels_of_every_kind_are_those_of_the_file(tmp_path: Path) -> None:
    real = real_folder(tmp_path / "real", labels=("A",), count=1)
    parquet = write_parquet(tmp_path / "p.parquet", [encoded(0)])
    for place in (real, parquet, plain_tar(tmp_path / "x.tar", 1)):
        image = ImageSource(str(place)).images[0]
        assert (decode_rgb(image.read(), image.where) == paint(0)).all()
