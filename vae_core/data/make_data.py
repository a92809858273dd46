"""Makes a `Data` from pixels and factors; eight binary pixels are packed into a byte."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from metrics import Factors
from vae_core.data.cache.fingerprint import digest, fingerprint
from vae_core.types import Data


def make_data(
    name: str,
    images: NDArray[np.uint8],
    shape: tuple[int, int, int],
    *,
    levels: int,
    factors: Factors | None,
    sha256: str | None = None,
    notes: tuple[str, ...] = (),
) -> Data:
    """Return a data set with its fingerprint.

    Args:
        name: registry name, with "-stand-in" for a stand-in.
        images: (N, C*H*W) levels, or (N, C*H*W/8) packed bits.
        shape: (C, H, W) of one image.
        levels: pixel value = level / levels.
        factors: ground truth, or None.
        sha256: of the images' bytes; None: it is computed.
        notes: on the images, for the user; they are no part of the fingerprint.
    """
    packed = images.shape[1] != math.prod(shape)
    identity = fingerprint(
        sha256 or digest(images), shape, packed=packed, levels=levels, factors=factors
    )
    return Data(name, images, shape, packed, levels, factors, identity, notes)


def pack_if_binary(pixels: NDArray[np.uint8], *, levels: int) -> NDArray[np.uint8]:
    """Return (N, pixels) levels as `Data.images` stores them.

    Binary images are packed, eight pixels to a byte, if their number of pixels is a multiple of
    eight.
    """
    if levels == 1 and pixels.shape[1] % 8 == 0:
        return np.packbits(pixels, axis=1)
    return pixels
