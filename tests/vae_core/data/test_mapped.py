"""Data that stays on disk: one block in memory, the same content, small to send elsewhere."""

from __future__ import annotations

import dataclasses
import pickle
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vae_core import Data
from vae_core.data import ImageTable
from vae_core.data.cache import mapped, store
from vae_core.data.make_data import make_data

SHAPE = (256, 3 * 32 * 32)


def blocks() -> Iterator[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    for _ in range(8):
        yield rng.integers(0, 256, (32, SHAPE[1]), dtype=np.uint8)


@pytest.fixture
def some(tmp_path: Path) -> Data:
    images, sha256 = mapped.map_or_make(tmp_path / "a.npy", SHAPE, blocks)
    return make_data("some", images, (3, 32, 32), levels=255, factors=None, sha256=sha256)


def test_the_file_holds_the_blocks_in_order(some: Data, tmp_path: Path) -> None:
    content = np.concatenate(list(blocks()))
    np.testing.assert_array_equal(some.images, content)
    # The same file serves a machine with more memory.
    images, sha256 = store.load_checked(tmp_path / "a.npy")
    np.testing.assert_array_equal(images, content)
    in_memory = make_data("some", content, (3, 32, 32), levels=255, factors=None)
    assert some.fingerprint == in_memory.fingerprint
    assert sha256 == store.digest(content)


def test_only_a_block_is_in_memory(tmp_path: Path) -> None:
    tracemalloc.start()
    mapped.map_or_make(tmp_path / "a.npy", SHAPE, blocks)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.5 * np.prod(SHAPE)  # two of the eight blocks, and Python's own objects


def test_a_damaged_file_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    mapped.map_or_make(path, SHAPE, blocks)
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    with pytest.warns(UserWarning, match="is damaged.*it is made again"):
        images, _ = mapped.map_or_make(path, SHAPE, blocks)
    np.testing.assert_array_equal(images, np.concatenate(list(blocks())))


def test_a_folder_that_cannot_be_written_to_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        ValueError, match=r"could not be written .*GB do not fit in memory; set SWEEPS_DATA"
    ):
        mapped.map_or_make(tmp_path / "file" / "a.npy", SHAPE, blocks)


def test_half_of_the_free_memory_fits() -> None:
    assert mapped.fits_in_memory(50, available=100)
    assert not mapped.fits_in_memory(51, available=100)
    assert 1 << 20 < mapped.available_memory() < 1 << 50


def test_a_table_batches_from_disk(some: Data) -> None:
    batch = ImageTable(some).batch(torch.tensor([255, 0]))
    expected = some.images[[255, 0]].reshape(2, 3, 32, 32).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(batch.numpy(), expected)


def test_pickled_data_hold_the_path_of_the_file(some: Data) -> None:
    sent = pickle.dumps(some)
    assert len(sent) < 1000
    arrived = pickle.loads(sent)
    assert isinstance(arrived.images, np.memmap)
    np.testing.assert_array_equal(arrived.images, some.images)
    assert arrived.fingerprint == some.fingerprint
    assert pickle.dumps(arrived) == sent


def test_a_pickled_part_holds_its_content(some: Data) -> None:
    part = dataclasses.replace(some, images=some.images[100:103])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(part)).images, some.images[100:103])


@pytest.mark.parametrize("loss", ["gone", "shorter"])
def test_a_node_without_the_file_raises_an_error(loss: str, some: Data, tmp_path: Path) -> None:
    sent, path = pickle.dumps(some), tmp_path / "a.npy"
    del some
    content = path.read_bytes()
    path.unlink()
    if loss == "shorter":
        path.write_bytes(content[:1000])
    with pytest.raises(
        ValueError, match=r"a\.npy cannot be read on .*SWEEPS_DATA.*`sweeps data render`"
    ):
        pickle.loads(sent)
