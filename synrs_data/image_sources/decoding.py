"""One rule for what an encoded image is in RGB: nothing is rescaled, flattened or dropped without a word."""

from __future__ import annotations

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageFile, ImageOps, UnidentifiedImageError

from synrs_data.errors import UserError

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF")
"""What is decoded, told by contents; an ending that lies does no harm."""

MAX_PIXELS = 178_956_970
"""Larger images are refused, as Pillow refuses them as decompression bombs (`Image._decompression_bomb_check`)."""

_TILES = "cut it into tiles first (such as by gdal_retile.py)"
_TO_8_BITS = "convert it to 8-bit RGB first: how its values map to colours is your choice"
_MODES = ("RGB", "L", "LA", "P", "PA", "RGBA")
_REDUCED_IMAGE = 1
_SUBFILE_TYPE, _BITS_PER_SAMPLE, _SAMPLES_PER_PIXEL = 254, 258, 277


def decode_rgb(content: bytes, where: str) -> NDArray[np.uint8]:
    """Return the RGB image in some bytes, (height, width, 3), as this rule says.

    | what it is | what it becomes |
    |---|---|
    | 8-bit RGB | itself |
    | 8-bit (or 2- or 4-bit) gray | RGB, its value in all three |
    | palette | the RGB of its palette |
    | any of these with an alpha channel or transparent colour | the same, if every pixel is opaque; else refused |
    | EXIF orientation | applied, as viewers do; it turns pixels and changes none |
    | colour profile | left aside: the values are the file's own |
    | several pages or frames | refused, but overviews of a GeoTIFF and previews in a JPEG (MPO) are left aside |
    | over 8 bits, 1 bit, float, CMYK, YCbCr, Lab, other bands than 1 or 3 | refused |
    | more than 178,956,970 pixels | refused |

    Args:
        content: A JPEG, PNG, WebP or TIFF.
        where: Its place, for messages.

    Raises:
        UserError: It cannot be decoded whole, or is refused.
        MemoryError: There is too little memory for it.
    """
    try:
        # Pillow warns of odd metadata and of images half as large as what it refuses; neither is news here.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = PillowImage.open(io.BytesIO(content), formats=FORMATS)
            fault = _fault(image)
            if fault is None:
                image.load()
                ImageOps.exif_transpose(image, in_place=True)
                pixels = _opaque(image)
    except PillowImage.DecompressionBombError as error:
        raise UserError("has too many pixels", where=where, fix=_TILES) from error
    except MemoryError:
        raise
    except Exception as error:
        # Each of Pillow's decoders raises errors of its own; those of one that knows no format name an address.
        known = isinstance(error, UnidentifiedImageError) or not str(error)
        reason = "it is none of JPEG, PNG, WebP, TIFF" if known else str(error)
        raise UserError(
            f"cannot be read as an image: {reason}", where=where, fix="remove or replace it"
        ) from error
    if fault is None and pixels is None:
        fault = "has transparent pixels", "flatten it, or cut it so that every pixel is opaque"
    if fault is not None:
        raise UserError(fault[0], where=where, fix=fault[1])
    assert pixels is not None
    return pixels


def _fault(image: ImageFile.ImageFile) -> tuple[str, str] | None:
    """Return what is wrong with an image that is opened and not loaded, and what to do; None if nothing is."""
    if image.width * image.height > MAX_PIXELS:
        return f"has {image.width} x {image.height} pixels, too many", _TILES
    if (pages := _pages(image)) > 1:
        return f"has {pages} pages or frames", "save the one that is meant alone"
    bits, bands = _depth(image)
    if bits > 8:
        return f"has {bits} bits a channel, not 8", _TO_8_BITS
    if bands != len(image.getbands()):
        return f"has {bands} bands", "save the three that shall be red, green and blue alone"
    if image.mode not in _MODES:
        return f"has {image.mode} pixels, not 8 bits of RGB or gray", _TO_8_BITS
    return None


def _pages(image: ImageFile.ImageFile) -> int:
    """Return the number of pages or frames, overviews (TIFF 6.0, NewSubfileType bit 0) and previews aside."""
    count = int(getattr(image, "n_frames", 1))
    if count == 1 or image.format == "MPO":
        return 1
    if image.format == "TIFF":
        reduced = 0
        for page in range(1, count):
            image.seek(page)
            reduced += image.tag_v2.get(_SUBFILE_TYPE, 0) == _REDUCED_IMAGE  # type: ignore[attr-defined]
        image.seek(0)
        count -= reduced
    return count


def _depth(image: ImageFile.ImageFile) -> tuple[int, int]:
    """Return bits a channel and bands of the file: Pillow opens 16 bits and a fourth band as 8-bit RGB."""
    if image.format == "TIFF":
        tags = image.tag_v2  # type: ignore[attr-defined]
        return max(tags.get(_BITS_PER_SAMPLE, (1,))), int(tags.get(_SAMPLES_PER_PIXEL, 1))
    # The raw mode, such as "RGB;16B", is the decoder's argument.
    wide = "16" in image.mode or any(";16" in str(tile.args) for tile in image.tile)
    return (16 if wide else 8), len(image.getbands())


def _opaque(image: PillowImage.Image) -> NDArray[np.uint8] | None:
    """Return the RGB of a loaded image, (height, width, 3); None if a pixel is transparent."""
    if "transparency" not in image.info and "A" not in image.mode:
        # `convert` would copy an RGB scene of hundreds of megabytes.
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    pixels = np.asarray(image.convert("RGBA"))
    return pixels[..., :3] if (pixels[..., 3] == 255).all() else None
