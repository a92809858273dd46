"""Reads the state of a sweep from the ledger: the state holds nothing that the ledger does not."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from sweeps.cells import cell_grid, names, timeline
from sweeps.cells.names import Bracket
from sweeps.ledger import tables
from sweeps.ledger.damage import naming_row
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.progress import SHOWN_METRICS, CellProgress, TrialProgress
from sweeps.ledger.progress import has_collapsed as has_collapsed  # the exports take it from here
from sweeps.ledger.report_columns import ReportColumns, add_reports, read_columns
from sweeps.ledger.states import CHARGED, AttemptOutcome, EndReason, TrialState, Verdict
from sweeps.spec.sweep_spec import SweepSpec


def read_trials(
    ledger: Ledger,
    sweep: str,
    metrics: tuple[str, ...] = ("active_units",),
    *,
    reports: ReportColumns | None = None,
) -> list[TrialProgress]:
    """Return the trials of a sweep by number. None of them is RUNNING or PARKED yet.

    Args:
        ledger: of the workspace.
        sweep: its name.
        metrics: that the trials keep of every report.
        reports: of the sweep, if they have been read already; then they are what the trials keep.
    """
    trials = [
        TrialProgress(
            number=row["number"],
            cell=row["cell"],
            seed=row["seed"],
            hash=row["hash"],
            config_json=row["config"],
            epochs=row["epochs"],
            reused_from=row["reused_from"],
        )
        for row in ledger.of(tables.TRIAL, sweep)
    ]
    if reports is None:
        columns = tuple(dict.fromkeys([*metrics, *SHOWN_METRICS]))
        reports = read_columns(ledger, sweep, columns)
    add_reports(trials, reports, metrics)
    for row in ledger.of(tables.ATTEMPT, sweep):
        trial = trials[row["trial"]]
        trial.charged += row["outcome"] in CHARGED
        trial.node_losses += row["outcome"] == AttemptOutcome.NODE
        if row["outcome"] == AttemptOutcome.ERROR:
            epoch = _epoch_at(ledger, sweep, trial.number, attempt=row["id"])
            trial.last_error = (epoch, last_line(row["message"] or ""))
    for row in ledger.of(tables.END, sweep):
        trial = trials[row["trial"]]
        trial.state = TrialState(row["state"])
        trial.end_reason = EndReason(row["reason"])
        trial.why = row["why"]
    return trials


def _epoch_at(ledger: Ledger, sweep: str, trial: int, *, attempt: int) -> int:
    """Return the last epoch that a trial had reported when an attempt ended."""
    reports = tables.REPORT.c
    rows = ledger.rows(tables.REPORT, reports.sweep == sweep, reports.trial == trial)
    epochs = [row["epoch"] for row in rows if json.loads(row["body"])["attempt"] <= attempt]
    return max(epochs, default=0)


def read_cells(
    ledger: Ledger, spec: SweepSpec, trials: Sequence[TrialProgress], *, n_data: int
) -> list[CellProgress]:
    """Return the cells of a sweep, with their trials and verdicts.

    The bracket is computed anew, so that old and new cells share it even if an older version stored
    another name for it.

    Args:
        ledger: of the workspace.
        spec: of the sweep.
        trials: of the sweep, as `read_trials` returns them.
        n_data: number of images of the data set.
    """
    layouts = cell_grid.all_layouts(spec)
    brackets = names.Brackets(spec)
    equal: dict[Bracket, Bracket] = {}  # cells share equal brackets: a sweep has thousands
    by_cell: dict[int, list[TrialProgress]] = {}
    for trial in trials:
        by_cell.setdefault(trial.cell, []).append(trial)
    cells: list[CellProgress] = []
    for row in ledger.of(tables.CELL, spec.name):
        with naming_row(tables.CELL, row):
            cell_trials = by_cell[row["number"]]
            params = {sys.intern(path): value for path, value in json.loads(row["params"]).items()}
            layout = layouts[row["layout"]]
            if row["layout"] < 0:
                raise IndexError(f"layout must be >= 0, got {row['layout']}")
            bracket = brackets.of(layout, params | layout.fixed)
            cell = new_cell(
                spec,
                number=row["number"],
                layout=row["layout"],
                params=params,
                bracket=equal.setdefault(bracket, bracket),
                config=cell_trials[0].config,
                n_data=n_data,
            )
        cell.trials.extend(cell_trials)
        cells.append(cell)
    for row in ledger.of(tables.DECISION, spec.name):
        cell = cells[row["cell"]]
        cell.verdicts[row["rung"]] = Verdict(row["verdict"])
        cell.values[row["rung"]] = math.nan if row["value"] is None else row["value"]
    return cells


def new_cell(
    spec: SweepSpec,
    *,
    number: int,
    layout: int,
    params: dict[str, Any],
    bracket: Bracket,
    config: Mapping[str, Any],
    n_data: int,
) -> CellProgress:
    """Return a cell without trials and verdicts; `config` is that of any of its trials."""
    cell_timeline = timeline.on_data(config, n_data)
    rungs: dict[int, int] = {}
    if spec.pruning is not None:
        rungs = timeline.settled_rungs(spec.pruning.rungs, cell_timeline)
    return CellProgress(number, layout, params, bracket, cell_timeline, rungs)


def last_line(text: str) -> str:
    """Return the last line of a traceback that is not empty: the exception itself."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def parked_trials(ledger: Ledger, sweep: str, trials: Sequence[TrialProgress]) -> set[int]:
    """Return the numbers of the trials that wait at a rung for other seeds of their cell."""
    row = ledger.sweep(sweep)
    pruning = None if row is None else row["spec"]["pruning"]
    if pruning is None:
        return set()
    judged = {(row["cell"], row["rung"]) for row in ledger.of(tables.DECISION, sweep)}
    parked: set[int] = set()
    for trial in trials:
        if trial.ended or not trial.first_steps:
            continue
        trial_timeline = timeline.of_config(trial.config, trial.first_steps)
        rungs = timeline.settled_rungs(pruning["rungs"], trial_timeline)
        for rung, epoch in rungs.items():
            if epoch <= trial.epoch and (trial.cell, rung) not in judged:
                parked.add(trial.number)
    return parked
