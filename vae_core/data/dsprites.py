"""dSprites (Matthey et al. 2017): 737,280 binary images of a sprite with five factors, drawn or from a file."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from metrics import Factors
from vae_core import fields, registry
from vae_core.data import cache as store
from vae_core.data.abstract import AbstractDataset, Outline
from vae_core.data.dsprites_render import BYTES, FULL_SHA256, NAMES, SIDE, SIZES, render_blocks
from vae_core.data.fingerprint import fingerprint
from vae_core.data.packing import pool
from vae_core.types import Data

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
        ValueError: naming every mistake among the options.
    """

    resolution: Literal[64, 32, 16] = 64
    stride: Mapping[str, int] = field(default_factory=dict[str, int], hash=False)
    values: Mapping[str, Sequence[int]] = field(default_factory=dict[str, Sequence[int]], hash=False)
    dedupe_orientation: bool = False
    path: str | None = None

    def __post_init__(self) -> None:
        wrong = [*_violations(self), *_bad_strides(self.stride), *_bad_values(self.values)]
        for name in self.stride:
            if name in self.values:
                wrong.append(f"give stride or values for {name}, not both")
        if self.dedupe_orientation and _REPEATED_ANGLE in self.values.get("orientation", ()):
            wrong.append(
                f"values.orientation takes {_REPEATED_ANGLE}, which dedupe_orientation leaves out; "
                "drop one of the two"
            )
        if self.path is not None and Path(self.path).suffix not in (".npz", ".hdf5", ".h5"):
            wrong.append(f"path must end in .npz, .hdf5 or .h5, got {self.path!r}")
        if wrong:
            raise ValueError("; ".join(wrong))
        object.__setattr__(self, "stride", {name: self.stride[name] for name in NAMES if name in self.stride})
        values = {name: tuple(sorted(self.values[name])) for name in NAMES if name in self.values}
        object.__setattr__(self, "values", values)

    def levels(self) -> tuple[NDArray[np.int64], ...]:
        """Return the chosen levels of each factor, ascending."""
        chosen = tuple(
            np.array(self.values[name])
            if name in self.values
            else np.arange(0, size, self.stride.get(name, 1))
            for name, size in zip(NAMES, SIZES, strict=True)
        )
        if self.dedupe_orientation:
            return (*chosen[:2], chosen[2][chosen[2] != _REPEATED_ANGLE], *chosen[3:])
        return chosen

    def outline(self) -> Outline:
        """Return sizes from the options alone."""
        sizes = tuple(len(chosen) for chosen in self.levels())
        return Outline(math.prod(sizes), (1, self.resolution, self.resolution), NAMES, sizes)

    def cache_file(self, cache: Path) -> Path:
        """Return where the cache holds these images: one file per content, however the options say it."""
        sizes = "x".join(str(len(chosen)) for chosen in self.levels())
        content = [self.resolution, [chosen.tolist() for chosen in self.levels()], self._source()]
        key = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]
        return cache / f"dsprites-{self.resolution}px-{sizes}-{key}.npy"

    def load(self, cache: Path) -> Data:
        """Return the sub-grid's images and factors; levels are numbered anew from 0 within the sub-grid."""
        outline = self.outline()
        images, sha256 = store.stored_or_made(self.cache_file(cache), self._images)
        grid = np.indices(outline.factor_sizes).reshape(len(NAMES), -1)
        factors = Factors(np.ascontiguousarray(grid.T), NAMES, outline.factor_sizes)
        packed, levels = self.resolution == SIDE, (SIDE // self.resolution) ** 2
        identity = fingerprint(sha256, outline.shape, packed=packed, levels=levels, factors=factors)
        return Data("dsprites", images, outline.shape, packed, levels, factors, identity)

    def _source(self) -> str:
        return FULL_SHA256

    def _blocks(self) -> Iterator[NDArray[np.uint8]]:
        return render_blocks(self.levels())

    def _images(self) -> NDArray[np.uint8]:
        width = BYTES if self.resolution == SIDE else self.resolution**2
        images = np.empty((self.outline().images, width), np.uint8)
        start = 0
        for block in self._blocks():
            stop = start + len(block)
            images[start:stop] = (
                block if self.resolution == SIDE else pool(block, SIDE, SIDE // self.resolution)
            )
            start = stop
        return images


def _violations(options: DSprites) -> list[str]:
    try:
        fields.check(options)
    except ValueError as error:
        return [str(error)]
    return []


def _bad_strides(stride: Mapping[str, int]) -> list[str]:
    wrong: list[str] = []
    for name, step in stride.items():
        if name not in NAMES:
            wrong.append(f"stride: {registry.unknown('factor', name, NAMES)}")
        elif not _whole(step) or not 1 <= step <= _size(name):
            wrong.append(f"stride.{name} must be a whole number from 1 to {_size(name)}, got {step!r}")
    return wrong


def _bad_values(values: Mapping[str, Sequence[int]]) -> list[str]:
    wrong: list[str] = []
    for name, chosen in values.items():
        if name not in NAMES:
            wrong.append(f"values: {registry.unknown('factor', name, NAMES)}")
            continue
        outside = [level for level in chosen if not _whole(level) or not 0 <= level < _size(name)]
        if outside or not chosen:
            got = f"{outside}" if outside else "none"
            wrong.append(f"values.{name} must be whole numbers from 0 to {_size(name) - 1}, got {got}")
        elif len(set(chosen)) < len(chosen):
            doubled = sorted({level for level in chosen if list(chosen).count(level) > 1})
            wrong.append(f"values.{name} must not repeat a level, got {doubled} more than once")
    return wrong


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _size(name: str) -> int:
    return SIZES[NAMES.index(name)]
