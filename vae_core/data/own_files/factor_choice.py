"""Chooses the columns of a table that are factors, if the user has not named them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vae_core.data.own_files.columns import FEW_LEVELS, has_fractions
from vae_core.data.own_files.tables import Table

_INDEX = re.compile(r"|Unnamed: \d+(\.\d+|_level_\d+)*|__index_level_\d+__")
"""The names under which pandas (and R, without one) writes the index of a table."""


class Chosen(NamedTuple):
    """The columns that are factors, and notes and problems of the columns of the table."""

    columns: dict[str, NDArray[Any]]
    notes: list[str]
    problems: list[str]


def is_index(name: str) -> bool:
    """Return whether a column has a name under which pandas writes the index of a table."""
    return _INDEX.fullmatch(name.strip()) is not None


def named_columns(table: Table, names: Sequence[str]) -> Chosen:
    """Return the columns that the user has named.

    A column with a row without value, or with lists or the like, is a problem.
    """
    columns: dict[str, NDArray[Any]] = {}
    notes: list[str] = []
    problems: list[str] = []
    for name in names:
        try:
            values, column_notes = table.values(name)
        except ValueError as error:
            problems.append(f"column {name!r} {error}")
            continue
        columns[name] = values
        notes += [f"column {name!r} {note}" for note in column_notes]
    return Chosen(columns, notes, problems)


def likely_factors(table: Table, names: Sequence[str]) -> Chosen:
    """Return the columns that can be factors; the others are left out, with a note on each.

    Left out are the index of pandas, and columns that name the rows (`labels_rows`): ids, file
    names, times. If only columns of the second kind are there, they are kept.

    Args:
        table: with the columns.
        names: of the columns to choose from.
    """
    candidates = named_columns(table, [name for name in names if not is_index(name)])
    notes = list(candidates.notes)
    for name in names:
        if is_index(name):
            text = f"column {name!r}" if name.strip() else "the column without a name"
            notes.append(f"{text} is left out: it is the index of a table, not a factor")
    reasons: dict[str, str] = {}
    for name, column in candidates.columns.items():
        reason = labels_rows(column)
        if reason is not None:
            reasons[name] = reason
    if len(reasons) == len(candidates.columns):
        reasons = {}
    for name, reason in reasons.items():
        notes.append(
            f"column {name!r} is left out: it {reason}, so it names the rows; "
            "list it in factors if it is a factor"
        )
    kept = {name: column for name, column in candidates.columns.items() if name not in reasons}
    return Chosen(kept, notes, candidates.problems)


def labels_rows(column: NDArray[Any]) -> str | None:
    """Return why a column names rows and is no factor, None if it may be a factor.

    An id or a file name has another value in every row, and a time in nearly every row. Fractions
    are not looked at: `to_levels` says of them that they must be binned.
    """
    distinct, rows = len(np.unique(column)), len(column)
    if rows <= FEW_LEVELS or column.dtype.kind not in "iuUmMf":
        return None
    if column.dtype.kind in "mM" and distinct > rows / 2:
        return f"has {distinct} times in {rows} rows"
    if distinct == rows and not has_fractions(column):
        return "has another value in every row"
    return None
