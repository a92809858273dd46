"""What a sweep found, in sentences computed from its numbers; none of them is assumed.

Each sentence can come out either way: the direction of a trend and the winner of a comparison are read off the means.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd

from sweeps.report import wording
from sweeps.report.figures import pareto_front
from sweeps.results import cell_means, pareto, run_columns, run_series
from sweeps.results.run_table import Runs


def opening(runs: Runs) -> str:
    """Return how many trials there are, in which states, and how many reached the end."""
    n = len(runs.table)
    objectives = list(dict.fromkeys(runs.table["objective"])) if n else []
    whose = f" of {wording.listed(objectives)}" if objectives else ""
    lost = int(run_columns.collapsed(runs.table).sum())
    collapsed = (
        f" {lost} of them collapsed: no latent was active at the last report." if lost else ""
    )
    ending = (
        ""
        if run_columns.counts(runs.table)["COMPLETE"]
        else " No trial ran its whole length, so there are no means."
    )
    return f"{n} {'trial' if n == 1 else 'trials'}{whose}: {wording.states(runs.table)}.{collapsed}{ending}"


def best(runs: Runs) -> list[str]:
    """Return a sentence per goal: the best cell's mean with its error and n."""
    found: list[str] = []
    for goal, (drawn, own) in itertools.product(
        cell_means.goals(runs), _by_distribution(runs).items()
    ):
        row = cell_means.best_cell(own, goal)
        if row is None:
            found.append(f"No complete trial has a {wording.name(goal.metric)}, the sweep's goal.")
            continue
        value = wording.with_error(row[goal.metric], row[f"{goal.metric}_se"])
        n = int(row[f"{goal.metric}_n"])
        spread = f"standard error, n = {n}" if n > 1 else "one seed, no error known"
        way = "Lowest" if goal.mode == "min" else "Highest"
        of = f" of {drawn}" if drawn else ""
        found.append(
            f"{way} mean {wording.name(goal.metric)}{of}: {value} ({spread}), by {wording.cell(row, runs)}."
        )
    return list(dict.fromkeys(found))


def _by_distribution(runs: Runs) -> dict[str, Runs]:
    """Return distribution of the factors -> the sweep's trials on it."""
    drawn = np.array(run_series.distributions(runs.table), dtype=object)
    return {
        name: runs._replace(table=runs.table.loc[drawn == name])
        for name in dict.fromkeys(drawn.tolist())
    }


def trends(runs: Runs, metrics: Sequence[str] = ("reconstruction", "tc")) -> list[str]:
    """Return a sentence per metric and series: whether its mean falls or rises with the strength, and the means."""
    rows = cell_means.brackets(runs, metrics)
    return [
        sentence
        for metric in metrics
        if metric in rows.columns
        for series, own in rows.groupby("series", sort=False)
        if (sentence := _trend(own, str(series), metric))
    ]


def comparisons(
    runs: Runs, metric: str = "reconstruction", *, better: pareto.Direction = "min"
) -> list[str]:
    """Return a sentence per series but the first of its distribution: which of the two is better at equal strengths."""
    rows = cell_means.brackets(runs, [metric])
    if metric not in rows.columns:
        return []
    drawn = rows.groupby("distribution", sort=False)
    return [sentence for _, own in drawn for sentence in _compared(own, metric, better)]


def _compared(rows: pd.DataFrame, metric: str, better: pareto.Direction) -> list[str]:
    """Return the sentences of `comparisons` about the rows of one distribution."""
    rows = rows.loc[(rows["strength"].notna() & rows[metric].notna()).to_numpy()]
    first, *others = dict.fromkeys(rows["series"]) or [""]
    own = _by_strength(rows, first)
    found: list[str] = []
    for series in others:
        theirs = _by_strength(rows, series)
        shared = [strength for strength in theirs if strength in own]
        letters = {str(row["strength_name"]) for row in (*own.values(), *theirs.values())}
        if shared and len(letters) == 1:
            letter = wording.symbol(letters.pop())
            verdicts = [
                _verdict(theirs[value], own[value], metric, letter, better) for value in shared
            ]
            wins = sum(verdict[0] for verdict in verdicts)
            end = "lower" if better == "min" else "higher"
            found.append(
                f"At the same {letter}, {series} has the better ({end}) mean {wording.name(metric)} than {first} at "
                f"{wins} of {len(shared)} values: {'; '.join(verdict[1] for verdict in verdicts)}."
            )
    return found


