"""The tables of numbers of the report page: means per bracket, further scores, all trials."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import numpy as np
import pandas as pd

from metrics import find, names
from sweeps.report import floors, wording
from sweeps.report.definitions import scored_metrics
from sweeps.report.table_parts import (
    Table,
    TableCell,
    TableHead,
    TableRow,
    number_cell,
    number_head,
)
from sweeps.results import cell_means, run_columns, run_series
from sweeps.results.run_table import Runs

EPOCH_COLUMNS = ("reconstruction", "kl", "tc", "mig", "active_units")
"""The metrics of every epoch that the tables show."""

STRENGTH_COLUMNS = ("reconstruction", "kl", "tc", "tc_permuted", "mig", "active_units")
"""The metrics of the table of strengths: TC stands beside that of independent latents."""

MOST_FINAL = 8
"""Scores of the whole data set that the table of all trials has room for."""

_SHORT_NAMES = {
    "reconstruction": "reconstr.",
    "tc": "TC",
    "tc_permuted": "TC, permuted",
    "active_units": "active units",
    "mi": "MI",
}


def strengths(runs: Runs) -> Table:
    """Return the trade-off as a table: means, one row per bracket and strength."""
    rows = _bracket_rows(runs, STRENGTH_COLUMNS)
    metrics = [metric for metric in STRENGTH_COLUMNS if any(metric in row for row in rows)]
    parameters = run_series.parameters(runs.table)
    counts = ["n", "pruned", "failed"]
    if any(row["collapsed"] for row in rows):
        counts.append("collapsed")
    mig_levels = _mig_levels(runs, rows)
    known_levels = {text for text, row in zip(mig_levels, rows, strict=True) if row["n"]}
    # Levels that are the same in every row are in the caption, so that the table is narrower.
    has_levels = "mig" in metrics and len(known_levels) > 1

    heads = _bracket_heads(runs)
    heads += [TableHead(wording.parameter(column)) for column in parameters]
    heads += [number_head(count) for count in counts]
    heads += [number_head(_short_name(metric)) for metric in metrics]
    if has_levels:
        heads.append(number_head("chance, ceiling of MIG"))

    body: list[TableRow] = []
    for row, levels in zip(rows, mig_levels, strict=True):
        cells = _bracket_cells(row)
        for column in parameters:
            cells.append(TableCell(wording.value_text(row.get(column)) if row["n"] else "–"))
        cells += [number_cell(str(row[count])) for count in counts]
        cells += [number_cell(_mean_text(row, metric)) for metric in metrics]
        if has_levels:
            cells.append(number_cell(levels))
        body.append(TableRow(cells, "" if row["n"] else "empty"))
    caption = _strengths_caption(runs, rows, metrics)
    if "mig" in metrics and len(known_levels) == 1:
        chance, ceiling = known_levels.pop().split(", ")
        caption += f" MIG has the chance {chance} and the ceiling {ceiling}."
    return Table(heads, body, _with_marks(caption, body))


def _strengths_caption(
    runs: Runs, rows: Sequence[Mapping[str, Any]], metrics: Sequence[str]
) -> str:
    """Return the caption of the table of strengths."""
    seeds = [int(seed) for seed in runs.spec.get("seeds") or sorted(set(runs.table["seed"]))]
    parts = [
        f"Means over n seeds ({wording.seed_list(seeds)}) ± standard error of seeds and "
        "estimator; nats per image, except MIG and active units",
        f"measured on: {wording.measured_on(runs, metrics) or 'nothing'}",
        "the columns pruned and failed count the trials of the whole bracket",
    ]
    limits = floors.sentence(runs)
    if limits:
        parts.append(limits)
    if "tc_permuted" in metrics:
        parts.append(
            "TC, permuted: what independent latents with these posteriors have in a mixture of as "
            "many images"
        )
    if any(row["collapsed"] for row in rows):
        parts.append("collapsed: ended with no active unit")
    if any(row["complete_cells"] > 1 for row in rows):
        goal = wording.name(cell_means.goals(runs)[0].metric)
        parts.append(
            "if several cells of a bracket are complete, "
            f"the row shows the cell with the best mean {goal}"
        )
    return "; ".join(parts) + "."


def best(runs: Runs) -> Table | None:
    """Return the means of the last weights beside those of the best epoch, one row per bracket.

    None if the weights of the best epoch were not kept.
    """
    selector = str((runs.spec.get("evaluation") or {}).get("best") or "")
    metrics = [
        metric
        for metric in dict.fromkeys((*EPOCH_COLUMNS, selector))
        if _has_last_and_best(runs.table, metric)
    ]
    if not selector or not metrics:
        return None
    heads = [*_bracket_heads(runs), number_head("n"), number_head("best epoch")]
    columns = ["best/epoch"]
    for metric in metrics:
        heads.append(number_head(f"{_short_name(metric)}, last"))
        heads.append(number_head(f"{_short_name(metric)}, best"))
        columns += [f"final/{metric}", f"best/{metric}"]

    body: list[TableRow] = []
    for row in _bracket_rows(runs, columns):
        if row["n"]:
            cells = [*_bracket_cells(row), number_cell(str(row["n"]))]
            cells += [number_cell(_mean_text(row, column)) for column in columns]
            body.append(TableRow(cells))

    selector_name = wording.name(selector)
    caption = (
        "Last: the weights at the end; best: the weights of the epoch with the best "
        f"{selector_name} on the evaluation subset. Both are scored on the whole data set."
    )
    limits = floors.sentence(runs)
    if limits:
        caption += f" {limits[0].upper()}{limits[1:]}."
    if selector in names() and "factors" in find(selector).needs:
        caption += (
            f" {selector_name} uses the labels, so this choice uses them, too: "
            "it is not an unsupervised result."
        )
    return Table(heads, body, _with_marks(caption, body))


def scores(runs: Runs) -> Table | None:
    """Return the means of the other scores of the whole data set, with chance and ceiling.

    One row per bracket. None if there are no other scores.
    """
    metrics = [metric for metric in scored_metrics(runs) if metric not in EPOCH_COLUMNS]
    columns = [f"final/{metric}" for metric in metrics]
    rows = [row for row in _bracket_rows(runs, columns) if row["n"]]
    if not metrics or not rows:
        return None
    heads = [*_bracket_heads(runs), number_head("n")]
    heads += [number_head(wording.name(metric)) for metric in metrics]
    body: list[TableRow] = []
    for row in rows:
        cells = [*_bracket_cells(row), number_cell(str(row["n"]))]
        for column in columns:
            cells.append(number_cell(_mean_text(row, column) if column in row else "–"))
        body.append(TableRow(cells))
    for which in ("chance", "ceiling"):
        levels = [number_cell(_level_range(runs, metric, which)) for metric in metrics]
        cells = [TableCell(which), number_cell(""), number_cell(""), *levels]
        body.append(TableRow(cells, "empty"))
    caption = (
        "Further scores on the whole data set: means over n seeds ± standard error of seeds and "
        "estimator."
    )
    return Table(heads, body, _with_marks(caption, body))


def trials(runs: Runs) -> Table:
    """Return every trial: its parameters, its state, its last numbers, and why it ended."""
    table = runs.table
    parameters = run_series.parameters(table)
    last = [metric for metric in EPOCH_COLUMNS if metric in table.columns]
    final = scored_metrics(runs)[:MOST_FINAL]
    of_best = [metric for metric in final if f"best/{metric}" in table.columns]
    number_columns = [
        *last,
        *(f"final/{metric}" for metric in final),
        *(f"best/{metric}" for metric in of_best),
    ]

    heads = [number_head("#"), TableHead("trial"), *_bracket_heads(runs)]
    heads += [TableHead(wording.parameter(column)) for column in parameters]
    heads += [number_head("seed"), TableHead("state"), number_head("epoch"), number_head("seconds")]
    heads += [number_head(_short_name(metric)) for metric in last]
    heads += [number_head(f"final {_short_name(metric)}") for metric in final]
    heads += [number_head(f"best {_short_name(metric)}") for metric in of_best]
    heads.append(TableHead("why"))

    collapsed = run_columns.collapsed(table)
    body: list[TableRow] = []
    for index, row in enumerate(cast(list[dict[str, Any]], table.to_dict("records"))):
        cells = [
            number_cell(str(row["number"])),
            TableCell(str(row["trial"]), "hash"),
            TableCell(str(row["objective"])),
            number_cell(wording.value_text(float(row["strength"]))),
        ]
        cells += [TableCell(wording.value_text(row[column])) for column in parameters]
        cells += [
            number_cell(str(row["seed"])),
            TableCell(str(row["state"]).lower(), "state"),
            number_cell(f"{row['epoch']}/{row['epochs']}"),
            number_cell(wording.number(float(row["seconds"]))),
        ]
        cells += [number_cell(wording.number(_float(row[column]))) for column in number_columns]
        cells.append(TableCell(_why(row, collapsed=bool(collapsed[index])), "why"))
        body.append(TableRow(cells, str(row["state"])))

    caption = (
        "Numbers of the last reported epoch, on the evaluation subset; final: on the whole data set"
    )
    if of_best:
        caption += "; best: on the whole data set with the weights of the best epoch"
    limits = floors.sentence(runs)
    if limits:
        caption += f"; {limits}"
    return Table(heads, body, f"{caption}.")


def _why(row: Mapping[str, Any], *, collapsed: bool) -> str:
    """Return why a trial ended, whether it collapsed, and the sweep that it was reused from."""
    why = str(row["why"] or "")
    parts = [why] if why else []
    if collapsed and "collapsed" not in why:
        parts.append("collapsed")
    if row.get("reused_from"):
        parts.append(f"reused from {row['reused_from']}")
    return "; ".join(parts)


def _bracket_rows(runs: Runs, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows of `cell_means.brackets` with the means of some columns."""
    return cast(list[dict[str, Any]], cell_means.brackets(runs, columns).to_dict("records"))


