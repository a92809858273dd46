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

_PIPED_WIDTH = 200  # a pipe has no width; rich would take 80 columns and cut the text


def show(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    """Print rows: as JSON with all their keys, or some of their columns as a table."""
    if as_json:
        show_json(rows)
        return
    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        # Names may hold square brackets, which rich would read as markup.
        table.add_row(*(escape(_cell_text(row.get(column))) for column in columns))
    console().print(table)


def show_json(value: Any) -> None:
    """Print a value as JSON; NaN and infinity, which JSON does not have, as null."""
    print(json.dumps(to_plain(value), indent=2, ensure_ascii=False))


def console() -> Console:
    """Return the console of standard output; wide if the output is no terminal."""
    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=_PIPED_WIDTH)


def _cell_text(value: Any) -> str:
    """Return the text of one cell of a table."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_cell_text(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_cell_text(item) for item in value)
    return str(value)
