"""A table as text: heads, rows and cells, ready for HTML or Markdown."""

from __future__ import annotations

from typing import NamedTuple


class TableCell(NamedTuple):
    """One field of a table. `kind` is its CSS class."""

    text: str
    kind: str = ""


class TableHead(NamedTuple):
    """The title of a column."""

    text: str
    numeric: bool = False


class TableRow(NamedTuple):
    """One row of a table. `kind` is its CSS class."""

    cells: list[TableCell]
    kind: str = ""


class Table(NamedTuple):
    """A table of texts."""

    heads: list[TableHead]
    rows: list[TableRow]
    caption: str = ""


def number_cell(text: str) -> TableCell:
    """Return the cell of a number."""
    return TableCell(text, "n")


def number_head(text: str) -> TableHead:
    """Return the title of a column of numbers."""
    return TableHead(text, numeric=True)
