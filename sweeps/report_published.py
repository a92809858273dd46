"""Ours beside theirs: a published table with this sweep's numbers of the same cells, and how the two orders agree."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sweeps import published, summary
from sweeps.plot import text
from sweeps.published import Published, PublishedNumber, PublishedRow
from sweeps.report_tables import Cell, Head, Row, Table, estimator, seed_list
from sweeps.runs import Runs
from sweeps.summary import Mean


class Pair(NamedTuple):
    """One published number and ours of the same cells."""

    whose: str
    metric: str
    theirs: PublishedNumber
    cells: int
    seeds: tuple[int, ...]
    last: Mean  # of the weights at the end
    last_best: float  # the best seed's
    chosen: Mean  # of the weights of the epoch that `evaluation.best` selects
    chosen_best: float


def tables(runs: Runs) -> list[Published]:
    """Return the published tables of a sweep's spec."""
    return [Published.model_validate(stored, strict=False) for stored in runs.spec.get("published") or ()]


def pairs(runs: Runs, table: Published) -> list[Pair]:
    """Return every number of a published table with ours, metric by metric."""
    metrics = list(dict.fromkeys(metric for row in table.rows for metric in row.values))
    return [_pair(runs, row, metric) for metric in metrics for row in table.rows if metric in row.values]


def beside(table: Published, found: Sequence[Pair], runs: Runs) -> Table:
    """Return the table of both columns."""
    chosen = any(pair.chosen.n for pair in found)
    heads = [Head("method"), Head("metric"), Head("published: mean (sd)", numeric=True), Head("best", numeric=True)]
    heads += [Head("ours: mean (sd)", numeric=True), Head("best", numeric=True), Head("n", numeric=True), Head("seeds")]
    if chosen:
        heads += [Head("ours, chosen epoch: mean (sd)", numeric=True), Head("best", numeric=True)]
    body: list[Row] = []
    for pair in found:
        theirs, best = pair.theirs, math.nan if pair.theirs.best is None else pair.theirs.best
        cells = [Cell(pair.whose), Cell(text.name(pair.metric))]
        cells += [_number(_spread(theirs.mean, theirs.sd)), _number(text.number(best))]
        cells += [_number(_mean(pair.last)), _number(text.number(pair.last_best)), _number(str(pair.last.n))]
        cells += [Cell(_seeds(pair))]
        if chosen:
            cells += [_number(_mean(pair.chosen)), _number(text.number(pair.chosen_best))]
        body.append(Row(cells, "" if pair.last.n else "empty"))
    return Table(heads, body, _caption(table, found, runs))


def orders(found: Sequence[Pair]) -> list[str]:
    """Return a sentence per metric: both orders from best to worst, and how many pairs stand in the same one.

    Only methods with both numbers are ordered. A pair is close if our means differ by no more than one standard error.
    """
    sentences: list[str] = []
    for metric in dict.fromkeys(pair.metric for pair in found):
        own = [pair for pair in found if pair.metric == metric and pair.last.n]
        end = published.better(metric)
        if len(own) < 2 or end is None:
            continue
        sign = 1 if end == "max" else -1
        ranked = [
            " > ".join(pair.whose for pair in sorted(own, key=lambda pair: -sign * value(pair)))
            for value in (lambda pair: pair.theirs.mean, lambda pair: pair.last.value)
        ]
        couples = list(itertools.combinations(own, 2))
        same = [(a.theirs.mean - b.theirs.mean) * (a.last.value - b.last.value) > 0 for a, b in couples]
        close = [abs(a.last.value - b.last.value) <= _error(a.last, b.last) for a, b in couples]
        alone = sum(pair.last.n < 2 for pair in own)
        unsure = f", {sum(close)} of ours within one standard error" if any(close) else ""
        single = f" ({alone} of our means are of one seed, their error is not known)" if alone else ""
        sentences.append(
            f"From best to worst {text.name(metric)}, published: {ranked[0]}. Ours: {ranked[1]}. "
            f"{sum(same)} of {len(couples)} pairs stand in the same order{unsure}{single}."
        )
    return sentences


def _pair(runs: Runs, row: PublishedRow, metric: str) -> Pair:
    own = runs.table.loc[published.cells(runs.table, row.where)]
    whole = summary.complete(own)
    last = summary.values(whole, metric)
    best = summary.floats(whole, f"best/{metric}")
    name, *others = row.where.items()
    words = [str(name[1]) if name[0] == "objective" else ""] + [f"{key} {text.plain(value)}" for key, value in others]
    return Pair(
        whose=", ".join(words),
        metric=metric,
        theirs=row.values[metric],
        cells=len(set(own["cell"])),
        seeds=tuple(sorted({int(seed) for seed in whole.loc[~np.isnan(last), "seed"]})),
        last=summary.mean(last),
        last_best=_best(last, metric),
        chosen=summary.mean(best),
        chosen_best=_best(best, metric),
    )


def _best(values: np.ndarray, metric: str) -> float:
    known = values[~np.isnan(values)]
    end = published.better(metric)
    if not len(known) or end is None:
        return math.nan
    return float(known.max() if end == "max" else known.min())


def _caption(table: Published, found: Sequence[Pair], runs: Runs) -> str:
    theirs = f"n = {table.n} each" if table.n else "n not known"
    known = {metric: estimator(metric, runs) for metric in dict.fromkeys(pair.metric for pair in found)}
    ours = "; ".join(f"{text.name(metric)}: {words}" for metric, words in known.items())
    parts = [
        f"Published: {table.source}; {table.tag}; {theirs}. Ours: means over n seeds, sd with n − 1, of the weights at "
        "the end; best: of the seeds",
        *(["chosen epoch: the weights that evaluation.best selects"] if any(pair.chosen.n for pair in found) else []),
        f"our estimators: {ours}",
    ]
    return "; ".join(parts) + "."


def _seeds(pair: Pair) -> str:
    if not pair.seeds:
        return "not run" if not pair.cells else "no complete trial has it"
    words = seed_list(pair.seeds)
    return words if pair.cells == 1 else f"{words}, of {pair.cells} cells"


def _mean(mean: Mean) -> str:
    return _spread(mean.value, None if math.isnan(mean.sd) else mean.sd)


def _spread(value: float, sd: float | None) -> str:
    if sd is None:
        return text.number(value)
    decimals = text.number(value, sd).partition(".")[2]
    return f"{text.number(value, sd)} ({sd:.{len(decimals)}f})"


def _error(a: Mean, b: Mean) -> float:
    """Return the standard error of a difference; 0 where one of them is not known."""
    error = math.hypot(a.se, b.se)
    return 0.0 if math.isnan(error) else error


def _number(words: str) -> Cell:
    return Cell(words, "n")
