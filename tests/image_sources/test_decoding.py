"""One rule for what an encoded image is in RGB; everything it does not know is refused by name."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from synrs_data.errors import UserError
from synrs_data.image_sources import decode_rgb
from tests.image_sources.samples import encoded
from tests.real_folder import paint

PIXELS = paint(3)
GRAY = PIXELS[..., 0]


def save(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def tiff(bands: np.ndarray[Any, Any], **tags: int | tuple[int, ...]) -> bytes:
    """Return an uncompressed TIFF of (height, width, bands), as GIS programs write them and Pillow cannot."""
    height, width, count = bands.shape
    bits = bands.dtype.itemsize * 8
    known = {"photometric": 262, "extra": 338, "format": 339, "subfile": 254}
    fields: dict[int, tuple[int, ...]] = {
        256: (width,),
        257: (height,),
        258: (bits,) * count,
        259: (1,),
        262: (2,),
        273: (8,),
        277: (count,),
        278: (height,),
        279: (bands.nbytes,),
    }
    for name, value in tags.items():
        fields[known[name]] = value if isinstance(value, tuple) else (value,)
    data = bands.astype(bands.dtype.newbyteorder("<")).tobytes()
    data += b"\0" * (len(data) % 2)
    directory = 8 + len(data)
    far = directory + 2 + 12 * len(fields) + 4
    entries, rest = b"", b""
    for tag, values in sorted(fields.items()):
        kind, code = (3, "H") if tag in (258, 338, 339) or max(values) < 65536 else (4, "I")
        packed = struct.pack(f"<{len(values)}{code}", *values)
        if len(packed) > 4:
            packed, rest = struct.pack("<I", far + len(rest)), rest + packed
        entries += struct.pack("<HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    return (
        b"II*\0"
        + struct.pack("<I", directory)
        + data
        + struct.pack("<H", len(fields))
        + entries
        + bytes(4)
        + rest
    )


def png(depth: int, colour: int, width: int, height: int, rows: bytes) -> bytes:
    """Return a PNG of any header."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def test_rgb_is_itself_in_every_format() -> None:
    image = Image.fromarray(PIXELS)
    for content in (save(image), save(image, "TIFF"), save(image, "WEBP", lossless=True), tiff(PIXELS)):
        found = decode_rgb(content, "x")
        assert found.dtype == np.uint8
        assert np.array_equal(found, PIXELS)
    assert (
        np.abs(
            decode_rgb(encoded(3, format="JPEG", quality=100, subsampling=0), "x").astype(int) - PIXELS
        ).max()
        < 8
    )


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_gray_is_replicated_and_an_opaque_alpha_left_out(format: str) -> None:
    gray = Image.fromarray(GRAY)
    opaque = Image.new("L", gray.size, 255)
    for image in (gray, Image.merge("LA", (gray, opaque))):
        assert np.array_equal(decode_rgb(save(image, format), "x"), np.stack([GRAY] * 3, axis=-1))


def test_gray_of_two_bits_is_scaled_to_eight() -> None:
    found = decode_rgb(png(2, 0, 4, 1, b"\0\x1b"), "x")
    assert found[0, :, 0].tolist() == [0, 85, 170, 255]


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_a_palette_becomes_its_colours(format: str) -> None:
    image = Image.frombytes("P", (3, 1), bytes([0, 1, 2]))
    image.putpalette([9, 8, 7, 200, 10, 0, 1, 2, 3])
    assert decode_rgb(save(image, format), "x").tolist() == [[[9, 8, 7], [200, 10, 0], [1, 2, 3]]]


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_opaque_rgba_is_rgb_and_a_transparent_pixel_is_refused(format: str) -> None:
    options: dict[str, Any] = {"lossless": True, "exact": True} if format == "WEBP" else {}
    rgba = np.dstack([PIXELS, np.full(PIXELS.shape[:2], 255, np.uint8)])
    assert np.array_equal(decode_rgb(save(Image.fromarray(rgba), format, **options), "x"), PIXELS)
    rgba[5, 5, 3] = 254
    with pytest.raises(UserError, match=r"a/b\.png: has transparent pixels\n.*flatten"):
        decode_rgb(save(Image.fromarray(rgba), format, **options), "a/b.png")


