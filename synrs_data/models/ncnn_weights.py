"""Read ncnn's files of Real-ESRGAN's networks: a `.param` of text that names layers, a `.bin` of their weights."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from synrs_data.errors import WeightsError

Weights = dict[str, NDArray[np.float32]]
"""Tensors by the names of Real-ESRGAN's own networks, convolutions as (out, in, rows, columns)."""

Shape = tuple[int, ...]
"""Of a layer's weights: (out, in, 3, 3) of a convolution, (channels,) of the slopes of a PReLU."""

_MAGIC = "7767517"
_FP16, _FP32 = 0x01306B47, 0
_GROWTH, _CONVOLUTIONS, _DENSE_BLOCKS = 32, 5, 3
_OUTSIDE = ("conv_first", "conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last")
_SCALE = 4
_ACTIVATION = {"9", "-23310"}
"""Keys of a convolution's line that say its leaky ReLU, which has no weights."""


def read_ncnn(param: str, content: bytes, *, where: str, fix: str) -> Weights:
    """Return the tensors of an ncnn network that is an RRDBNet or an SRVGGNetCompact of scale 4.

    Weights lie in the order of the lines of `.param`. A convolution has four bytes that say how its weights are
    stored, the weights, padded to four bytes, and its bias as float32; a PReLU has its slopes as float32
    (Tencent/ncnn, src/modelbin.cpp, src/layer/convolution.cpp).

    Args:
        param: Text of the `.param` file.
        content: Bytes of the `.bin` file.
        where: What to call the two files in a message.
        fix: What a user shall do if they are damaged.

    Raises:
        WeightsError: They are damaged, stored in another way, or of another network.
    """
    try:
        shapes = _shapes(param)
        names = _names(shapes)
        reader = _Reader(content)
        found: Weights = {}
        for name, shape in zip(names, shapes, strict=True):
            if len(shape) == 1:
                found[f"{name}.weight"] = reader.floats(shape[0], "<f4")
                continue
            found[f"{name}.weight"] = reader.stored(int(np.prod(shape))).reshape(shape)
            found[f"{name}.bias"] = reader.floats(shape[0], "<f4")
        reader.end()
        for name, values in found.items():
            if not np.isfinite(values).all():
                raise _Damage(f"{name} has values that are not finite")
    except _Damage as error:
        raise WeightsError(str(error), where=where, fix=fix) from error
    return found


class _Damage(Exception):
    """What is wrong with the files, in words."""


class _Reader:
    """Takes numbers from the front of the bytes."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    def _take(self, size: int) -> bytes:
        if self._at + size > len(self._content):
            raise _Damage(f"the weights end too early, after {len(self._content):,} bytes")
        self._at += size
        return self._content[self._at - size : self._at]

    def floats(self, count: int, kind: str) -> NDArray[np.float32]:
        return np.frombuffer(self._take(count * np.dtype(kind).itemsize), kind).astype(np.float32)

    def stored(self, count: int) -> NDArray[np.float32]:
        flag = int.from_bytes(self._take(4), "little")
        if flag == _FP32:
            return self.floats(count, "<f4")
        if flag == _FP16:
            values = self.floats(count, "<f2")
            self._take(-2 * count % 4)
            return values
        raise _Damage(f"the weights are stored in a way that is not known (0x{flag:08X})")

    def end(self) -> None:
        left = len(self._content) - self._at
        if left:
            raise _Damage(f"{left:,} of the {len(self._content):,} bytes of weights belong to no layer")


def _shapes(param: str) -> list[Shape]:
    """Return the shapes of the layers with weights, in the order of their lines."""
    lines = param.splitlines()
    if not lines or lines[0].strip() != _MAGIC:
        raise _Damage("is no network of ncnn in text form")
    found: list[Shape] = []
    try:
        for words in (line.split() for line in lines[2:] if line.strip()):
            # Kind, name, numbers of inputs and outputs, their names, then KEY=VALUE.
            values = dict(word.split("=", 1) for word in words[4 + int(words[2]) + int(words[3]) :])
            if words[0] == "Convolution":
                found.append(_convolution(values))
            elif words[0] == "PReLU":
                found.append((int(values["0"]),))
    except (ValueError, IndexError, KeyError, ZeroDivisionError) as error:
        raise _Damage(f"its .param cannot be read: {error}") from error
    return found


def _convolution(values: dict[str, str]) -> Shape:
    """Return the shape of a convolution of 3x3 with padding 1, a bias and nothing else that is set."""
    expected = {"1": "3", "4": "1", "5": "1"}
    others = values.keys() - expected.keys() - {"0", "6"} - _ACTIVATION
    if others or any(values[key] != value for key, value in expected.items()):
        raise _Damage("has a convolution that Real-ESRGAN's networks do not have")
    filters, count = int(values["0"]), int(values["6"])
    return filters, count // (9 * filters), 3, 3


def _names(shapes: list[Shape]) -> list[str]:
    """Return the names that the layers have in xinntao/Real-ESRGAN, by their number, kinds and shapes."""
    expected = _compact(shapes) if any(len(shape) == 1 for shape in shapes) else _rrdb(shapes)
    if list(expected.values()) != shapes:
        raise _Damage(
            f"its {len(shapes)} layers are neither those of RRDBNet (x4) nor of SRVGGNetCompact (x4)"
        )
    return list(expected)


def _rrdb(shapes: list[Shape]) -> dict[str, Shape]:
    """Return the layers of an RRDBNet with as many blocks (XPixelGroup/BasicSR, basicsr/archs/rrdbnet_arch.py)."""
    blocks = (len(shapes) - len(_OUTSIDE)) // (_DENSE_BLOCKS * _CONVOLUTIONS)
    width = shapes[0][0] if shapes else 0
    first, *middle, last = _OUTSIDE
    layers: dict[str, Shape] = {first: (width, 3, 3, 3)}
    for block, dense, number in product(
        range(blocks), range(1, _DENSE_BLOCKS + 1), range(1, _CONVOLUTIONS + 1)
    ):
        filters = width if number == _CONVOLUTIONS else _GROWTH
        channels = width + (number - 1) * _GROWTH
        layers[f"body.{block}.rdb{dense}.conv{number}"] = (filters, channels, 3, 3)
    layers |= dict.fromkeys(middle, (width, width, 3, 3))
    return layers | {last: (3, width, 3, 3)}


def _compact(shapes: list[Shape]) -> dict[str, Shape]:
    """Return the layers of an SRVGGNetCompact with as many (xinntao/Real-ESRGAN, realesrgan/archs/srvgg_arch.py)."""
    width = shapes[0][0]
    layers: dict[str, Shape] = {}
    for number in range(len(shapes) - 1):
        layers[f"body.{number}"] = (width,) if number % 2 else (width, width if number else 3, 3, 3)
    return layers | {f"body.{len(shapes) - 1}": (3 * _SCALE**2, width, 3, 3)}
