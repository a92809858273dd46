"""Trials and cells of a sweep in memory, and how far they are.

A sweep may have a million reports. So a trial keeps, of every report, only the metrics that its
sweep reads again (`kept_metrics`), as plain numbers in arrays; the ledger has the rest.
"""

from __future__ import annotations

import json
import math
from array import array
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sweeps.cells.names import Bracket
from sweeps.cells.timeline import Timeline
from sweeps.ledger.states import EndReason, TrialState, Verdict
from sweeps.spec.sweep_spec import SweepSpec

SHOWN_METRICS = ("reconstruction", "tc", "mig")
"""The metrics of the live table."""


def kept_metrics(spec: SweepSpec) -> tuple[str, ...]:
    """Return the metrics that a driver reads again after a report.

    They are those of goals and rungs, and `active_units` for the rule of collapse.
    """
    names = [goal.metric for goal in spec.goal]
    if spec.pruning is not None:
        names.append(spec.pruning.metric)
    return tuple(dict.fromkeys([*names, "active_units"]))


class ReportedMetrics:
    """Some metrics of every report of one trial, by epoch; those that are shown of the last one.

    A report takes 8 bytes per metric and 4 for its epoch. A metric that a report does not have, or
    that is NaN, is left out.
    """

    __slots__ = ("_epochs", "_shown", "_values", "metrics")

    def __init__(
        self,
        metrics: tuple[str, ...],
        epochs: bytes = b"",
        values: bytes = b"",
        shown: Sequence[float] = (),
    ) -> None:
        """Start with the reports that the ledger has.

        Args:
            metrics: the names of the metrics to keep of every report.
            epochs: epochs in growing order, as C ints.
            values: (epochs, metrics) as C doubles, row by row, NaN where a metric is missing.
            shown: `SHOWN_METRICS` of the last report, () if there is none.
        """
        self.metrics = metrics
        self._epochs = array("i", epochs)
        self._values = array("d", values)
        self._shown = tuple(shown)

    @property
    def epochs(self) -> Sequence[int]:
        """The reported epochs in growing order."""
        return self._epochs

    def add(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Add a report, or replace that of the same epoch; return whether the epoch is new."""
        row = array("d", [metrics.get(name, math.nan) for name in self.metrics])
        index = bisect_left(self._epochs, epoch)
        start = index * len(self.metrics)
        is_new = index == len(self._epochs) or self._epochs[index] != epoch
        if is_new:
            self._epochs.insert(index, epoch)
            self._values[start:start] = row
        else:
            self._values[start : start + len(row)] = row
        if epoch == self._epochs[-1]:
            self._shown = tuple(metrics.get(name, math.nan) for name in SHOWN_METRICS)
        return is_new

    def at(self, epoch: int) -> dict[str, float] | None:
        """Return the kept metrics of an epoch, None if it is not reported."""
        index = bisect_left(self._epochs, epoch)
        if index == len(self._epochs) or self._epochs[index] != epoch:
            return None
        start = index * len(self.metrics)
        row = self._values[start : start + len(self.metrics)]
        values = dict(zip(self.metrics, row, strict=True))
        if epoch == self._epochs[-1]:
            values |= zip(SHOWN_METRICS, self._shown, strict=False)
        return {name: value for name, value in values.items() if not math.isnan(value)}


@dataclass(slots=True)
class TrialProgress:
    """One trial (a cell with a seed), and how far it is."""

    number: int
    cell: int
    seed: int
    hash: str
    config_json: str  # `TrialConfig.to_dict` as JSON
    epochs: int  # of the complete trial
    reused_from: str = ""  # name of the sweep that had trained it before
    reports: ReportedMetrics = field(default_factory=lambda: ReportedMetrics(()))
    end_reason: EndReason | None = None
    why: str = ""  # the end reason in a sentence
    charged: int = 0  # attempts that count against `resources.retries`
    node_losses: int = 0  # attempts whose node died: they count against `resources.node_retries`
    last_error: tuple[int, str] | None = None  # (epoch, last line) of the last exception
    attempt: int = 0  # row of the attempt that runs now
    since: float = 0.0  # monotonic time of its start or last report, for the watchdog
    seconds: float = 0.0  # spent in `step()`, all epochs together
    first_steps: int = 0  # optimiser steps of its first epoch, 0 before that is reported
    on_change: Callable[[TrialProgress, TrialState], None] | None = None  # of the state
    _state: TrialState = field(default=TrialState.WAITING, init=False)

    @property
    def state(self) -> TrialState:
        """The state; whoever set `on_change` hears of each new one."""
        return self._state

    @state.setter
    def state(self, state: TrialState) -> None:
        old, self._state = self._state, state
        if self.on_change is not None:
            self.on_change(self, old)

    @property
    def config(self) -> dict[str, Any]:
        """The config, read from its JSON: a sweep holds thousands of them."""
        return json.loads(self.config_json)

    @property
    def epoch(self) -> int:
        """The last reported epoch, 0 if there is none."""
        epochs = self.reports.epochs
        return epochs[-1] if epochs else 0

    @property
    def unbroken(self) -> int:
        """The last epoch up to which every epoch is reported, 0 if the first one is missing."""
        epochs = self.reports.epochs
        if self.epoch == len(epochs):
            return self.epoch
        return next(index for index, epoch in enumerate(epochs) if epoch != index + 1)

    @property
    def ended(self) -> bool:
        """Whether the trial has an end in the ledger."""
        return self._state.ended

    @property
    def collapsed(self) -> bool:
        """Whether no latent was active at its last report."""
        return has_collapsed(self.last_metrics)

    @property
    def last_metrics(self) -> dict[str, float]:
        """The kept metrics of its last report, {} before the first."""
        return self.reports.at(self.epoch) or {}

    def add_report(self, epoch: int, metrics: Mapping[str, float], seconds: float) -> None:
        """Add the report of an epoch; the seconds of a repeated report are not added again."""
        if self.reports.add(epoch, metrics):
            self.seconds += seconds

    def has(self, epoch: int) -> bool:
        """Return whether an epoch is reported."""
        return self.reports.at(epoch) is not None

    def at(self, epoch: int) -> dict[str, float] | None:
        """Return the kept metrics of an epoch, None before it is reported.

        A collapsed trial keeps its last metrics at later epochs: dropping it would raise the mean
        of its cell.
        """
        if self.end_reason is EndReason.COLLAPSED and epoch > self.epoch:
            epoch = self.epoch
        return self.reports.at(epoch)

    def last_reports(self, number: int) -> dict[int, dict[str, float]]:
        """Return epoch -> kept metrics of the last reports."""
        return {epoch: self.reports.at(epoch) or {} for epoch in self.reports.epochs[-number:]}


@dataclass(slots=True)
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
    def ended(self) -> bool:
        """Whether all its trials have ended."""
        return all(trial.ended for trial in self.trials)

    @property
    def promotions(self) -> dict[int, bool]:
        """Index of each judged rung -> whether it promoted the cell."""
        return {rung: verdict is Verdict.PROMOTE for rung, verdict in self.verdicts.items()}


def has_collapsed(metrics: Mapping[str, float]) -> bool:
    """Return whether no latent is active at an epoch: all of them are dead."""
    return metrics.get("active_units") == 0
