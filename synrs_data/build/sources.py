"""Check the real images that a build starts from, before it starts: none may belong to an evaluation."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from synrs_data.errors import UserError
from synrs_data.filters.leak import decode, read_contents
from synrs_data.filters.perceptual_hash import nearest_distance, perceptual_hash
from synrs_data.generators.base import SourcedGenerator
from synrs_data.image_sources import SourceImage, decode_rgb

NEAR = 4
"""Bits within which two perceptual hashes are called one image, as by the filters."""


def check_sources(generator: Any, labels: Sequence[str]) -> None:
    """Check the sources of a generator that starts from real images.

    Raises:
        UserError: A label has too few, one cannot be read, or one is an image of the evaluation.
    """
    if not isinstance(generator, SourcedGenerator):
        return
    sources = generator.sources(labels)
    if generator.evaluation is not None:
        check_clash(sources, Path(generator.evaluation))


def check_clash(sources: Sequence[Path | SourceImage], evaluation: Path) -> None:
    """Check that no source is an image of the evaluation, by sha256 and by perceptual hash.

    Args:
        sources: Real images that a build starts from.
        evaluation: A folder of images, or of WebDataset tars.

    Raises:
        UserError: One is, or an image cannot be read.
    """
    digests: dict[bytes, str] = {}
    places: list[str] = []
    found: list[int] = []
    for source in sources:
        if isinstance(source, SourceImage):
            where, content = source.where, source.read()
            try:
                image = decode_rgb(content, where)
            except UserError:
                # An index holds all that looks like an image; what cannot be read is in no sample.
                continue
        else:
            where, content = str(source), source.read_bytes()
            image = decode(content, where)
        digests[hashlib.sha256(content).digest()] = where
        places.append(where)
        found.append(perceptual_hash(image))
    if not places:
        return
    hashes = np.array(found, dtype=np.uint64)
    for name, content in read_contents(evaluation):
        same = digests.get(hashlib.sha256(content).digest())
        if same is not None:
            raise _clash(same, name, "is the same file as")
        own = np.array([perceptual_hash(decode(content, name))], dtype=np.uint64)
        distances = nearest_distance(hashes, own)
        nearest = int(distances.argmin())
        if distances[nearest] <= NEAR:
            what = f"looks like (perceptual hashes {distances[nearest]} bits apart)"
            raise _clash(places[nearest], name, what)


def _clash(where: str, real: str, what: str) -> UserError:
    return UserError(
        f"this source {what} {real}, which belongs to the evaluation",
        where=where,
        fix="take it out of the sources, or the evaluation would test on what the dataset was made from",
    )
