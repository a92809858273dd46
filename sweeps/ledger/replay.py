"""The state of a sweep in memory: a fold over the ledger, and nothing that the ledger does not hold."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sweeps.cells import timeline
from sweeps.cells.timeline import Timeline
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.states import CHARGED, COLLAPSED, ENDED


@dataclass
class TrialState:
    """One trial: a cell with a seed."""

    number: int
    cell: int
    seed: int
    hash: str
    config: dict[str, Any]
    epochs: int  # of the whole trial
    reused_from: str = ""
    reported: dict[int, dict[str, float]] = field(default_factory=dict)  # epoch -> metrics
    state: str = (
        "WAITING"  # WAITING, RUNNING, PARKED (at a rung, for its cell's other seeds), or an end
    )
    why: str = ""
    charged: int = 0  # attempts lost so far
    last_error: tuple[int, str] | None = None  # (epoch, last line) of the last exception
    attempt: int = 0  # row of the attempt that runs now
    since: float = 0.0  # monotonic time of its start or last report, for the watchdog
    seconds: float = 0.0  # inside step(), all epochs
    first_steps: int = 0  # optimiser steps of its first epoch, 0 before that is reported

    @property
    def epoch(self) -> int:
        """Last reported epoch, 0 if none."""
        return max(self.reported, default=0)

    @property
    def ended(self) -> bool:
        """Whether the trial has an end in the ledger."""
        return self.state in ENDED

    @property
    def collapsed(self) -> bool:
        """Whether no latent was active at its last report."""
        return collapsed(self.reported.get(self.epoch, {}))

    def at(self, epoch: int) -> dict[str, float] | None:
        """Return the metrics of an epoch, None before it is reported.

        A trial that was ended for its collapse stands at its last ones for good: left out, it would flatter its cell.
        """
        gave_up = self.state == "PRUNED" and self.why.startswith(COLLAPSED)
        return self.reported.get(self.epoch if gave_up and epoch > self.epoch else epoch)


@dataclass
class CellState:
    """All parameters but the seed, with its trials and verdicts."""

    number: int
    layout: int
    params: dict[str, Any]
    bracket: str
    timeline: Timeline
    rungs: dict[int, int]  # position -> epoch
    trials: list[TrialState] = field(default_factory=list)
    verdicts: dict[int, bool] = field(default_factory=dict)  # position -> go
    values: dict[int, float] = field(default_factory=dict)  # position -> mean over seeds


def read_trials(ledger: Ledger, sweep: str) -> list[TrialState]:
    """Return the trials of a sweep as the ledger has them; none is RUNNING or PARKED yet."""
    trials = [
        TrialState(
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
        trial, body = trials[row["trial"]], json.loads(row["body"])
        trial.reported[row["epoch"]] = body["metrics"]
        trial.seconds += row["seconds"]
        if row["epoch"] == 1:
            trial.first_steps = body["step"]
    for row in ledger.of(tables.ATTEMPT, sweep):
        trial = trials[row["trial"]]
        trial.charged += row["outcome"] in CHARGED
        if row["outcome"] == "error":
            trial.last_error = (trial.epoch, last_line(row["message"] or ""))
    for row in ledger.of(tables.END, sweep):
        trials[row["trial"]].state = row["state"]
        trials[row["trial"]].why = row["why"]
    return trials


def collapsed(metrics: Mapping[str, float]) -> bool:
    """Return whether the numbers of an epoch say that no latent is active: the posterior is the prior everywhere."""
    return metrics.get("active_units") == 0


def last_line(text: str) -> str:
    """Return the last line of a traceback that says something: the exception itself."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def parked(ledger: Ledger, sweep: str, trials: Sequence[TrialState]) -> set[int]:
    """Return the trials that stand at a rung which their cell's other seeds have not reached yet."""
    row = ledger.sweep(sweep)
    pruning = None if row is None else row["spec"]["pruning"]
    if pruning is None:
        return set()
    judged = {(row["cell"], row["rung"]) for row in ledger.of(tables.DECISION, sweep)}
    found: set[int] = set()
    for trial in trials:
        if trial.ended or not trial.first_steps:
            continue
        rungs = timeline.judged_rungs(
            pruning["rungs"], timeline.of_config(trial.config, trial.first_steps)
        )
        if any(
            epoch <= trial.epoch and (trial.cell, position) not in judged
            for position, epoch in rungs.items()
        ):
            found.add(trial.number)
    return found
