"""Series, parameters and distributions of trials: what tells them apart in tables and figures."""

from __future__ import annotations

import hashlib
import json
import math
import re

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
    """Return the series of every trial, what a line of a figure joins: its bracket without the strength.

    What all brackets of one entry have in common is left out, too: it tells nothing apart.
    """
    split = [_split(str(bracket)) for bracket in runs.table["bracket"]]
    values: dict[tuple[str, str], set[str]] = {}
    for name, fields in split:
        for field, value in fields.items():
            values.setdefault((name, field), set()).add(value)
    return [
        " ".join(
            [
                name,
                *(
                    f"{field}={value}"
                    for field, value in fields.items()
                    if field != strength and len(values[name, field]) > 1
                ),
            ]
        )
        for (name, fields), strength in zip(split, runs.table["strength_name"], strict=True)
    ]


def entries(runs: Runs) -> list[str]:
    """Return what every trial's entry of the spec is called: `beta_vae`, `beta_vae(latents 5)`, `beta_vae#1`."""
    return [_split(str(bracket))[0] for bracket in runs.table["bracket"]]


def _split(bracket: str) -> tuple[str, dict[str, str]]:
    """Return an entry's name and the values beside it: "beta_vae", {"beta": "4"}."""
    name, *rest = re.split(r" (?=\w+=\S+(?: \w+=\S+)*$)", bracket)
    return name, dict(part.split("=", 1) for part in (" ".join(rest).split(" ") if rest else []))


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
