"""From trials to cells to brackets: means over seeds, of trials that ran their whole length only.

A pruned trial's total correlation is low because it learnt little: beside whole trials it would look like a
better model. So only COMPLETE trials enter a mean; the others are counted beside it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import pandas as pd

from sweeps.results.pareto import Direction
from sweeps.results.run_columns import (
    METRICS,
    UNFINISHED,
    collapsed,
    complete,
    floats,
    source,
    values,
)
from sweeps.results.run_series import distributions, parameters, series
from sweeps.results.run_table import Runs

_COUNTS = ("n", "pruned", "failed", "unfinished", "collapsed", "seeds", "members")


Choice = Literal["best", "pooled"]


class Goal(NamedTuple):
    """What a sweep looks for."""

    metric: str
    mode: Direction


class Mean(NamedTuple):
    """A mean over n trials; sd (with n - 1) and se = sd / sqrt(n) are NaN for one trial."""

    value: float
    sd: float
    se: float
    n: int


def mean(values: Sequence[float] | np.ndarray) -> Mean:
    """Return the mean of the values that are not NaN, with its spread."""
    array = np.asarray(values, dtype=np.float64)
    array = array[~np.isnan(array)]
    n = len(array)
    if n == 0:
        return Mean(math.nan, math.nan, math.nan, 0)
    sd = float(array.std(ddof=1)) if n > 1 else math.nan
    return Mean(float(array.mean()), sd, sd / math.sqrt(n), n)


def goals(runs: Runs) -> list[Goal]:
    """Return the sweep's goals, the first one first; a spec without any looks for the largest ELBO."""
    stated = runs.spec.get("goal") or {"metric": "elbo", "mode": "max"}
    listed: list[Mapping[str, Any]] = list(stated) if isinstance(stated, list | tuple) else [stated]
    return [
        Goal(str(goal["metric"]), "min" if goal.get("mode") == "min" else "max") for goal in listed
    ]


def cells(runs: Runs, metrics: Sequence[str] = METRICS) -> pd.DataFrame:
    """Return one row per cell: what it is, how many trials it has in each state, its means over seeds.

    Columns: objective, `series`, `distribution`, strength_name, strength, bracket, point, cell, the laid-out
    `parameters`; the numbers of trials `n` (COMPLETE), pruned, failed, unfinished; `collapsed`, how many ended with no
    active unit, of `seeds`, the COMPLETE ones and these; `members`, the numbers of the COMPLETE ones; for each metric m
    that was measured `m`, `m_sd`, `m_se` and `m_n`.
    """
    return _grouped(runs, "cell", metrics)


def brackets(
    runs: Runs, metrics: Sequence[str] = METRICS, *, choice: Choice = "best"
) -> pd.DataFrame:
    """Return one row per (bracket, strength): the points of the trade-off.

    Args:
        runs: the sweep.
        metrics: to average.
        choice: "best", the cell of the bracket with the best mean of the first goal (the first of equals); or
            "pooled", all COMPLETE trials of the bracket in one mean.

    Returns:
        The columns of `cells`, where `pruned`, `failed` and `unfinished` count the whole bracket, `n` and
        `members` are the trials behind the means, `cell` is the chosen one ("" if pooled or none is
        complete) and `complete_cells` says among how many it was chosen.
    """
    pooled = _grouped(runs, "bracket", metrics)
    own = cells(runs, [*metrics, goals(runs)[0].metric])
    whole = [point for point, n in zip(own["point"], own["n"], strict=True) if n > 0]
    pooled["complete_cells"] = [whole.count(point) for point in pooled["point"]]
    if choice == "pooled" or pooled.empty:
        return pooled
    of_all = {"pruned", "failed", "unfinished", "complete_cells"}
    winners = _winners(runs, own)
    rows: list[dict[str, Any]] = []
    for row in cast(list[dict[str, Any]], pooled.to_dict("records")):
        winner = winners.get(row["point"])
        chosen = row if winner is None else cast(dict[str, Any], own.iloc[winner].to_dict())
        rows.append(row | {key: value for key, value in chosen.items() if key not in of_all})
    return pd.DataFrame(rows, columns=pooled.columns)


def best_cell(runs: Runs, goal: Goal, metrics: Sequence[str] = METRICS) -> dict[str, Any] | None:
    """Return the row of `cells` with the best mean of a goal, None if no complete trial has it."""
    own = cells(runs, [*metrics, goal.metric])
    place = _best(own, goal)
    return None if place is None else cast(dict[str, Any], own.iloc[place].to_dict())


