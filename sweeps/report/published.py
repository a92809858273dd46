"""Published numbers beside the numbers of this sweep, and how well the two orders agree."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from sweeps.ledger.states import TrialState
from sweeps.report import floors, wording
from sweeps.report.definitions import estimator
from sweeps.report.table_parts import (
    Table,
    TableCell,
    TableHead,
    TableRow,
    number_cell,
    number_head,
)
from sweeps.results import cell_means, run_columns
from sweeps.results.cell_means import Mean
from sweeps.results.run_table import Runs
from sweeps.spec import published
from sweeps.spec.published import Published, PublishedNumber, PublishedRow, Scalar


class Comparison(NamedTuple):
    """One published number, and the number of this sweep from the same cells."""

    method: str  # objective and parameters in words
    metric: str
    published: PublishedNumber
    n_cells: int  # cells with a COMPLETE trial that has the metric
    has_trials: bool  # whether the sweep has any trial of these cells
    seeds: tuple[int, ...]
    last: Mean  # with the last weights
    last_best: float  # the best trial
    chosen: Mean  # with the weights of the epoch that `evaluation.best` selects
    chosen_best: float


def published_tables(runs: Runs) -> list[Published]:
    """Return the published tables of a sweep's spec."""
    return [
        Published.model_validate(stored, strict=False)
        for stored in runs.spec.get("published") or ()
    ]


def setting_sentence(runs: Runs) -> str:
    """Return the data, network and training of this sweep in words.

    The differences that a published table states are differences from these.
    """
    parts: list[str] = []
    for section in ("data", "network", "train"):
        fields = {key: value for key, value in (runs.spec.get(section) or {}).items() if value}
        parts.append(f"{section}: {wording.mapping_text(fields)}")
    if any("network" in entry or "train" in entry for entry in runs.spec.get("objectives") or ()):
        parts.append("some objectives have their own settings")
    return f"This sweep: {'; '.join(parts)}."


def compare(runs: Runs, table: Published) -> dict[str, list[Comparison]]:
    """Return metric -> every number of a published table with the number of this sweep."""
    comparisons: dict[str, list[Comparison]] = {}
    for row in table.rows:
        for metric in row.values:
            comparisons.setdefault(metric, []).append(_compare_number(runs, row, metric))
    return comparisons


def _compare_number(runs: Runs, row: PublishedRow, metric: str) -> Comparison:
    """Return one published number with the number of this sweep."""
    matches = matching_trials(runs.table, row.where)
    is_complete = (runs.table["state"] == TrialState.COMPLETE).to_numpy()
    last = np.where(matches, run_columns.values(runs.table, metric), math.nan)
    last_errors = run_columns.errors(runs.table, metric)
    best_epoch = run_columns.float_column(runs.table, f"best/{metric}")
    chosen = np.where(matches & is_complete, best_epoch, math.nan)
    measured = runs.table.loc[~np.isnan(last)]
    chosen_errors = run_columns.errors_of_column(runs.table, f"best/{metric}")
    method = [str(row.where["objective"])]
    for key, value in row.where.items():
        if key != "objective":
            method.append(f"{key} {wording.value_text(value)}")
    return Comparison(
        method=", ".join(method),
        metric=metric,
        published=row.values[metric],
        n_cells=len(set(measured["cell"])),
        has_trials=bool(matches.any()),
        seeds=tuple(sorted({int(seed) for seed in measured["seed"]})),
        last=cell_means.mean(last, last_errors),
        last_best=_best_value(last, metric),
        chosen=cell_means.mean(chosen, chosen_errors),
        chosen_best=_best_value(chosen, metric),
    )


def matching_trials(table: pd.DataFrame, where: Mapping[str, Scalar]) -> np.ndarray:
    """Return which trials of a run table belong to the cells of a published row, (n,) bool."""
    return np.array(
        [published.matches(record, where) for record in table.to_dict("records")], dtype=bool
    )


