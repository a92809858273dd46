"""dSprites (Matthey et al. 2017): 737,280 images of a sprite, five factors, drawn or read from a file."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from metrics import Factors
from vae_core import fields
from vae_core.data import cache as store
from vae_core.data import grid
from vae_core.data.abstract import AbstractDataset, Outline
from vae_core.data.dsprites_official import OPENERS, file_sha256, read_blocks
from vae_core.data.dsprites_render import BYTES, FULL_SHA256, NAMES, SIDE, SIZES, render_blocks
from vae_core.data.fingerprint import fingerprint
from vae_core.data.packing import pool
from vae_core.types import Data

_GRID: dict[str, int] = dict(zip(NAMES, SIZES, strict=True))
_REPEATED_ANGLE = SIZES[2] - 1  # the angles run from 0 to 2 pi inclusive


@dataclass(frozen=True)
class DSprites(AbstractDataset):
    """A sub-grid of dSprites, in the official index order (shape slowest, pos_y fastest).

    Args:
        resolution: 64 keeps binary pixels; 32 and 16 are means of 2 x 2 and 4 x 4 of them.
        stride: takes every n-th level of a factor (shape, scale, orientation, pos_x, pos_y), from level 0.
        values: takes these levels of a factor.
        dedupe_orientation: leaves out orientation 39, which draws the same image as orientation 0.
        path: the official .npz or .hdf5; None draws the same images (about 100 of them differ by one pixel).

    Raises:
        ValueError: names every mistake among the options.
    """

    resolution: Literal[64, 32, 16] = 64
    stride: Mapping[str, int] = field(default_factory=dict[str, int], hash=False)
    values: Mapping[str, Sequence[int]] = field(default_factory=dict[str, Sequence[int]], hash=False)
    dedupe_orientation: bool = False
    path: str | None = None

    def __post_init__(self) -> None:
        unclear = grid.mistakes(_GRID, self.stride, self.values)
        wrong = [*_violations(self), *unclear]
        if not unclear and self.dedupe_orientation and _REPEATED_ANGLE in self.values.get("orientation", ()):
            wrong.append(
                f"values.orientation must not name {_REPEATED_ANGLE} where dedupe_orientation leaves it out; "
                "drop one of the two"
            )
        if self.path is not None and Path(str(self.path)).suffix not in OPENERS:
            wrong.append(f"path must end in one of {', '.join(OPENERS)}, got {self.path!r}")
        if wrong:
            raise ValueError("; ".join(wrong))
        # One form for what says the same: plain dicts in factor order, levels ascending.
        stride = {name: self.stride[name] for name in NAMES if name in self.stride}
        values = {name: tuple(sorted(self.values[name])) for name in NAMES if name in self.values}
        object.__setattr__(self, "stride", stride)
        object.__setattr__(self, "values", values)

    def levels(self) -> tuple[tuple[int, ...], ...]:
        """Return the chosen levels of each factor, ascending."""
        chosen = grid.choose(_GRID, self.stride, self.values)
        if self.dedupe_orientation:
            angles = chosen["orientation"]
            chosen["orientation"] = tuple(level for level in angles if level != _REPEATED_ANGLE)
        return tuple(chosen.values())

    def outline(self) -> Outline:
        """Return sizes from the options alone."""
        sizes = tuple(len(chosen) for chosen in self.levels())
        return Outline(math.prod(sizes), (1, self.resolution, self.resolution), NAMES, sizes)

    def cache_file(self, cache: Path) -> Path:
        """Return where the cache holds these images: one file per content, however the options say it."""
        sizes = "x".join(str(len(chosen)) for chosen in self.levels())
        source = FULL_SHA256 if self.path is None else file_sha256(self.path)
        content = [self.resolution, self.levels(), source]
        key = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]
        return cache / f"dsprites-{self.resolution}px-{sizes}-{key}.npy"

    def load(self, cache: Path | None = None) -> Data:
        """Return the sub-grid's images and factors; levels are numbered anew from 0 within the sub-grid."""
        outline = self.outline()
        images, sha256 = store.stored_or_made(self.cache_file(cache or store.cache_folder()), self.images)
        values = np.indices(outline.factor_sizes).reshape(len(NAMES), -1).T
        factors = Factors(np.ascontiguousarray(values), NAMES, outline.factor_sizes)
        packed, levels = self.resolution == SIDE, (SIDE // self.resolution) ** 2
        identity = fingerprint(sha256, outline.shape, packed=packed, levels=levels, factors=factors)
        return Data("dsprites", images, outline.shape, packed, levels, factors, identity)

    def images(self) -> NDArray[np.uint8]:
        """Return the images as `Data.images` stores them, drawn or read, whatever the cache holds."""
        levels = self.levels()
        blocks = render_blocks(levels) if self.path is None else read_blocks(self.path, levels)
        width = BYTES if self.resolution == SIDE else self.resolution**2
        images = np.empty((self.outline().images, width), np.uint8)
        start = 0
        for block in blocks:
            stop = start + len(block)
            images[start:stop] = block if self.resolution == SIDE else pool(block, SIDE, self.resolution)
            start = stop
        return images


def _violations(options: DSprites) -> list[str]:
    try:
        fields.check(options)
    except ValueError as error:
        return [str(error)]
    return []