def best_trial(runs: Runs, objective: str, goal: Goal) -> dict[str, Any] | None:
    """Return the row of the table of an objective's best COMPLETE trial, None if there is none."""
    value = values(runs.table, goal.metric)
    value = np.where((runs.table["objective"] == objective).to_numpy(), value, math.nan)
    if np.isnan(value).all():
        return None
    place = int(np.nanargmin(value) if goal.mode == "min" else np.nanargmax(value))
    return cast(dict[str, Any], runs.table.iloc[place].to_dict()) | {"value": float(value[place])}


def level(runs: Runs, metric: str, which: Literal["chance", "ceiling"]) -> float:
    """Return a score's mean chance level or ceiling over the COMPLETE trials, NaN if it was not measured."""
    return mean(floats(complete(runs.table), f"final/{metric}_{which}")).value


def _grouped(runs: Runs, by: Literal["cell", "bracket"], metrics: Sequence[str]) -> pd.DataFrame:
    """Return one row per cell or per point (bracket and strength), in the order of the table."""
    table = runs.table
    own = series(runs)
    strength, state = floats(table, "strength"), np.array([str(value) for value in table["state"]])
    points = [
        f"{name} @ {at!r}" for name, at in zip(table["bracket"], strength.tolist(), strict=True)
    ]
    keys = [str(name) for name in table["cell"]] if by == "cell" else points
    shown = {name: list(table[name]) for name in parameters(table)}
    lost, drawn = collapsed(table), distributions(table)
    measured = {
        metric: values(table, metric) for metric in dict.fromkeys(metrics) if source(table, metric)
    }
    groups: dict[str, list[int]] = {}
    for place, key in enumerate(keys):
        groups.setdefault(key, []).append(place)
    objective, bracket, cell, number, names = (
        list(table[name]) for name in ("objective", "bracket", "cell", "number", "strength_name")
    )
    rows: list[dict[str, Any]] = []
    for places in groups.values():
        first, states = places[0], state[places]
        row: dict[str, Any] = {
            "objective": objective[first],
            "series": own[first],
            "distribution": drawn[first],
            "strength_name": names[first],
            "strength": float(strength[first]),
            "bracket": bracket[first],
            "point": points[first],
            "cell": cell[first] if by == "cell" else "",
            **{
                name: of[first] if len({str(of[k]) for k in places}) == 1 else None
                for name, of in shown.items()
            },
            "n": int((states == "COMPLETE").sum()),
            "pruned": int((states == "PRUNED").sum()),
            "failed": int((states == "FAILED").sum()),
            "unfinished": int(np.isin(states, UNFINISHED).sum()),
            "collapsed": int(lost[places].sum()),
            "seeds": int((lost[places] | (states == "COMPLETE")).sum()),
            "members": tuple(int(number[k]) for k in places if state[k] == "COMPLETE"),
        }
        for metric, column in measured.items():
            average = mean(column[places])
            row |= {metric: average.value, f"{metric}_sd": average.sd}
            row |= {f"{metric}_se": average.se, f"{metric}_n": average.n}
        rows.append(row)
    if not rows:
        told = (
            "objective",
            "series",
            "distribution",
            "strength_name",
            "strength",
            "bracket",
            "point",
            "cell",
        )
        return pd.DataFrame(columns=[*told, *_COUNTS])
    return pd.DataFrame(rows)


def _winners(runs: Runs, own: pd.DataFrame) -> dict[str, int]:
    """Return point -> place of its best cell by the first goal (its first complete one, if none has that)."""
    found: dict[str, int] = {}
    for point, rows in own.reset_index(drop=True).groupby("point", sort=False):
        whole = rows.loc[(rows["n"] > 0).to_numpy()]
        if len(whole):
            place = _best(whole, goals(runs)[0])
            found[str(point)] = int(cast(int, whole.index[0 if place is None else place]))
    return found


def _best(rows: pd.DataFrame, goal: Goal) -> int | None:
    if goal.metric not in rows.columns:
        return None
    value = rows[goal.metric].to_numpy(dtype=np.float64)
    if np.isnan(value).all():
        return None
    return int(np.nanargmin(value) if goal.mode == "min" else np.nanargmax(value))
