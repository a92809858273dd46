"""Reads dSprites from an official file, block by block, and checks it against grid and geometry."""

from __future__ import annotations

import contextlib
import hashlib
import math
import zipfile
import zlib
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vae_core.data.dsprites.official_files import OPENERS, OpenFile
from vae_core.data.dsprites.render import SIDE, SIZES, render_blocks

REMEDY = (
    "fetch it from github.com/google-deepmind/dsprites-dataset, or leave `path` out: "
    "the built-in renderer needs no file"
)

_TOLERATED = 8
"""Pixels in which an image may differ from its drawing.

In each of 64,845 real images at most one pixel differs.
"""


def file_sha256(path: str) -> str:
    """Return the sha256 of a file; ValueError if it cannot be read."""
    with _explained(path), Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_blocks(
    path: str, levels: Sequence[Sequence[int]], sizes: tuple[int, ...] = SIZES
) -> Iterator[NDArray[np.uint8]]:
    """Yield the images of a sub-grid as `render_blocks` does, read from an official file.

    One block is unpacked at a time, because all images unpacked take 3 GB.

    Args:
        path: the .npz or .hdf5.
        levels: the chosen level indices of shape, scale, orientation, pos_x and pos_y.
        sizes: numbers of levels of the full grid that the file holds.

    Raises:
        ValueError: the file is missing, truncated or altered: in shapes, dtypes, index order, a
            pixel that is neither 0 nor 1, or an image that is not dSprites' image of its index.
    """
    block_size = sizes[3] * sizes[4]  # images of one (shape, scale, orientation)
    offsets = np.add.outer(np.array(levels[3]) * sizes[4], np.array(levels[4])).ravel()
    all_blocks = np.arange(math.prod(sizes[:3])).reshape(sizes[:3])
    blocks = all_blocks[np.ix_(*map(list, levels[:3]))].ravel()
    with contextlib.ExitStack() as stack:
        with _explained(path):
            file = stack.enter_context(OPENERS[Path(path).suffix](Path(path)))
            _check_layout(file, sizes)
        for block, drawn in zip(blocks.tolist(), render_blocks(levels), strict=True):
            start = block * block_size
            with _explained(path):
                images = _packed(file.read_images(start, start + block_size)[offsets])
                _check_images(images, drawn, start + offsets)
            yield images


@contextlib.contextmanager
def _explained(path: str) -> Generator[None]:
    """Turn any failure to read a file into a ValueError with path, reason and remedy."""
    try:
        yield
    except FileNotFoundError as error:
        raise ValueError(f"{path} does not exist; {REMEDY}") from error
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        reason = error.args[0] if isinstance(error, KeyError) else error
        raise ValueError(
            f"{path} is not an intact official dSprites file: {reason}; {REMEDY}"
        ) from error


def _check_layout(file: OpenFile, sizes: tuple[int, ...]) -> None:
    """Raise ValueError if shapes, dtype or the order of the images are not the official ones."""
    images, columns = math.prod(sizes), 1 + len(sizes)
    _check_shape("imgs", file.shape, (images, SIDE, SIDE))
    _check_shape("latent classes", file.classes.shape, (images, columns))
    if file.dtype != np.uint8:
        raise ValueError(f"its imgs must be uint8, got {file.dtype}")
    expected = np.indices((1, *sizes)).reshape(columns, images).T  # colour has one level
    out_of_order = np.flatnonzero((file.classes != expected).any(axis=1))
    if len(out_of_order):
        row = out_of_order[0]
        raise ValueError(
            "its images must be in the official order, "
            f"got latent classes {file.classes[row].tolist()} at image {row} "
            f"where {expected[row].tolist()} belong"
        )


def _check_shape(name: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if shape != expected:
        raise ValueError(f"its {name} must have shape {expected}, got {shape}")


def _packed(images: NDArray[Any]) -> NDArray[np.uint8]:
    """Return (n, 512) packed images; ValueError for a pixel that is neither 0 nor 1."""
    if images.max() > 1:
        raise ValueError(f"its pixels must be 0 or 1, got {images.max()}")
    return np.packbits(images.reshape(len(images), -1), axis=1)


def _check_images(
    images: NDArray[np.uint8], drawn: NDArray[np.uint8], indices: NDArray[np.int64]
) -> None:
    """Raise ValueError if an image differs from its drawing in more than `_TOLERATED` pixels."""
    differing = np.flatnonzero((images != drawn).any(axis=1))
    pixels = np.unpackbits(images[differing] ^ drawn[differing], axis=1).sum(axis=1, dtype=np.int64)
    if (pixels > _TOLERATED).any():
        worst = int(pixels.argmax())
        raise ValueError(
            f"its image {indices[differing[worst]]} differs from dSprites' image of that index "
            f"in {pixels[worst]} pixels; rounding in the original explains at most {_TOLERATED}"
        )
