"""Ours beside theirs: a published table with this sweep's numbers of the same cells, and how the two orders agree."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sweeps.report import wording
from sweeps.report.tables import Cell, Head, Row, Table, estimator, joined, seed_list
from sweeps.results import cell_means, run_columns
from sweeps.results.cell_means import Mean
from sweeps.results.run_table import Runs
from sweeps.spec import published
from sweeps.spec.published import Published, PublishedNumber, PublishedRow, Scalar


class Pair(NamedTuple):
    """One published number and ours of the same cells."""

    whose: str
    metric: str
    theirs: PublishedNumber
    cells: int  # of the sweep, that a complete trial of has it
    known: bool  # whether the sweep has any such cell
    seeds: tuple[int, ...]
    last: Mean  # of the weights at the end
    last_best: float  # the best trial's
    chosen: Mean  # of the weights of the epoch that `evaluation.best` selects
    chosen_best: float


def tables(runs: Runs) -> list[Published]:
    """Return the published tables of a sweep's spec."""
    return [
        Published.model_validate(stored, strict=False)
        for stored in runs.spec.get("published") or ()
    ]


def setting(runs: Runs) -> str:
    """Return on what this sweep's numbers stand, in words: what the differences of a protocol are from."""
    parts = {key: runs.spec.get(key) or {} for key in ("data", "network", "train")}
    told = "; ".join(
        f"{key}: {joined({k: v for k, v in part.items() if v})}" for key, part in parts.items()
    )
    own = any({"network", "train"} & set(entry) for entry in runs.spec.get("objectives") or ())
    return f"This sweep: {told}{'; some objectives have settings of their own' if own else ''}."


def pairs(runs: Runs, table: Published) -> dict[str, list[Pair]]:
    """Return metric -> every number of a published table with ours."""
    metrics = dict.fromkeys(metric for row in table.rows for metric in row.values)
    return {
        metric: [_pair(runs, row, metric) for row in table.rows if metric in row.values]
        for metric in metrics
    }


def beside(table: Published, metric: str, found: Sequence[Pair], runs: Runs) -> Table:
    """Return the table of both columns of one metric: two metrics, or two scales of one, never share a column."""
    chosen = any(pair.chosen.n for pair in found)
    heads = [Head(f"{wording.name(metric)} of")]
    heads += [Head("published: mean (sd)", numeric=True), Head("best", numeric=True)]
    heads += [
        Head("ours: mean (sd)", numeric=True),
        Head("best", numeric=True),
        Head("n", numeric=True),
        Head("seeds"),
    ]
    if chosen:
        heads += [Head("ours, chosen epoch: mean (sd)", numeric=True), Head("best", numeric=True)]
    body: list[Row] = []
    for pair in found:
        cells = [
            Cell(pair.whose),
            _number(_given(pair.theirs)),
            _number(wording.plain(pair.theirs.best)),
        ]
        cells += [
            _number(_mean(pair.last, pair)),
            _number(wording.number(pair.last_best)),
            _number(str(pair.last.n)),
        ]
        cells += [Cell(_seeds(pair))]
        if chosen:
            cells += [_number(_mean(pair.chosen, pair)), _number(wording.number(pair.chosen_best))]
        body.append(Row(cells, "" if pair.last.n else "empty"))
    return Table(heads, body, _caption(table, metric, found, runs))


def order(table: Published, metric: str, found: Sequence[Pair]) -> str:
    """Return both orders from best to worst, and how many pairs stand in the same one; "" if nothing can be ordered.

    Only methods with both numbers are ordered, and pairs of equal published numbers not counted. A pair is close if our
    means over seeds differ by no more than one standard error.
    """
    own = [pair for pair in found if _ours(table, pair).n]
    end = published.better(metric)
    couples = [(a, b) for a, b in itertools.combinations(own, 2) if a.theirs.mean != b.theirs.mean]
    if not couples or end is None:
        return ""
    gaps = [_ours(table, a).value - _ours(table, b).value for a, b in couples]
    same = sum(
        (a.theirs.mean - b.theirs.mean) * gap > 0 for (a, b), gap in zip(couples, gaps, strict=True)
    )
    close = sum(
        abs(gap) <= _error(table, *couple) for couple, gap in zip(couples, gaps, strict=True)
    )
    alone = sum(_ours(table, pair).n < 2 or pair.cells > 1 for pair in own)
    unsure = f", {close} of ours within one standard error" if close else ""
    single = f" (of {alone} of our means no error over seeds is known)" if alone else ""
    weights = "Ours, of the chosen epochs" if table.weights == "chosen" else "Ours"
    theirs = _ranked(own, lambda pair: pair.theirs.mean, end)
    ours = _ranked(own, lambda pair: _ours(table, pair).value, end)
    return (
        f"From best to worst {wording.name(metric)}, published: {theirs}. {weights}: {ours}. "
        f"{same} of {len(couples)} pairs stand in the same order{unsure}{single}."
    )


