"""`leak`: is a candidate a copy of a real image that evaluation needs?"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from pydantic import BaseModel, Field

from synrs_data import files
from synrs_data.errors import UserError
from synrs_data.filters.base import Batch, EncoderOptions, Scores
from synrs_data.filters.perceptual_hash import Hashes, nearest_distance, perceptual_hash
from synrs_data.image_sources.listing import IMAGE_ENDINGS, files_below
from synrs_data.models.encoder import Features, encoder_digest, load_encoder
from synrs_data.recipe import Threshold, path_option
from synrs_data.vocabulary import LabelSet

_AT_ONCE = 64


class LeakOptions(EncoderOptions):
    """Options of `leak`."""

    real: str = path_option(
        description="Real images of an evaluation: a folder of images or of WebDataset tars."
    )
    embedding: bool = Field(
        True, description="Compare features of the encoder too, not only perceptual hashes."
    )


class Leak:
    """Nearest real image by perceptual hash and by the cosine of image features."""

    Options: ClassVar[type[BaseModel]] = LeakOptions
    columns: Mapping[str, str] = {
        "leak_hash_distance": "bits in which the hash differs from the nearest real image's, 0 to 64",
        "leak_similarity": "cosine of features with the nearest real image, -1 to 1",
    }

    def __init__(self, options: LeakOptions, labels: LabelSet) -> None:
        self._options = options
        if not options.embedding:
            self.columns = {"leak_hash_distance": type(self).columns["leak_hash_distance"]}
        self._real: tuple[Hashes, Features | None] | None = None

    def thresholds(self) -> dict[str, Threshold]:
        """Reject hashes within 4 bits: the distance at which `near-duplicate` calls two images one."""
        return {"leak_hash_distance": Threshold(min=5)}

    def digest(self) -> str:
        """Return the digest of the real images' files and of the encoder."""
        options = self._options
        text = "".join(f"{path.name} {files.sha256(path)}\n" for path in _sources(Path(options.real)))
        encoder = encoder_digest(options.model, options.weights) if options.embedding else ""
        return hashlib.sha256(f"{text}{encoder}".encode()).hexdigest()

    @property
    def compared(self) -> int | None:
        """Number of real images that candidates are compared with; None before the first batch."""
        return None if self._real is None else len(self._real[0])

    def score(self, batch: Batch) -> Scores:
        """Return distance and similarity to the nearest real image."""
        hashes, features = self._load(batch.device)
        own = np.array([perceptual_hash(image) for image in batch.images], dtype=np.uint64)
        scores: Scores = {"leak_hash_distance": nearest_distance(own, hashes).astype(float).tolist()}
        if features is not None:
            nearest = (batch.features(self._options.model, self._options.weights) @ features.T).max(axis=1)
            scores["leak_similarity"] = nearest.astype(float).tolist()
        return scores

    def _load(self, device: str) -> tuple[Hashes, Features | None]:
        if self._real is None:
            options = self._options
            hashes: list[int] = []
            parts: list[Features] = []
            waiting: list[NDArray[np.uint8]] = []
            for image in chain(read_images(Path(options.real)), [None]):
                if image is not None:
                    hashes.append(perceptual_hash(image))
                    waiting.append(image)
                if options.embedding and waiting and (image is None or len(waiting) == _AT_ONCE):
                    parts.append(load_encoder(options.model, options.weights, device).images(waiting))
                    waiting.clear()
                elif not options.embedding:
                    waiting.clear()
            self._real = np.array(hashes, dtype=np.uint64), np.concatenate(parts) if parts else None
        return self._real


def read_images(source: Path) -> Iterator[NDArray[np.uint8]]:
    """Yield the RGB images of a folder of image files, or of WebDataset tars, in order of name.

    Raises:
        UserError: There is no image, or one cannot be read.
    """
    for name, content in read_contents(source):
        yield decode(content, name)


def read_contents(source: Path) -> Iterator[tuple[str, bytes]]:
    """Yield where each image of a folder of image files or of WebDataset tars lies, and its bytes, in order of name.

    Raises:
        UserError: There is no image, or a tar cannot be read.
    """
    for path in _sources(source):
        if path.suffix.lower() != ".tar":
            yield str(path), path.read_bytes()
            continue
        try:
            with tarfile.open(path) as tar:
                for member in tar:
                    wanted = member.isreg() and Path(member.name).suffix.lower() in IMAGE_ENDINGS
                    if wanted and (content := tar.extractfile(member)):
                        yield f"{path}:{member.name}", content.read()
        except tarfile.TarError as error:
            raise UserError(
                f"cannot be read as a tar: {error}", where=str(path), fix="copy it again"
            ) from error


def _sources(source: Path) -> list[Path]:
    endings = IMAGE_ENDINGS | {".tar"}
    single = [source] if source.is_file() and source.suffix.lower() in endings else []
    paths = single or files_below(source, endings)
    if not paths:
        raise UserError(
            "there are no images (jpg, png, webp, tif) and no tars of images",
            where=str(source),
            fix="point the recipe at the folder of the evaluation's images",
        )
    return paths


def decode(content: bytes, where: str) -> NDArray[np.uint8]:
    """Return the RGB image in some bytes, (height, width, 3).

    Raises:
        UserError: There is none.
    """
    try:
        return np.asarray(PillowImage.open(io.BytesIO(content)).convert("RGB"))
    except Exception as error:
        # Each of Pillow's decoders raises errors of its own.
        raise UserError(
            f"cannot be read as an image: {error}", where=where, fix="remove or replace it"
        ) from error
