"""A data set of the user: a folder of image files, and a table of factors."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray
from PIL import Image

from metrics import Factors
from vae_core.data.abstract import AbstractDataset, Outline
from vae_core.data.make_data import make_data
from vae_core.data.option_checks import name_list_problems, option_problems
from vae_core.data.own_files.columns import to_factors
from vae_core.data.own_files.image_files import Decoded, colour_problems, decode
from vae_core.data.own_files.image_notes import ImageNotes, identical_images
from vae_core.data.own_files.tables import READERS, Columns
from vae_core.hyperparameters import registry
from vae_core.types import Data

_TABLES = tuple(f"factors{suffix}" for suffix in READERS)
_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")


@dataclass(frozen=True)
class ImageFolder(AbstractDataset):
    """A folder of images of your own and a table with one row per image, in the table's order.

    A file holds one image with 8 bits a channel. It is turned as its EXIF data says, and
    transparent pixels are laid on a background.

    The table is CSV or Parquet. The sorted distinct values of a column, numbers or text, are its
    levels, at most 4,096 of them.

    Args:
        path: the folder; images may be in folders below it.
        table: file of the table; null: factors.csv or factors.parquet in the folder.
        column: of the table, with the images' file names relative to the folder.
        factors: columns that are factors; null: all others; an empty list: no ground truth.
        resolution: side that images are resized to, a longer side cropped at both ends; null: all
            are of one size.
        grey: makes images grey; else they are RGB.
        background: colour behind transparent pixels, by name or as '#808080' (in quotes); it
            changes nothing if every pixel is opaque.

    Raises:
        ValueError: names every option that is invalid.
    """

    name: ClassVar[str] = "images"

    path: str
    table: str | None = None
    column: str = "file"
    factors: tuple[str, ...] | None = None
    resolution: Annotated[int, Ge(4)] | None = None
    grey: bool = False
    background: str = "black"

    def __post_init__(self) -> None:
        problems = option_problems(self)
        if self.table is not None and Path(str(self.table)).suffix not in READERS:
            problems.append(f"table must end in one of {', '.join(READERS)}, got {self.table!r}")
        if self.factors:
            problems += name_list_problems("factors", self.factors)
            if self.column in self.factors:
                problems.append(f"factors must not name {self.column!r}, the column of file names")
        background: Any = self.background  # a user may have written any value
        if isinstance(background, str):  # else `option_problems` has said so
            problems += colour_problems("background", background)
        if problems:
            raise ValueError("; ".join(problems))

    def outline(self) -> Outline:
        """Return sizes from the table and, without a resolution, from the first image."""
        files, factors = self._read_table()
        channels = 1 if self.grey else 3
        if self.resolution is None:
            width, height = self._decode(files[0]).image.size
        else:
            width = height = self.resolution
        shape = (channels, height, width)
        if factors is None:
            return Outline(len(files), shape, (), ())
        return Outline(len(files), shape, factors.names, factors.sizes)

    def missing(self, cache: Path | None = None) -> str | None:
        """Return rule and remedy if the folder or its table does not exist; else None."""
        del cache
        if not Path(self.path).is_dir():
            return f"path must be a folder of images, got {self.path!r}, which is not a folder"
        if not self._table_file().is_file():
            tables = "one of " + ", ".join(_TABLES) if self.table is None else repr(self.table)
            return (
                f"path must hold a table of factors, {tables}, got {self.path!r} without it; "
                "write one with a row per image and its name in the column "
                f"{self.column!r}, or give table"
            )
        return None

    def cache_file(self, cache: Path) -> None:
        """Return None: your images are read every time, so that a change of them has an effect."""
        del cache

    def load(self, cache: Path | None = None) -> Data:
        """Return the images and factors in the order of the table."""
        del cache
        files, factors = self._read_table()
        self._check_same_images(files)
        shape = self.outline().shape
        images = np.empty((len(files), int(np.prod(shape))), np.uint8)
        notes = ImageNotes(files, self.background)
        for row, name in enumerate(files):
            decoded = self._decode(name)
            notes.add(name, decoded)
            images[row] = self._pixels(name, decoded.image, shape)
        return make_data(
            self.name,
            images,
            shape,
            levels=255,
            factors=factors,
            notes=(*notes.sentences(), *identical_images(images, factors, files)),
        )

    def _table_file(self) -> Path:
        """Return the path of the table; without one, the path where it is looked for first."""
        if self.table is not None:
            return Path(self.table)
        candidates = [Path(self.path) / name for name in _TABLES]
        return next((file for file in candidates if file.is_file()), candidates[0])

    def _read_table(self) -> tuple[list[str], Factors | None]:
        """Return the file names and the factors of the rows."""
        self.require_files()
        file = self._table_file()
        # Absolute, because pyarrow reads a relative `~` as the home folder and `a:` as a scheme.
        columns = _columns(str(file.absolute()), self.column, file.stat().st_mtime_ns)
        for name in (self.column, *(self.factors or ())):
            if name not in columns:
                raise ValueError(f"{file}: {registry.unknown_name('column', name, columns)}")
        files = [str(value) for value in columns[self.column]]
        self._check_names(files)
        names = self.factors
        if names is None:
            names = [name for name in columns if name != self.column]
        if not names:
            return files, None
        try:
            return files, to_factors({name: columns[name] for name in names})
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error

    def _check_names(self, files: Sequence[str]) -> None:
        """Raise ValueError unless a table names images within the folder, each once."""
        table = self._table_file()
        if not files:
            raise ValueError(f"{table} must have a row per image, got none")
        repeated = [name for name, count in Counter(files).items() if count > 1]
        if repeated:
            raise ValueError(f"{table} must name an image once, got {repeated[0]!r} more than once")
        for name in files:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts:
                raise ValueError(
                    f"{table} must name images within the folder {self.path}, got {name!r}"
                )

    def _check_same_images(self, files: Sequence[str]) -> None:
        """Raise ValueError unless the table and the folder have the same images."""
        folder, table = Path(self.path), self._table_file()
        in_folder = {
            path.relative_to(folder).as_posix()
            for path in folder.rglob("*")
            if path.suffix.lower() in _SUFFIXES
        }
        in_table = {PurePosixPath(name).as_posix() for name in files}
        # A file with another suffix is an image too, if the table names it.
        absent = [name for name in sorted(in_table - in_folder) if not (folder / name).is_file()]
        if absent:
            raise ValueError(
                f"{table} names {len(absent)} images that are not in {folder}: {absent[0]!r}"
            )
        extra = sorted(in_folder - in_table)
        if extra:
            raise ValueError(
                f"{folder} has {len(extra)} images that {table} does not name, "
                f"such as {extra[0]!r}; add their rows, or move them out"
            )

    def _decode(self, name: str) -> Decoded:
        """Return the image of a file of the folder."""
        path = Path(self.path) / name
        return decode(path, grey=self.grey, background=self.background)

    def _pixels(
        self, name: str, image: Image.Image, shape: tuple[int, int, int]
    ) -> NDArray[np.uint8]:
        """Return the pixels of an image in a row, in the order of (C, H, W)."""
        if self.resolution is not None:
            image = _resize(image, self.resolution)
        if image.size != (shape[2], shape[1]):
            raise ValueError(
                f"{Path(self.path) / name} must be {shape[2]} x {shape[1]} like the first image, "
                f"got {image.size[0]} x {image.size[1]}; give resolution to resize them all"
            )
        values = np.asarray(image).reshape(shape[1], shape[2], shape[0])
        return values.transpose(2, 0, 1).reshape(-1)


@functools.lru_cache(maxsize=4)
def _columns(file: str, column: str, changed: int) -> Columns:
    """Return the columns of a table.

    The last tables are kept in memory, because outlines are asked for often.
    """
    del changed  # a part of the cache's key: a table that was changed is read again
    return READERS[Path(file).suffix](Path(file), column)


def _resize(image: Image.Image, side: int) -> Image.Image:
    """Return the central square of an image, resized by Lanczos' filter."""
    short = min(image.size)
    left, top = (image.size[0] - short) // 2, (image.size[1] - short) // 2
    # Cropped before it is resized: the filter would also read pixels outside the square.
    square = image.crop((left, top, left + short, top + short))
    return square.resize((side, side), Image.Resampling.LANCZOS)
