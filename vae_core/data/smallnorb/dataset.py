"""SmallNORB (LeCun et al. 2004): 48,600 grey images of fifty toys, five factors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from vae_core.data import factor_grid, original_files, stand_ins
from vae_core.data.abstract import AbstractDataset, Outline
from vae_core.data.cache import store
from vae_core.data.make_data import make_data
from vae_core.data.option_checks import option_problems
from vae_core.data.original_files import Remote
from vae_core.data.smallnorb.read import SIDE, Parts, read_grid
from vae_core.types import Data

_HOME = "https://cs.nyu.edu/~ylclab/data/norb-v1.0-small"
_STEMS = {
    "train": "smallnorb-5x46789x9x18x6x2x96x96-training",
    "test": "smallnorb-5x01235x9x18x6x2x96x96-testing",
}
# The sha256 are those that TensorFlow Datasets publishes for these addresses.
_CHECKSUMS = {
    "train-dat": "5ffd6272a07d32695ee1082a26a41a93a37aab8c28da047f8c34ed348d214873",
    "train-cat": "2784e542c1922060691090952b6cd6278879a216c90f81476f0f00256d42cdaa",
    "train-info": "de7eb932ebe7a4ee16217fead60660d0eb3d23632c2f4d1c51f88c501c17bf32",
    "test-dat": "cf7104eed3e51174d2f65b66d1e5878b9da233b886f161b0d88f4510ba2c7474",
    "test-cat": "ecaf6d5bb8c3bc5eab9cf0258f6d2198dd474e016e374836fc097f2e5ff509ff",
    "test-info": "16adf314226327ee006d1a44db8cfef52773c06c829951d5653a9f6f310248a2",
}
_INSTANCES = {"train": (4, 6, 7, 8, 9), "test": (0, 1, 2, 3, 5), "all": tuple(range(10))}
_STAND_IN_INSTANCES = {"train": (1, 3), "test": (0, 2), "all": tuple(range(4))}
_VIEWS = {"category": 5, "elevation": 9, "azimuth": 18, "lighting": 6}
_STAND_IN_VIEWS = {"category": 5, "elevation": 2, "azimuth": 3, "lighting": 3}


def _remote(key: str) -> Remote:
    split, kind = key.split("-")
    file = f"{_STEMS[split]}-{kind}.mat.gz"
    return Remote(file, f"{_HOME}/{file}", f"sha256:{_CHECKSUMS[key]}")


@dataclass(frozen=True)
class SmallNORB(AbstractDataset):
    """Toys of SmallNORB in index order (category slowest, instance fastest), grey, 64 x 64.

    The factors are category, elevation, azimuth, lighting, instance, slowest first. The instance,
    which of the ten toys of its category it is, is the fifth factor here. Published work on
    disentanglement often leaves it out and draws it at random, with the other four in this same
    order.

    Args:
        split: train holds the instances 4, 6, 7, 8, 9, test the others; within a split they are
            numbered from 0.
        camera: left or right of the stereo pair.
        path: folder of the original .mat.gz files; None: `smallnorb` in the folder of prepared
            data.
        stand_in: draws 360 images of the same factors with fewer levels instead, for tests; needs
            no file.

    Raises:
        ValueError: names every option that is invalid.
    """

    name: ClassVar[str] = "smallnorb"
    remotes: ClassVar[tuple[Remote, ...]] = tuple(_remote(key) for key in _CHECKSUMS)

    split: Literal["all", "train", "test"] = "all"
    camera: Literal["left", "right"] = "left"
    path: str | None = None
    stand_in: bool = False

    def __post_init__(self) -> None:
        problems = option_problems(self)
        if problems:
            raise ValueError("; ".join(problems))

    def outline(self) -> Outline:
        """Return sizes from the options alone."""
        sizes = self._sizes()
        counts = tuple(sizes.values())
        return Outline(math.prod(counts), (1, SIDE, SIDE), tuple(sizes), counts, levels=255)

    def missing(self, cache: Path | None = None) -> str | None:
        """Return rule and remedy if neither the files nor the prepared images exist; else None."""
        cache = cache or store.cache_folder()
        if self.stand_in or self._prepared(cache).exists():
            return None
        return original_files.missing(self.name, self.path, self._files(cache))

    def cache_file(self, cache: Path) -> Path | None:
        """Return the file of the prepared images; None for a stand-in, which is always drawn."""
        return None if self.stand_in else self._prepared(cache)

    def load(self, cache: Path | None = None) -> Data:
        """Return the images and factors of the split."""
        shape, factors = self.outline().shape, factor_grid.table(self._sizes())
        if self.stand_in:
            name = f"{self.name}-stand-in"
            return make_data(name, self._draw(), shape, levels=255, factors=factors)
        cache = cache or store.cache_folder()
        self.require_files(cache)
        images, sha256 = store.load_or_make(self._prepared(cache), lambda: self._read(cache))
        return make_data(self.name, images, shape, levels=255, factors=factors, sha256=sha256)

    def _sizes(self) -> Mapping[str, int]:
        """Return the number of levels of each factor."""
        views = _STAND_IN_VIEWS if self.stand_in else _VIEWS
        instances = _STAND_IN_INSTANCES if self.stand_in else _INSTANCES
        return views | {"instance": len(instances[self.split])}

    def _files(self, cache: Path) -> list[tuple[Path, Remote]]:
        """Return the path of each original file of the split."""
        folder = Path(self.path) if self.path else cache / self.name
        stems = tuple(_STEMS.values()) if self.split == "all" else (_STEMS[self.split],)
        return [
            (folder / remote.name, remote)
            for remote in self.remotes
            if remote.name.startswith(stems)
        ]

    def _prepared(self, cache: Path) -> Path:
        """Return the path of the prepared images."""
        checksums = [remote.checksum for _, remote in self._files(cache)]
        return store.array_path(
            cache, f"{self.name}-{SIDE}px-{self.split}", [SIDE, self.camera, checksums]
        )

    def _read(self, cache: Path) -> store.Images:
        """Return the images of the original files."""
        files = self._files(cache)
        for path, remote in files:
            with original_files.intact(path, remote, self.name):
                pass
        paths = [path for path, _ in files]
        parts = [Parts(*paths[first : first + 3]) for first in range(0, len(paths), 3)]
        views, instances = tuple(_VIEWS.values()), _INSTANCES[self.split]
        with original_files.intact(*files[0], self.name):
            return read_grid(parts, views, instances, right=self.camera == "right")

    def _draw(self) -> store.Images:
        """Return the images of the stand-in."""
        sizes = _STAND_IN_VIEWS | {"instance": len(_STAND_IN_INSTANCES["all"])}
        images = stand_ins.toys(sizes).reshape(*sizes.values(), -1)
        return images[..., list(_STAND_IN_INSTANCES[self.split]), :].reshape(-1, SIDE * SIDE)
