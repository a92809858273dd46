"""dSprites (Matthey et al. 2017): 737,280 images of a sprite, five factors, drawn or read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from vae_core.data import factor_grid
from vae_core.data.abstract import AbstractDataset, Outline
from vae_core.data.cache import store
from vae_core.data.dsprites.official_files import OPENERS
from vae_core.data.dsprites.read import REMEDY, file_sha256, read_blocks
from vae_core.data.dsprites.render import BYTES, FULL_SHA256, NAMES, SIDE, SIZES, render_blocks
from vae_core.data.make_data import make_data
from vae_core.data.option_checks import option_problems
from vae_core.data.original_files import Remote
from vae_core.data.packing import pool
from vae_core.types import Data

_GRID: dict[str, int] = dict(zip(NAMES, SIZES, strict=True))
_NPZ = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
_HOME = "https://github.com/google-deepmind/dsprites-dataset"
_REPEATED_ANGLE = SIZES[2] - 1  # the angles run from 0 to 2 pi inclusive


@dataclass(frozen=True)
class DSprites(AbstractDataset):
    """A sub-grid of dSprites, in the official index order (shape slowest, pos_y fastest).

    Args:
        resolution: 64 keeps binary pixels; 32 and 16 are means of 2 x 2 and 4 x 4 of them.
        stride: takes every n-th level of a factor (shape, scale, orientation, pos_x, pos_y), from
            level 0.
        values: takes these levels of a factor.
        dedupe_orientation: leaves out orientation 39, which draws the same image as orientation 0.
        path: the official .npz or .hdf5; None draws the same images (about 100 of them differ by
            one pixel).

    Raises:
        ValueError: names every option that is invalid.
    """

    name: ClassVar[str] = "dsprites"
    # No checksum of the file is published; every image is compared with its drawing instead.
    remotes: ClassVar[tuple[Remote, ...]] = (Remote(_NPZ, f"{_HOME}/raw/master/{_NPZ}"),)

    resolution: Literal[64, 32, 16] = 64
    stride: Mapping[str, int] = field(default_factory=dict[str, int], hash=False)
    values: Mapping[str, Sequence[int]] = field(
        default_factory=dict[str, Sequence[int]], hash=False
    )
    dedupe_orientation: bool = False
    path: str | None = None

    def __post_init__(self) -> None:
        problems = [*option_problems(self), *self._level_problems()]
        if self.path is not None and Path(str(self.path)).suffix not in OPENERS:
            problems.append(f"path must end in one of {', '.join(OPENERS)}, got {self.path!r}")
        if problems:
            raise ValueError("; ".join(problems))
        stride, values = factor_grid.ordered(_GRID, self.stride, self.values)
        object.__setattr__(self, "stride", stride)
        object.__setattr__(self, "values", values)

    def _level_problems(self) -> list[str]:
        """Return the problems with `stride` and `values`."""
        problems = factor_grid.problems(_GRID, self.stride, self.values)
        if problems or not self.dedupe_orientation:
            return problems
        if _REPEATED_ANGLE in self.values.get("orientation", ()):
            return [
                f"values.orientation must not name {_REPEATED_ANGLE} "
                "where dedupe_orientation leaves it out; drop one of the two"
            ]
        return []

    def levels(self) -> tuple[tuple[int, ...], ...]:
        """Return the chosen levels of each factor, ascending."""
        chosen = factor_grid.choose(_GRID, self.stride, self.values)
        if self.dedupe_orientation:
            angles = chosen["orientation"]
            chosen["orientation"] = tuple(level for level in angles if level != _REPEATED_ANGLE)
        return tuple(chosen.values())

    def outline(self) -> Outline:
        """Return sizes from the options alone."""
        sizes = tuple(len(chosen) for chosen in self.levels())
        shape = (1, self.resolution, self.resolution)
        return Outline(math.prod(sizes), shape, NAMES, sizes, (SIDE // self.resolution) ** 2)

    def cache_file(self, cache: Path) -> Path:
        """Return the file of these images in the cache.

        Options that choose the same images share the file.

        Raises:
            ValueError: `path` cannot be read.
        """
        sizes = "x".join(str(len(chosen)) for chosen in self.levels())
        source = FULL_SHA256 if self.path is None else file_sha256(self.path)
        return store.array_path(
            cache, f"dsprites-{self.resolution}px-{sizes}", [self.resolution, self.levels(), source]
        )

    def missing(self, cache: Path | None = None) -> str | None:
        """Return the rule and the remedy if `path` does not exist; else None."""
        if self.path is None or Path(self.path).is_file():
            return None
        return f"path must exist, got {self.path!r}; {REMEDY}"

    def load(self, cache: Path | None = None) -> Data:
        """Return the images and factors of the sub-grid; its levels are numbered from 0."""
        outline = self.outline()
        images, sha256 = store.load_or_make(
            self.cache_file(cache or store.cache_folder()), self.images
        )
        factors = factor_grid.table(dict(zip(NAMES, outline.factor_sizes, strict=True)))
        levels = (SIDE // self.resolution) ** 2
        return make_data(
            self.name, images, outline.shape, levels=levels, factors=factors, sha256=sha256
        )

    def images(self) -> NDArray[np.uint8]:
        """Return the images as `Data.images` stores them, drawn or read; the cache is not used."""
        levels = self.levels()
        blocks = render_blocks(levels) if self.path is None else read_blocks(self.path, levels)
        width = BYTES if self.resolution == SIDE else self.resolution**2
        images = np.empty((self.outline().images, width), np.uint8)
        start = 0
        for block in blocks:
            rows = block if self.resolution == SIDE else pool(block, SIDE, self.resolution)
            images[start : start + len(rows)] = rows
            start += len(rows)
        return images