def fronts(runs: Runs) -> list[str]:
    """Return a sentence per plane of the Pareto figure: who is on the front, what each series covers."""
    found: list[str] = []
    for plane in pareto_front.PLANES:
        if not all(run_columns.source(runs.table, metric) for metric in (plane.x, plane.y)):
            continue
        found += [
            _front(rows, plane, str(drawn))
            for drawn, rows in pareto_front.members(runs, plane).groupby("distribution", sort=False)
        ]
    return found


def _front(rows: pd.DataFrame, plane: pareto_front.Plane, drawn: str) -> str:
    ahead = rows.loc[rows["on_front"].to_numpy()]
    axes = f"{wording.name(plane.x).capitalize()} against {wording.name(plane.y)}{f' of {drawn}' if drawn else ''}"
    shares = _shares(rows, plane)
    covered = ", ".join(f"{series} {100 * share:.0f} %" for series, share in shares.items())
    area = (
        f" Of the rectangle that all cells span, the series dominate: {covered}."
        if len(shares) > 1
        else ""
    )
    return f"{axes}: {len(ahead)} of {len(rows)} cells are on the front: {'; '.join(_members(ahead))}.{area}"


def _members(rows: pd.DataFrame) -> list[str]:
    """Return "beta_tcvae at β = 2, 4" for every series of some cells."""
    found: list[str] = []
    for series, own in rows.groupby("series", sort=False):
        letter = wording.symbol(str(own["strength_name"].iloc[0]))
        known = sorted(own["strength"].dropna())
        found.append(
            f"{series} at {letter} = {', '.join(wording.plain(value) for value in known)}"
            if known
            else str(series)
        )
    return found


def _trend(own: pd.DataFrame, series: str, metric: str) -> str:
    own = own.loc[(own["strength"].notna() & own[metric].notna()).to_numpy()].sort_values(
        "strength"
    )
    if len(own) < 2:
        return ""
    strength, value = run_columns.floats(own, "strength"), run_columns.floats(own, metric)
    letter = wording.symbol(str(own["strength_name"].iloc[0]))
    error = run_columns.floats(own, f"{metric}_se")
    steps = np.diff(value)
    close = int((np.abs(steps) <= np.hypot(error[:-1], error[1:])).sum())
    if (steps < 0).all():
        verb = "falls at every step of"
    elif (steps > 0).all():
        verb = "rises at every step of"
    else:
        verb = "neither only falls nor only rises with"
    means = ", ".join(
        wording.number(float(mean), float(se)) for mean, se in zip(value, error, strict=True)
    )
    at = ", ".join(wording.plain(float(value)) for value in strength)
    unsure = f" {close} of {len(steps)} steps lie within one standard error." if close else ""
    return f"{wording.name(metric).capitalize()} {verb} {letter} for {series}: {means} ({letter} = {at}).{unsure}"


def _by_strength(rows: pd.DataFrame, series: str) -> dict[float, Mapping[str, Any]]:
    own = rows.loc[(rows["series"] == series).to_numpy()].sort_values("strength")
    return {row["strength"]: row for row in cast(list[dict[str, Any]], own.to_dict("records"))}


def _verdict(
    mine: Mapping[str, Any],
    other: Mapping[str, Any],
    metric: str,
    letter: str,
    better: pareto.Direction,
) -> tuple[bool, str]:
    """Return whether `mine` is better, and that in words with both numbers."""
    gap = other[metric] - mine[metric] if better == "min" else mine[metric] - other[metric]
    error = math.hypot(mine[f"{metric}_se"], other[f"{metric}_se"])
    close = ", within one standard error" if abs(gap) <= error else ""
    word = "yes" if gap > 0 else "no"
    pair = [wording.number(row[metric], row[f"{metric}_se"]) for row in (mine, other)]
    numbers = f"{pair[0]} against {pair[1]}"
    return gap > 0, f"{letter} = {wording.plain(mine['strength'])} {word} ({numbers}{close})"


def _shares(rows: pd.DataFrame, plane: pareto_front.Plane) -> dict[str, float]:
    """Return series -> the share that it dominates of the rectangle from the worst to the best numbers of all cells."""
    points = rows[[plane.x, plane.y]].to_numpy(dtype=np.float64)
    if len(points) < 2 or (np.ptp(points, axis=0) == 0).any():
        return {}
    ways = (plane.x_better, plane.y_better)
    low, high = points.min(axis=0), points.max(axis=0)
    worst = [high[k] if way == "min" else low[k] for k, way in enumerate(ways)]
    series = rows["series"].to_numpy()
    area = float(np.prod(high - low))
    return {
        name: pareto.hypervolume(points[series == name], worst, ways) / area
        for name in dict.fromkeys(series)
    }