def _best_value(values: np.ndarray, metric: str) -> float:
    """Return the best value that is not NaN; NaN if there is none or neither end is better."""
    known = values[~np.isnan(values)]
    end = published.better_end(metric)
    if not len(known) or end is None:
        return math.nan
    return float(known.max() if end == "max" else known.min())


def comparison_table(
    table: Published, metric: str, comparisons: Sequence[Comparison], runs: Runs
) -> Table:
    """Return the published numbers of one metric beside those of this sweep, one row per method.

    Every metric, and every scale of one metric, has its own table: no two share a column.
    """
    has_chosen = any(comparison.chosen.n for comparison in comparisons)
    heads = [
        TableHead(f"{wording.name(metric)} of"),
        number_head("published: mean (sd)"),
        number_head("best"),
        number_head("ours: mean (sd)"),
        number_head("standard error"),
        number_head("best"),
        number_head("n"),
        TableHead("seeds"),
    ]
    if has_chosen:
        titles = ("ours, chosen epoch: mean (sd)", "standard error", "best")
        heads += [number_head(title) for title in titles]
    body: list[TableRow] = []
    for comparison in comparisons:
        cells = [
            TableCell(comparison.method),
            number_cell(_published_text(comparison.published)),
            number_cell(wording.value_text(comparison.published.best)),
            number_cell(_mean_text(comparison.last, comparison)),
            number_cell(_error_text(comparison.last, comparison)),
            number_cell(wording.number(comparison.last_best)),
            number_cell(str(comparison.last.n)),
            TableCell(_seeds_text(comparison)),
        ]
        if has_chosen:
            cells.append(number_cell(_mean_text(comparison.chosen, comparison)))
            cells.append(number_cell(_error_text(comparison.chosen, comparison)))
            cells.append(number_cell(wording.number(comparison.chosen_best)))
        body.append(TableRow(cells, "" if comparison.last.n else "empty"))
    caption = _caption(table, metric, runs, has_chosen=has_chosen)
    note = wording.marks_note(cell.text for row in body for cell in row.cells)
    return Table(heads, body, f"{caption} {note}." if note else caption)


def _caption(table: Published, metric: str, runs: Runs, *, has_chosen: bool) -> str:
    """Return the caption of a comparison table: the source, and how each side was measured."""
    n_published = f"n = {table.n} each" if table.n else "n not known"
    is_chosen = table.weights == "chosen"
    weights = "from the chosen epochs" if is_chosen else "from the weights at the end"
    images = wording.measured_on(runs, [metric]) or "nothing"
    published_part = (
        f"Published: {table.source}; {table.tag}; {n_published}; compare with our numbers {weights}"
    )
    our_parts = [
        f"Ours: means over n seeds, sd with n − 1, measured on: {images}",
        "best: the best of the trials",
    ]
    if has_chosen:
        our_parts.append("chosen epoch: the weights that evaluation.best selects")
    limit = floors.limit_text(runs, metric)
    if limit:
        our_parts.append(
            f"our images ({_data_text(runs)}) limit the {wording.name(metric)} of any model: "
            f"{limit} nats per image; images of another size have another limit"
        )
    our_parts.append(f"our estimator: {estimator(metric, runs)}")
    return f"{published_part}. {'; '.join(our_parts)}."


def _data_text(runs: Runs) -> str:
    """Return name and options of the data set in words."""
    return wording.mapping_text(
        {key: value for key, value in (runs.spec.get("data") or {}).items() if value}
    )


def _seeds_text(comparison: Comparison) -> str:
    """Return the seeds behind a mean of this sweep, or why there are none."""
    if not comparison.seeds:
        return "no complete trial has it" if comparison.has_trials else "not run"
    seeds = wording.seed_list(comparison.seeds)
    if comparison.n_cells > 1:
        return f"{seeds}, in {comparison.n_cells} cells together"
    return seeds


def _published_text(number: PublishedNumber) -> str:
    """Return a published number with the digits that it was published with."""
    mean = wording.value_text(number.mean)
    return mean if number.sd is None else f"{mean} ({wording.value_text(number.sd)})"


