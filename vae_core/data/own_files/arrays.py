"""A data set of the user: an .npz or HDF5 file with images and a table of factors."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from metrics.near_names import did_you_mean
from vae_core.data.abstract import AbstractDataset, Outline
from vae_core.data.make_data import make_data, pack_if_binary
from vae_core.data.option_checks import name_list_problems, option_problems
from vae_core.data.original_files import READ_ERRORS, error_in_words
from vae_core.data.own_files import pixels
from vae_core.data.own_files.array_files import OPENERS, Stored
from vae_core.data.own_files.columns import FactorsAndNotes, text_factors, to_factors
from vae_core.data.own_files.other_formats import how_to_convert
from vae_core.data.own_files.transposed import TRANSPOSE, factors_hint, images_hint, images_note
from vae_core.data.own_files.words import capped, listed
from vae_core.types import Data

_FACTORS = "factors"


@dataclass(frozen=True)
class Arrays(AbstractDataset):
    """Images and factors of your own, as arrays in one .npz or HDF5 file.

    Images are (N, H, W), (N, H, W, C) or (N, C, H, W): bytes from 0 to 255; 0 and 1 only, which
    makes them binary; or floats in [0, 1], rounded to 255 levels. Factors are (N, K) or (N,)
    numbers or text; the sorted distinct values of a column are its levels, at most 4,096 of them. A
    column of fractions must have at most one level per two rows.

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
        if isinstance(path, str) and Path(path).suffix.lower() not in OPENERS:
            remedy = how_to_convert(Path(path), ("images", "factors"))
            problems.append(f"path must end in one of {', '.join(OPENERS)}, got {path!r}{remedy}")
        if self.factor_names is not None:
            problems += name_list_problems("factor_names", self.factor_names)
        if problems:
            raise ValueError("; ".join(problems))

    def outline(self) -> Outline:
        """Return sizes from the header of the images and the table of factors; no image is read."""
        with self._opened() as arrays:
            stored, shape, _ = self._layout(arrays)
            count = stored.shape[0]
            table = self._factors(arrays, stored.shape)
        if table is None:
            return Outline(count, shape, (), ())
        return Outline(count, shape, table.factors.names, table.factors.sizes)

    def notes(self) -> tuple[str, ...]:
        """Return what is worth knowing about the axes of the images and the columns of factors."""
        with self._opened() as arrays:
            stored, _, _ = self._layout(arrays)
            table = self._factors(arrays, stored.shape)
        column_notes = () if table is None else table.notes
        return capped((*images_note(self.images, stored.shape), *column_notes), "notes")

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
            table = self._factors(arrays, stored.shape)
            flat, levels = pixels.quantised(stored, self.images, channels_last=channels_last)
        images = pack_if_binary(flat, levels=levels)
        factors = None if table is None else table.factors
        return make_data(self.name, images, shape, levels=levels, factors=factors)

    @contextlib.contextmanager
    def _opened(self) -> Generator[Mapping[str, Stored]]:
        """Open the file; errors of its content become a ValueError with its path."""
        self.require_files()
        try:
            with OPENERS[Path(self.path).suffix.lower()](Path(self.path)) as arrays:
                yield arrays
        except READ_ERRORS as error:
            raise ValueError(f"{self.path}: {error_in_words(error)}") from error

    def _layout(self, arrays: Mapping[str, Stored]) -> tuple[Stored, tuple[int, int, int], bool]:
        """Return the images, (C, H, W) of one, and whether channels come last."""
        stored = _array_at(arrays, self.images, "images")
        hint = images_hint(stored.shape)
        if hint and self.channels is None:
            raise ValueError(f"{self.images!r} has shape {stored.shape}, which {hint}")
        shape, channels_last = pixels.layout(stored.shape, self.images, self.channels)
        return stored, shape, channels_last

    def _factors(
        self, arrays: Mapping[str, Stored], images_shape: tuple[int, ...]
    ) -> FactorsAndNotes | None:
        """Return the factors, with notes on their columns; None if there is no ground truth."""
        if self.factors is None or (self.factors == _FACTORS and _FACTORS not in arrays):
            if self.factor_names is not None:
                raise ValueError(
                    "factor_names are given, but there is no array of factors; "
                    f"known keys: {listed(arrays)}"
                )
            return None
        values = self._factor_table(_array_at(arrays, self.factors, "factors"), images_shape)
        count = values.shape[1]
        names = self.factor_names or tuple(f"factor_{k}" for k in range(count))
        if len(names) != count:
            raise ValueError(
                f"factor_names must be {count}, one per column of {self.factors!r}, "
                f"got {len(names)}"
            )
        if values.dtype.kind not in "biufU":
            raise ValueError(f"{self.factors!r} must be numbers or text, got {values.dtype}")
        columns = {name: np.ascontiguousarray(values[:, k]) for k, name in enumerate(names)}
        return to_factors(columns) if values.dtype.kind != "U" else text_factors(columns)

    def _factor_table(self, stored: Stored, images_shape: tuple[int, ...]) -> NDArray[Any]:
        """Return (N, K) values of the factors."""
        shape, images = stored.shape, images_shape[0]
        if len(shape) not in (1, 2) or 0 in shape:
            raise ValueError(f"{self.factors!r} must have shape (N,) or (N, K), got {shape}")
        hint = factors_hint(shape, images_shape)
        if shape[0] != images:
            raise ValueError(
                f"{self.factors!r} must have one row per image, got {shape[0]} rows "
                f"and {images} images in {self.images!r}{hint}"
            )
        if len(shape) == 2 and shape[0] < shape[1]:
            raise ValueError(
                f"{self.factors!r} must have at least as many rows as factors, got shape {shape}; "
                f"{TRANSPOSE}"
            )
        values = stored.read_rows(0, images).reshape(images, -1)
        return np.char.decode(values, "utf-8", "replace") if values.dtype.kind == "S" else values


def _array_at(arrays: Mapping[str, Stored], key: str, option: str) -> Stored:
    """Return the array of a key; `option` is the option that names the key."""
    key = key.strip("/")
    if key not in arrays:
        hint = did_you_mean(key, arrays, cutoff=0.5)
        raise ValueError(f"{option}: unknown key {key!r}{hint} known: {listed(arrays)}")
    return arrays[key]
