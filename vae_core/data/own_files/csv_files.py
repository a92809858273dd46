"""Reads text tables: any separator, UTF-8 or UTF-16; all that is not safe to guess is refused."""

# pyarrow has no types.
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportMissingTypeStubs=false, reportUnknownArgumentType=false

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from vae_core.data.own_files.text_columns import trim
from vae_core.data.own_files.words import listed

_SEPARATORS = (",", ";", "\t", "|")
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_OTHER_KINDS = {
    b"PK\x03\x04": "a zip file, such as an Excel workbook; save it as CSV",
    b"\x1f\x8b": "compressed with gzip; unpack it",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save it as CSV",
    b"PAR1": "a Parquet file; let its name end in .parquet",
}
"""How files of other programs begin, and what they are."""
_A_VALUE = re.compile(
    r"\s*([+-]?(\d+[.,]?\d*|[.,]\d+)(e[+-]?\d+)?|.+\.(png|jpe?g|bmp|gif|tiff?|webp|p[gp]m))\s*",
    re.IGNORECASE,
)
"""A number or the name of an image: as a header it is probably a value."""


class CsvTable(NamedTuple):
    """A table of text, before the kind of each column is known."""

    names: list[str]
    rows: Any  # a pyarrow table; its columns are addressed by number, since names may repeat
    decimal_comma: bool  # whether a comma within a value may be a decimal point
    notes: list[str]
    header_has_values: bool  # then the first line may be a row of values


def read_csv(content: bytes, is_wanted: Callable[[str], bool]) -> CsvTable:
    """Return the columns of a table with a header line, all of them as text.

    The separator is the one of comma, semicolon, tab and | with which the header has the most
    wanted columns; if there are none, the one that gives the most columns. Columns without a name
    and without a value, and rows without a value, are left out: spreadsheets write them.

    Args:
        content: of the file.
        is_wanted: whether a name is one of the columns that the caller looks for.

    Raises:
        ValueError: why the file cannot be read. The reason begins with a verb.
    """
    text = _decoded(content).lstrip("\ufeff")  # byte order marks
    if not text.strip():
        raise ValueError("is empty; write a line with the names of the columns, then the rows")
    separator = _separator(text, is_wanted)
    header = _header(text, separator)
    table = _parsed(text, separator, header)
    notes: list[str] = []
    table = _without_empty_columns(table)
    named = [index for index, name in enumerate(table.column_names) if name.strip()]
    if len(named) < table.num_columns - 1:
        notes.append("the columns without a name are left out: they are the index of a table")
        table = table.select(named)
    table, rows_left_out = _without_empty_rows(table)
    if rows_left_out:
        notes.append(f"rows without any value are left out: {rows_left_out}")
    has_values = any(map(_A_VALUE.fullmatch, header))
    return CsvTable(list(table.column_names), table, separator != ",", notes, has_values)


def _parsed(text: str, separator: str, names: list[str]) -> Any:
    """Return a text as a pyarrow table; its lines may end with more separators than the header.

    Args:
        text: of the file.
        separator: between columns.
        names: of the columns.

    Raises:
        ValueError: a line has another number of values than the header, or quotes do not match.
    """
    import pyarrow as pa  # slow to import, needed only here
    import pyarrow.csv

    parse_options: Any = pyarrow.csv.ParseOptions(delimiter=separator, newlines_in_values=True)

    def read(part: str) -> Any:
        convert_options: Any = pyarrow.csv.ConvertOptions(
            # Types are given by name, so one name for two columns does no harm here.
            column_types={name: pa.string() for name in names},
            null_values=[],
            strings_can_be_null=False,
        )
        return pyarrow.csv.read_csv(
            io.BytesIO(part.encode() + b"\n"),  # it needs the end of the header line
            parse_options=parse_options,
            convert_options=convert_options,
        )

    try:
        table = read(text)
    except pa.ArrowException as error:
        shorter = _without_last_separators(text, separator, len(names))
        if shorter is None:
            raise ValueError(f"cannot be read as CSV: {_in_words(error, separator)}") from error
        table = read(shorter)
    if any(kind != pa.string() for kind in table.schema.types):
        raise ValueError("cannot be read as CSV: the quotes in the line of names do not match")
    return table


