"""One name for "too little memory", whichever allocator of torch says it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn torch's own errors of CPU and GPU into `MemoryError`, as generators and degradations promise.

    Raises:
        MemoryError: Too little memory for what is done inside.
    """
    try:
        yield
    except RuntimeError as error:
        import torch

        # torch has a class of its own for GPUs alone; its CPU allocator says so in words.
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        torch.cuda.empty_cache()
        raise MemoryError(str(error).splitlines()[0]) from error
