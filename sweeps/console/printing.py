"""Prints rows: a table for people, JSON for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sweeps.plain_values import to_plain

_PIPED_WIDTH = 200  # a pipe has no width of its own; rich would take 80 and cut


def show(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    """Print rows, all of each as JSON, or some of its columns as a table."""
    if as_json:
        show_json(rows)
        return
    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(
            *(escape(_cell(row.get(column))) for column in columns)
        )  # names may hold brackets
    console().print(table)


def show_json(value: Any) -> None:
    """Print a value as JSON; NaN and infinity, which JSON has not, as null."""
    print(json.dumps(to_plain(value), indent=2, ensure_ascii=False))


def console() -> Console:
    """Return the console of standard output, wide where nobody looks at it."""
    found = Console()
    return found if found.is_terminal else Console(width=_PIPED_WIDTH)


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_cell(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_cell(item) for item in value)
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
