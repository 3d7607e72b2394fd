"""Control maps: where they come from, which one a request gets, how they are prepared, what is refused."""

from __future__ import annotations

import io
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synrs_data.errors import UserError
from synrs_data.generators.control_maps import ControlMaps, png, prepare_map
from synrs_data.generators.palettes import Palette, PaletteClass
from synrs_data.geo import GeoRecord
from synrs_data.sample import Request
from tests.real_folder import paint, real_folder
from tests.tiny_controlnet import write_maps, write_mask

PALETTE = Palette(
    name="two",
    source="test",
    classes=(
        PaletteClass(name="none", rgb=(0, 0, 0)),
        PaletteClass(name="road", rgb=(200, 10, 0)),
        PaletteClass(name="ignore", rgb=(9, 9, 9), index=255),
    ),
)


def request(seed: int = 0, image: str = "", label: str = "") -> Request:
    return Request(prompt="x", label=0, seed=seed, geo=GeoRecord(), image=image, label_name=label)


def encoded(number: int, side: int = 16) -> bytes:
    return png(Image.fromarray(paint(number, side)))


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def test_a_caption_gets_the_map_that_it_names_with_or_without_its_ending(tmp_path: Path) -> None:
    maps = ControlMaps(real_folder(tmp_path / "maps", count=2))
    assert list(maps.maps) == ["Forest/0.png", "Forest/1.png", "River/0.png", "River/1.png"]
    for name in ("River/1.png", "River/1"):
        assert maps.choose(request(image=name)).key == "River/1.png"


def test_a_name_of_two_maps_or_of_none_is_refused(tmp_path: Path) -> None:
    write_maps(tmp_path, count=1)
    Image.fromarray(paint(1)).save(tmp_path / "0.jpg")
    maps = ControlMaps(tmp_path)
    assert maps.choose(request(image="0.jpg")).key == "0.jpg"
    with pytest.raises(UserError, match=r"has the maps 0\.jpg, 0\.png for the image '0'"):
        maps.choose(request(image="0"))
    for name in ("0.webp", "../0.png", "1"):
        with pytest.raises(UserError, match=f"has no map '{name}'"):
            maps.choose(request(image=name))


def test_captions_without_an_image_get_maps_by_their_seeds(tmp_path: Path) -> None:
    maps = ControlMaps(write_maps(tmp_path, count=4))
    keys = [maps.choose(request(seed)).key for seed in range(400)]
    assert keys == [ControlMaps(tmp_path).choose(request(seed)).key for seed in range(400)]
    counts = Counter(keys)
    assert len(counts) == 4
    assert min(counts.values()) > 60


def test_maps_of_the_folder_of_a_label_go_to_its_captions_if_so_wished(tmp_path: Path) -> None:
    folder = real_folder(tmp_path / "maps")
    maps = ControlMaps(folder, by_label=True)
    rivers = {maps.choose(request(seed, label="River")).key for seed in range(40)}
    assert rivers == {f"River/{number}.png" for number in range(4)}
    assert maps.choose(request(image="Forest/0", label="River")).key == "Forest/0.png"
    with pytest.raises(UserError, match="has no folder of maps for the label 'Sea'"):
        maps.choose(request(label="Sea"))
    anyhow = ControlMaps(folder)
    assert len({anyhow.choose(request(seed, label="River")).key for seed in range(80)}) == 8


def test_maps_of_tars_are_found_by_the_key_of_their_sample(tmp_path: Path) -> None:
    write_tar(tmp_path / "1.tar", {"a/7.png": encoded(7), "a/7.txt": b"x", "a/7.json": b"{}"})
    write_tar(tmp_path / "2.tar", {"8.png": encoded(8), "9.jpg": encoded(9)})
    maps = ControlMaps(tmp_path)
    assert list(maps.maps) == ["8", "9", "a/7"]
    assert maps.choose(request(image="a/7")).read() == encoded(7)
    assert maps.choose(request(image="8.png")).read() == encoded(8)
    assert maps.choose(request(image="9")).where.endswith("2.tar, member 9.jpg")
    assert list(ControlMaps(tmp_path / "2.tar").maps) == ["8", "9"]


def test_a_field_says_which_image_of_a_sample_is_the_map(tmp_path: Path) -> None:
    write_tar(tmp_path / "1.tar", {"7.jpg": encoded(1), "7.mask.png": encoded(2)})
    with pytest.raises(UserError, match=r"two maps of the key '7'.*\n.*maps_field"):
        ControlMaps(tmp_path).choose(request())
    assert ControlMaps(tmp_path, "mask.png").choose(request()).read() == encoded(2)
    with pytest.raises(UserError, match=r"no maps .* field 'control\.png'"):
        ControlMaps(tmp_path, "control.png").choose(request())


