"""From trials to cells to brackets: means over seeds, of trials that ran their whole length only.

A pruned trial's total correlation is low because it learnt little: beside whole trials it would look like a
better model. So only COMPLETE trials enter a mean; the others are counted beside it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import pandas as pd

from sweeps.pareto import Direction
from sweeps.runs import Runs

METRICS = ("reconstruction", "kl", "elbo", "mi", "tc", "dimwise_kl", "mig", "active_units")
"""The metrics of every epoch, in the order of the tables."""

UNFINISHED = ("RUNNING", "WAITING", "PARKED")

_IDENTITY = (
    *("trial", "number", "cell", "bracket", "objective", "strength_name", "strength"),
    *("seed", "state", "epoch", "epochs"),
)
_COUNTS = ("n", "pruned", "failed", "unfinished", "collapsed", "seeds", "members")

Choice = Literal["best", "pooled"]
Source = Literal["final", "epoch", ""]


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
    return [Goal(str(goal["metric"]), "min" if goal.get("mode") == "min" else "max") for goal in listed]


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


def framed(runs: Runs) -> Runs:
    """Return the runs with the columns that a sweep without trials or reports has no frame for."""
    table, curves = runs.table, runs.curves
    if table.empty:
        table = table.reindex(columns=list(dict.fromkeys([*table.columns, *_IDENTITY])))
    if curves.empty:
        curves = curves.reindex(columns=list(dict.fromkeys([*curves.columns, "trial", "epoch"])))
    return runs._replace(table=table, curves=curves)


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
    columns = [table.get(f"train.{name}", empty) for name in ("correlated", "correlation_width", "factor_table")]
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


def cells(runs: Runs, metrics: Sequence[str] = METRICS) -> pd.DataFrame:
    """Return one row per cell: what it is, how many trials it has in each state, its means over seeds.

    Columns: objective, `series`, `distribution`, strength_name, strength, bracket, point, cell, the laid-out
    `parameters`; the numbers of trials `n` (COMPLETE), pruned, failed, unfinished; `collapsed`, how many ended with no
    active unit, of `seeds`, the COMPLETE ones and these; `members`, the numbers of the COMPLETE ones; for each metric m
    that was measured `m`, `m_sd`, `m_se` and `m_n`.
    """
    return _grouped(runs, "cell", metrics)


def brackets(runs: Runs, metrics: Sequence[str] = METRICS, *, choice: Choice = "best") -> pd.DataFrame:
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


def collapsed(table: pd.DataFrame) -> np.ndarray:
    """Return which trials ended with no active unit, (n,) bool."""
    return floats(table, "collapsed") == 1


def level(runs: Runs, metric: str, which: Literal["chance", "ceiling"]) -> float:
    """Return a score's mean chance level or ceiling over the COMPLETE trials, NaN if it was not measured."""
    return mean(floats(complete(runs.table), f"final/{metric}_{which}")).value


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


def _grouped(runs: Runs, by: Literal["cell", "bracket"], metrics: Sequence[str]) -> pd.DataFrame:
    """Return one row per cell or per point (bracket and strength), in the order of the table."""
    table = runs.table
    own = series(runs)
    strength, state = floats(table, "strength"), np.array([str(value) for value in table["state"]])
    points = [f"{name} @ {at!r}" for name, at in zip(table["bracket"], strength.tolist(), strict=True)]
    keys = [str(name) for name in table["cell"]] if by == "cell" else points
    shown = {name: list(table[name]) for name in parameters(table)}
    lost, drawn = collapsed(table), distributions(table)
    measured = {metric: values(table, metric) for metric in dict.fromkeys(metrics) if source(table, metric)}
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
            **{name: of[first] if len({str(of[k]) for k in places}) == 1 else None for name, of in shown.items()},
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
        told = ("objective", "series", "distribution", "strength_name", "strength", "bracket", "point", "cell")
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


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(not np.isnan(b).all() and np.array_equal(a, b, equal_nan=True))