def _without_last_separators(text: str, separator: str, columns: int) -> str | None:
    """Return a text without the separators after the last column of each line.

    None if a line has a value there, or fewer values than columns.
    """
    shorter = io.StringIO()
    writer = csv.writer(shorter, delimiter=separator, lineterminator="\n")
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
            if row and (len(row) < columns or any(map(str.strip, row[columns:]))):
                return None
            writer.writerow(row[:columns])
    except csv.Error:
        return None
    return shorter.getvalue()


def _decoded(content: bytes) -> str:
    """Return the text of a file in UTF-8, or in UTF-16 with a byte order mark."""
    for beginning, kind in _OTHER_KINDS.items():
        if content.startswith(beginning):
            raise ValueError(f"must be text, got {kind}")
    if content.startswith(_UTF16):
        try:
            text = content.decode("utf-16")
        except UnicodeDecodeError as error:
            raise ValueError(f"must be UTF-8, got damaged UTF-16 ({error.reason})") from error
        if "\0" not in text:
            return text
    if b"\0" in content:
        raise ValueError(
            "must be UTF-8, got bytes of value 0, as in UTF-16 without a byte order mark, "
            "or UTF-32; save it as UTF-8"
        )
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"must be UTF-8, got byte 0x{content[error.start]:02x} in line {line}, "
            "as in Latin-1 or Windows-1252; save it as UTF-8 (iconv -f WINDOWS-1252 -t UTF-8)"
        ) from error


def _header(text: str, separator: str) -> list[str]:
    """Return the names of the columns: the first line that is not empty."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        return next((row for row in reader if row), [])
    except csv.Error as error:
        raise ValueError(f"cannot be read as CSV: the line of names: {error}") from error


def _separator(text: str, is_wanted: Callable[[str], bool]) -> str:
    headers: dict[str, list[str]] = {}
    reason = ""
    for separator in _SEPARATORS:
        try:
            headers[separator] = _header(text, separator)
        except ValueError as error:  # with another separator a name may be shorter
            reason = str(error)
    if not headers:
        raise ValueError(reason)
    wanted = {separator: sum(map(is_wanted, header)) for separator, header in headers.items()}
    if any(wanted.values()):
        return max(wanted, key=lambda separator: wanted[separator])  # the first one, if equal
    return max(headers, key=lambda separator: len(headers[separator]))


def _in_words(error: Exception, separator: str) -> str:
    """Return an error of pyarrow, with the usual cause of lines of different lengths."""
    text = str(error).strip()
    if "Expected" not in text:
        return text
    return (
        f"{text}; every line must have as many values as the header (separator {separator!r}); "
        "R writes a column more unless row.names = FALSE"
    )


def _without_empty_columns(table: Any) -> Any:
    """Return a table without the columns that have neither a name nor a value."""
    kept: list[int] = []
    for index, name in enumerate(table.column_names):
        if name.strip() or any(_has_value(table.column(index)).to_pylist()):
            kept.append(index)
    return table.select(kept) if len(kept) < table.num_columns else table


def _without_empty_rows(table: Any) -> tuple[Any, int]:
    """Return a table without the rows that have no value at all, and how many these are."""
    # A single column without a value is a missing value, not the end of a spreadsheet.
    if table.num_columns < 2 or not table.num_rows:
        return table, 0
    from pyarrow import compute

    pc: Any = compute
    some_value = _has_value(table.column(0))
    for column in table.columns[1:]:
        some_value = pc.or_(some_value, _has_value(column))
    kept = table.filter(some_value)
    return kept, table.num_rows - kept.num_rows


def _has_value(column: Any) -> Any:
    """Return which rows of a column of text are not empty."""
    from pyarrow import compute

    pc: Any = compute  # its functions are created at import, so no type checker knows them
    return pc.not_equal(trim(column), "")


def header_hint(table: CsvTable) -> str:
    """Return why a table may lack the columns that were looked for, and the remedy; or "".

    The first line may hold values, or the separator may be another one.
    """
    if table.header_has_values:
        return (
            f"; the first line ({listed(table.names, most=4)}) seems to hold values: "
            "write the names of the columns above it"
        )
    if len(table.names) == 1:
        return "; separate the columns by comma, semicolon, tab or |"
    return ""
