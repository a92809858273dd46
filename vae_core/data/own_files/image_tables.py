"""Reads the table of a folder of images: the file name and the factors of each image."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

from metrics import Factors
from metrics.near_names import did_you_mean
from vae_core.data.own_files.array_sizes import require_bytes
from vae_core.data.own_files.columns import to_factors
from vae_core.data.own_files.factor_choice import likely_factors, named_columns
from vae_core.data.own_files.tables import Table, read_table
from vae_core.data.own_files.words import capped, listed, shortened

_LONGEST_NAME = 255
"""Bytes of a name in a folder; no usual file system allows more."""


class ImageRows(NamedTuple):
    """The rows of a table: file names relative to the folder, factors, and notes on columns."""

    files: tuple[str, ...]
    factors: Factors | None
    notes: tuple[str, ...]


def read_image_table(
    file: Path, folder: Path, column: str, factors: tuple[str, ...] | None
) -> ImageRows:
    """Return the rows of a table. The last tables are kept in memory, until their file changes.

    Args:
        file: the table.
        folder: of the images.
        column: with the file names.
        factors: columns that are factors; None: all that can be; (): none.

    Raises:
        ValueError: naming the file and what is wrong with it.
    """
    try:
        state = file.stat()
        require_bytes(state.st_size, "a table")
        return _read(file, folder, column, factors, (state.st_mtime_ns, state.st_size))
    except ValueError as error:
        if str(file) in str(error):
            raise
        raise ValueError(f"{file} {error}") from error
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror or error}") from error


@functools.lru_cache(maxsize=4)
def _read(
    file: Path,
    folder: Path,
    column: str,
    factors: tuple[str, ...] | None,
    state: tuple[int, int],
) -> ImageRows:
    del state  # a part of the cache's key: a table that was changed is read again
    try:
        table = read_table(file.read_bytes(), file.suffix, lambda name: name == column)
    except ValueError as error:
        raise ValueError(f"{file} {error}") from error
    _check_columns(file, table, column, factors)
    if not table.rows:
        raise ValueError(f"{file} must have a row per image, got none")
    problems: list[str] = []
    files: tuple[str, ...] = ()
    try:
        files = _file_names(table.text(column), folder)
    except ValueError as error:
        problems.append(f"column {column!r} {error}")
    if factors is None:
        chosen = likely_factors(table, [name for name in table.names if name != column])
    else:
        chosen = named_columns(table, factors)
    factor_problems = list(chosen.problems)
    notes = [*table.notes, *chosen.notes]
    values: Factors | None = None
    try:
        if chosen.columns:
            values, factor_notes = to_factors(chosen.columns)
            notes += factor_notes
    except ValueError as error:
        factor_problems.append(str(error))
    if factor_problems and factors is None:
        factor_problems[-1] += (
            "; or list the columns that are factors in factors ([] is no ground truth)"
        )
    if not chosen.columns and len(table.names) > 1 and factors is None:
        notes.append("no column of the table is a factor, so there is no ground truth")
    problems += factor_problems
    if problems:
        raise ValueError(f"{file}: {listed(problems, separator='; ')}")
    return ImageRows(files, values, capped(notes, "notes"))


def _check_columns(file: Path, table: Table, column: str, factors: Sequence[str] | None) -> None:
    """Raise ValueError if the table lacks columns that the options name; it names all of them."""
    absent = [name for name in (column, *(factors or ())) if name not in table]
    if not absent:
        return
    unknown = [f"unknown column {name!r}{did_you_mean(name, table.names)}" for name in absent]
    known = f"known: {listed(table.names)}"
    hint = table.hint if column in absent else ""
    raise ValueError(f"{file}: {' '.join(unknown)} {known}{hint}")


def _file_names(texts: Sequence[str], folder: Path) -> tuple[str, ...]:
    """Return the names of images within the folder. Every error begins with a verb.

    A name with backslashes is a Windows path, unless a file has this very name.

    Raises:
        ValueError: one is there twice, or one leads out of the folder.
    """
    files: list[str] = []
    for text in texts:
        parts = text.replace("\\", "/").split("/")
        if "\0" in text or max(len(os.fsencode(part)) for part in parts) > _LONGEST_NAME:
            raise ValueError(
                f"must hold file names of at most {_LONGEST_NAME} bytes, got "
                f"{shortened(text, 100)!r} ({len(text)} characters)"
            )
        name, drive = text, ""
        if "\\" in text and not (folder / text).is_file():
            name, drive = PureWindowsPath(text).as_posix(), PureWindowsPath(text).drive
        path = PurePosixPath(name)
        if path.is_absolute() or drive or ".." in path.parts:
            raise ValueError(f"must name images within the folder {folder}, got {text!r}")
        files.append(name)
    names = Counter(PurePosixPath(name).as_posix() for name in files)  # without "./"
    repeated = [name for name, count in names.items() if count > 1]
    if repeated:
        raise ValueError(f"must name an image once, got {repeated[0]!r} more than once")
    return tuple(files)
