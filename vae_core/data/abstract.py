"""What a data set is to the rest: its options, an outline known without loading, and a way to load it."""

from __future__ import annotations

import abc
from pathlib import Path
from typing import ClassVar, NamedTuple

from vae_core.data.original_files import Remote
from vae_core.types import Data


class Outline(NamedTuple):
    """What can be said of a data set before it is loaded."""

    images: int
    shape: tuple[int, int, int]  # (C, H, W)
    factor_names: tuple[str, ...]  # () when the set has no ground truth
    factor_sizes: tuple[int, ...]


class AbstractDataset(abc.ABC):
    """A frozen dataclass of a data set's options.

    Attributes:
        name: its key in the registry, and the folder of its original files in the cache.
        remotes: the original files that may be downloaded.
    """

    name: ClassVar[str]
    remotes: ClassVar[tuple[Remote, ...]] = ()

    @abc.abstractmethod
    def outline(self) -> Outline:
        """Return sizes without rendering or reading images; where the set is of fixed size, without its files."""

    @abc.abstractmethod
    def missing(self, cache: Path | None = None) -> str | None:
        """Return "path must …" if a file that loading needs is not there, with the remedy; else None."""

    @abc.abstractmethod
    def cache_file(self, cache: Path) -> Path | None:
        """Return where the cache keeps these images ready, None if they are made or read every time.

        Raises:
            ValueError: the name depends on a file that cannot be read.
        """

    @abc.abstractmethod
    def load(self, cache: Path | None = None) -> Data:
        """Return the images and factors, using (and filling) the cache folder; None: `cache_folder()`.

        Raises:
            ValueError: a file is missing, truncated, altered or of another layout.
        """
