"""Make the low-resolution partners of a batch of images, and make them again from a packed sample."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synrs_data.build.plan import make
from synrs_data.build.protocol import calling, check_images, check_pairs, check_parameters, check_scale
from synrs_data.degradations.base import Parameters
from synrs_data.errors import UserError, VerificationError
from synrs_data.filters.leak import decode
from synrs_data.recipe import MethodSpec
from synrs_data.sample import Request, degradation_seed
from synrs_data.shards import members
from synrs_data.shards.folder import BuildFolder
from synrs_data.shards.schema import HR, LR

_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Pairs:
    """A batch of pairs.

    Attributes:
        hr: High-resolution images as they are stored, each (height, width, 3).
        lr: Their partners, each (height / scale, width / scale, 3).
        parameters: What was drawn for each pair.
    """

    hr: list[NDArray[np.uint8]]
    lr: list[NDArray[np.uint8]]
    parameters: list[Parameters]


class PairMaker:
    """Runs the degradation of a recipe.

    Args:
        spec: The recipe's degradation.
        device: Where it runs.
        report: Told of every event.
    """

    def __init__(self, spec: MethodSpec, device: str, report: Callable[..., None]) -> None:
        self._name = spec.method
        self._method = make("degradations", spec)
        self._report = report
        with calling("degradations", self._name):
            self.scale = check_scale(self._method, self._name)
            self._method.load(device)

    def make(self, requests: Sequence[Request], images: list[NDArray[np.uint8]]) -> Pairs:
        """Return the pairs of a batch; `images` are what the generator gave.

        Raises:
            UserError: An image has a side that is no multiple of the scale, or the device has too little memory.
            MethodError: The degradation does not keep its protocol.
        """
        for image in images:
            self._check_sides(*image.shape[:2])
        with calling("degradations", self._name):
            prepared = self._method.prepare(images)
            hr = check_images(prepared, len(images), self._name, "degradations")
            parameters = [
                check_parameters(
                    self._method.draw(degradation_seed(request.seed), *image.shape[:2]), self._name
                )
                for request, image in zip(requests, hr, strict=True)
            ]
        return Pairs(hr, self.degrade(hr, parameters), parameters)

    def degrade(
        self, hr: list[NDArray[np.uint8]], parameters: Sequence[Parameters]
    ) -> list[NDArray[np.uint8]]:
        """Return the low-resolution images of stored high-resolution ones."""
        try:
            with calling("degradations", self._name):
                made = self._method.degrade(hr, parameters)
        except MemoryError as error:
            if len(hr) == 1:
                raise UserError(
                    f"the device has too little memory for one image: {error}",
                    where="degradation",
                    fix="choose smaller images, or a larger device",
                ) from error
            half = len(hr) // 2
            self._report("sliced", images=len(hr), into=half, reason=str(error))
            return self.degrade(hr[:half], parameters[:half]) + self.degrade(hr[half:], parameters[half:])
        lr = check_images(made, len(hr), self._name, "degradations")
        return check_pairs(lr, hr, self.scale, self._name)

    def _check_sides(self, height: int, width: int) -> None:
        if height % self.scale or width % self.scale:
            raise UserError(
                f"the high-resolution images have {width} x {height} pixels, which {self.scale} does not divide",
                where="generator",
                fix=f"give it a size or crop whose sides are multiples of {self.scale}",
            )


def redo_pairs(folder: BuildFolder, spec: MethodSpec, device: str) -> Iterator[str]:
    """Yield every packed pair whose low-resolution image is not what its other image and its JSON give again.

    The same bytes are promised for the class of device and the versions that made them.

    Args:
        folder: A finished build of pairs.
        spec: Its degradation.
        device: Where it runs.
    """
    maker = PairMaker(spec, device, lambda *_, **__: None)
    for path in sorted(folder.data.glob("*.tar")):
        waiting: list[tuple[str, dict[str, bytes]]] = []
        for item in [*members(path), None]:
            if item is not None:
                waiting.append(item)
            if waiting and (item is None or len(waiting) == _AT_ONCE):
                yield from _redo(maker, waiting, f"{folder.data.name}/{path.name}")
                waiting.clear()


def _redo(maker: PairMaker, samples: list[tuple[str, dict[str, bytes]]], name: str) -> Iterator[str]:
    places = [f"{name}, sample {key}" for key, _ in samples]
    hr, lr, parameters = [], [], []
    for place, (_, fields) in zip(places, samples, strict=True):
        hr.append(decode(fields[HR], place))
        lr.append(decode(fields[LR], place))
        parameters.append(_parameters(fields, place))
    for place, stored, again in zip(places, lr, maker.degrade(hr, parameters), strict=True):
        if not np.array_equal(stored, again):
            worst = np.abs(stored.astype(int) - again).max() if stored.shape == again.shape else "all"
            yield f"{place}: its {LR} is another one when it is made again (by up to {worst} of 255)"


def _parameters(fields: dict[str, bytes], place: str) -> dict[str, Any]:
    try:
        drawn: dict[str, Any] = json.loads(json.loads(fields["json"])["degradation_parameters"])
        return drawn
    except (ValueError, KeyError, TypeError) as error:
        raise VerificationError("its json has no degradation_parameters", where=place) from error
