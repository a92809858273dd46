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
from vae_core.data.make_data import make_data
from vae_core.data.option_checks import option_problems
from vae_core.data.original_files import Remote
from vae_core.types import Data

SIZES = {"elevation": 4, "azimuth": 24, "object": 183}
_STAND_IN_SIZES = {"elevation": 2, "azimuth": 6, "object": 8}
# The authors publish no checksum; two loaders of the field (disent, latte) agree on this one.
_MD5 = "md5:4e866a7919c1beedf53964e6f7a23686"


@dataclass(frozen=True)
class Cars3D(AbstractDataset):
    """Cars of Cars3D in index order (elevation slowest, object fastest), RGB, resized to 64 x 64.

    The models are numbered in the order of their files' names.

    Args:
        path: nips2015-analogy-data.tar.gz; None: in `cars3d` in the folder of prepared data.
        stand_in: draws 96 images of the same factors with fewer levels instead, for tests; needs no
            file.

    Raises:
        ValueError: names every option that is invalid.
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
        problems = option_problems(self)
        if problems:
            raise ValueError("; ".join(problems))

    def outline(self) -> Outline:
        """Return sizes from the options alone."""
        sizes = _STAND_IN_SIZES if self.stand_in else SIZES
        counts = tuple(sizes.values())
        return Outline(math.prod(counts), (3, SIDE, SIDE), tuple(sizes), counts, levels=255)

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
        """Return all images and their factors; only the first call takes minutes."""
        shape = self.outline().shape
        if self.stand_in:
            images = stand_ins.cars(_STAND_IN_SIZES)
            images = images.reshape(len(images), -1)
            name, factors = f"{self.name}-stand-in", factor_grid.table(_STAND_IN_SIZES)
            return make_data(name, images, shape, levels=255, factors=factors)
        cache = cache or store.cache_folder()
        self.require_files(cache)
        images, sha256 = store.load_or_make(self._prepared(cache), lambda: self._read(cache))
        factors = factor_grid.table(SIZES)
        return make_data(self.name, images, shape, levels=255, factors=factors, sha256=sha256)

    def _read(self, cache: Path) -> store.Images:
        """Return the images of the original file."""
        file = self._file(cache)
        with original_files.intact(file, self.remotes[0], self.name):
            return read_meshes(file, tuple(SIZES.values()))

    def _file(self, cache: Path) -> Path:
        """Return the path of the original file."""
        return Path(self.path) if self.path else cache / self.name / self.remotes[0].name

    def _prepared(self, cache: Path) -> Path:
        """Return the path of the prepared images."""
        return store.array_path(cache, f"{self.name}-{SIDE}px", [SIDE, self.remotes[0].checksum])
