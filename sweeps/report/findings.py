"""The results of a sweep in sentences, computed from its numbers.

No result is assumed. The direction of a trend and the better side of a comparison are read off the
means.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd

from sweeps.ledger.states import TrialState
from sweeps.report import wording
from sweeps.report.figures import pareto_front
from sweeps.results import cell_means, pareto, run_columns, run_series
from sweeps.results.cell_means import GoalMetric
from sweeps.results.run_table import Runs


def opening(runs: Runs) -> str:
    """Return how many trials there are, in which states, and how many of them collapsed."""
    n = len(runs.table)
    objectives = list(dict.fromkeys(runs.table["objective"])) if n else []
    subject = f"{n} trial" if n == 1 else f"{n} trials"
    if objectives:
        subject += f" of {wording.and_list(objectives)}"
    sentences = [f"{subject}: {wording.states(runs.table)}."]
    n_collapsed = int(run_columns.collapsed(runs.table).sum())
    if n_collapsed:
        sentences.append(
            f"{n_collapsed} of them collapsed: no latent was active at the last report."
        )
    if not run_columns.counts(runs.table)[TrialState.COMPLETE]:
        sentences.append("No trial is complete, so there are no means.")
    return " ".join(sentences)


def best(runs: Runs) -> list[str]:
    """Return the best cell by each goal, one sentence per goal and distribution of the factors.

    A sentence has the mean, its standard error and n.
    """
    sentences: list[str] = []
    for goal in cell_means.goals(runs):
        for distribution, part in _by_distribution(runs).items():
            sentences.append(_best_sentence(part, goal, distribution))
    return list(dict.fromkeys(sentences))


def _best_sentence(runs: Runs, goal: GoalMetric, distribution: str) -> str:
    """Return the sentence of `best` for the trials of one distribution ("" for the data set)."""
    row = cell_means.best_cell(runs, goal)
    metric = wording.name(goal.metric)
    if row is None:
        return f"No complete trial has a value of {metric}, the goal of the sweep."
    end = "Lowest" if goal.mode == "min" else "Highest"
    condition = f" ({distribution})" if distribution else ""
    value = wording.with_error(row[goal.metric], row[f"{goal.metric}_se"])
    n = int(row[f"{goal.metric}_n"])
    spread = f"standard error, n = {n}" if n > 1 else "one seed, so no standard error"
    cell = wording.cell(row, runs)
    return f"{end} mean {metric}{condition}: {value} ({spread}), by {cell}."


def _by_distribution(runs: Runs) -> dict[str, Runs]:
    """Return distribution of the factors -> the trials with it."""
    distributions = np.array(run_series.distributions(runs.table), dtype=object)
    return {
        name: runs._replace(table=runs.table.loc[distributions == name])
        for name in dict.fromkeys(distributions.tolist())
    }


def trends(runs: Runs, metrics: Sequence[str] = ("reconstruction", "tc")) -> list[str]:
    """Return whether the mean of a metric falls or rises with the strength, and the means.

    One sentence per metric and series. A series with fewer than two strengths has none.
    """
    rows = cell_means.brackets(runs, metrics)
    sentences: list[str] = []
    for metric in metrics:
        if metric not in rows.columns:
            continue
        for series, series_rows in rows.groupby("series", sort=False):
            points = _measured(series_rows, metric).sort_values("strength")
            if len(points) >= 2:
                sentences.append(_trend(points, str(series), metric))
    return sentences


def _measured(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the brackets that have a strength and a mean of the metric."""
    return rows.loc[(rows["strength"].notna() & rows[metric].notna()).to_numpy()]


def _trend(points: pd.DataFrame, series: str, metric: str) -> str:
    """Return the sentence of `trends` for one series, by rising strength."""
    strengths = run_columns.float_column(points, "strength")
    means = run_columns.float_column(points, metric)
    errors = run_columns.float_column(points, f"{metric}_se")
    symbol = wording.symbol(str(points["strength_name"].iloc[0]))
    steps = np.diff(means)
    if (steps < 0).all():
        verb = "falls at every step of"
    elif (steps > 0).all():
        verb = "rises at every step of"
    else:
        verb = "neither falls at every step nor rises at every step of"
    mean_texts = [
        wording.number(float(mean), float(error)) for mean, error in zip(means, errors, strict=True)
    ]
    strength_texts = [wording.value_text(float(strength)) for strength in strengths]
    sentence = (
        f"{wording.name(metric).capitalize()} {verb} {symbol} for {series}: "
        f"{', '.join(mean_texts)} ({symbol} = {', '.join(strength_texts)})."
    )
    n_close = int((np.abs(steps) <= np.hypot(errors[:-1], errors[1:])).sum())
    if n_close:
        sentence += f" {n_close} of {len(steps)} steps lie within one standard error."
    return sentence


def comparisons(
    runs: Runs, metric: str = "reconstruction", *, better: pareto.Direction = "min"
) -> list[str]:
    """Return which of two series has the better mean at equal strengths.

    In each distribution of the factors, the first series is compared with each of the others: one
    sentence per pair that shares a strength.
    """
    rows = cell_means.brackets(runs, [metric])
    sentences: list[str] = []
    if metric in rows.columns:
        for _, part in rows.groupby("distribution", sort=False):
            sentences += _compared(_measured(part, metric), metric, better)
    return sentences