def test_a_transparent_colour_is_refused_where_it_is_used() -> None:
    used = tuple(int(value) for value in PIXELS[0, 0])
    with pytest.raises(UserError, match="transparent"):
        decode_rgb(save(Image.fromarray(PIXELS), transparency=used), "x")
    unused = (used[0], used[1], (used[2] + 1) % 256)
    assert unused not in set(map(tuple, PIXELS.reshape(-1, 3).tolist()))
    assert np.array_equal(decode_rgb(save(Image.fromarray(PIXELS), transparency=unused), "x"), PIXELS)
    with pytest.raises(UserError, match="transparent"):
        decode_rgb(save(Image.fromarray(GRAY), transparency=int(GRAY[0, 0])), "x")
    palette = Image.frombytes("P", (2, 1), bytes([0, 1]))
    palette.putpalette([9, 8, 7, 200, 10, 0])
    with pytest.raises(UserError, match="transparent"):
        decode_rgb(save(palette, transparency=b"\xff\x00"), "x")
    assert decode_rgb(save(palette, transparency=b"\xff\xff"), "x").tolist() == [[[9, 8, 7], [200, 10, 0]]]


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_orientation_of_exif_is_applied(format: str, orientation: int) -> None:
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"lossless": True} if format == "WEBP" else {}
    found = decode_rgb(save(Image.fromarray(pixels), format, exif=exif, **options), "x")
    turned = np.rot90(pixels, {1: 0, 3: 2, 6: 3, 8: 1}[orientation])
    assert found.shape == turned.shape
    assert np.abs(found.astype(int) - turned).max() < 10


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (png(16, 2, 1, 1, b"\0" + bytes(range(6))), "has 16 bits a channel, not 8"),
        (png(16, 6, 1, 1, b"\0" + bytes(range(8))), "has 16 bits a channel, not 8"),
        (save(Image.fromarray(np.full((4, 4), 300, np.uint16))), "has 16 bits a channel, not 8"),
        (save(Image.fromarray(np.full((4, 4), 300, np.uint16)), "TIFF"), "has 16 bits a channel, not 8"),
        (tiff(PIXELS.astype(np.uint16) * 9), "has 16 bits a channel, not 8"),
        (save(Image.fromarray(np.full((4, 4), 0.5, np.float32)), "TIFF"), "has 32 bits a channel, not 8"),
        (save(Image.fromarray(np.full((4, 4), 7, np.int32)), "TIFF"), "has 32 bits a channel, not 8"),
        (tiff(np.dstack([PIXELS, GRAY]), extra=0), "has 4 bands\n"),
        (tiff(np.dstack([PIXELS, GRAY, GRAY]), extra=(0, 0)), "has 5 bands\n"),
        (tiff(np.dstack([GRAY, GRAY]), photometric=1, extra=0), "has 2 bands\n"),
        (save(Image.fromarray(PIXELS).convert("CMYK"), "JPEG"), "has CMYK pixels"),
        (save(Image.fromarray(PIXELS).convert("CMYK"), "TIFF"), "has CMYK pixels"),
        (save(Image.fromarray(PIXELS).convert("LAB"), "TIFF"), "has LAB pixels"),
        (save(Image.fromarray(GRAY).convert("1")), "has 1 pixels, not 8 bits"),
    ],
)
def test_what_has_other_values_than_eight_bits_of_rgb_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(UserError, match=f"a/b: {message}") as caught:
        decode_rgb(content, "a/b")
    assert caught.value.fix


def test_a_fourth_band_without_a_name_is_taken_for_alpha_and_refused() -> None:
    with pytest.raises(UserError, match="transparent"):
        decode_rgb(tiff(np.dstack([PIXELS, GRAY])), "x")


def test_pages_and_frames_are_refused_but_overviews_are_not() -> None:
    image, small = Image.fromarray(PIXELS), Image.fromarray(PIXELS[::2, ::2])
    for format in ("TIFF", "PNG", "WEBP"):
        content = save(image, format, save_all=True, append_images=[Image.fromarray(PIXELS[::-1])])
        with pytest.raises(UserError, match="has 2 pages or frames"):
            decode_rgb(content, "x")
    small.encoderinfo = {"tiffinfo": {254: 1}}
    assert np.array_equal(decode_rgb(save(image, "TIFF", save_all=True, append_images=[small]), "x"), PIXELS)
    small.encoderinfo = {"tiffinfo": {254: 4}}
    with pytest.raises(UserError, match="has 2 pages"):
        decode_rgb(save(image, "TIFF", save_all=True, append_images=[small]), "x")


def test_previews_of_a_jpeg_are_left_aside() -> None:
    image = Image.fromarray(PIXELS)
    content = save(image, "MPO", save_all=True, append_images=[Image.fromarray(PIXELS[::-1])])
    with Image.open(io.BytesIO(content)) as opened:
        assert opened.format == "MPO"
    assert np.abs(decode_rgb(content, "x").astype(int) - decode_rgb(save(image, "JPEG"), "x")).max() < 3


def test_a_colour_profile_changes_no_value() -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert np.array_equal(decode_rgb(save(Image.fromarray(PIXELS), icc_profile=profile), "x"), PIXELS)


@pytest.mark.parametrize("side", [13_378, 60_000, 2**31 - 1])
def test_decompression_bombs_are_refused_before_they_are_decoded(side: int) -> None:
    with pytest.raises(UserError, match=r"(?s)too many.*tiles|cannot be read"):
        decode_rgb(png(8, 2, side, side, b""), "x")


def test_bombs_are_refused_whatever_another_library_tells_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(UserError, match=r"has 60000 x 60000 pixels, too many"):
        decode_rgb(png(8, 2, 60_000, 60_000, b""), "x")


def test_a_bomb_of_text_is_refused() -> None:
    info = PngInfo()
    info.add_text("x", "y" * (2 << 20), zip=True)
    with pytest.raises(UserError, match="cannot be read as an image"):
        decode_rgb(save(Image.fromarray(PIXELS), pnginfo=info), "x")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.6, 0.95])
def test_a_truncated_image_is_refused(format: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    content = save(Image.fromarray(noise), format)
    with pytest.raises(UserError, match="cannot be read as an image"):
        decode_rgb(content[: int(len(content) * share)], "x")


@pytest.mark.parametrize(
    "content", [b"", b"GIF89a", save(Image.fromarray(PIXELS), "GIF"), b"version https://git-lfs"]
)
def test_other_formats_are_refused_without_an_address_in_memory(content: bytes) -> None:
    with pytest.raises(UserError, match="it is none of JPEG, PNG, WebP, TIFF") as caught:
        decode_rgb(content, "x")
    assert "0x" not in str(caught.value)


def test_too_little_memory_is_no_fault_of_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(MemoryError):
        decode_rgb(encoded(1), "x")


def test_pillow_warns_nobody() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserError):
            decode_rgb(png(8, 2, 10_000, 10_000, b"\0"), "x")
