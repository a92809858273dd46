"""Means over seeds, of cells and of brackets. Only COMPLETE trials enter a mean.

The total correlation of a pruned trial is low because the trial learnt little. Beside complete
trials it would look like a better model. So pruned, failed and unfinished trials are counted, but
they do not enter a mean.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import pandas as pd

from sweeps.ledger.states import TrialState
from sweeps.results.pareto import Direction
from sweeps.results.run_columns import (
    UNFINISHED,
    collapsed,
    complete,
    errors,
    float_column,
    source,
    values,
)
from sweeps.results.run_series import distributions, parameters, series
from sweeps.results.run_table import Runs
from vae_core.epoch_metrics import COMMON_METRICS

_LEADING_COLUMNS = (
    *("objective", "series", "distribution", "strength_name", "strength"),
    *("bracket", "point", "cell"),
)
_COUNT_COLUMNS = ("n", "pruned", "failed", "unfinished", "collapsed", "seeds", "members")
_BRACKET_COUNTS = frozenset({"pruned", "failed", "unfinished", "complete_cells"})
"""Columns of `brackets` that count the whole bracket, also where one cell is chosen."""


BracketMean = Literal["best", "pooled"]
"""Which trials of a bracket make its mean: those of its best cell, or all of them."""


class GoalMetric(NamedTuple):
    """A metric that the sweep optimises, and its better end."""

    metric: str
    mode: Direction


class Mean(NamedTuple):
    """A mean over n trials, with the standard deviation (with n − 1) and the standard error.

    `value` is NaN for n = 0, `sd` for n = 1. `error` is e, the estimator's error of one trial: the
    root mean square over the trials; 0 for exact numbers, NaN if it is not known for one of them.

        se = sqrt(sd² / n + e²)

    e counts in full, and is not divided by n: the trials of a sweep share the draws of their
    estimator, so a mean over trials does not average it out. With one trial `se` is e, NaN if the
    number is exact. If e is not known, `se` is sd / sqrt(n), or NaN with one trial.
    """

    value: float
    sd: float
    se: float
    n: int
    error: float


def mean(
    values: Sequence[float] | np.ndarray, errors: Sequence[float] | np.ndarray | None = None
) -> Mean:
    """Return the mean of the values that are not NaN, with standard deviation and error.

    Args:
        values: one per trial.
        errors: the estimator's error of each value; NaN: not known. None: all values are exact.
    """
    array = np.asarray(values, dtype=np.float64)
    of_estimator = np.zeros(len(array)) if errors is None else np.asarray(errors, dtype=np.float64)
    known = ~np.isnan(array)
    array, of_estimator = array[known], of_estimator[known]
    n = len(array)
    if n == 0:
        return Mean(math.nan, math.nan, math.nan, 0, math.nan)
    error = float(np.sqrt(np.square(of_estimator).mean()))
    if n == 1:
        return Mean(float(array[0]), math.nan, error if error > 0 else math.nan, 1, error)
    sd = float(array.std(ddof=1))
    se = math.hypot(sd / math.sqrt(n), 0.0 if math.isnan(error) else error)
    return Mean(float(array.mean()), sd, se, n, error)


def goals(runs: Runs) -> list[GoalMetric]:
    """Return the goals of the sweep in their order; the largest ELBO if the spec has none."""
    stored = runs.spec.get("goal") or {"metric": "elbo", "mode": "max"}
    mappings: list[Mapping[str, Any]] = [stored]
    if isinstance(stored, list | tuple):
        mappings = list(stored)
    return [
        GoalMetric(str(goal["metric"]), "min" if goal.get("mode") == "min" else "max")
        for goal in mappings
    ]


def cells(runs: Runs, metrics: Sequence[str] = COMMON_METRICS) -> pd.DataFrame:
    """Return one row per cell: its parameters, its numbers of trials, its means over seeds.

    The columns:
        objective, series, distribution, strength_name, strength, bracket, cell.
        point: the bracket and its strength as one text.
        The parameters that vary between trials of one objective.
        n, pruned, failed, unfinished: numbers of trials; n counts the COMPLETE ones.
        collapsed: number of trials that ended without any active unit.
        seeds: number of trials that are COMPLETE or collapsed.
        members: the trial numbers of the COMPLETE trials.
        m, m_sd, m_se, m_n, m_error: for each metric m that was measured, a `Mean`.
    """
    return _grouped(runs, "cell", metrics)


def brackets(
    runs: Runs, metrics: Sequence[str] = COMMON_METRICS, *, choice: BracketMean = "best"
) -> pd.DataFrame:
    """Return one row per bracket and strength: the points of the trade-off.

    Args:
        runs: the sweep.
        metrics: the metrics to average.
        choice: "best" takes the cell of the bracket with the best mean of the first goal (the first
            one of equal cells). "pooled" takes all COMPLETE trials of the bracket in one mean.

    Returns:
        The columns of `cells`. `pruned`, `failed` and `unfinished` count the whole bracket; `n` and
        `members` are the trials behind the means. `cell` is the chosen cell, "" if the means are
        pooled or no trial is COMPLETE. `complete_cells` is the number of cells to choose from.
    """
    pooled = _grouped(runs, "bracket", metrics)
    cell_rows = cells(runs, [*metrics, goals(runs)[0].metric])
    complete_points = Counter(cell_rows.loc[(cell_rows["n"] > 0).to_numpy(), "point"])
    pooled["complete_cells"] = [complete_points[point] for point in pooled["point"]]
    if choice == "pooled" or pooled.empty:
        return pooled

    best_cells = _best_cells(runs, cell_rows)
    rows: list[dict[str, Any]] = []
    for row in cast(list[dict[str, Any]], pooled.to_dict("records")):
        index = best_cells.get(row["point"])
        if index is not None:
            best = cast(dict[str, Any], cell_rows.iloc[index].to_dict())
            row |= {key: value for key, value in best.items() if key not in _BRACKET_COUNTS}
        rows.append(row)
    return pd.DataFrame(rows, columns=pooled.columns)


def best_cell(
    runs: Runs, goal: GoalMetric, metrics: Sequence[str] = COMMON_METRICS
) -> dict[str, Any] | None:
    """Return the row of `cells` with the best mean of a goal, None if no COMPLETE trial has it."""
    rows = cells(runs, [*metrics, goal.metric])
    index = _best_row(rows, goal)
    return None if index is None else cast(dict[str, Any], rows.iloc[index].to_dict())


def best_trial(runs: Runs, objective: str, goal: GoalMetric) -> dict[str, Any] | None:
    """Return the row of an objective's best COMPLETE trial in the run table, None if it has none.

    The key `value` holds the value of the goal.
    """
    is_of_objective = (runs.table["objective"] == objective).to_numpy()
    value = np.where(is_of_objective, values(runs.table, goal.metric), math.nan)
    index = _best_index(value, goal)
    if index is None:
        return None
    row = cast(dict[str, Any], runs.table.iloc[index].to_dict())
    return row | {"value": float(value[index])}


def level(runs: Runs, metric: str, which: Literal["chance", "ceiling"]) -> float:
    """Return the mean chance or ceiling of a score over the COMPLETE trials, NaN if unknown."""
    return mean(float_column(complete(runs.table), f"final/{metric}_{which}")).value


class _Trials(NamedTuple):
    """Columns of the run table, one element per trial, as `_grouped` needs them."""

    objective: list[Any]
    series: list[str]
    distribution: list[str]
    strength_name: list[Any]
    strength: np.ndarray  # (n,), NaN if there is none
    bracket: list[Any]
    point: list[str]  # bracket and strength as one text
    cell: list[Any]
    number: list[Any]
    state: np.ndarray  # (n,) of str
    collapsed: np.ndarray  # (n,) bool
    parameters: dict[str, list[Any]]  # the config columns that vary
    metrics: dict[str, np.ndarray]  # name -> (n,), NaN unless COMPLETE
    errors: dict[str, np.ndarray]  # name -> (n,) of the estimator


def _trial_columns(runs: Runs, metrics: Sequence[str]) -> _Trials:
    """Return the columns of the trials; of the metrics only those that were measured."""
    table = runs.table
    strength = float_column(table, "strength")
    points = [
        f"{bracket} @ {value!r}"
        for bracket, value in zip(table["bracket"], strength.tolist(), strict=True)
    ]
    measured: dict[str, np.ndarray] = {}
    of_estimator: dict[str, np.ndarray] = {}
    for metric in dict.fromkeys(metrics):
        if source(table, metric):
            measured[metric] = values(table, metric)
            of_estimator[metric] = errors(table, metric)
    return _Trials(
        objective=list(table["objective"]),
        series=series(runs),
        distribution=distributions(table),
        strength_name=list(table["strength_name"]),
        strength=strength,
        bracket=list(table["bracket"]),
        point=points,
        cell=list(table["cell"]),
        number=list(table["number"]),
        state=np.array([str(state) for state in table["state"]]),
        collapsed=collapsed(table),
        parameters={name: list(table[name]) for name in parameters(table)},
        metrics=measured,
        errors=of_estimator,
    )


def _grouped(runs: Runs, by: Literal["cell", "bracket"], metrics: Sequence[str]) -> pd.DataFrame:
    """Return one row per cell, or per bracket and strength, in the order of the run table."""
    trials = _trial_columns(runs, metrics)
    keys = [str(cell) for cell in trials.cell] if by == "cell" else trials.point
    groups: dict[str, list[int]] = {}  # key -> indices of its trials
    for index, key in enumerate(keys):
        groups.setdefault(key, []).append(index)

    rows: list[dict[str, Any]] = []
    for indices in groups.values():
        row = _leading_values(trials, indices[0])
        if by == "bracket":
            row["cell"] = ""
        row |= _common_parameters(trials, indices)
        row |= _counts(trials, indices)
        row |= _means(trials, indices)
        rows.append(row)
    if not rows:
        return pd.DataFrame(columns=[*_LEADING_COLUMNS, *_COUNT_COLUMNS])
    return pd.DataFrame(rows)


def _leading_values(trials: _Trials, index: int) -> dict[str, Any]:
    """Return the values that all trials of a cell share, from one of them."""
    return {
        "objective": trials.objective[index],
        "series": trials.series[index],
        "distribution": trials.distribution[index],
        "strength_name": trials.strength_name[index],
        "strength": float(trials.strength[index]),
        "bracket": trials.bracket[index],
        "point": trials.point[index],
        "cell": trials.cell[index],
    }


def _common_parameters(trials: _Trials, indices: Sequence[int]) -> dict[str, Any]:
    """Return the value of each parameter, None where the trials have several."""
    common: dict[str, Any] = {}
    for name, column in trials.parameters.items():
        distinct = {str(column[index]) for index in indices}
        common[name] = column[indices[0]] if len(distinct) == 1 else None
    return common


def _counts(trials: _Trials, indices: list[int]) -> dict[str, Any]:
    """Return how many trials are in each state, and the trial numbers of the COMPLETE ones."""
    states = trials.state[indices]
    is_complete = states == TrialState.COMPLETE
    has_collapsed = trials.collapsed[indices]
    members = [
        trials.number[index] for index, kept in zip(indices, is_complete, strict=True) if kept
    ]
    return {
        "n": int(is_complete.sum()),
        "pruned": int((states == TrialState.PRUNED).sum()),
        "failed": int((states == TrialState.FAILED).sum()),
        "unfinished": int(np.isin(states, UNFINISHED).sum()),
        "collapsed": int(has_collapsed.sum()),
        "seeds": int((has_collapsed | is_complete).sum()),
        "members": tuple(int(number) for number in members),
    }


def _means(trials: _Trials, indices: list[int]) -> dict[str, Any]:
    """Return the mean of each metric with its spread and number of trials."""
    columns: dict[str, Any] = {}
    for metric, column in trials.metrics.items():
        average = mean(column[indices], trials.errors[metric][indices])
        columns[metric] = average.value
        columns[f"{metric}_sd"] = average.sd
        columns[f"{metric}_se"] = average.se
        columns[f"{metric}_n"] = average.n
        columns[f"{metric}_error"] = average.error
    return columns


def _best_cells(runs: Runs, cell_rows: pd.DataFrame) -> dict[str, int]:
    """Return point -> index of the row of its best cell by the first goal.

    If no cell of a point has the goal's metric, its first complete cell is taken. A point without
    a complete cell is left out.
    """
    goal = goals(runs)[0]
    value = float_column(cell_rows, goal.metric)
    complete_rows: dict[str, list[int]] = {}  # point -> indices of its complete cells
    for index, (point, n) in enumerate(zip(cell_rows["point"], cell_rows["n"], strict=True)):
        if n > 0:
            complete_rows.setdefault(str(point), []).append(index)
    best_cells: dict[str, int] = {}
    for point, indices in complete_rows.items():
        best = _best_index(value[indices], goal)
        best_cells[point] = indices[0 if best is None else best]
    return best_cells


def _best_row(rows: pd.DataFrame, goal: GoalMetric) -> int | None:
    """Return the index of the row with the best mean, None if no row has one."""
    if goal.metric not in rows.columns:
        return None
    return _best_index(rows[goal.metric].to_numpy(dtype=np.float64), goal)


def _best_index(value: np.ndarray, goal: GoalMetric) -> int | None:
    """Return the index of the best value, the first one of equal values; None if all are NaN."""
    if np.isnan(value).all():
        return None
    return int(np.nanargmin(value) if goal.mode == "min" else np.nanargmax(value))
