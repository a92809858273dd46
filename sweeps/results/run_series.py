"""Series, parameters and distributions of trials: what tells them apart in tables and figures."""

from __future__ import annotations

import hashlib
import json
import math

import numpy as np
import pandas as pd

from sweeps.results.run_columns import floats
from sweeps.results.run_table import Runs


def parameters(table: pd.DataFrame) -> list[str]:
    """Return the config columns that vary inside an objective, but for its strength: what tells cells."""
    found: list[str] = []
    for column in table.columns:
        if not str(column).startswith(("data.", "network.", "train.", "objective.")):
            continue
        for _, rows in table.groupby("objective", sort=False):
            values = {str(value) for value in rows[column]}
            if len(values) > 1 and not _same(floats(rows, column), floats(rows, "strength")):
                found.append(str(column))
                break
    return found


def strength_names(runs: Runs) -> list[str]:
    """Return the names of the strengths ("beta"), each once; none where no objective has any."""
    return [str(name) for name in dict.fromkeys(runs.table["strength_name"]) if name]


def series(runs: Runs) -> list[str]:
    """Return the series of every trial: its bracket without the strength, as in `beta_vae latents=5`.

    A field with the same value in all brackets of an entry is left out, as it tells nothing apart.
    """
    brackets = [
        (str(entry), list(json.loads(fields)))
        for entry, fields in zip(runs.table["entry"], runs.table["bracket_fields"], strict=True)
    ]
    values: dict[tuple[str, str], set[str]] = {}
    for entry, fields in brackets:
        for field, value in fields:
            values.setdefault((entry, field), set()).add(value)
    names: list[str] = []
    for (entry, fields), strength in zip(brackets, runs.table["strength_name"], strict=True):
        telling = [
            f"{field}={value}"
            for field, value in fields
            if field != strength and len(values[entry, field]) > 1
        ]
        names.append(" ".join([entry, *telling]))
    return names


def entries(runs: Runs) -> list[str]:
    """Return the name of every trial's entry: `beta_vae`, `beta_vae(latents 5)`, `beta_vae#1`."""
    return [str(entry) for entry in runs.table["entry"]]


def distributions(table: pd.DataFrame) -> list[str]:
    """Return what each trial's factors are drawn from, "" where it is the data set itself: (n,) words.

    Numbers of two distributions are of two sets of images: neither is the better one.
    """
    empty = [None] * len(table)
    columns = [
        table.get(f"train.{name}", empty)
        for name in ("correlated", "correlation_width", "factor_table")
    ]
    found: list[str] = []
    for pairs, width, text in zip(*columns, strict=True):
        if isinstance(text, str) and text:
            found.append(f"factor table {hashlib.sha256(text.encode()).hexdigest()[:8]}")
        elif isinstance(width, int | float) and not math.isnan(width):
            named = "; ".join(" and ".join(pair) for pair in json.loads(str(pairs)))
            found.append(f"{named} correlated, width {width:g}")
        else:
            found.append("")
    return found


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(not np.isnan(b).all() and np.array_equal(a, b, equal_nan=True))
