"""Check what methods give before it is used: a plugin's mistake is one message that names it."""

from __future__ import annotations

import json
import math
import re
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, get_type_hints

import numpy as np
from numpy.typing import NDArray

from synrs_data.captions.cleaning import MAX_CHARACTERS
from synrs_data.degradations.base import Degradation, Parameters
from synrs_data.errors import MethodError, SynrsError
from synrs_data.filters.base import Scores
from synrs_data.generators.base import ConditionedGenerator
from synrs_data.recipe import is_number
from synrs_data.registry import BUILTIN, Kind
from synrs_data.sample import Caption, GeneratorIdentity, Inputs

_EXTRA_FIELD = re.compile(r"[a-z][a-z0-9_]{0,31}\.(png|jpg|webp)")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@contextmanager
def calling(kind: Kind, name: str) -> Iterator[None]:
    """Turn what a plugin raises into a message; an exception of our own methods is our own bug.

    Raises:
        MethodError: A plugin raised something that is none of our errors.
    """
    try:
        yield
    except (SynrsError, MemoryError):
        # Too little memory is part of the protocols: the batch is made in parts.
        raise
    except Exception as error:
        if name in BUILTIN[kind]:
            raise
        last = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"raises {type(error).__name__}: {str(error)[:500]} ({last.filename}:{last.lineno})"
        raise MethodError(kind, name, reason) from error


def check_captions(book: Any, labels: int, name: str) -> list[Caption]:
    """Return the caption book if every entry is a caption that can be stored.

    Raises:
        MethodError: One is not.
    """
    if not isinstance(book, list | tuple):
        raise MethodError("captions", name, f"gives {type(book).__name__}, not a list of captions")
    for place, caption in enumerate(book):
        fault = _caption_fault(caption, labels)
        if fault:
            raise MethodError("captions", name, f"gives a caption (number {place}) that {fault}")
    return list(book)


def _caption_fault(caption: Any, labels: int) -> str:
    if not isinstance(caption, Caption):
        return f"is {type(caption).__name__}, not a Caption"
    if not all(isinstance(text, str) for text in (caption.text, caption.source, caption.image)):
        return "has a text, source or image that is no text"
    if type(caption.label) is not int or not 0 <= caption.label < labels:
        return f"has the label {caption.label!r}, not 0 to {labels - 1}"
    if len(caption.text) > MAX_CHARACTERS:
        return f"has {len(caption.text):,} characters, over {MAX_CHARACTERS:,}"
    try:
        (caption.text + caption.source + caption.image).encode()
    except UnicodeEncodeError:
        return "has no UTF-8"
    return ""


def check_batch_size(size: Any, name: str) -> int:
    """Return the batch size of a generator.

    Raises:
        MethodError: It is no whole number above 0.
    """
    if type(size) is not int or size < 1:
        raise MethodError("generators", name, f"has the batch_size {size!r}, which is no number from 1")
    return size


