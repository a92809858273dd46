"""3D Shapes (Burgess and Kim 2018): 480,000 images of an object in a room, six factors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from vae_core.data import factor_grid, original_files, stand_ins
from vae_core.data.abstract import AbstractDataset, Outline
from vae_core.data.cache import mapped, store
from vae_core.data.make_data import make_data
from vae_core.data.option_checks import option_problems
from vae_core.data.original_files import Remote
from vae_core.data.shapes3d.read import SIDE, halved, read_blocks
from vae_core.types import Data

SIZES = {
    "floor_hue": 10,
    "wall_hue": 10,
    "object_hue": 10,
    "scale": 8,
    "shape": 4,
    "orientation": 15,
}
_STAND_IN_SIZES = {
    "floor_hue": 3,
    "wall_hue": 3,
    "object_hue": 3,
    "scale": 2,
    "shape": 4,
    "orientation": 3,
}
# The sha256 is the one that TensorFlow Datasets publishes for this address.
_SHA256 = "sha256:0a0f6ed98baff276a50f3a081a7434d788da63cb135a98189b2a5b5769be1785"


@dataclass(frozen=True)
class Shapes3D(AbstractDataset):
    """A sub-grid of 3D Shapes, RGB, in official index order (floor_hue slowest).

    The factors are floor_hue, wall_hue, object_hue, scale, shape, orientation, slowest first.

    The full grid at 64 x 64 is 5.9 GB. Where that is more than half of the free memory, the images
    stay in the folder of prepared data and are read from there when they are used.

    Args:
        resolution: 64, or 32: means of 2 x 2 pixels, rounded (halves up).
        stride: takes every n-th level of a factor (floor_hue, wall_hue, object_hue, scale, shape,
            orientation).
        values: takes these levels of a factor.
        path: 3dshapes.h5; None: `shapes3d/3dshapes.h5` in the folder of prepared data.
        stand_in: draws 648 images of the same factors with fewer levels instead, for tests; needs
            no file.

    Raises:
        ValueError: names every option that is invalid.
    """

    name: ClassVar[str] = "shapes3d"
    remotes: ClassVar[tuple[Remote, ...]] = (
        Remote("3dshapes.h5", "https://storage.googleapis.com/3d-shapes/3dshapes.h5", _SHA256),
    )

    resolution: Literal[64, 32] = 64
    stride: Mapping[str, int] = field(default_factory=dict[str, int], hash=False)
    values: Mapping[str, Sequence[int]] = field(
        default_factory=dict[str, Sequence[int]], hash=False
    )
    path: str | None = None
    stand_in: bool = False

    def __post_init__(self) -> None:
        problems = [
            *option_problems(self),
            *factor_grid.problems(self._sizes(), self.stride, self.values),
        ]
        if problems:
            raise ValueError("; ".join(problems))
        stride, values = factor_grid.ordered(self._sizes(), self.stride, self.values)
        object.__setattr__(self, "stride", stride)
        object.__setattr__(self, "values", values)

    def levels(self) -> dict[str, tuple[int, ...]]:
        """Return the chosen levels of each factor, ascending."""
        return factor_grid.choose(self._sizes(), self.stride, self.values)

    def outline(self) -> Outline:
        """Return sizes from the options alone."""
        sizes = tuple(map(len, self.levels().values()))
        shape = (3, self.resolution, self.resolution)
        return Outline(math.prod(sizes), shape, tuple(SIZES), sizes, levels=255)

    def missing(self, cache: Path | None = None) -> str | None:
        """Return rule and remedy if neither the file nor the prepared images exist; else None."""
        cache = cache or store.cache_folder()
        if self.stand_in or self._prepared(cache).exists():
            return None
        return original_files.missing(self.name, self.path, [(self._file(cache), self.remotes[0])])

    def cache_file(self, cache: Path) -> Path | None:
        """Return the file of the prepared images; None for a stand-in, which is always drawn."""
        return None if self.stand_in else self._prepared(cache)

    def load(self, cache: Path | None = None) -> Data:
        """Return the images and factors of the sub-grid; its levels are numbered from 0."""
        outline = self.outline()
        factors = factor_grid.table(dict(zip(SIZES, outline.factor_sizes, strict=True)))
        if self.stand_in:
            name = f"{self.name}-stand-in"
            return make_data(name, self._draw(), outline.shape, levels=255, factors=factors)
        cache = cache or store.cache_folder()
        self.require_files(cache)
        images, sha256 = self._prepared_or_read(cache)
        return make_data(
            self.name, images, outline.shape, levels=255, factors=factors, sha256=sha256
        )

    def _sizes(self) -> dict[str, int]:
        """Return the number of levels of each factor of the full grid."""
        return _STAND_IN_SIZES if self.stand_in is True else SIZES

    def _file(self, cache: Path) -> Path:
        """Return the path of the original file."""
        return Path(self.path) if self.path else cache / self.name / self.remotes[0].name

    def _prepared(self, cache: Path) -> Path:
        """Return the path of the prepared images.

        Its name has the published checksum, not the checksum of the file on this machine: the
        original may be deleted once the images are prepared.
        """
        sizes = "x".join(map(str, self.outline().factor_sizes))
        content = [self.resolution, list(self.levels().values()), self.remotes[0].checksum]
        return store.array_path(cache, f"{self.name}-{self.resolution}px-{sizes}", content)

    def _prepared_or_read(self, cache: Path) -> tuple[store.Images, str]:
        """Return the images and their sha256, in memory or, if they are too large, on disk."""
        outline = self.outline()
        shape = (outline.images, math.prod(outline.shape))
        path = self._prepared(cache)
        if mapped.fits_in_memory(math.prod(shape)):
            return store.load_or_make(path, lambda: _joined(self._blocks(cache), shape))
        return mapped.map_or_make(path, shape, lambda: self._blocks(cache))

    def _blocks(self, cache: Path) -> Iterator[NDArray[np.uint8]]:
        """Yield the images of the original file in blocks."""
        file = self._file(cache)
        with original_files.intact(file, self.remotes[0], self.name):
            yield from read_blocks(
                file, list(self.levels().values()), tuple(SIZES.values()), self.resolution
            )

    def _draw(self) -> NDArray[np.uint8]:
        """Return the images of the stand-in."""
        sizes = self._sizes()
        images = stand_ins.rooms(sizes).reshape(*sizes.values(), 3, SIDE, SIDE)
        images = images[np.ix_(*self.levels().values())].reshape(-1, 3, SIDE, SIDE)
        if self.resolution != SIDE:
            images = halved(images)
        return images.reshape(len(images), -1)


def _joined(blocks: Iterator[NDArray[np.uint8]], shape: tuple[int, int]) -> NDArray[np.uint8]:
    images, start = np.empty(shape, np.uint8), 0
    for block in blocks:
        images[start : start + len(block)] = block
        start += len(block)
    return images
