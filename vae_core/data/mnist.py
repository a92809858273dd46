"""MNIST (LeCun et al. 1998): 70,000 handwritten digits, one factor, read from original files."""

from __future__ import annotations

import gzip
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from metrics import Factors
from vae_core.data import original_files, stand_ins
from vae_core.data.abstract import AbstractDataset, Outline
from vae_core.data.cache import store
from vae_core.data.make_data import make_data, pack_if_binary
from vae_core.data.option_checks import option_problems
from vae_core.data.original_files import Remote
from vae_core.types import Data

SIDE = 28
DIGITS = 10
# The original server no longer offers the files; this is a mirror.
_MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist"
_CHECKSUMS = {
    "train-images-idx3-ubyte.gz": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "md5:d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "md5:9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "md5:ec29112dd5afa0611ce80d1b7f02629c",
}
_PARTS = {"train": ("train",), "test": ("t10k",), "all": ("train", "t10k")}
_IMAGES = {"train": 60_000, "t10k": 10_000}
_STAND_IN_IMAGES = {"train": 200, "t10k": 100}
_BYTE = 8  # the code of unsigned bytes in an idx header


@dataclass(frozen=True)
class MNIST(AbstractDataset):
    """Handwritten digits of MNIST with the digit as their one factor, train before test.

    Args:
        split: the 60,000 images of train, the 10,000 of test, or all.
        resolution: 28 as they are; 32 with two black pixels added on every side.
        binary: makes a pixel 1 from level 128 of 255 on, else 0.
        path: folder of the four original .gz files; None: `mnist` in the folder of prepared data.
        stand_in: draws a few hundred digits of seven bars instead, for tests; needs no file.

    Raises:
        ValueError: names every option that is invalid.
    """

    name: ClassVar[str] = "mnist"
    remotes: ClassVar[tuple[Remote, ...]] = tuple(
        Remote(file, f"{_MIRROR}/{file}", checksum) for file, checksum in _CHECKSUMS.items()
    )

    split: Literal["train", "test", "all"] = "train"
    resolution: Literal[28, 32] = 28
    binary: bool = False
    path: str | None = None
    stand_in: bool = False

    def __post_init__(self) -> None:
        problems = option_problems(self)
        if problems:
            raise ValueError("; ".join(problems))

    def outline(self) -> Outline:
        """Return sizes from the options alone."""
        counts = _STAND_IN_IMAGES if self.stand_in else _IMAGES
        images = sum(counts[part] for part in _PARTS[self.split])
        shape = (1, self.resolution, self.resolution)
        return Outline(images, shape, ("digit",), (DIGITS,), levels=1 if self.binary else 255)

    def missing(self, cache: Path | None = None) -> str | None:
        """Return rule and remedy if an original file does not exist; else None."""
        if self.stand_in:
            return None
        return original_files.missing(self.name, self.path, self._files(cache))

    def cache_file(self, cache: Path) -> None:
        """Return None: the original files are read in less than a second."""
        del cache

    def load(self, cache: Path | None = None) -> Data:
        """Return the images and digits of the split."""
        outline = self.outline()
        pixels, digits = self._draw() if self.stand_in else self._read(cache)
        margin = (self.resolution - SIDE) // 2
        pixels = np.pad(pixels, ((0, 0), (margin, margin), (margin, margin)))
        pixels = pixels.reshape(len(pixels), -1)
        if self.binary:
            pixels = (pixels >= 128).astype(np.uint8)
        levels = 1 if self.binary else 255
        factors = Factors(
            digits.astype(np.int64)[:, None], outline.factor_names, outline.factor_sizes
        )
        name = f"{self.name}-stand-in" if self.stand_in else self.name
        images = pack_if_binary(pixels, levels=levels)
        return make_data(name, images, outline.shape, levels=levels, factors=factors)

    def _files(self, cache: Path | None) -> list[tuple[Path, Remote]]:
        """Return the path of each original file of the split."""
        folder = Path(self.path) if self.path else (cache or store.cache_folder()) / self.name
        parts = _PARTS[self.split]
        return [
            (folder / remote.name, remote)
            for remote in self.remotes
            if remote.name.startswith(parts)
        ]

    def _read(self, cache: Path | None) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return (N, 28, 28) pixels and (N,) digits of the original files."""
        self.require_files(cache)
        images: list[NDArray[np.uint8]] = []
        digits: list[NDArray[np.uint8]] = []
        for path, remote in self._files(cache):
            count = _IMAGES[remote.name.partition("-")[0]]
            with original_files.intact(path, remote, self.name):
                if "images" in remote.name:
                    images.append(read_idx(path, (count, SIDE, SIDE)))
                else:
                    digits.append(read_idx(path, (count,), below=DIGITS))
        return np.concatenate(images), np.concatenate(digits)

    def _draw(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return (N, 28, 28) pixels and (N,) digits of the stand-in."""
        digits = np.arange(sum(_STAND_IN_IMAGES.values()), dtype=np.uint8) % DIGITS
        train = _STAND_IN_IMAGES["train"]
        rows_of = {"train": slice(0, train), "test": slice(train, None), "all": slice(None)}
        rows = rows_of[self.split]
        return stand_ins.digits(digits, np.random.default_rng(0))[rows], digits[rows]


def read_idx(path: Path, shape: tuple[int, ...], *, below: int = 256) -> NDArray[np.uint8]:
    """Return the bytes of a gzipped idx file.

    Its header is two zero bytes, the code of the type, the number of axes, and the length of each
    axis as a big-endian int32.

    Args:
        path: of the .gz.
        shape: the shape that it must have.
        below: the bound that every value must be below.

    Raises:
        ValueError: another header, shape or value.
        EOFError, gzip.BadGzipFile: the file is truncated, or no gzip file.
    """
    with gzip.open(path) as file:
        content = file.read()
    start = 4 + 4 * len(shape)
    if content[:4] != bytes((0, 0, _BYTE, len(shape))) or len(content) < start:
        raise ValueError(
            f"its idx header must say {len(shape)} axes of bytes, got {content[:4].hex()}"
        )
    file_shape = struct.unpack(f">{len(shape)}i", content[4:start])
    if file_shape != shape:
        raise ValueError(f"it must have shape {shape}, got {file_shape}")
    if len(content) - start != math.prod(shape):
        raise ValueError(f"it must hold {math.prod(shape)} values, got {len(content) - start}")
    values = np.frombuffer(content, np.uint8, offset=start).reshape(shape)
    if values.size and values.max() >= below:
        raise ValueError(f"its values must be below {below}, got {values.max()}")
    return values
