"""Batches side by side: the numbers of one thread, the order of the images, and the first fault comes through."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from synrs_data.errors import UserError
from synrs_data.evaluate import feature_cache, load_classification
from synrs_data.evaluate.batches import in_batches
from synrs_data.evaluate.data import open_data
from synrs_data.evaluate.feature_cache import embed
from synrs_data.evaluate.image_set import ImageSet
from synrs_data.models.encoder import load_encoder
from tests.evaluate.tiny import images_values, write_benchmark

Images = Sequence[NDArray[np.uint8]]


@pytest.fixture
def threads() -> Iterator[int]:
    """Let torch have three threads, whatever the machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield 3
    torch.set_num_threads(before)


def pictures(count: int) -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (64, 64, 3), dtype=np.uint8) for _ in range(count)]


def means(images: Images) -> NDArray[np.float32]:
    return np.array([[image.mean()] for image in images], dtype=np.float32)


def test_features_are_those_of_one_thread_to_the_last_bit(threads: int) -> None:
    images, encoder = pictures(10), load_encoder("eurosat-tiny-clip", "", "cpu")
    found = in_batches(encoder.images, images, 4)
    torch.set_num_threads(1)
    expected = [encoder.images(images[start : start + 4]) for start in (0, 4, 8)]
    np.testing.assert_array_equal(found, np.concatenate(expected))


def test_as_many_batches_run_at_once_as_there_are_threads_and_each_has_one(threads: int) -> None:
    # Each batch waits for two others: with fewer at once the barrier breaks.
    together, seen = threading.Barrier(threads, timeout=60), set[int]()

    def encode(images: Images) -> NDArray[np.float32]:
        together.wait()
        seen.add(torch.get_num_threads())
        return means(images)

    images = pictures(6)
    np.testing.assert_array_equal(in_batches(encode, images, 2), means(images))
    assert seen == {1}
    assert torch.get_num_threads() == threads


def test_a_fault_of_one_batch_is_raised(threads: int) -> None:
    def encode(images: Images) -> NDArray[np.float32]:
        if len(images) == 1:
            raise MemoryError("the last batch")
        return means(images)

    with pytest.raises(MemoryError, match="the last batch"):
        in_batches(encode, pictures(5), 2)


def painted(folder: Path) -> ImageSet:
    """Return the four test images of a benchmark in a tar."""
    return open_data(load_classification(str(write_benchmark(folder, images_values(folder))))).test


class Means:
    """An encoder to the mean of each image, which remembers how many images it was given at once."""

    fingerprint: dict[str, Any] = {}  # noqa: RUF012 - never changed

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def encode(self, images: Images) -> NDArray[np.float32]:
        self.sizes.append(len(images))
        return means(images)


def test_images_that_are_read_ahead_keep_their_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_cache, "_AT_ONCE", 3)
    test = painted(tmp_path)
    turned = test.take(np.array([2, 0, 3, 1]))
    expected = dict(turned.read())
    encoder = Means()
    found = embed(encoder, turned)
    assert encoder.sizes == [3, 1]
    np.testing.assert_array_equal(found, means([expected[row] for row in range(4)]))
    assert len(np.unique(found)) == 4


def test_an_image_that_has_changed_is_named_although_it_is_read_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_cache, "_AT_ONCE", 2)
    test = painted(tmp_path)
    tar = tmp_path / "images.tar"
    content = tar.read_bytes()
    last = test.images[3].offset
    tar.write_bytes(content[: last + 100] + bytes([content[last + 100] ^ 1]) + content[last + 101 :])
    with pytest.raises(UserError, match=f"the image '{test.keys[3]}' is not the one that is listed"):
        embed(Means(), test)
