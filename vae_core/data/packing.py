"""Turns stored pixels into float32 images: packed bits, pooled counts or bytes."""

from __future__ import annotations

import functools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def pool(packed: NDArray[np.uint8], side: int, pooled: int) -> NDArray[np.uint8]:
    """Return the pixels of a smaller image: how many of the binary pixels under each of them are 1.

    Args:
        packed: (n, side*side/8) uint8, eight pixels a byte.
        side: height and width of an image.
        pooled: height and width of the smaller image, side divided by a power of two.

    Returns:
        (n, pooled*pooled) uint8 counts from 0 to (side/pooled)**2.
    """
    images = np.unpackbits(packed, axis=1).reshape(-1, side, side)
    while images.shape[1] > pooled:
        rows = images[:, 0::2] + images[:, 1::2]
        images = rows[:, :, 0::2] + rows[:, :, 1::2]
    return images.reshape(len(images), -1)


def to_float(images: Tensor, shape: tuple[int, int, int], *, packed: bool, levels: int) -> Tensor:
    """Return stored images as float32 in [0, 1], on the device where they are.

    Args:
        images: (B, bytes) uint8 as in `Data.images`.
        shape: (C, H, W) of one image.
        packed: whether a byte holds eight pixels.
        levels: pixel value = stored level / levels.

    Returns:
        (B, C, H, W) float32.
    """
    if packed:
        bytes_ = images.reshape(-1).int()
        return _byte_to_pixels(images.device).index_select(0, bytes_).view(-1, *shape)
    pixels = images.to(torch.float32)
    return (pixels if levels == 1 else pixels.div_(levels)).view(-1, *shape)


@functools.cache
def _byte_to_pixels(device: torch.device) -> Tensor:
    """Return the eight pixels of each byte, (256, 8) float32.

    Looking pixels up in this table is faster than shifting and masking.
    """
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
    return torch.as_tensor(bits, dtype=torch.float32, device=device)
