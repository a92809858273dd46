"""The state of a sweep in memory: it holds nothing that the ledger does not hold."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sweeps.cells import cell_grid, names, timeline
from sweeps.cells.names import Bracket
from sweeps.cells.timeline import Timeline
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.states import CHARGED, AttemptOutcome, EndReason, TrialState, Verdict
from sweeps.spec.sweep_spec import SweepSpec


@dataclass
class TrialProgress:
    """One trial (a cell with a seed), and how far it is."""

    number: int
    cell: int
    seed: int
    hash: str
    config: dict[str, Any]
    epochs: int  # of the complete trial
    reused_from: str = ""  # name of the sweep that had trained it before
    reported: dict[int, dict[str, float]] = field(default_factory=dict)  # epoch -> metrics
    state: TrialState = TrialState.WAITING
    end_reason: EndReason | None = None
    why: str = ""  # the end reason in a sentence
    charged: int = 0  # attempts that count against `resources.retries`
    node_losses: int = 0  # attempts whose node died: they count against `resources.node_retries`
    last_error: tuple[int, str] | None = None  # (epoch, last line) of the last exception
    attempt: int = 0  # row of the attempt that runs now
    since: float = 0.0  # monotonic time of its start or last report, for the watchdog
    seconds: float = 0.0  # spent in `step()`, all epochs together
    first_steps: int = 0  # optimiser steps of its first epoch, 0 before that is reported

    @property
    def epoch(self) -> int:
        """The last reported epoch, 0 if there is none."""
        return max(self.reported, default=0)

    @property
    def unbroken(self) -> int:
        """The last epoch up to which every epoch is reported, 0 if the first one is missing."""
        epoch = 0
        while epoch + 1 in self.reported:
            epoch += 1
        return epoch

    def add_report(self, epoch: int, metrics: Mapping[str, float], seconds: float) -> None:
        """Note the report of an epoch."""
        self.reported[epoch] = dict(metrics)
        self.seconds += seconds

    @property
    def ended(self) -> bool:
        """Whether the trial has an end in the ledger."""
        return self.state.ended

    @property
    def collapsed(self) -> bool:
        """Whether no latent was active at its last report."""
        return has_collapsed(self.reported.get(self.epoch, {}))

    def at(self, epoch: int) -> dict[str, float] | None:
        """Return the metrics of an epoch, None before it is reported.

        A collapsed trial keeps its last metrics at later epochs: dropping it would raise the mean
        of its cell.
        """
        if self.end_reason is EndReason.COLLAPSED and epoch > self.epoch:
            return self.reported.get(self.epoch)
        return self.reported.get(epoch)


@dataclass
class CellProgress:
    """A cell (all parameters without the seed) with its trials and verdicts."""

    number: int
    layout: int
    params: dict[str, Any]
    bracket: Bracket
    timeline: Timeline
    rungs: dict[int, int]  # index of the rung in `pruning.rungs` -> epoch
    trials: list[TrialProgress] = field(default_factory=list)
    verdicts: dict[int, Verdict] = field(default_factory=dict)  # index of the rung -> verdict
    values: dict[int, float] = field(default_factory=dict)  # index of the rung -> mean over seeds

    @property
    def promotions(self) -> dict[int, bool]:
        """Index of each judged rung -> whether it promoted the cell."""
        return {rung: verdict is Verdict.PROMOTE for rung, verdict in self.verdicts.items()}


def read_trials(ledger: Ledger, sweep: str) -> list[TrialProgress]:
    """Return the trials of a sweep by number. None of them is RUNNING or PARKED yet."""
    trials = [
        TrialProgress(
            number=row["number"],
            cell=row["cell"],
            seed=row["seed"],
            hash=row["hash"],
            config=json.loads(row["config"]),
            epochs=row["epochs"],
            reused_from=row["reused_from"],
        )
        for row in ledger.of(tables.TRIAL, sweep)
    ]
    for row in ledger.of(tables.REPORT, sweep):
        trial = trials[row["trial"]]
        body = json.loads(row["body"])
        trial.add_report(row["epoch"], body["metrics"], row["seconds"])
        if row["epoch"] == 1:
            trial.first_steps = body["step"]
    for row in ledger.of(tables.ATTEMPT, sweep):
        trial = trials[row["trial"]]
        trial.charged += row["outcome"] in CHARGED
        trial.node_losses += row["outcome"] == AttemptOutcome.NODE
        if row["outcome"] == AttemptOutcome.ERROR:
            trial.last_error = (trial.epoch, last_line(row["message"] or ""))
    for row in ledger.of(tables.END, sweep):
        trial = trials[row["trial"]]
        trial.state = TrialState(row["state"])
        trial.end_reason = EndReason(row["reason"])
        trial.why = row["why"]
    return trials


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
    cells: list[CellProgress] = []
    for row in ledger.of(tables.CELL, spec.name):
        cell_trials = [trial for trial in trials if trial.cell == row["number"]]
        params = json.loads(row["params"])
        layout = layouts[row["layout"]]
        cell = new_cell(
            spec,
            number=row["number"],
            layout=row["layout"],
            params=params,
            bracket=names.bracket(spec, layout, params | layout.fixed),
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


def has_collapsed(metrics: Mapping[str, float]) -> bool:
    """Return whether no latent is active at an epoch: all of them are dead."""
    return metrics.get("active_units") == 0


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
