"""Run batches of images through an encoder side by side, with the numbers of one thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

Encode = Callable[[Sequence[NDArray[np.uint8]]], NDArray[np.float32]]


def in_batches(encode: Encode, images: Sequence[NDArray[np.uint8]], size: int) -> NDArray[np.float32]:
    """Return the features of images, (n, width), from an encoder of batches.

    As many batches run at once as torch has threads, each on one thread. So features do not depend on the number of
    cores (one thread and two differ by 7e-7), preparing images runs beside the model, and threads wait for each
    other once a batch, not in every layer: on a busy machine that takes a fraction of the time.

    Args:
        encode: Takes images of (height, width, 3), returns one feature each; several threads may call it.
        images: At least one.
        size: Images of a batch.
    """
    import torch

    batches = [images[start : start + size] for start in range(0, len(images), size)]
    # To ask also fixes the number of this thread: what a worker sets becomes that of threads that never asked.
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(
        min(threads, len(batches)), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        return np.concatenate(list(pool.map(encode, batches)))