def _compared(rows: pd.DataFrame, metric: str, better: pareto.Direction) -> list[str]:
    """Return the sentences of `comparisons` for the brackets of one distribution."""
    all_series = list(dict.fromkeys(rows["series"]))
    if not all_series:
        return []
    first, *others = all_series
    first_rows = _by_strength(rows, first)
    end = "lower" if better == "min" else "higher"
    sentences: list[str] = []
    for series in others:
        series_rows = _by_strength(rows, series)
        shared = [strength for strength in series_rows if strength in first_rows]
        names = {str(row["strength_name"]) for row in (*first_rows.values(), *series_rows.values())}
        if not shared or len(names) != 1:
            continue
        symbol = wording.symbol(names.pop())
        comparisons_at = [
            _at_one_strength(series_rows[strength], first_rows[strength], metric, symbol, better)
            for strength in shared
        ]
        n_better = sum(comparison.is_better for comparison in comparisons_at)
        texts = "; ".join(comparison.text for comparison in comparisons_at)
        sentences.append(
            f"At the same {symbol}, {series} has a better ({end}) mean {wording.name(metric)} "
            f"than {first} at {n_better} of {len(shared)} values: {texts}."
        )
    return sentences


class _AtOneStrength(NamedTuple):
    """Two series at one strength: whether the second one is better, and the numbers in words."""

    is_better: bool
    text: str


def _at_one_strength(
    row: Mapping[str, Any],
    first: Mapping[str, Any],
    metric: str,
    symbol: str,
    better: pareto.Direction,
) -> _AtOneStrength:
    """Return whether the mean of a bracket is better than that of the first series."""
    gap = first[metric] - row[metric] if better == "min" else row[metric] - first[metric]
    error = math.hypot(row[f"{metric}_se"], first[f"{metric}_se"])
    numbers = [wording.number(side[metric], side[f"{metric}_se"]) for side in (row, first)]
    note = ", within one standard error" if abs(gap) <= error else ""
    answer = "yes" if gap > 0 else "no"
    strength = wording.value_text(row["strength"])
    text = f"{symbol} = {strength} {answer} ({numbers[0]} against {numbers[1]}{note})"
    return _AtOneStrength(gap > 0, text)


def _by_strength(rows: pd.DataFrame, series: str) -> dict[float, Mapping[str, Any]]:
    """Return strength -> bracket of one series, by rising strength."""
    points = rows.loc[(rows["series"] == series).to_numpy()].sort_values("strength")
    records = cast(list[dict[str, Any]], points.to_dict("records"))
    return {record["strength"]: record for record in records}


def fronts(runs: Runs) -> list[str]:
    """Return which cells are on the Pareto front, and what share of the plane each series covers.

    One sentence per plane of the Pareto figure and distribution of the factors.
    """
    sentences: list[str] = []
    for plane in pareto_front.PLANES:
        if not all(run_columns.source(runs.table, metric) for metric in (plane.x, plane.y)):
            continue
        points = pareto_front.members(runs, plane)
        for distribution, rows in points.groupby("distribution", sort=False):
            sentences.append(_front(rows, plane, str(distribution)))
    return sentences


def _front(rows: pd.DataFrame, plane: pareto_front.Plane, distribution: str) -> str:
    """Return the sentence of `fronts` for the cells of one distribution ("" for the data set)."""
    on_front = rows.loc[rows["on_front"].to_numpy()]
    plane_text = f"{wording.name(plane.x).capitalize()} against {wording.name(plane.y)}"
    if distribution:
        plane_text += f" ({distribution})"
    seeds = wording.span([int(n) for n in rows["n"]])
    sentence = (
        f"{plane_text}: {len(on_front)} of {len(rows)} cells are on the front: "
        f"{'; '.join(_strengths_by_series(on_front))}. A cell is a mean over n = {seeds} seeds."
    )
    shares = _shares(rows, plane)
    if len(shares) > 1:
        covered = ", ".join(f"{series} {100 * share:.0f} %" for series, share in shares.items())
        sentence += (
            f" The series dominate these shares of the rectangle that all cells span: {covered}."
        )
    return sentence


def _strengths_by_series(rows: pd.DataFrame) -> list[str]:
    """Return "beta_tcvae at β = 2, 4" for every series of some cells."""
    texts: list[str] = []
    for series, cells in rows.groupby("series", sort=False):
        symbol = wording.symbol(str(cells["strength_name"].iloc[0]))
        strengths = [wording.value_text(value) for value in sorted(cells["strength"].dropna())]
        if strengths:
            texts.append(f"{series} at {symbol} = {', '.join(strengths)}")
        else:
            texts.append(str(series))
    return texts


def _shares(rows: pd.DataFrame, plane: pareto_front.Plane) -> dict[str, float]:
    """Return series -> the share that it dominates of the rectangle that all cells span.

    The rectangle reaches from the worst to the best value of each metric. {} if it has no area.
    """
    points = rows[[plane.x, plane.y]].to_numpy(dtype=np.float64)
    if len(points) < 2 or (np.ptp(points, axis=0) == 0).any():
        return {}
    directions = (plane.x_better, plane.y_better)
    low, high = points.min(axis=0), points.max(axis=0)
    worst = [high[k] if direction == "min" else low[k] for k, direction in enumerate(directions)]
    area = float(np.prod(high - low))
    series = rows["series"].to_numpy()
    return {
        name: pareto.hypervolume(points[series == name], worst, directions) / area
        for name in dict.fromkeys(series)
    }