def _ranked(own: Sequence[Pair], value: Callable[[Pair], float], end: str) -> str:
    """Return "a > b = c", from best to worst."""
    ranked = sorted(own, key=value, reverse=end == "max")
    words = ranked[0].whose
    for before, pair in itertools.pairwise(ranked):
        words += f" {'=' if value(before) == value(pair) else '>'} {pair.whose}"
    return words


def _ours(table: Published, pair: Pair) -> Mean:
    return pair.chosen if table.weights == "chosen" and pair.chosen.n else pair.last


def _pair(runs: Runs, row: PublishedRow, metric: str) -> Pair:
    mine = matching_trials(runs.table, row.where)
    last = np.where(mine, run_columns.values(runs.table, metric), math.nan)
    complete = mine & (runs.table["state"] == "COMPLETE").to_numpy()
    best = np.where(complete, run_columns.floats(runs.table, f"best/{metric}"), math.nan)
    has = runs.table.loc[~np.isnan(last)]
    others = [
        f"{key} {wording.plain(value)}" for key, value in row.where.items() if key != "objective"
    ]
    return Pair(
        whose=", ".join([str(row.where["objective"]), *others]),
        metric=metric,
        theirs=row.values[metric],
        cells=len(set(has["cell"])),
        known=bool(mine.any()),
        seeds=tuple(sorted({int(seed) for seed in has["seed"]})),
        last=cell_means.mean(last),
        last_best=_best(last, metric),
        chosen=cell_means.mean(best),
        chosen_best=_best(best, metric),
    )


def matching_trials(table: pd.DataFrame, where: Mapping[str, Scalar]) -> np.ndarray:
    """Return which rows of a run table are of the cells that a published row is about, (n,) bool."""
    return np.array(
        [published.matches(record, where) for record in table.to_dict("records")], dtype=bool
    )


def _best(values: np.ndarray, metric: str) -> float:
    known = values[~np.isnan(values)]
    end = published.better(metric)
    if not len(known) or end is None:
        return math.nan
    return float(known.max() if end == "max" else known.min())


def _caption(table: Published, metric: str, found: Sequence[Pair], runs: Runs) -> str:
    theirs = f"n = {table.n} each" if table.n else "n not known"
    compared = "the chosen epochs" if table.weights == "chosen" else "the weights at the end"
    where = wording.measured_on(runs, [metric]) or "nothing"
    parts = [
        f"Published: {table.source}; {table.tag}; {theirs}; to compare with ours of {compared}. Ours: means over n "
        f"seeds, sd with n − 1, on the {where}; best: of the trials",
        *(
            ["chosen epoch: the weights that evaluation.best selects"]
            if any(pair.chosen.n for pair in found)
            else []
        ),
        f"our estimator: {estimator(metric, runs)}",
    ]
    return "; ".join(parts) + "."


def _seeds(pair: Pair) -> str:
    if not pair.seeds:
        return "no complete trial has it" if pair.known else "not run"
    words = seed_list(pair.seeds)
    return words if pair.cells == 1 else f"{words}, in {pair.cells} cells together"


def _given(number: PublishedNumber) -> str:
    """Return a published number with the digits that it was published with."""
    return wording.plain(number.mean) + (
        f" ({wording.plain(number.sd)})" if number.sd is not None else ""
    )


def _mean(mean: Mean, pair: Pair) -> str:
    # Between cells the spread is not one of seeds.
    if math.isnan(mean.sd) or pair.cells > 1:
        return wording.number(mean.value)
    decimals = wording.number(mean.value, mean.sd).partition(".")[2]
    return f"{wording.number(mean.value, mean.sd)} ({mean.sd:.{len(decimals)}f})"


def _error(table: Published, a: Pair, b: Pair) -> float:
    """Return the standard error of a difference of means over seeds; 0 where one of them is not known."""
    known = all(pair.cells == 1 and _ours(table, pair).n > 1 for pair in (a, b))
    return math.hypot(_ours(table, a).se, _ours(table, b).se) if known else 0.0


def _number(words: Any) -> Cell:
    return Cell(words, "n")
