"""The sets that are compared: features of images wherever they lie, or features that were saved."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from synrs_data import files
from synrs_data.errors import UserError
from synrs_data.evaluate.distribution.extractors import Extractor
from synrs_data.evaluate.distribution.leaks import Marks, pixel_digest
from synrs_data.evaluate.distribution.records import ExtractorRecord, SetRecord
from synrs_data.filters.perceptual_hash import perceptual_hash
from synrs_data.image_sources import ImageSource, SourceImage, decode_rgb
from synrs_data.image_sources.containers import tar_images
from synrs_data.vocabulary import explain

Role = Literal["synthetic", "real", "train", "test"]
ROLES: tuple[Role, ...] = ("synthetic", "real", "train", "test")

SAVED = ".safetensors"
_AT_ONCE = 64
_LINES = 10
_FORMAT = (
    "write image_features (n, width) as float32, with the metadata `extractor` (id, kind, sha256, width, "
    "preprocessing as JSON) and `names` (a JSON list), as `--save-features` does"
)


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """A set of images by their features.

    Attributes:
        record: Role, place, size and digest.
        extractor: What made the features.
        names: Of the images.
        features: (n, width).
        marks: What copies are found by; None for saved features.
        images: Where the images lie; empty for saved features.
        captions: One an image; empty where there are none.
    """

    record: SetRecord
    extractor: ExtractorRecord
    names: tuple[str, ...]
    features: NDArray[np.float32]
    marks: Marks | None = None
    images: tuple[SourceImage, ...] = ()
    captions: tuple[str, ...] = field(default=())

    def drawn(self, count: int, *, seed: int) -> NDArray[np.float64]:
        """Return the features of `count` images, drawn without replacement, all if there are no more."""
        rows = _some(len(self.features), count, seed, self.record.role)
        return np.asarray(self.features[rows], dtype=np.float64)


def is_saved(location: str) -> bool:
    """Return whether a location is a file of saved features."""
    return location.endswith(SAVED)


def read_set(
    role: Role,
    location: str,
    extractor: Extractor | None,
    *,
    most: int | None,
    seed: int,
    progress: Callable[[str], None],
) -> FeatureSet:
    """Return the features of a location.

    Args:
        role: What it is in the comparison.
        location: Of images, as for `ImageSource`, or a file of saved features.
        extractor: For images.
        most: Take so many images at most, drawn by `seed`; None for all.
        seed: See `most`.
        progress: Told in a line how far it is, about ten times.

    Raises:
        UserError: There are no images or features, one cannot be read, or there is no extractor for images.
    """
    if is_saved(location):
        return _read_saved(role, Path(location).expanduser())
    assert extractor is not None
    source = ImageSource(location)
    there = source.images
    images = [there[row] for row in _some(len(there), most, seed, role)]
    parts, pixels, hashes = [], [], []
    for start in range(0, len(images), _AT_ONCE):
        decoded = [decode_rgb(image.read(), image.where) for image in images[start : start + _AT_ONCE]]
        parts.append(extractor.images(decoded))
        pixels += [pixel_digest(image) for image in decoded]
        hashes += [perceptual_hash(image) for image in decoded]
        if len(pixels) * _LINES // len(images) > start * _LINES // len(images):
            progress(f"{role}: {len(pixels):,} of {len(images):,} images")
    return FeatureSet(
        record=SetRecord(role=role, location=location, n=len(images), of=len(there), sha256=source.digest()),
        extractor=extractor.record,
        names=tuple(image.name for image in images),
        features=np.concatenate(parts),
        marks=Marks(tuple(pixels), np.array(hashes, dtype=np.uint64)),
        images=tuple(images),
        captions=captions_of(images) if role == "synthetic" else (),
    )


def captions_of(images: list[SourceImage]) -> tuple[str, ...]:
    """Return the caption of each image of WebDataset tars, its sample's field `txt`; empty if one has none.

    Raises:
        UserError: A tar cannot be read, or a caption is not UTF-8.
    """
    found: dict[tuple[Path, str], str] = {}
    for path in sorted({image.path for image in images}):
        if path.suffix.lower() != ".tar":
            return ()
        for member, offset, size in tar_images(path, "txt", "txt"):
            content = SourceImage(member, path, member, offset, size).read()
            try:
                found[path, _key(member)] = content.decode("utf-8").strip()
            except UnicodeDecodeError as error:
                raise UserError(
                    f"the caption {member!r} is not UTF-8", where=str(path), fix="make the tar again"
                ) from error
    captions = [found.get((image.path, _key(image.member)), "") for image in images]
    return tuple(captions) if all(captions) else ()


def save_features(path: Path, found: FeatureSet) -> None:
    """Write features so that `read_set` reads them again."""
    from safetensors.numpy import save

    metadata = {
        "extractor": found.extractor.model_dump_json(),
        "names": json.dumps(list(found.names)),
        "location": found.record.location,
    }
    features = np.ascontiguousarray(found.features, dtype=np.float32)
    files.write_bytes(path, save({"image_features": features}, metadata=metadata))


def _read_saved(role: Role, path: Path) -> FeatureSet:
    from pydantic import ValidationError
    from safetensors import SafetensorError, safe_open

    if not files.exists(path) or not path.is_file():
        raise UserError("there is no such file of features", where=str(path), fix="correct the path")
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            features = file.get_tensor("image_features") if "image_features" in file.keys() else None  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(f"cannot be read as safetensors: {error}", where=str(path), fix=_FORMAT) from error
    if features is None or "extractor" not in metadata:
        missing = "tensor `image_features`" if features is None else "metadata `extractor`"
        raise UserError(f"has no {missing}", where=str(path), fix=_FORMAT)
    try:
        extractor = ExtractorRecord.model_validate_json(metadata["extractor"])
    except ValidationError as error:
        raise UserError(
            f"metadata `extractor`: {explain(error, ExtractorRecord)}", where=str(path), fix=_FORMAT
        ) from error
    names = _names(metadata.get("names"), len(features))
    if features.ndim != 2 or features.shape[1] != extractor.width or not len(features):
        raise UserError(
            f"image_features has the shape {features.shape}, not (n, {extractor.width})",
            where=str(path),
            fix=_FORMAT,
        )
    if names is None:
        raise UserError(f"metadata `names` are not {len(features)} names", where=str(path), fix=_FORMAT)
    n = len(features)
    return FeatureSet(
        record=SetRecord(role=role, location=str(path), n=n, of=n, sha256=files.sha256(path)),
        extractor=extractor,
        names=names,
        features=np.asarray(features, dtype=np.float32),
    )


def _names(text: str | None, count: int) -> tuple[str, ...] | None:
    """Return a JSON list of names, row numbers if there is none, None if it is no list of so many."""
    if text is None:
        return tuple(f"{row:09d}" for row in range(count))
    try:
        values = json.loads(text)
    except ValueError:
        return None
    fits = isinstance(values, list) and len(values) == count
    return tuple(map(str, values)) if fits else None


def _key(member: str) -> str:
    """Return what joins the fields of a WebDataset sample: the name up to the first dot of its last part."""
    path = PurePosixPath(member.removeprefix("./"))
    return str(path.with_name(path.name.partition(".")[0]))


def _some(n: int, most: int | None, seed: int, role: Role) -> NDArray[np.int64]:
    """Return rows in their order: all, or `most` of them drawn without replacement, in each role others."""
    if most is None or most >= n:
        return np.arange(n)
    return np.sort(np.random.default_rng([seed, ROLES.index(role)]).permutation(n)[:most])