def _bracket_heads(runs: Runs) -> list[TableHead]:
    """Return the first two titles of a table with one row per bracket."""
    return [TableHead("objective"), number_head(wording.strength_axis(runs))]


def _bracket_cells(row: Mapping[str, Any]) -> list[TableCell]:
    """Return the first two cells of a bracket's row."""
    return [TableCell(str(row["series"])), number_cell(wording.value_text(row["strength"]))]


def _short_name(metric: str) -> str:
    """Return the name of a metric as the title of a narrow column."""
    return _SHORT_NAMES.get(metric, wording.name(metric))


def _mean_text(row: Mapping[str, Any], metric: str) -> str:
    """Return a mean with its error, and with its n if some of the trials lack the number."""
    n = int(row[f"{metric}_n"])
    text = wording.mean_text(row, metric)
    return text if n in (0, row["n"]) else f"{text} (n = {n})"


def _with_marks(caption: str, rows: Sequence[TableRow]) -> str:
    """Return a caption with the meaning of the marks that are in the rows."""
    note = wording.marks_note(cell.text for row in rows for cell in row.cells)
    return f"{caption} {note}." if note else caption


def _mig_levels(runs: Runs, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return chance and ceiling of MIG per row, each the mean over the trials behind the row."""
    table = run_columns.complete(runs.table)
    index_of = {number: index for index, number in enumerate(table["number"].tolist())}
    chance = run_columns.float_column(table, "final/mig_chance")
    ceiling = run_columns.float_column(table, "final/mig_ceiling")
    texts: list[str] = []
    for row in rows:
        members = [index_of[number] for number in row["members"] if number in index_of]
        levels = [cell_means.mean(column[members]).value for column in (chance, ceiling)]
        texts.append(", ".join(map(_level_text, levels)) if row["n"] else "–")
    return texts


def _level_range(runs: Runs, metric: str, which: Literal["chance", "ceiling"]) -> str:
    """Return the chance or ceiling of all trials, or its range if the trials differ.

    They differ if their factors come from different distributions.
    """
    column = run_columns.float_column(run_columns.complete(runs.table), f"final/{metric}_{which}")
    known = column[~np.isnan(column)]
    if not len(known):
        return "–"
    low, high = _level_text(float(known.min())), _level_text(float(known.max()))
    return low if low == high else f"{low} to {high}"


def _level_text(value: float) -> str:
    """Return a chance or ceiling with two digits, a dash for NaN."""
    return "–" if math.isnan(value) else f"{value:.2g}"


def _has_last_and_best(table: pd.DataFrame, metric: str) -> bool:
    """Return whether a metric was measured with the last and with the best weights."""
    rows = run_columns.complete(table)
    last = run_columns.float_column(rows, f"final/{metric}")
    of_best = run_columns.float_column(rows, f"best/{metric}")
    return not np.isnan(last).all() and not np.isnan(of_best).all()


def _float(value: object) -> float:
    """Return a number as float, NaN for anything else."""
    return float(value) if isinstance(value, int | float) else math.nan