@pytest.mark.parametrize("build", [write_maps, lambda path: write_tar(path, {"0.png": encoded(0)})])
def test_the_digest_is_that_of_names_and_contents(tmp_path: Path, build: object) -> None:
    assert callable(build)
    source = build(tmp_path / "x")
    first = ControlMaps(source).digest()
    assert first == ControlMaps(source).digest()
    assert first != ControlMaps(source, "png").digest() or source.is_dir()
    if source.is_dir():
        (source / "0.png").write_bytes(encoded(5))
    else:
        write_tar(source, {"0.png": encoded(5)})
    assert ControlMaps(source).digest() != first


def test_a_link_in_a_tar_is_no_map(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "1.tar", {"7.png": encoded(7)})
    with tarfile.open(path, "a") as tar:
        info = tarfile.TarInfo("8.png")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info)
    assert list(ControlMaps(path).maps) == ["7"]


def test_no_maps_and_damaged_tars_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="there are no maps"):
            ControlMaps(path).choose(request())
    broken = tmp_path / "1.tar"
    broken.write_bytes(b"no tar" * 500)
    with pytest.raises(UserError, match="no whole, uncompressed tar"):
        ControlMaps(tmp_path).choose(request())
    whole = write_tar(broken, {"7.png": encoded(7, side=256)}).read_bytes()
    item = ControlMaps(tmp_path).choose(request())
    broken.write_bytes(whole[:700])
    with pytest.raises(UserError, match=r"1\.tar, member 7\.png: is cut short"):
        item.read()
    broken.unlink()
    with pytest.raises(UserError, match="cannot be read"):
        item.read()


@pytest.mark.parametrize("content", [b"", b"GIF89a", encoded(1)[:60]])
def test_a_map_that_is_no_image_is_refused_by_name(content: bytes) -> None:
    with pytest.raises(UserError, match=r"maps/7\.png: cannot be read as an image"):
        prepare_map(content, (16, 16), where="maps/7.png", palette=None, resample="bicubic")


def test_a_map_of_16_bits_needs_a_palette() -> None:
    content = png(Image.fromarray(np.full((4, 4), 1, dtype=np.uint16)))
    with pytest.raises(UserError, match="not 8 bits a channel"):
        prepare_map(content, (4, 4), where="7.png", palette=None, resample="bicubic")
    painted = prepare_map(content, (4, 4), where="7.png", palette=PALETTE, resample="nearest")
    assert painted.getpixel((0, 0)) == (200, 10, 0)


@pytest.mark.parametrize("mode", ["L", "P"])
def test_indices_are_painted_whatever_the_file_thinks_of_their_colours(mode: str) -> None:
    mask = Image.frombytes(mode, (3, 1), bytes([0, 1, 255]))
    if mode == "P":
        mask.putpalette([7, 8, 9] * 256)
    painted = prepare_map(png(mask), (3, 1), where="m", palette=PALETTE, resample="nearest")
    assert np.asarray(painted).tolist() == [[[0, 0, 0], [200, 10, 0], [9, 9, 9]]]


def test_an_index_or_colour_of_no_class_is_refused_with_its_place(tmp_path: Path) -> None:
    indices = np.zeros((4, 4))
    indices[2, 3] = 2
    content = write_mask(tmp_path / "m.png", indices).read_bytes()
    with pytest.raises(
        UserError, match=r"m\.png: has the index 2 at row 2, column 3, which no class of the pal"
    ):
        prepare_map(content, (4, 4), where="m.png", palette=PALETTE, resample="nearest")
    colours = np.zeros((4, 4, 3), dtype=np.uint8)
    colours[1, 0] = (200, 10, 1)
    with pytest.raises(UserError, match=r"has the colour \[200, 10, 1\] at row 1, column 0"):
        prepare_map(png(Image.fromarray(colours)), (4, 4), where="m", palette=PALETTE, resample="nearest")


def test_nearest_invents_no_colour_and_bicubic_does_not_alias() -> None:
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = (200, 10, 0)
    content = png(Image.fromarray(stripes))
    mask = prepare_map(content, (24, 24), where="m", palette=PALETTE, resample="nearest")
    assert set(map(tuple, np.asarray(mask).reshape(-1, 3).tolist())) <= {(0, 0, 0), (200, 10, 0)}
    photo = np.asarray(prepare_map(content, (24, 24), where="m", palette=None, resample="bicubic"))
    assert abs(photo[..., 0].astype(int) - 100).max() < 25


def test_the_longer_side_is_cut_so_that_nothing_is_stretched() -> None:
    wide = np.zeros((16, 32, 3), dtype=np.uint8)
    wide[:, 8:24] = 255
    found = prepare_map(png(Image.fromarray(wide)), (8, 8), where="m", palette=None, resample="nearest")
    assert np.asarray(found).min() == 255
