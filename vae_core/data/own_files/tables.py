"""Reads a table of factors, CSV or Parquet, as columns of numbers, text and times."""

# pyarrow has no types.
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportMissingTypeStubs=false, reportUnknownArgumentType=false

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vae_core.data.own_files.array_sizes import require_bytes, require_fits
from vae_core.data.own_files.csv_files import header_hint, read_csv
from vae_core.data.own_files.text_columns import Typed, no_value, typed
from vae_core.data.own_files.words import listed

CSV_SUFFIXES = (".csv", ".tsv")
TABLE_SUFFIXES = (*CSV_SUFFIXES, ".parquet")
"""Endings of tables; capitals (.CSV) mean the same."""

_BATCH = 1 << 14
"""Rows of a Parquet file that are read at a time."""


class Table:
    """A table whose columns are read one by one, so that a column nobody needs does no harm.

    Attributes:
        names: of the columns, each once.
        rows: how many there are.
        notes: how the file was read.
        hint: the advice for a table without the columns that were looked for; "" if there is none.
    """

    def __init__(
        self, columns: Any, notes: list[str], *, hint: str = "", decimal_comma: bool | None = None
    ) -> None:
        """Keep the columns; `decimal_comma` is None for Parquet, which stores types."""
        self.names: list[str] = list(columns.column_names)
        self.rows: int = columns.num_rows
        self.notes = list(notes)
        self.hint = hint
        self._columns = columns
        self._decimal_comma = decimal_comma
        repeated = sorted(name for name, count in Counter(self.names).items() if count > 1)
        if repeated:
            raise ValueError(
                f"must name a column once, got {listed(self.names)}; "
                f"{listed(map(repr, repeated))} is there more than once"
            )

    def __contains__(self, name: str) -> bool:
        """Return whether the table has a column."""
        return name in self.names

    def text(self, name: str) -> list[str]:
        """Return a column as text, as it is written: "007" does not become 7.

        Raises:
            ValueError: a row has no value, or the column holds neither text nor numbers.
        """
        if self._decimal_comma is None:
            return [str(value) for value in column_values(self._columns[name]).tolist()]
        texts: list[str] = self._columns[name].to_pylist()
        empty = [row for row, text in enumerate(texts) if not text.strip()]
        if empty:
            raise ValueError(no_value(len(empty), len(texts), empty[0]))
        return texts

    def values(self, name: str) -> Typed:
        """Return a column as numbers, booleans, times or text, and notes on how it was read.

        Raises:
            ValueError: a row has no value, or the column holds something else, such as lists.
        """
        if self._decimal_comma is None:
            return Typed(column_values(self._columns[name]), [])
        return typed(self._columns[name], decimal_comma=self._decimal_comma)

    def lists(self, name: str) -> NDArray[Any] | None:
        """Return a column of lists of numbers as a matrix, None if it has no lists.

        Raises:
            ValueError: a row has no value, the lists differ in length, or hold no numbers.
        """
        return list_values(self._columns[name])


def read_table(content: bytes, suffix: str, is_wanted: Callable[[str], bool]) -> Table:
    """Return the table of a file.

    Args:
        content: of the file.
        suffix: the ending of its name, one of `TABLE_SUFFIXES`.
        is_wanted: whether a name is one of the columns that the caller looks for; a CSV may have
            any separator, and this tells which one it is.

    Raises:
        ValueError: the file is not such a table, or repeats a column. The reason begins with a
            verb.
    """
    if suffix.lower() in CSV_SUFFIXES:
        csv = read_csv(content, is_wanted)
        return Table(csv.rows, csv.notes, hint=header_hint(csv), decimal_comma=csv.decimal_comma)
    import pyarrow  # slow to import, needed only here
    from pyarrow import parquet

    try:
        file: Any = parquet.ParquetFile(io.BytesIO(content))
        shape = (file.metadata.num_rows, file.metadata.num_columns)
        # Before it is read: a few bytes can stand for any number of equal rows.
        require_fits(shape, np.dtype(np.int64))
        columns = _read_batches(file)
    except ValueError as error:
        if isinstance(error, pyarrow.ArrowException | UnicodeDecodeError):
            raise ValueError(f"is not a Parquet file, or is damaged ({error})") from error
        raise
    except Exception as error:  # pyarrow documents no errors of damaged files
        raise ValueError(f"is not a Parquet file, or is damaged ({error})") from error
    return Table(columns, [])


def _read_batches(file: Any) -> Any:
    """Return a Parquet file as a table; raise ValueError once it takes half of the free memory."""
    import pyarrow as pa

    batches: list[Any] = []
    size = 0
    for batch in file.iter_batches(batch_size=_BATCH):
        batches.append(batch)
        size += batch.nbytes
        require_bytes(size, f"the first {sum(len(each) for each in batches)} rows")
    return pa.Table.from_batches(batches, file.schema_arrow)


def column_values(column: Any) -> NDArray[Any]:
    """Return a column of Parquet as an array: numbers, booleans, text or times.

    Raises:
        ValueError: a row has no value, or the column holds something else. The rule begins with a
            verb.
    """
    import pyarrow as pa
    from pyarrow import compute

    pc: Any = compute  # its functions are created at import, so no type checker knows them
    kind = column.type
    if column.null_count:
        first = pc.indices_nonzero(column.is_null())[0].as_py()
        raise ValueError(no_value(column.null_count, len(column), first))
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_decimal(kind):
        column, kind = column.cast(pa.float64()), pa.float64()
    if pa.types.is_primitive(kind) and not pa.types.is_time(kind):
        return column.to_numpy()
    if pa.types.is_time(kind) or "string" in str(kind):
        return np.asarray([str(value) for value in column.to_pylist()], np.str_)
    remedy = "make a column of each of its values, or leave it out"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        remedy = "store text"
    raise ValueError(f"must hold numbers or text, got {kind}; {remedy}")


def list_values(column: Any) -> NDArray[Any] | None:
    """Return a column of lists as a matrix, one row per list; None if it has no lists.

    Raises:
        ValueError: a row has no value, the lists differ in length, or hold no numbers.
    """
    import pyarrow as pa
    from pyarrow import compute

    pc: Any = compute
    kind = column.type
    if not any(
        is_kind(kind)
        for is_kind in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    ):
        return None
    if column.null_count:
        first = pc.indices_nonzero(column.is_null())[0].as_py()
        raise ValueError(no_value(column.null_count, len(column), first))
    lengths: list[int] = pc.unique(pc.list_value_length(column)).to_pylist()
    if len(lengths) > 1:
        raise ValueError(
            f"must hold lists of one length, got from {min(lengths)} to {max(lengths)}"
        )
    flat = column_values(pa.chunked_array([pc.list_flatten(column).combine_chunks()]))
    if flat.dtype.kind not in "biuf":
        raise ValueError(f"must hold lists of numbers, got {kind}")
    return flat.reshape(len(column), lengths[0] if lengths else 0)
