"""A data set of the user: a folder of image files, and a table of factors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray
from PIL import Image

from metrics.near_names import nearest
from vae_core.data.abstract import AbstractDataset, Outline
from vae_core.data.make_data import make_data
from vae_core.data.option_checks import name_list_problems, option_problems
from vae_core.data.own_files.image_files import Decoded, colour_problems, decode
from vae_core.data.own_files.image_notes import ImageNotes, identical_images
from vae_core.data.own_files.image_tables import ImageRows, read_image_table
from vae_core.data.own_files.other_formats import how_to_convert
from vae_core.data.own_files.tables import TABLE_SUFFIXES
from vae_core.types import Data

_TABLES = tuple(f"factors{suffix}" for suffix in TABLE_SUFFIXES)
_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")


@dataclass(frozen=True)
class ImageFolder(AbstractDataset):
    """A folder of images of your own and a table with one row per image, in the table's order.

    A file holds one image with 8 bits a channel. It is turned as its EXIF data says, and
    transparent pixels are laid on a background.

    The table is CSV (with any separator) or Parquet. The sorted distinct values of a column,
    numbers or text, are its levels, at most 4,096 of them. A column of fractions must have at most
    one level per two rows.

    Args:
        path: the folder; images may be in folders below it.
        table: file of the table; null: factors.csv, factors.tsv or factors.parquet in the folder.
        column: of the table, with the images' file names relative to the folder.
        factors: columns that are factors; null: all others, without pandas' index and columns that
            name the rows (ids, times); an empty list: no ground truth.
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
        if self.table is not None and Path(str(self.table)).suffix.lower() not in TABLE_SUFFIXES:
            rule = f"table must end in one of {', '.join(TABLE_SUFFIXES)}"
            problems.append(f"{rule}, got {self.table!r}{how_to_convert(Path(str(self.table)))}")
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
        files, factors, _ = self._read_table()
        channels = 1 if self.grey else 3
        if self.resolution is None:
            width, height = self._decode(files[0]).image.size
        else:
            width = height = self.resolution
        shape = (channels, height, width)
        if factors is None:
            return Outline(len(files), shape, (), (), levels=255)
        return Outline(len(files), shape, factors.names, factors.sizes, levels=255)

    def missing(self, cache: Path | None = None) -> str | None:
        """Return rule and remedy if the folder or its table does not exist; else None.

        It begins with the option that leads to what does not exist: path or table.
        """
        del cache
        if not Path(self.path).is_dir():
            return f"path must be a folder of images, got {self.path!r}, which is not a folder"
        file = self._table_file()
        if file.is_file():
            return None
        if self.table is None:
            return (
                f"path must hold a table of factors, one of {', '.join(_TABLES)}, got "
                f"{self.path!r} without it; write one with a row per image and its name in the "
                f"column {self.column!r}, or give table"
            )
        in_folder = Path(self.path) / file
        hint = f"; did you mean {str(in_folder)!r}?" if in_folder.is_file() else ""
        got = "which is a folder" if file.is_dir() else "which does not exist"
        return f"table must be a file, got {self.table!r}, {got}{hint}"

    def notes(self) -> tuple[str, ...]:
        """Return which columns of the table are left out, and what else is worth knowing of it."""
        return self._read_table().notes

    def cache_file(self, cache: Path) -> None:
        """Return None: your images are read every time, so that a change of them has an effect."""
        del cache

    def load(self, cache: Path | None = None) -> Data:
        """Return the images and factors in the order of the table."""
        del cache
        files, factors, _ = self._read_table()
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
        """Return the path of the table; without one, the path where it is looked for first.

        Capitals in the name of the table (Factors.CSV) do not count.
        """
        if self.table is not None:
            return Path(self.table)
        candidates = [Path(self.path) / name for name in _TABLES]
        for file in candidates:
            if file.is_file():
                return file
        in_folder = {path.name.lower(): path for path in sorted(Path(self.path).iterdir())}
        return next((in_folder[name] for name in _TABLES if name in in_folder), candidates[0])

    def _read_table(self) -> ImageRows:
        """Return the file names and the factors of the rows, and notes on the columns."""
        self.require_files()
        # Absolute, because pyarrow reads a relative `~` as the home folder and `a:` as a scheme.
        table = self._table_file().absolute()
        return read_image_table(table, Path(self.path), self.column, self.factors)

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
            near = nearest(absent[0], in_folder) or nearest(absent[0].lower(), in_folder)
            hint = f"; did you mean {near!r}?" if near else ""
            raise ValueError(
                f"{table} names {len(absent)} images that are not in {folder}: {absent[0]!r}{hint}"
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


def _resize(image: Image.Image, side: int) -> Image.Image:
    """Return the central square of an image, resized by Lanczos' filter."""
    short = min(image.size)
    left, top = (image.size[0] - short) // 2, (image.size[1] - short) // 2
    # Cropped before it is resized: the filter would also read pixels outside the square.
    square = image.crop((left, top, left + short, top + short))
    return square.resize((side, side), Image.Resampling.LANCZOS)
