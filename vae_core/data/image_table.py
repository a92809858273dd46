"""`ImageTable`: batches of images by index, without worker processes or a copy on the CPU."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vae_core.data.packing import to_float
from vae_core.types import Data

_CHUNK = 1 << 16  # images copied to a device at a time


class ImageTable:
    """The images of a data set, ready to be indexed on a device.

    On the CPU the array of the set itself is indexed: it may be read-only and shared by every trial
    of a node. Another device gets one copy of the stored bytes (377 MB for all of dSprites at
    64 x 64). Pixels are unpacked batch by batch.

    Args:
        data: the data set.
        device: the device of the batches.
    """

    def __init__(self, data: Data, device: torch.device | str = "cpu") -> None:
        self.shape = data.shape
        self.device = torch.device(device)
        self._packed, self._levels = data.packed, data.levels
        self._host = data.images
        self._on_device = None if self.device.type == "cpu" else _copy_to(self.device, data.images)

    def __len__(self) -> int:
        return len(self._host)

    def batch(self, indices: Tensor | NDArray[np.integer]) -> Tensor:
        """Return the images of B indices, (B, C, H, W) float32 in [0, 1], on the table's device.

        Args:
            indices: (B,) whole numbers in [0, N), on any device.
        """
        if self._on_device is None:
            rows = indices.cpu().numpy() if isinstance(indices, Tensor) else indices
            stored = torch.as_tensor(np.take(self._host, rows, axis=0))  # a new array, so writable
        else:
            rows_on_device = torch.as_tensor(indices, device=self.device, dtype=torch.int64)
            stored = self._on_device[rows_on_device]
        return to_float(stored, self.shape, packed=self._packed, levels=self._levels)


def _copy_to(device: torch.device, images: NDArray[np.uint8]) -> Tensor:
    """Return a copy of an array on a device, made in chunks.

    A chunk is copied on the CPU first, because torch warns when it views a read-only array.
    """
    copy = torch.empty(images.shape, dtype=torch.uint8, device=device)
    for start in range(0, len(images), _CHUNK):
        stop = min(start + _CHUNK, len(images))
        copy[start:stop] = torch.as_tensor(images[start:stop].copy())
    return copy
