"""The one rule for factors of a user: which columns can be factors, and which levels they have."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metrics import Factors
from vae_core.data.own_files import rounding
from vae_core.data.own_files.text_columns import typed
from vae_core.data.own_files.words import MISSING_WORDS, NUMBER, listed

MOST_LEVELS = 4096
"""The most levels of a factor; a column with more distinct values is a measurement."""

FEW_LEVELS = 2
"""So few levels are never too many, however few rows there are."""


class Levels(NamedTuple):
    """A column as levels, numbered from 0 in the order of their values."""

    numbers: NDArray[np.int64]  # the level of each row
    values: NDArray[Any]  # the value of each level
    notes: list[str]  # what is no problem, but worth knowing


class FactorsAndNotes(NamedTuple):
    """The factors of a user's file, and notes on their columns."""

    factors: Factors
    notes: tuple[str, ...]


def to_factors(columns: Mapping[str, NDArray[Any]]) -> FactorsAndNotes:
    """Return factors whose levels are the sorted distinct values of each column, numbered from 0.

    Args:
        columns: of N rows, by factor name; see `to_levels`.

    Raises:
        ValueError: naming every column that is no factor.
    """
    numbers: list[NDArray[np.int64]] = []
    sizes: list[int] = []
    problems: list[str] = []
    notes: list[str] = []
    for name, column in columns.items():
        try:
            levels = to_levels(column)
        except ValueError as error:
            problems.append(f"factor {name!r} {error}")
            continue
        numbers.append(levels.numbers)
        sizes.append(len(levels.values))
        notes += [f"factor {name!r}: {note}" for note in levels.notes]
    if problems:
        raise ValueError(listed(problems, separator="; "))
    return FactorsAndNotes(
        Factors(np.stack(numbers, axis=1), tuple(columns), tuple(sizes)), tuple(notes)
    )


def text_factors(texts: Mapping[str, NDArray[np.str_]]) -> FactorsAndNotes:
    """Return the factors of columns of text; a column whose texts are all numbers is of numbers.

    Raises:
        ValueError: naming every column that is no factor.
    """
    columns: dict[str, NDArray[Any]] = {}
    notes: list[str] = []
    problems: list[str] = []
    for name, column in texts.items():
        try:
            columns[name], column_notes = typed(column.tolist())
        except ValueError as error:
            problems.append(f"factor {name!r} {error}")
            continue
        notes += [f"factor {name!r} {note}" for note in column_notes]
    if problems:
        raise ValueError(listed(problems, separator="; "))
    factors, factor_notes = to_factors(columns)
    return FactorsAndNotes(factors, (*notes, *factor_notes))


def to_levels(column: NDArray[Any]) -> Levels:
    """Return the levels of a column: its sorted distinct values, numbered from 0.

    Fractions that differ only by rounding are one level. Fractions and times are a continuous
    factor, and so are refused, if they have more than one level per two rows. Text is refused if
    every row has another one: it names the rows.

    Args:
        column: (N,) numbers, booleans, text, or times.

    Raises:
        ValueError: the rule that the column breaks. It begins with a verb, so that a name can be
            put before it.
    """
    if column.dtype.kind not in "biufUmM":
        raise ValueError(f"must be numbers or text, got {column.dtype}")
    _check_finite(column)
    values, numbers = np.unique(column, return_inverse=True)
    numbers = numbers.reshape(-1).astype(np.int64)
    notes: list[str] = []
    if has_fractions(values) and len(values) <= 4 * MOST_LEVELS:
        values, numbers, notes = _without_rounding(values, numbers)
    continuous = column.dtype.kind in "mM" or has_fractions(values)
    levels, rows = len(values), len(column)
    if levels > MOST_LEVELS:
        raise ValueError(
            f"must have at most {MOST_LEVELS} levels, got {levels}; "
            "bin it (np.digitize), or leave it out"
        )
    many = levels > max(rows / 2, FEW_LEVELS)
    if many and continuous:
        kind = "numbers" if column.dtype.kind == "f" else "times"
        raise ValueError(
            f"must be levels, got {levels} {kind} in {rows} rows; bin a continuous factor first, "
            "as in np.digitize(x, np.quantile(x, [0.25, 0.5, 0.75])), or leave it out"
        )
    if many and levels == rows and column.dtype.kind == "U":
        raise ValueError(
            f"must be levels, got another text in each of {rows} rows, such as {str(values[0])!r}; "
            "it names the rows: leave it out"
        )
    if many:
        advice = "bin it" if column.dtype.kind != "U" else "group its levels"
        notes.append(f"{levels} levels in {rows} rows; {advice}, or its scores say little")
    if column.dtype.kind == "U":
        notes += _notes_on_text(values)
    return Levels(numbers, values, notes)


def has_fractions(values: NDArray[Any]) -> bool:
    """Return whether one of the values is a float that is not a whole number."""
    return values.dtype.kind == "f" and bool(
        (np.isfinite(values) & (values != np.round(values))).any()
    )


def _check_finite(column: NDArray[Any]) -> None:
    """Raise ValueError if a number or time is missing or infinite."""
    if column.dtype.kind == "f":
        bad = ~np.isfinite(column)
    elif column.dtype.kind in "mM":
        bad = np.isnat(column)
    else:
        return
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        more = f" and {int(bad.sum()) - 1} more" if bad.sum() > 1 else ""
        raise ValueError(
            f"must be finite, got {column[row]} in row {row}{more}; leave these rows out"
        )


def _without_rounding(
    values: NDArray[Any], numbers: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[np.int64], list[str]]:
    """Return values and numbers with one level for values that differ only by rounding."""
    exact = values.astype(np.float64)
    group = rounding.groups(exact)
    if group[-1] == len(values) - 1:
        return values, numbers, []
    merged = rounding.shortest(exact, group)
    examples: list[str] = []
    for number in np.flatnonzero(np.bincount(group) > 1).tolist():
        examples.append(" and ".join(repr(value) for value in exact[group == number].tolist()))
    note = "values that differ only by rounding are one level: " + listed(examples, most=3)
    return merged, group[numbers], [note]


def _notes_on_text(values: NDArray[Any]) -> list[str]:
    """Return notes on texts that may not be meant as levels."""
    notes: list[str] = []
    if len({len(value) for value in values}) > 1 and all(map(NUMBER.fullmatch, map(str, values))):
        notes.append("numbers stored as text are in the order of text: '10' comes before '2'")
    missing = [str(value) for value in values if value.strip().casefold() in MISSING_WORDS]
    if missing:
        notes.append(
            f"the text {listed(map(repr, missing))} is a level; "
            "if it stands for a missing value, leave its rows out"
        )
    spellings: dict[str, list[str]] = {}
    for value in map(str, values):
        # NFKC: é may be one character, or e with an accent
        spelling = unicodedata.normalize("NFKC", " ".join(value.split())).casefold()
        spellings.setdefault(spelling, []).append(value)
    alike = [same for same in spellings.values() if len(same) > 1]
    if alike:
        examples = [" and ".join(map(repr, same)) for same in alike]
        notes.append(
            f"levels differ only in spaces, capitals or code points: {listed(examples, most=3)}; "
            "if they are one level, write them alike"
        )
    return notes
