"""Any .npz or HDF5 file with images and a table of factors."""

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
from vae_core.data.make_data import assembled, packed_if_binary
from vae_core.data.option_checks import bad_names, violations
from vae_core.data.original_files import FAILURES, why
from vae_core.data.own_files import pixels
from vae_core.data.own_files.array_files import OPENERS, Stored
from vae_core.data.own_files.columns import to_factors
from vae_core.hyperparameters import registry
from vae_core.types import Data

_FACTORS = "factors"


@dataclass(frozen=True)
class Arrays(AbstractDataset):
    """Images and factors of your own, as arrays in one .npz or HDF5 file.

    Images are (N, H, W), (N, H, W, C) or (N, C, H, W): bytes from 0 to 255; 0 and 1 only, which makes them binary;
    or floats in [0, 1], rounded to 255 levels. Factors are (N, K) or (N,) numbers; the sorted distinct values of a
    column are its levels, at most 4,096 of them.

    Args:
        path: of the .npz, .h5 or .hdf5.
        images: key of the images; in HDF5 it may have slashes.
        factors: key of the factors; null, or `factors` where the file has none, is no ground truth.
        factor_names: one per column; null: factor_0, factor_1 …
        channels: "first" or "last" where the shape leaves it open.

    Raises:
        ValueError: names every mistake among the options.
    """

    name: ClassVar[str] = "arrays"

    path: str
    images: str = "images"
    factors: str | None = _FACTORS
    factor_names: tuple[str, ...] | None = None
    channels: Literal["first", "last"] | None = None

    def __post_init__(self) -> None:
        wrong = violations(self)
        if isinstance(self.path, str) and Path(self.path).suffix not in OPENERS:  # pyright: ignore[reportUnnecessaryIsInstance]
            wrong.append(f"path must end in one of {', '.join(OPENERS)}, got {self.path!r}")
        if self.factor_names is not None:
            wrong += bad_names("factor_names", self.factor_names)
        if wrong:
            raise ValueError("; ".join(wrong))

    def outline(self) -> Outline:
        """Return sizes from the header of the images and the table of factors; no image is read."""
        with self._opened() as arrays:
            images, shape = self._layout(arrays)[:2]
            factors = self._table(arrays, images.shape[0])
        return Outline(
            images.shape[0],
            shape,
            factors.names if factors else (),
            factors.sizes if factors else (),
        )

    def missing(self, cache: Path | None = None) -> str | None:
        """Return that there is no such file, if so."""
        del cache
        if Path(self.path).is_file():
            return None
        return f"path must exist, got {self.path!r}; it is your own file of arrays, {' or '.join(OPENERS)}"

    def cache_file(self, cache: Path) -> None:
        """Return None: your file is read every time, so that a change of it is seen."""
        del cache

    def load(self, cache: Path | None = None) -> Data:
        """Return the images and factors of the file."""
        del cache
        with self._opened() as arrays:
            stored, shape, last = self._layout(arrays)
            factors = self._table(arrays, stored.shape[0])
            flat, levels = pixels.quantised(stored, self.images, channels_last=last)
        images = packed_if_binary(flat, levels=levels)
        return assembled(self.name, images, shape, levels=levels, factors=factors)

    @contextlib.contextmanager
    def _opened(self) -> Generator[Mapping[str, Stored]]:
        if message := self.missing():
            raise ValueError(f"{self.name}: {message}")
        try:
            with OPENERS[Path(self.path).suffix](Path(self.path)) as arrays:
                yield arrays
        except FAILURES as error:
            raise ValueError(f"{self.path}: {why(error)}") from error

    def _layout(self, arrays: Mapping[str, Stored]) -> tuple[Stored, tuple[int, int, int], bool]:
        """Return the images, (C, H, W) of one, and whether channels come last."""
        stored = _at(arrays, self.images, "images")
        shape, last = pixels.layout(stored.shape, self.images, self.channels)
        return stored, shape, last

    def _table(self, arrays: Mapping[str, Stored], images: int) -> Factors | None:
        if self.factors is None or (self.factors == _FACTORS and _FACTORS not in arrays):
            if self.factor_names is not None:
                raise ValueError(
                    f"factor_names are given, but there is no array of factors; {_known(arrays)}"
                )
            return None
        stored = _at(arrays, self.factors, "factors")
        if len(stored.shape) not in (1, 2) or 0 in stored.shape:
            raise ValueError(f"{self.factors!r} must have shape (N,) or (N, K), got {stored.shape}")
        if stored.shape[0] != images:
            raise ValueError(
                f"{self.factors!r} must have one row per image, got {stored.shape[0]} rows "
                f"and {images} images in {self.images!r}"
            )
        values: NDArray[Any] = stored.read(0, images).reshape(images, -1)
        names = self.factor_names or tuple(f"factor_{k}" for k in range(values.shape[1]))
        if len(names) != values.shape[1]:
            raise ValueError(
                f"factor_names must be {values.shape[1]}, one per column of {self.factors!r}, got {len(names)}"
            )
        if values.dtype.kind not in "biuf":
            raise ValueError(
                f"{self.factors!r} must be whole numbers or floats, got {values.dtype}"
            )
        return to_factors(
            {name: np.ascontiguousarray(values[:, k]) for k, name in enumerate(names)}
        )


def _at(arrays: Mapping[str, Stored], key: str, option: str) -> Stored:
    key = key.strip("/")
    if key not in arrays:
        raise ValueError(f"{option}: {registry.unknown('key', key, arrays)}")
    return arrays[key]


def _known(arrays: Mapping[str, Stored]) -> str:
    return f"known keys: {', '.join(arrays)}"
