"""The interface of a data set: its options, its sizes, its files, and a way to load it."""

from __future__ import annotations

import abc
from pathlib import Path
from typing import ClassVar, NamedTuple

from vae_core.data.original_files import Remote
from vae_core.types import Data


class Outline(NamedTuple):
    """The sizes of a data set, known before it is loaded."""

    images: int
    shape: tuple[int, int, int]  # (C, H, W)
    factor_names: tuple[str, ...]  # () when the set has no ground truth
    factor_sizes: tuple[int, ...]
    levels: int | None = None  # of a pixel, as `Data.levels`; None: only the images tell


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
        """Return the sizes of the set without drawing or reading images.

        A set of fixed size knows them without its files.
        """

    @abc.abstractmethod
    def missing(self, cache: Path | None = None) -> str | None:
        """Return the option that leads to a file that does not exist, rule and remedy; else None.

        For example "path must …": the message begins with the name of the option.
        """

    @abc.abstractmethod
    def cache_file(self, cache: Path) -> Path | None:
        """Return the file that keeps these images in the cache; None if they are not kept there.

        Raises:
            ValueError: the name of the file depends on a file that cannot be read.
        """

    @abc.abstractmethod
    def load(self, cache: Path | None = None) -> Data:
        """Return the images and factors; read them from the cache, or make and store them there.

        Args:
            cache: folder of prepared data; None: `cache_folder()`.

        Raises:
            ValueError: a file is missing, truncated, altered or of another layout.
        """

    def notes(self) -> tuple[str, ...]:
        """Return what is no problem of the files, but worth knowing: columns that are left out.

        Raises:
            ValueError: as `outline`.
        """
        return ()

    def require_files(self, cache: Path | None = None) -> None:
        """Raise ValueError if a file that loading needs is missing."""
        problem = self.missing(cache)
        if problem is not None:
            raise ValueError(f"{self.name}: {problem}")
