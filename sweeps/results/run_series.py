"""Series, parameters and factor distributions of trials: what tables and figures group them by."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import numpy as np
import pandas as pd

from sweeps.results.run_columns import float_column
from sweeps.results.run_table import Runs

_CONFIG_PREFIXES = ("data.", "network.", "train.", "objective.")


def parameters(table: pd.DataFrame) -> list[str]:
    """Return the config columns that vary between trials of one objective, except its strength."""
    varying: list[str] = []
    for column in table.columns:
        if str(column).startswith(_CONFIG_PREFIXES) and _varies(table, column):
            varying.append(str(column))
    return varying


def _varies(table: pd.DataFrame, column: object) -> bool:
    """Return whether a column has several values in one objective and is not its strength."""
    for _, rows in table.groupby("objective", sort=False):
        distinct = {str(value) for value in rows[column]}
        if len(distinct) > 1 and not _is_strength(rows, column):
            return True
    return False


def _is_strength(rows: pd.DataFrame, column: object) -> bool:
    """Return whether a column holds the same numbers as the strength, not all of them NaN."""
    strength = float_column(rows, "strength")
    if np.isnan(strength).all():
        return False
    return np.array_equal(float_column(rows, column), strength, equal_nan=True)


def strength_names(runs: Runs) -> list[str]:
    """Return the names of the strengths ("beta"), each once; [] if no objective has a strength."""
    return [str(name) for name in dict.fromkeys(runs.table["strength_name"]) if name]


def series(runs: Runs) -> list[str]:
    """Return the series of every trial: its bracket without the strength.

    An example is `beta_vae latents=5`. A field with the same value in all brackets of an entry is
    left out, because it does not distinguish any of them.
    """
    brackets: list[tuple[str, list[tuple[str, str]]]] = []
    for entry, fields in zip(runs.table["entry"], runs.table["bracket_fields"], strict=True):
        brackets.append((str(entry), list(json.loads(fields))))

    values: dict[tuple[str, str], set[str]] = {}  # (entry, field) -> its values
    for entry, fields in brackets:
        for field, value in fields:
            values.setdefault((entry, field), set()).add(value)

    names: list[str] = []
    for (entry, fields), strength in zip(brackets, runs.table["strength_name"], strict=True):
        words = [entry]
        for field, value in fields:
            if field != strength and len(values[entry, field]) > 1:
                words.append(f"{field}={value}")
        names.append(" ".join(words))
    return names


def entries(runs: Runs) -> list[str]:
    """Return the name of every trial's entry: `beta_vae`, `beta_vae(latents 5)`, `beta_vae#1`."""
    return [str(entry) for entry in runs.table["entry"]]


def distributions(table: pd.DataFrame) -> list[str]:
    """Return the distribution of the factors of each trial in words, "" for the data set itself.

    Two distributions give two sets of images. So numbers from different distributions are never
    ranked against each other.
    """
    correlated = _column_or_none(table, "train.correlated")
    widths = _column_or_none(table, "train.correlation_width")
    factor_tables = _column_or_none(table, "train.factor_table")
    names: list[str] = []
    for pairs, width, factor_table in zip(correlated, widths, factor_tables, strict=True):
        if isinstance(factor_table, str) and factor_table:
            digest = hashlib.sha256(factor_table.encode()).hexdigest()
            names.append(f"factor table {digest[:8]}")
        elif isinstance(width, int | float) and not math.isnan(width):
            pair_names = "; ".join(" and ".join(pair) for pair in json.loads(str(pairs)))
            names.append(f"{pair_names} correlated, width {width:g}")
        else:
            names.append("")
    return names


def _column_or_none(table: pd.DataFrame, name: str) -> list[Any]:
    """Return a column as a list, one None per trial if the table does not have it."""
    return list(table[name]) if name in table.columns else [None] * len(table)
