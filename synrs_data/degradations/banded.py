"""Linear maps of rows and columns in which a new pixel takes from few old ones: resizing, separable filters.

On a CPU such a map is done for 32 new pixels at a time, as a product of small matrices. That is faster than a
sparse product, than torch's own interpolation where the image grows, and than its convolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

_TILE = 32


@dataclass(frozen=True, slots=True)
class Taps:
    """What each new pixel of an axis takes from which old ones.

    Attributes:
        places: Old pixels, (new, taps), 0 to old - 1; one may appear twice.
        values: Weight of each, (new, taps).
    """

    places: NDArray[np.integer]
    values: NDArray[np.floating]

    def matrix(self, old: int) -> NDArray[np.float32]:
        """Return the map as a matrix, (new, old)."""
        found = np.zeros((len(self.places), old), dtype=np.float32)
        np.add.at(found, (np.arange(len(found))[:, None], self.places), self.values.astype(np.float32))
        return found


def mapped(image: torch.Tensor, rows: Taps, columns: Taps) -> torch.Tensor:
    """Return an image after a map along its height and one along its width.

    Args:
        image: (channels, height, width), float32.
        rows: New rows from old ones.
        columns: New columns from old ones.

    Returns:
        (channels, new height, new width).
    """
    # The axis that shrinks more goes first: what is left to do is then least.
    tall, wide = (len(taps.places) / old for taps, old in zip((rows, columns), image.shape[-2:], strict=True))
    if tall <= wide:
        return _columns(_rows(image, rows), columns)
    return _rows(_columns(image, columns), rows)


def _rows(image: torch.Tensor, taps: Taps) -> torch.Tensor:
    import torch

    matrix = torch.from_numpy(taps.matrix(image.shape[1])).to(image.device)
    if image.device.type != "cpu":
        return torch.matmul(matrix, image)
    found = image.new_empty(image.shape[0], len(taps.places), image.shape[2])
    for new, old in _tiles(taps):
        for channel in range(len(image)):
            torch.mm(matrix[new, old], image[channel, old], out=found[channel, new])
    return found


def _columns(image: torch.Tensor, taps: Taps) -> torch.Tensor:
    import torch

    matrix = torch.from_numpy(taps.matrix(image.shape[2])).to(image.device)
    if image.device.type != "cpu":
        return torch.matmul(image, matrix.T)
    lines = image.reshape(-1, image.shape[2])
    found = image.new_empty(len(lines), len(taps.places))
    for new, old in _tiles(taps):
        torch.mm(lines[:, old], matrix[new, old].T, out=found[:, new])
    return found.view(*image.shape[:2], -1)


def _tiles(taps: Taps) -> list[tuple[slice, slice]]:
    """Return slices of new pixels, and of the old ones that they take from."""
    lowest, highest = taps.places.min(axis=1), taps.places.max(axis=1)
    tiles = [slice(at, at + _TILE) for at in range(0, len(taps.places), _TILE)]
    return [(tile, slice(int(lowest[tile].min()), int(highest[tile].max()) + 1)) for tile in tiles]
