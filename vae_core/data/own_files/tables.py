"""Reads a table of factors, CSV or Parquet, as columns of numbers and text."""

# pyarrow has no types.
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = Mapping[str, NDArray[Any]]


def read_csv(path: Path, text: str) -> Columns:
    """Return the columns of a CSV with a header.

    Args:
        path: of the file.
        text: the column that stays text as it is written: "007" does not become 7.

    Raises:
        ValueError: the file is not CSV, repeats a column, or has an empty value.
    """
    import pyarrow  # slow to import, needed only here
    import pyarrow.csv

    options: Any = pyarrow.csv.ConvertOptions(
        column_types={text: pyarrow.string()}, strings_can_be_null=True
    )
    try:
        table: Any = pyarrow.csv.read_csv(path, convert_options=options)
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{path} cannot be read as CSV: {error}") from error
    return _columns(path, table)


def read_parquet(path: Path, text: str) -> Columns:
    """Return the columns of a Parquet file.

    Raises:
        ValueError: the file is not Parquet, repeats a column, or has an empty value.
    """
    import pyarrow
    import pyarrow.parquet

    del text  # Parquet stores the types of its columns
    try:
        table: Any = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{path} cannot be read as Parquet: {error}") from error
    return _columns(path, table)


READERS: dict[str, Callable[[Path, str], Columns]] = {".csv": read_csv, ".parquet": read_parquet}


def _columns(path: Path, table: Any) -> Columns:
    names: list[str] = table.column_names
    if len(set(names)) != len(names):
        raise ValueError(f"{path} must name a column once, got {', '.join(names)}")
    columns: dict[str, NDArray[Any]] = {}
    for name in names:
        column: Any = table.column(name)
        if column.null_count:
            raise ValueError(
                f"{path} must have a value in every row, got {column.null_count} empty in {name!r}"
            )
        values: NDArray[Any] = np.asarray(column.to_pylist())
        if values.dtype.kind == "O":  # dates, decimals: take their text
            values = values.astype(np.str_)
        columns[name] = values
    return columns
