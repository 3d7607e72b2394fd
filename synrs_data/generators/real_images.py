"""The generator `real-images`: crops of existing images, from a folder, tars, a build, parquet or the Hub."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import BaseModel, Field

from synrs_data.errors import UserError
from synrs_data.generators.base import Image, draw
from synrs_data.image_sources import ImageSource, SourceImage, decode_rgb
from synrs_data.recipe import Model, path_option
from synrs_data.sample import GeneratorIdentity, Inputs, Request

Side = Annotated[int, Field(ge=1)]

TRIES = 64
"""So many images one after the other that cannot be used stop a build."""

_ROUNDS = 4


class RealImagesOptions(Model):
    """Options of the generator `real-images`."""

    images: str = path_option(
        description="Folder of images, WebDataset tar(s), finished build, parquet shards, "
        "or hf://datasets/USER/NAME[@REVISION][/PATH]."
    )
    field: str | None = Field(
        None,
        min_length=1,
        description="Field of tars or column of parquet; null: hr.png if there is one, else the only image.",
    )
    crop: Side | tuple[Side, Side] | None = Field(
        None, description="Side of a crop in pixels, or [height, width]; null: the whole image."
    )
    multiple_of: int = Field(
        8, ge=1, description="Whole images are cut at the centre so that both sides are multiples of this."
    )
    seed: int = Field(0, ge=0, description="Order of the images: each comes once before any comes again.")
    license: str = Field("unknown", description="Licence of the images.")
    evaluation: str | None = path_option(
        None, description="Real images of an evaluation (folder or tars), none of which may be a source."
    )
    batch_size: int = Field(16, ge=1, description="Images cut together.")


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """What one request gets.

    Attributes:
        pixels: RGB, (height, width, 3).
        source: Name of the image.
        sha256: Digest of its encoded bytes.
        top: First row.
        left: First column.
        passed_over: Names of the images that came before it and cannot be used.
    """

    pixels: Image
    source: str
    sha256: str
    top: int
    left: int
    passed_over: tuple[str, ...]


class RealImages:
    """Crops existing images: request i of a build gets image i of a seeded order, which is another in each round.

    An image that cannot be decoded or is smaller than the crop is passed over and named in the sample; the next
    one is drawn by the request's own seed. So a crop depends on recipe, request and the images' bytes alone.
    """

    Options: ClassVar[type[BaseModel]] = RealImagesOptions
    extra_fields: tuple[str, ...] = ()

    def __init__(self, options: RealImagesOptions) -> None:
        self._options = options
        self._unreadable: dict[str, str] = {}
        # `inputs` and `generate` are asked for the same batch one after the other.
        self._crop = lru_cache(maxsize=options.batch_size)(self._make_crop)

    @property
    def batch_size(self) -> int:
        """Images cut together."""
        return self._options.batch_size

    @property
    def evaluation(self) -> str | None:
        """Real images none of which may be a source."""
        return self._options.evaluation

    @property
    def unreadable(self) -> Mapping[str, str]:
        """Images that this instance has met and cannot use, with the reason, by name."""
        return MappingProxyType(self._unreadable)

    @cached_property
    def _source(self) -> ImageSource:
        return ImageSource(self._options.images, self._options.field)

    def digest(self) -> str:
        """Return the digest of the source; see `ImageSource.digest`."""
        return self._source.digest()

    def sources(self, labels: Sequence[str]) -> Sequence[SourceImage]:
        """Return every image, whatever the labels; see `SourcedGenerator.sources`."""
        return self._source.images

    def load(self, device: str) -> GeneratorIdentity:
        """Index the source and say what it is; nothing goes to a device.

        Raises:
            UserError: It has no images, or cannot be read as it stands.
        """
        source = self._source
        return GeneratorIdentity(
            model=source.name,
            revision=source.revision,
            sha256=source.digest(),
            family="real images",
            scheduler="",
            steps=0,
            guidance_scale=0.0,
            negative_prompt="",
            license=self._options.license,
            parameters={},
            synthetic=source.synthetic,
            real_sources=not source.synthetic,
        )

    def inputs(self, request: Request) -> Inputs:
        """Return the request's image and where its crop lies; see `ConditionedGenerator.inputs`."""
        crop = self._crop(request)
        parameters: dict[str, Any] = {"source": crop.source, "crop.top": crop.top, "crop.left": crop.left}
        if crop.passed_over:
            parameters["unreadable"] = list(crop.passed_over)
        return Inputs(derived_from=crop.sha256, parameters=parameters)

    def generate(self, requests: Sequence[Request]) -> list[Image]:
        """Return one crop a request, (height, width, 3).

        Raises:
            UserError: None of many images can be used, or a file of the source has gone.
            MemoryError: There is too little memory to decode an image.
        """
        return [self._crop(request).pixels for request in requests]

    def _make_crop(self, request: Request) -> Crop:
        passed_over: list[str] = []
        for image in self._candidates(request):
            found = self._cut(image, request, tuple(passed_over))
            if found is not None:
                return found
            passed_over.append(image.name)
        reason = self._unreadable[passed_over[0]]
        raise UserError(
            f"{len(passed_over)} images one after the other cannot be used; the first: {reason}",
            where=self._options.images,
            fix="mend the source, name its `field`, or ask for a smaller `crop`",
        )

    def _candidates(self, request: Request) -> Iterator[SourceImage]:
        """Yield the image whose turn it is, then others by the request's seed, `TRIES` in all."""
        images = self._source.images
        count = len(images)
        turn, place = divmod(request.index, count)
        first = permuted(place, count, f"{self._options.seed}/{turn}")
        yield images[first]
        others = (permuted(number, count, f"instead/{request.seed}") for number in range(min(TRIES, count)))
        yield from [images[other] for other in others if other != first][: TRIES - 1]

    def _cut(self, image: SourceImage, request: Request, passed_over: tuple[str, ...]) -> Crop | None:
        """Return the crop of an image; None if it cannot be used, which is remembered."""
        if image.name in self._unreadable:
            return None
        # A file that has gone is no property of the images: that stops the build.
        content = image.read()
        try:
            pixels = decode_rgb(content, image.where)
            height, width = self._size(pixels, image)
        except UserError as error:
            self._unreadable[image.name] = f"{error.where}: {error.what}"
            return None
        top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
        if self._options.crop is not None:
            top = draw("crop.top", request, pixels.shape[0] - height + 1)
            left = draw("crop.left", request, pixels.shape[1] - width + 1)
        return Crop(
            # A copy, so that a crop does not keep its whole scene in memory.
            np.array(pixels[top : top + height, left : left + width]),
            image.name,
            hashlib.sha256(content).hexdigest(),
            top,
            left,
            passed_over,
        )

    def _size(self, pixels: Image, image: SourceImage) -> tuple[int, int]:
        """Return height and width of the crop of an image."""
        rows, columns = pixels.shape[:2]
        crop, multiple = self._options.crop, self._options.multiple_of
        if crop is None:
            height, width = rows // multiple * multiple, columns // multiple * multiple
            least = (multiple, multiple)
        else:
            height, width = least = (crop, crop) if isinstance(crop, int) else crop
        if rows < least[0] or columns < least[1]:
            raise UserError(
                f"is {rows} x {columns} pixels, smaller than {least[0]} x {least[1]}", where=image.where
            )
        return height, width


def permuted(position: int, count: int, key: str) -> int:
    """Return where a permutation of `range(count)`, another for each key, puts a position.

    A Feistel network of hashes over an even power of two (Luby and Rackoff, SIAM J. Comput. 17(2), 1988), walked
    until it is below `count` (Black and Rogaway, CT-RSA 2002): no table, and no library's idea of randomness.

    Args:
        position: 0 to count - 1.
        count: At least 1.
        key: Names the permutation.
    """
    half = max(1, ((count - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    while True:
        left, right = position >> half, position & mask
        for number in range(_ROUNDS):
            digest = hashlib.blake2b(f"{key}/{number}/{right}".encode(), digest_size=8).digest()
            left, right = right, left ^ (int.from_bytes(digest, "big") & mask)
        position = left << half | right
        if position < count:
            return position
