"""Columns of the run table as arrays."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pandas as pd

from sweeps.ledger.states import ENDS, UNFINISHED, TrialState
from sweeps.results.run_table import Runs
from vae_core.epoch_metrics import EPOCH_METRICS

_TRIAL_COLUMNS = (
    "trial",
    "number",
    "cell",
    "bracket",
    "entry",
    "bracket_fields",
    "objective",
    "strength_name",
    "strength",
    "seed",
    "state",
    "epoch",
    "epochs",
)
"""Columns that the report page needs, also of a sweep without trials."""


Source = Literal["final", "epoch", ""]


def complete(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the COMPLETE trials."""
    return table.loc[(table["state"] == TrialState.COMPLETE).to_numpy()]


def source(table: pd.DataFrame, metric: str) -> Source:
    """Return where the numbers of a metric come from.

    "final" is the whole data set, "epoch" the evaluation subset at the last epoch, "" means that
    the metric was not measured. The answer is "final" if every COMPLETE trial that has the number
    of the epoch also has the number of the whole data set. So one mean never mixes the two.
    """
    rows = complete(table)
    final, epoch = float_column(rows, f"final/{metric}"), float_column(rows, metric)
    only_epoch = np.isnan(final) & ~np.isnan(epoch)
    if not np.isnan(final).all() and not only_epoch.any():
        return "final"
    return "" if np.isnan(epoch).all() else "epoch"


def values(table: pd.DataFrame, metric: str) -> np.ndarray:
    """Return a metric of every trial, (n,); NaN if it is missing or the trial is not COMPLETE."""
    is_complete = (table["state"] == TrialState.COMPLETE).to_numpy()
    return np.where(is_complete, float_column(table, _column(table, metric)), math.nan)


def errors(table: pd.DataFrame, metric: str) -> np.ndarray:
    """Return the error that the estimator of a metric states for each of `values`, (n,).

    See `errors_of_column`.
    """
    return errors_of_column(table, _column(table, metric))


def errors_of_column(table: pd.DataFrame, column: str) -> np.ndarray:
    """Return the estimator's error of every number of a column (`tc`, `final/tc`, …), (n,) >= 0.

    It is 0 for exact numbers: the metrics of an epoch that are exact, and scores that state no
    error for any trial. It is NaN if it is not known, as in sweeps of versions that did not store
    it.
    """
    metric = column.rpartition("/")[2]
    stated = float_column(table, f"{column}_error")
    properties = EPOCH_METRICS.get(metric)
    is_exact = np.isnan(stated).all() if properties is None else properties.exact
    if is_exact:
        return np.zeros(len(table))
    is_known = np.isfinite(stated) & ~_is_prediction_error(table, metric)
    return np.where(is_known, stated, math.nan)


def _is_prediction_error(table: pd.DataFrame, metric: str) -> np.ndarray:
    """Return for which trials the `_error` of a metric is the share of wrong predictions, (n,).

    Versions before revision 4 stored this detail of `dci` under the name of the score's error.
    Their identities do not say what became of dead latents.
    """
    identity = f"identity/{metric}"
    if metric.partition(".")[0] != "dci" or identity not in table.columns:
        return np.zeros(len(table), dtype=bool)
    return np.array(["dead_latents" not in str(text) for text in table[identity]])


def _column(table: pd.DataFrame, metric: str) -> str:
    """Return the column that the numbers of a metric come from, see `source`."""
    return f"final/{metric}" if source(table, metric) == "final" else metric


def with_report_columns(runs: Runs) -> Runs:
    """Return the runs with the columns that the report page needs.

    A sweep without trials has a table without columns, a sweep without reports has curves without
    columns. They become empty columns here.
    """
    table, curves = runs.table, runs.curves
    if table.empty:
        table = table.reindex(columns=list(dict.fromkeys([*table.columns, *_TRIAL_COLUMNS])))
    if curves.empty:
        curves = curves.reindex(columns=list(dict.fromkeys([*curves.columns, "trial", "epoch"])))
    return runs._replace(table=table, curves=curves)


def collapsed(table: pd.DataFrame) -> np.ndarray:
    """Return which trials ended without any active unit, (n,) bool."""
    return float_column(table, "collapsed") == 1


def counts(table: pd.DataFrame) -> dict[str, int]:
    """Return state -> number of trials.

    COMPLETE, PRUNED and FAILED are always in it, the other states only if a trial has them.
    """
    by_state = {str(state): int(n) for state, n in table["state"].value_counts().items()}
    result = {state.value: by_state.get(state, 0) for state in ENDS}
    for state in UNFINISHED:
        if state in by_state:
            result[state.value] = by_state[state]
    return result


def float_column(table: pd.DataFrame, name: object) -> np.ndarray:
    """Return a column as floats, (n,); NaN where it is missing or not a number."""
    if name not in table.columns:
        return np.full(len(table), math.nan)
    return np.asarray(pd.to_numeric(table[name], errors="coerce"), dtype=np.float64)
