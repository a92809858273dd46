"""What a data set is to the rest: its options, an outline known without loading, and a way to load it."""

from __future__ import annotations

import abc
from pathlib import Path
from typing import NamedTuple

from vae_core.types import Data


class Outline(NamedTuple):
    """What can be said of a data set before it is loaded."""

    images: int
    shape: tuple[int, int, int]  # (C, H, W)
    factor_names: tuple[str, ...]  # () when the set has no ground truth
    factor_sizes: tuple[int, ...]


class AbstractDataset(abc.ABC):
    """A frozen dataclass of a data set's options."""

    @abc.abstractmethod
    def outline(self) -> Outline:
        """Return sizes without rendering or reading images."""

    @abc.abstractmethod
    def load(self, cache: Path | None = None) -> Data:
        """Return the images and factors, using (and filling) the cache folder; None: `cache_folder()`."""
