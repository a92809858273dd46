"""A data set of the user: an .npz or HDF5 file with images and a table of factors."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from metrics import Factors
from vae_core.data.abstract import AbstractDataset, Outline
from vae_core.data.make_data import make_data, pack_if_binary
from vae_core.data.option_checks import name_list_problems, option_problems
from vae_core.data.original_files import READ_ERRORS, error_in_words
from vae_core.data.own_files import pixels
from vae_core.data.own_files.array_files import OPENERS, Stored
from vae_core.data.own_files.columns import to_factors
from vae_core.hyperparameters import registry
from vae_core.types import Data

_FACTORS = "factors"


@dataclass(frozen=True)
class Arrays(AbstractDataset):
    """Images and factors of your own, as arrays in one .npz or HDF5 file.

    Images are (N, H, W), (N, H, W, C) or (N, C, H, W): bytes from 0 to 255; 0 and 1 only, which
    makes them binary; or floats in [0, 1], rounded to 255 levels. Factors are (N, K) or (N,)
    numbers; the sorted distinct values of a column are its levels, at most 4,096 of them.

    Args:
        path: of the .npz, .h5 or .hdf5.
        images: key of the images; in HDF5 it may have slashes.
        factors: key of the factors; null, or `factors` where the file has none, is no ground truth.
        factor_names: one per column; null: factor_0, factor_1 …
        channels: "first" or "last" where the shape leaves it open.

    Raises:
        ValueError: names every option that is invalid.
    """

    name: ClassVar[str] = "arrays"

    path: str
    images: str = "images"
    factors: str | None = _FACTORS
    factor_names: tuple[str, ...] | None = None
    channels: Literal["first", "last"] | None = None

    def __post_init__(self) -> None:
        problems = option_problems(self)
        path: Any = self.path  # a user may have written any value
        if isinstance(path, str) and Path(path).suffix not in OPENERS:
            problems.append(f"path must end in one of {', '.join(OPENERS)}, got {path!r}")
        if self.factor_names is not None:
            problems += name_list_problems("factor_names", self.factor_names)
        if problems:
            raise ValueError("; ".join(problems))

    def outline(self) -> Outline:
        """Return sizes from the header of the images and the table of factors; no image is read."""
        with self._opened() as arrays:
            stored, shape, _ = self._layout(arrays)
            count = stored.shape[0]
            factors = self._factors(arrays, count)
        if factors is None:
            return Outline(count, shape, (), ())
        return Outline(count, shape, factors.names, factors.sizes)

    def missing(self, cache: Path | None = None) -> str | None:
        """Return rule and value if the file does not exist; else None."""
        del cache
        if Path(self.path).is_file():
            return None
        suffixes = " or ".join(OPENERS)
        return f"path must exist, got {self.path!r}; it is your own file of arrays, {suffixes}"

    def cache_file(self, cache: Path) -> None:
        """Return None: your file is read every time, so that a change of it has an effect."""
        del cache

    def load(self, cache: Path | None = None) -> Data:
        """Return the images and factors of the file."""
        del cache
        with self._opened() as arrays:
            stored, shape, channels_last = self._layout(arrays)
            factors = self._factors(arrays, stored.shape[0])
            flat, levels = pixels.quantised(stored, self.images, channels_last=channels_last)
        images = pack_if_binary(flat, levels=levels)
        return make_data(self.name, images, shape, levels=levels, factors=factors)

    @contextlib.contextmanager
    def _opened(self) -> Generator[Mapping[str, Stored]]:
        """Open the file; errors of its content become a ValueError with its path."""
        self.require_files()
        try:
            with OPENERS[Path(self.path).suffix](Path(self.path)) as arrays:
                yield arrays
        except READ_ERRORS as error:
            raise ValueError(f"{self.path}: {error_in_words(error)}") from error

    def _layout(self, arrays: Mapping[str, Stored]) -> tuple[Stored, tuple[int, int, int], bool]:
        """Return the images, (C, H, W) of one, and whether channels come last."""
        stored = _array_at(arrays, self.images, "images")
        shape, channels_last = pixels.layout(stored.shape, self.images, self.channels)
        return stored, shape, channels_last

    def _factors(self, arrays: Mapping[str, Stored], images: int) -> Factors | None:
        """Return the factors of `images` images; None if the file has no ground truth."""
        if self.factors is None or (self.factors == _FACTORS and _FACTORS not in arrays):
            if self.factor_names is not None:
                raise ValueError(
                    "factor_names are given, but there is no array of factors; "
                    f"known keys: {', '.join(arrays)}"
                )
            return None
        values = self._factor_table(_array_at(arrays, self.factors, "factors"), images)
        count = values.shape[1]
        names = self.factor_names or tuple(f"factor_{k}" for k in range(count))
        if len(names) != count:
            raise ValueError(
                f"factor_names must be {count}, one per column of {self.factors!r}, "
                f"got {len(names)}"
            )
        if values.dtype.kind not in "biuf":
            raise ValueError(
                f"{self.factors!r} must be whole numbers or floats, got {values.dtype}"
            )
        columns = {name: np.ascontiguousarray(values[:, k]) for k, name in enumerate(names)}
        return to_factors(columns)

    def _factor_table(self, stored: Stored, images: int) -> NDArray[Any]:
        """Return (N, K) values of the factors."""
        if len(stored.shape) not in (1, 2) or 0 in stored.shape:
            raise ValueError(f"{self.factors!r} must have shape (N,) or (N, K), got {stored.shape}")
        if stored.shape[0] != images:
            raise ValueError(
                f"{self.factors!r} must have one row per image, got {stored.shape[0]} rows "
                f"and {images} images in {self.images!r}"
            )
        return stored.read_rows(0, images).reshape(images, -1)


def _array_at(arrays: Mapping[str, Stored], key: str, option: str) -> Stored:
    """Return the array of a key; `option` is the option that names the key."""
    key = key.strip("/")
    if key not in arrays:
        raise ValueError(f"{option}: {registry.unknown_name('key', key, arrays)}")
    return arrays[key]