def check_identity(identity: Any, name: str) -> GeneratorIdentity:
    """Return the identity of a generator if every field has its type and is finite.

    Raises:
        MethodError: One is not.
    """
    if not isinstance(identity, GeneratorIdentity):
        raise MethodError("generators", name, f"gives {type(identity).__name__} from load()")
    hints = get_type_hints(GeneratorIdentity)
    for field in GeneratorIdentity.__dataclass_fields__:
        value = getattr(identity, field)
        wanted = dict if field == "parameters" else hints[field]
        if type(value) is not wanted or (isinstance(value, float) and not math.isfinite(value)):
            raise MethodError("generators", name, f"gives the {field} {value!r}, no finite {wanted.__name__}")
    try:
        json.dumps(identity.parameters, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise MethodError("generators", name, f"gives parameters that are no JSON: {error}") from error
    return identity


def check_extra_fields(generator: Any, name: str) -> tuple[str, ...]:
    """Return the extra fields of a generator's samples, none if it starts from no images.

    Raises:
        MethodError: One is no name of an image field, or comes twice.
    """
    if not isinstance(generator, ConditionedGenerator):
        return ()
    found = generator.extra_fields
    if not isinstance(found, tuple) or len(set(found)) != len(found):
        raise MethodError("generators", name, f"has the extra_fields {found!r}, no tuple of different names")
    for field in found:
        if not isinstance(field, str) or not _EXTRA_FIELD.fullmatch(field):
            reason = f"has the extra field {field!r}, which is no name such as 'control.png'"
            raise MethodError("generators", name, reason)
    return found


def check_inputs(inputs: Any, extra_fields: tuple[str, ...], name: str) -> Inputs:
    """Return what shaped an image.

    Raises:
        MethodError: It is not `Inputs` with the generator's extra fields, a sha256 or nothing, and JSON.
    """
    if not isinstance(inputs, Inputs):
        raise MethodError("generators", name, f"gives {type(inputs).__name__}, not Inputs, from inputs()")
    source = inputs.derived_from
    if not isinstance(source, str) or (source and not _SHA256.fullmatch(source)):
        raise MethodError("generators", name, f"gives the derived_from {source!r}, no sha256")
    if not isinstance(inputs.fields, dict) or inputs.fields.keys() != set(extra_fields):
        found = ", ".join(map(str, inputs.fields)) or "nothing"
        reason = f"gives the fields {found}, not {', '.join(extra_fields) or 'nothing'}"
        raise MethodError("generators", name, reason)
    for field, content in inputs.fields.items():
        if not isinstance(content, bytes) or not content:
            raise MethodError("generators", name, f"gives no bytes for the field '{field}'")
    try:
        json.dumps(dict(inputs.parameters), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise MethodError("generators", name, f"gives parameters that are no JSON: {error}") from error
    return inputs


def check_images(images: Any, count: int, name: str, kind: Kind = "generators") -> list[NDArray[np.uint8]]:
    """Return the images of a batch.

    Raises:
        MethodError: They are not `count` arrays of (height, width, 3) of uint8.
    """
    if not isinstance(images, Sequence | np.ndarray) or len(images) != count:
        found = f"{len(images)} images" if hasattr(images, "__len__") else type(images).__name__
        raise MethodError(kind, name, f"gives {found} for {count} requests")
    for image in images:
        if not isinstance(image, np.ndarray):
            raise MethodError(kind, name, f"gives {type(image).__name__}, not a NumPy array")
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise MethodError(
                kind,
                name,
                f"gives an image of {image.dtype} {image.shape}, not of uint8 (height, width, 3)",
            )
    return list(images)


def check_scale(degradation: Degradation, name: str) -> int:
    """Return the scale of a degradation.

    Raises:
        MethodError: It is no whole number above 0.
    """
    scale = degradation.scale
    if type(scale) is not int or scale < 1:
        raise MethodError("degradations", name, f"has the scale {scale!r}, which is no number from 1")
    return scale


def check_parameters(drawn: Any, name: str) -> Parameters:
    """Return what a degradation drew for one image.

    Raises:
        MethodError: It is no flat object of texts, truth values and finite numbers.
    """
    if not isinstance(drawn, Mapping):
        raise MethodError("degradations", name, f"draws {type(drawn).__name__}, not a mapping")
    for key, value in drawn.items():
        plain = isinstance(key, str) and type(value) in (str, int, float, bool)
        if not plain or (isinstance(value, float) and not math.isfinite(value)):
            raise MethodError("degradations", name, f"draws {key!r}: {value!r}, no text or finite number")
    return drawn


def check_pairs(
    lr: list[NDArray[np.uint8]], hr: Sequence[NDArray[np.uint8]], scale: int, name: str
) -> list[NDArray[np.uint8]]:
    """Return the low-resolution images of a batch.

    Raises:
        MethodError: One has another size than the scale asks for.
    """
    for low, high in zip(lr, hr, strict=True):
        wanted = (high.shape[0] // scale, high.shape[1] // scale)
        if low.shape[:2] != wanted:
            found, expected = (" x ".join(map(str, shape)) for shape in (low.shape[:2], wanted))
            raise MethodError("degradations", name, f"gives {found} pixels, not {expected}")
    return lr


def check_scores(scores: Any, columns: Mapping[str, str], count: int, name: str) -> Scores:
    """Return the scores of a batch, in the order of the columns.

    Raises:
        MethodError: A column is missing, unknown, or not one finite number (or text) an image.
    """
    if not isinstance(scores, Mapping) or scores.keys() != columns.keys():
        found = ", ".join(map(str, scores)) if isinstance(scores, Mapping) else type(scores).__name__
        raise MethodError("filters", name, f"scores {found or 'nothing'}, not {', '.join(columns)}")
    for column in columns:
        values = scores[column]
        fits = hasattr(values, "__len__") and len(values) == count
        if not fits or not all(_is_score(value, column) for value in values):
            kind = "finite number" if is_number(column) else "text"
            raise MethodError("filters", name, f"the score '{column}' is not one {kind} an image")
    return {column: scores[column] for column in columns}


def _is_score(value: Any, column: str) -> bool:
    if not is_number(column) or isinstance(value, str):
        return isinstance(value, str) and not is_number(column)
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):
        return False
