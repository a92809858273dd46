"""Cars3D (Reed et al. 2015): 17,568 images of 183 car models from 24 sides and 4 heights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vae_core.data import factor_grid, original_files, stand_ins
from vae_core.data.abstract import AbstractDataset, Outline
from vae_core.data.cache import store
from vae_core.data.cars3d.read import SIDE, read_meshes
from vae_core.data.make_data import assembled
from vae_core.data.option_checks import violations
from vae_core.data.original_files import Remote
from vae_core.types import Data

SIZES = {"elevation": 4, "azimuth": 24, "object": 183}
_STAND_IN_SIZES = {"elevation": 2, "azimuth": 6, "object": 8}
# The authors publish no checksum; this is the one that two loaders of the field (disent, latte) agree on.
_MD5 = "md5:4e866a7919c1beedf53964e6f7a23686"


@dataclass(frozen=True)
class Cars3D(AbstractDataset):
    """Cars of Cars3D in index order (elevation slowest, object fastest), RGB, resized to 64 x 64.

    The models are numbered in the order of their files' names.

    Args:
        path: nips2015-analogy-data.tar.gz; None: in `cars3d` in the folder of prepared data.
        stand_in: draws 96 images of the same factors with fewer levels instead, for tests; needs no file.

    Raises:
        ValueError: names every mistake among the options.
    """

    name: ClassVar[str] = "cars3d"
    remotes: ClassVar[tuple[Remote, ...]] = (
        Remote(
            "nips2015-analogy-data.tar.gz",
            "http://www.scottreed.info/files/nips2015-analogy-data.tar.gz",
            _MD5,
        ),
    )

    path: str | None = None
    stand_in: bool = False

    def __post_init__(self) -> None:
        if wrong := violations(self):
            raise ValueError("; ".join(wrong))

    def outline(self) -> Outline:
        """Return sizes from the options alone."""
        sizes = _STAND_IN_SIZES if self.stand_in else SIZES
        return Outline(
            math.prod(sizes.values()), (3, SIDE, SIDE), tuple(sizes), tuple(sizes.values())
        )

    def missing(self, cache: Path | None = None) -> str | None:
        """Return what to do about the file if it is not there and the images are not prepared either."""
        cache = cache or store.cache_folder()
        if self.stand_in or self._stored(cache).exists():
            return None
        return original_files.missing(self.name, self.path, [(self._file(cache), self.remotes[0])])

    def cache_file(self, cache: Path) -> Path | None:
        """Return where the cache keeps the images ready; a stand-in is drawn every time."""
        return None if self.stand_in else self._stored(cache)

    def load(self, cache: Path | None = None) -> Data:
        """Return all images and their factors; the first time it takes minutes, then the cache has them."""
        cache = cache or store.cache_folder()
        shape = self.outline().shape
        if self.stand_in:
            images = stand_ins.cars(_STAND_IN_SIZES)
            images = images.reshape(len(images), -1)
            name, factors = f"{self.name}-stand-in", factor_grid.table(_STAND_IN_SIZES)
            return assembled(name, images, shape, levels=255, factors=factors)
        if message := self.missing(cache):
            raise ValueError(f"{self.name}: {message}")
        images, sha256 = store.stored_or_made(self._stored(cache), lambda: self._read(cache))
        return assembled(
            self.name, images, shape, levels=255, factors=factor_grid.table(SIZES), sha256=sha256
        )

    def _read(self, cache: Path) -> store.Images:
        file = self._file(cache)
        with original_files.intact(file, self.remotes[0], self.name):
            return read_meshes(file, tuple(SIZES.values()))

    def _file(self, cache: Path) -> Path:
        return Path(self.path) if self.path else cache / self.name / self.remotes[0].name

    def _stored(self, cache: Path) -> Path:
        return store.named(cache, f"{self.name}-{SIDE}px", [SIDE, self.remotes[0].checksum])