def _mean_text(mean: Mean, comparison: Comparison) -> str:
    """Return a mean with its standard deviation over seeds, if it is one of a single cell."""
    if math.isnan(mean.sd) or comparison.n_cells > 1:
        return wording.number(mean.value)
    value = wording.number(mean.value, mean.sd)
    decimals = len(value.partition(".")[2])
    return f"{value} ({mean.sd:.{decimals}f})"


def _error_text(mean: Mean, comparison: Comparison) -> str:
    """Return the standard error of a mean, marked where it holds one of its two parts only.

    A mean of several cells has none, because its spread is not that of seeds.
    """
    if not math.isfinite(mean.se) or comparison.n_cells > 1:
        return "–"
    text = f"± {wording.error_text(mean.value, mean.se)}"
    if mean.n == 1:
        return f"{text}{wording.ESTIMATOR_ALONE}"
    return f"{text}{wording.SEEDS_ALONE}" if math.isnan(mean.error) else text


def order_sentence(table: Published, metric: str, comparisons: Sequence[Comparison]) -> str:
    """Return both orders from best to worst, and how many pairs of methods have the same order.

    Only methods with both numbers are ordered. Pairs with equal published numbers are not counted.
    A pair is close if our means over seeds differ by at most one standard error. "" if nothing can
    be ordered.
    """
    ordered = [comparison for comparison in comparisons if _our_mean(table, comparison).n]
    end = published.better_end(metric)
    pairs = [
        (a, b)
        for a, b in itertools.combinations(ordered, 2)
        if a.published.mean != b.published.mean
    ]
    if not pairs or end is None:
        return ""
    n_same = n_close = 0
    for a, b in pairs:
        gap = _our_mean(table, a).value - _our_mean(table, b).value
        n_same += (a.published.mean - b.published.mean) * gap > 0
        n_close += abs(gap) <= _error_of_difference(table, a, b)
    n_without_error = sum(not _has_error(table, comparison) for comparison in ordered)

    published_order = _ranked(ordered, lambda comparison: comparison.published.mean, end)
    our_order = _ranked(ordered, lambda comparison: _our_mean(table, comparison).value, end)
    ours = "Ours, of the chosen epochs" if table.weights == "chosen" else "Ours"
    counts = f"{n_same} of {len(pairs)} pairs have the same order"
    if n_close:
        counts += f"; in {n_close} of the {len(pairs)} our difference is within one standard error"
    if n_without_error:
        counts += (
            f"; no error over seeds is known for {n_without_error} of our means, "
            "so only their estimator's error counts"
        )
    return (
        f"From best to worst {wording.name(metric)}, published: {published_order}. "
        f"{ours}: {our_order}. {counts}."
    )


def _ranked(
    comparisons: Sequence[Comparison], value: Callable[[Comparison], float], end: str
) -> str:
    """Return the methods from best to worst: "a > b = c"."""
    ranked = sorted(comparisons, key=value, reverse=end == "max")
    text = ranked[0].method
    for previous, comparison in itertools.pairwise(ranked):
        sign = "=" if value(previous) == value(comparison) else ">"
        text += f" {sign} {comparison.method}"
    return text


def _our_mean(table: Published, comparison: Comparison) -> Mean:
    """Return the mean of this sweep that a published table compares with."""
    if table.weights == "chosen" and comparison.chosen.n:
        return comparison.chosen
    return comparison.last


def _has_error(table: Published, comparison: Comparison) -> bool:
    """Return whether our mean is of two or more seeds of one cell, so that it has an error."""
    return _our_mean(table, comparison).n > 1 and comparison.n_cells == 1


def _error_of_difference(table: Published, a: Comparison, b: Comparison) -> float:
    """Return the standard error of the difference of our means.

    A mean without an error over seeds counts with the estimator's error alone, 0 if that is not
    known.
    """
    return math.hypot(_error(table, a), _error(table, b))


def _error(table: Published, comparison: Comparison) -> float:
    """Return the error of our mean, see `_error_of_difference`."""
    mean = _our_mean(table, comparison)
    error = mean.se if _has_error(table, comparison) else mean.error
    return 0.0 if math.isnan(error) else error
