"""A folder of image files with a table of factors beside them."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from metrics import Factors
from vae_core.data.abstract import AbstractDataset, Outline
from vae_core.data.make_data import assembled
from vae_core.data.option_checks import bad_names, violations
from vae_core.data.own_files.columns import to_factors
from vae_core.data.own_files.tables import READERS, Columns
from vae_core.hyperparameters import registry
from vae_core.types import Data

_TABLES = tuple(f"factors{suffix}" for suffix in READERS)
_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
_MODES = (
    "1",
    "L",
    "LA",
    "P",
    "PA",
    "RGB",
    "RGBA",
    "CMYK",
    "YCbCr",
)  # others have more than 8 bits a channel


@dataclass(frozen=True)
class ImageFolder(AbstractDataset):
    """A folder of images of your own and a CSV or Parquet table with one row per image, in the table's order.

    The sorted distinct values of a column, numbers or text, are its levels, at most 4,096 of them.

    Args:
        path: the folder; images may be in folders below it.
        table: file of the table; null: factors.csv or factors.parquet in the folder.
        column: of the table, with the images' file names relative to the folder.
        factors: columns that are factors; null: all others; an empty list: no ground truth.
        resolution: side that images are resized to, a longer side cropped at both ends; null: all are of one size.
        grey: makes images grey; else they are RGB.

    Raises:
        ValueError: names every mistake among the options.
    """

    name: ClassVar[str] = "images"

    path: str
    table: str | None = None
    column: str = "file"
    factors: tuple[str, ...] | None = None
    resolution: Annotated[int, Ge(4)] | None = None
    grey: bool = False

    def __post_init__(self) -> None:
        wrong = violations(self)
        if self.table is not None and Path(str(self.table)).suffix not in READERS:
            wrong.append(f"table must end in one of {', '.join(READERS)}, got {self.table!r}")
        if self.factors:
            wrong += bad_names("factors", self.factors)
            if self.column in self.factors:
                wrong.append(f"factors must not name {self.column!r}, the column of file names")
        if wrong:
            raise ValueError("; ".join(wrong))

    def outline(self) -> Outline:
        """Return sizes from the table and, without a resolution, from the head of the first image."""
        files, factors = self._read_table()
        channels = 1 if self.grey else 3
        if self.resolution is None:
            width, height = self._size(files[0])
        else:
            width = height = self.resolution
        names, sizes = (factors.names, factors.sizes) if factors else ((), ())
        return Outline(len(files), (channels, height, width), names, sizes)

    def missing(self, cache: Path | None = None) -> str | None:
        """Return that the folder or its table is not there, if so."""
        del cache
        if not Path(self.path).is_dir():
            return f"path must be a folder of images, got {self.path!r}, which is none"
        if not self._table_file().is_file():
            wanted = "one of " + ", ".join(_TABLES) if self.table is None else repr(self.table)
            return (
                f"path must hold a table of factors, {wanted}, got {self.path!r} without; write one with a row per "
                f"image and its name in the column {self.column!r}, or give table"
            )
        return None

    def cache_file(self, cache: Path) -> None:
        """Return None: your images are read every time, so that a change of them is seen."""
        del cache

    def load(self, cache: Path | None = None) -> Data:
        """Return the images and factors in the order of the table."""
        del cache
        files, factors = self._read_table()
        self._compare(files)
        shape = self.outline().shape
        images = np.empty((len(files), int(np.prod(shape))), np.uint8)
        for row, name in enumerate(files):
            images[row] = self._pixels(name, shape)
        return assembled(self.name, images, shape, levels=255, factors=factors)

    def _table_file(self) -> Path:
        if self.table is not None:
            return Path(self.table)
        found = [Path(self.path) / name for name in _TABLES]
        return next((file for file in found if file.is_file()), found[0])

    def _read_table(self) -> tuple[list[str], Factors | None]:
        """Return the file names and the factors of the rows."""
        if message := self.missing():
            raise ValueError(f"{self.name}: {message}")
        file = self._table_file()
        columns = _columns(str(file), self.column, file.stat().st_mtime_ns)
        for name in (self.column, *(self.factors or ())):
            if name not in columns:
                raise ValueError(f"{file}: {registry.unknown('column', name, columns)}")
        files = [str(value) for value in columns[self.column]]
        if not files:
            raise ValueError(f"{file} must have a row per image, got none")
        doubled = next((name for name, count in Counter(files).items() if count > 1), None)
        if doubled is not None:
            raise ValueError(f"{file} must name an image once, got {doubled!r} more than once")
        outside = [
            name
            for name in files
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts
        ]
        if outside:
            raise ValueError(
                f"{file} must name images within the folder {self.path}, got {outside[0]!r}"
            )
        names = (
            [name for name in columns if name != self.column]
            if self.factors is None
            else self.factors
        )
        try:
            return files, to_factors({name: columns[name] for name in names}) if names else None
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error

    def _compare(self, files: Sequence[str]) -> None:
        """Refuse a table and a folder that do not have the same images."""
        folder = Path(self.path)
        below = {
            path.relative_to(folder).as_posix()
            for path in folder.rglob("*")
            if path.suffix.lower() in _SUFFIXES
        }
        named = {PurePosixPath(name).as_posix() for name in files}
        absent = sorted(
            name for name in named if name not in below and not (folder / name).is_file()
        )
        if absent:
            raise ValueError(
                f"{self._table_file()} names {len(absent)} images that are not in {folder}: {absent[0]!r}"
            )
        extra = sorted(below - named)
        if extra:
            raise ValueError(
                f"{folder} has {len(extra)} images that {self._table_file()} does not name, such as {extra[0]!r}; "
                "add their rows, or move them out"
            )

    def _size(self, name: str) -> tuple[int, int]:
        path = Path(self.path) / name
        try:
            with Image.open(path) as image:
                return image.size
        except (OSError, UnidentifiedImageError) as error:
            raise ValueError(f"{path} cannot be read as an image: {error}") from error

    def _pixels(self, name: str, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
        path = Path(self.path) / name
        try:
            with Image.open(path) as image:
                if image.mode not in _MODES:
                    raise ValueError(
                        f"{path} must have 8 bits a channel, got mode {image.mode}; convert it"
                    )
                plain = image.convert("L" if self.grey else "RGB")
        except (
            OSError,
            SyntaxError,
            UnidentifiedImageError,
        ) as error:  # PIL calls a broken PNG a SyntaxError
            raise ValueError(f"{path} cannot be read as an image: {error}") from error
        if self.resolution is not None:
            plain = _fitted(plain, self.resolution)
        if plain.size != (shape[2], shape[1]):
            raise ValueError(
                f"{path} must be {shape[2]} x {shape[1]} like the first image, got {plain.size[0]} x {plain.size[1]}; "
                "give resolution to resize them all"
            )
        values = np.asarray(plain).reshape(shape[1], shape[2], shape[0])
        return values.transpose(2, 0, 1).reshape(-1)


@functools.lru_cache(maxsize=4)
def _columns(file: str, column: str, changed: int) -> Columns:
    """Return the columns of a table; an outline is asked for often, so the last ones read are kept."""
    del changed  # of the key: a table that was written again is read again
    return READERS[Path(file).suffix](Path(file), column)


def _fitted(image: Image.Image, side: int) -> Image.Image:
    """Return the central square of an image at another size, by Lanczos' filter."""
    short = min(image.size)
    left, top = (image.size[0] - short) // 2, (image.size[1] - short) // 2
    square = image.crop(
        (left, top, left + short, top + short)
    )  # first: the filter reaches beyond a box of its own
    return square.resize((side, side), Image.Resampling.LANCZOS)
