"""Columns of the run table as arrays."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pandas as pd

from sweeps.ledger.states import UNFINISHED
from sweeps.results.run_table import Runs

METRICS = ("reconstruction", "kl", "elbo", "mi", "tc", "dimwise_kl", "mig", "active_units")
"""The metrics of every epoch, in the order of the tables."""


_IDENTITY = (
    *("trial", "number", "cell", "bracket", "entry", "bracket_fields", "objective", "strength_name", "strength"),
    *("seed", "state", "epoch", "epochs"),
)


Source = Literal["final", "epoch", ""]


def complete(table: pd.DataFrame) -> pd.DataFrame:
    """Return the trials that ran their whole length."""
    return table.loc[(table["state"] == "COMPLETE").to_numpy()]


def source(table: pd.DataFrame, metric: str) -> Source:
    """Return where a metric's numbers come from: the whole set, the last epoch's subset, or nowhere ("").

    The whole set ("final"), if every COMPLETE trial that has the epoch's number has that one too: one mean
    never mixes the two.
    """
    rows = complete(table)
    final, epoch = floats(rows, f"final/{metric}"), floats(rows, metric)
    if not np.isnan(final).all() and not (np.isnan(final) & ~np.isnan(epoch)).any():
        return "final"
    return "" if np.isnan(epoch).all() else "epoch"


def values(table: pd.DataFrame, metric: str) -> np.ndarray:
    """Return a metric of every trial, (n,), NaN where it is missing or the trial is not COMPLETE."""
    where = source(table, metric)
    column = floats(table, f"final/{metric}" if where == "final" else metric)
    return np.where((table["state"] == "COMPLETE").to_numpy(), column, math.nan)


def framed(runs: Runs) -> Runs:
    """Return the runs with the columns that a sweep without trials or reports has no frame for."""
    table, curves = runs.table, runs.curves
    if table.empty:
        table = table.reindex(columns=list(dict.fromkeys([*table.columns, *_IDENTITY])))
    if curves.empty:
        curves = curves.reindex(columns=list(dict.fromkeys([*curves.columns, "trial", "epoch"])))
    return runs._replace(table=table, curves=curves)


def collapsed(table: pd.DataFrame) -> np.ndarray:
    """Return which trials ended with no active unit, (n,) bool."""
    return floats(table, "collapsed") == 1


def counts(table: pd.DataFrame) -> dict[str, int]:
    """Return state -> number of trials: COMPLETE, PRUNED and FAILED always, the others if there are any."""
    found = {str(state): int(n) for state, n in table["state"].value_counts().items()}
    order = ("COMPLETE", "PRUNED", "FAILED", *UNFINISHED)
    return {state: found.get(state, 0) for state in order if state in order[:3] or state in found}


def floats(table: pd.DataFrame, name: object) -> np.ndarray:
    """Return a column as floats, NaN where it is missing or not a number."""
    if name not in table.columns:
        return np.full(len(table), math.nan)
    return np.asarray(pd.to_numeric(table[name], errors="coerce"), dtype=np.float64)
