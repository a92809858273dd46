"""Batches by index: the stored pixels as floats, from any array, without a warning."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from vae_core import Data
from vae_core.data import ImageTable, load_data
from vae_core.data.packing import to_float

VALUES = {"scale": (0, 5), "orientation": (0,), "pos_x": (0, 9), "pos_y": (1, 2, 30)}  # 36 images


@pytest.fixture(params=[64, 32, 16])
def some(request: pytest.FixtureRequest, tmp_path: Path) -> Data:
    return load_data("dsprites", cache=tmp_path, values=VALUES, resolution=request.param)


def test_a_batch_is_the_pixels_of_its_indices(some: Data) -> None:
    stored = np.unpackbits(some.images, axis=1) if some.packed else some.images
    expected = stored.reshape(-1, *some.shape).astype(np.float32) / some.levels
    batch = ImageTable(some).batch(torch.tensor([35, 0, 7, 7]))
    assert batch.dtype == torch.float32
    np.testing.assert_array_equal(batch.numpy(), expected[[35, 0, 7, 7]])


def test_numpy_indices_give_the_same_batch(some: Data) -> None:
    table, indices = ImageTable(some), np.array([3, 1])
    assert torch.equal(table.batch(indices), table.batch(torch.from_numpy(indices)))


def test_a_read_only_array_gives_no_warning_and_is_not_changed(some: Data) -> None:
    before = some.images.copy()
    some.images.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ImageTable(some).batch(torch.arange(36)).zero_()
    np.testing.assert_array_equal(some.images, before)


def test_the_table_on_the_cpu_copies_nothing(some: Data) -> None:
    assert ImageTable(some)._host is some.images


def test_the_last_of_three_packed_bytes_is_unpacked_from_its_top_bit() -> None:
    stored = torch.tensor([[0, 0, 0b10000001]], dtype=torch.uint8)
    pixels = to_float(stored, (1, 3, 8), packed=True, levels=1)
    assert pixels.tolist() == [[[[0.0] * 8, [0.0] * 8, [1.0, 0, 0, 0, 0, 0, 0, 1.0]]]]


def test_channels_are_the_slowest_axis_of_an_image() -> None:
    stored = torch.arange(12, dtype=torch.uint8)[None]
    pixels = to_float(stored, (3, 2, 2), packed=False, levels=255)
    torch.testing.assert_close(
        pixels[0, 1], torch.tensor([[4.0, 5.0], [6.0, 7.0]]) / 255, rtol=0, atol=0
    )


@pytest.mark.gpu
def test_a_gpu_gives_the_batch_of_the_cpu(some: Data) -> None:
    indices = torch.tensor([35, 0, 7])
    some = dataclasses.replace(some, images=some.images.copy())
    some.images.flags.writeable = False
    batch = ImageTable(some, "cuda").batch(indices.cuda())
    assert batch.device.type == "cuda"
    assert torch.equal(batch.cpu(), ImageTable(some).batch(indices))
