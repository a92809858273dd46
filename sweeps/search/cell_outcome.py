"""The outcome of an earlier cell, as a sampler and Optuna's dashboard read it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np

from sweeps.ledger.progress import CellProgress, TrialProgress
from sweeps.ledger.states import TrialState
from sweeps.spec.sweep_spec import SweepSpec


class OutcomeState(StrEnum):
    """The state of a cell for a sampler."""

    RUNNING = "running"
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"


class CellOutcome(NamedTuple):
    """One earlier cell of a layout."""

    params: Mapping[str, Any]
    state: OutcomeState
    values: tuple[float, ...]  # one per goal, means over seeds; () unless complete
    intermediate: Mapping[int, float]  # epoch -> mean of the pruning metric


def cell_outcome(cell: CellProgress, spec: SweepSpec, *, last_only: bool = False) -> CellOutcome:
    """Return the outcome of a cell: means over the seeds that did not fail.

    Values exist only if a seed is complete, at the last epoch. A collapsed seed counts with its
    last metrics, as at a rung.

    Args:
        cell: the cell.
        spec: of its sweep.
        last_only: whether of the intermediate values the last one is enough, as for a sampler.
    """
    trials = [trial for trial in cell.trials if trial.state is not TrialState.FAILED]
    curve: dict[int, float] = {}
    if spec.pruning is not None:
        curve = _curve(trials, spec.pruning.metric, last_only=last_only)
    if not cell.ended:
        return CellOutcome(cell.params, OutcomeState.RUNNING, (), curve)
    states = {trial.state for trial in cell.trials}
    if TrialState.COMPLETE not in states:
        pruned = TrialState.PRUNED in states
        state = OutcomeState.PRUNED if pruned else OutcomeState.FAILED
        return CellOutcome(cell.params, state, (), curve)
    last = cell.timeline.epochs
    complete = [trial for trial in trials if trial.at(trial.epochs) is not None]
    values = tuple(mean_at(complete, last, goal.metric) for goal in spec.goal)
    if not all(math.isfinite(value) for value in values):
        return CellOutcome(cell.params, OutcomeState.FAILED, (), curve)
    return CellOutcome(cell.params, OutcomeState.COMPLETE, values, curve)


def _curve(trials: Sequence[TrialProgress], metric: str, *, last_only: bool) -> dict[int, float]:
    """Return epoch -> mean of a metric, of the epochs that all trials have reached."""
    epochs = sorted({epoch for trial in trials for epoch in trial.reports.epochs})
    curve: dict[int, float] = {}
    for epoch in reversed(epochs):
        value = mean_at(trials, epoch, metric)
        if all_reached(trials, epoch) and math.isfinite(value):
            curve[epoch] = value
            if last_only:
                break
    return dict(sorted(curve.items()))


def all_reached(trials: Sequence[TrialProgress], epoch: int) -> bool:
    """Return whether every trial has metrics for an epoch."""
    return all(trial.at(epoch) is not None for trial in trials)


def mean_at(trials: Sequence[TrialProgress], epoch: int, metric: str) -> float:
    """Return the mean of a metric over trials at an epoch, NaN if a trial lacks it or there is
    none.
    """
    values = [(trial.at(epoch) or {}).get(metric, math.nan) for trial in trials]
    return float(np.mean(values)) if values else math.nan
