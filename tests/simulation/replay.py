"""An independent replay of a sweep's events: plain ASHA, and what a sampler must be told.

Nothing here calls the product. The rule of the paper (Li et al. 2020) is written a second time, in
another form: a cell is promoted if fewer than max(1, floor(n / reduction)) of the n cells seen at
the rung are strictly better.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from typing import Any, NamedTuple

from .history import History


class Verdict(NamedTuple):
    """A verdict that plain ASHA reaches."""

    value: float
    promoted: bool


class ExpectedOutcome(NamedTuple):
    """What a sampler must be told of an earlier cell."""

    params: dict[str, Any]
    state: str  # running, complete, pruned, failed
    values: tuple[float, ...]


class Replay:
    """The state of a sweep after some of its events."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.pruning: dict[str, Any] | None = history.spec["pruning"]
        self.reported: dict[int, list[int]] = defaultdict(list)  # trial -> epochs
        self.ended: dict[int, str] = {}  # trial -> state
        self.cells: list[int] = []
        self.seen: dict[tuple[str, int], list[float]] = defaultdict(list)  # bracket, rung -> values
        self.verdicts: dict[tuple[int, int], Verdict] = {}
        self.problems: list[str] = []

    def epoch_of_rung(self, rung: int, epochs: int) -> int:
        """Return the epoch of a rung: ceil(fraction * epochs)."""
        assert self.pruning is not None
        return max(1, math.ceil(self.pruning["rungs"][rung] * epochs - 1e-9))

    def metric(self, trial: int, epoch: int, name: str) -> float | None:
        """Return a metric of a trial at an epoch; a collapsed trial keeps its last one."""
        epochs = self.reported[trial]
        end = self.history.ends.get(trial)
        if epoch not in epochs:
            collapsed = trial in self.ended and end is not None and end["reason"] == "collapsed"
            if not collapsed or not epochs or epoch < max(epochs):
                return None
            epoch = max(epochs)
        return self.history.by_trial[trial][epoch]["body"]["metrics"].get(name, math.nan)

    def mean(self, trials: list[int], epoch: int, name: str) -> float | None:
        """Return the mean of a metric over trials, None if one of them lacks the epoch."""
        values = [self.metric(trial, epoch, name) for trial in trials]
        if not values or any(value is None for value in values):
            return None
        return math.fsum(value for value in values if value is not None) / len(values)

    def apply(self, event: dict[str, Any]) -> None:
        """Apply one event."""
        kind, number, detail = event["kind"], event["number"], event["detail"]
        if kind == "cell":
            self.cells.append(number)
        elif kind == "report":
            self._check_promoted(number, int(detail))
            self.reported[number].append(int(detail))
        elif kind == "end":
            self.ended[number] = detail
        elif kind == "end deleted":
            self.ended.pop(number, None)
        elif kind == "decision":
            self._judge(number, int(detail))

    def _judge(self, cell: int, rung: int) -> None:
        assert self.pruning is not None
        history = self.history
        members = [n for n in history.seeds_of(cell) if self.ended.get(n) != "FAILED"]
        epoch = self.epoch_of_rung(rung, history.trials[members[0]]["epochs"]) if members else 0
        value = self.mean(members, epoch, self.pruning["metric"])
        if value is None:
            self.problems.append(f"cell {cell} was judged at rung {rung} before all its seeds came")
            return
        row = history.cells[cell]
        others = self.seen[row["bracket"], rung]
        sign = 1 if self.pruning["mode"] == "max" else -1
        finite = [other for other in others if math.isfinite(other)]
        better = sum(sign * other > sign * value for other in finite)
        keep = max(1, math.floor((len(finite) + 1) / self.pruning["reduction"]))
        promoted = math.isfinite(value) and better < keep
        others.append(value)
        self.verdicts[cell, rung] = Verdict(value, promoted)

    def _check_promoted(self, trial: int, epoch: int) -> None:
        """Note a report that was trained past a rung without a promotion."""
        history = self.history
        if self.pruning is None:
            return
        row = history.by_trial[trial].get(epoch)
        if row is None or row["body"]["attempt"] not in history.attempt_ids:
            return  # copied from another sweep
        cell = history.trials[trial]["cell"]
        for rung in range(len(self.pruning["rungs"])):
            at = self.epoch_of_rung(rung, history.trials[trial]["epochs"])
            verdict = self.verdicts.get((cell, rung))
            if at < epoch and (verdict is None or not verdict.promoted):
                self.problems.append(f"trial {trial} reports epoch {epoch} past rung {rung}")

    def outcomes(self, layout: int) -> list[ExpectedOutcome]:
        """Return what a sampler must be told now of the cells of a layout."""
        outcomes: list[ExpectedOutcome] = []
        history = self.history
        for cell in self.cells:
            row = history.cells[cell]
            if row["layout"] != layout:
                continue
            seeds = history.seeds_of(cell)
            params = json.loads(row["params"])
            states = [self.ended.get(seed) for seed in seeds]
            if None in states:
                outcomes.append(ExpectedOutcome(params, "running", ()))
            elif "COMPLETE" not in states:
                state = "pruned" if "PRUNED" in states else "failed"
                outcomes.append(ExpectedOutcome(params, state, ()))
            else:
                outcomes.append(self._complete(params, seeds))
        return outcomes

    def _complete(self, params: dict[str, Any], seeds: list[int]) -> ExpectedOutcome:
        history = self.history
        epochs = history.trials[seeds[0]]["epochs"]
        alive = [seed for seed in seeds if self.ended[seed] != "FAILED"]
        values: list[float] = []
        for goal in history.spec["goal"]:
            reached = [s for s in alive if self.metric(s, epochs, goal["metric"]) is not None]
            mean = self.mean(reached, epochs, goal["metric"])
            values.append(math.nan if mean is None else mean)
        if not all(math.isfinite(value) for value in values):
            return ExpectedOutcome(params, "failed", ())
        return ExpectedOutcome(params, "complete", tuple(values))


def replayed(history: History, until: int | None = None) -> Replay:
    """Return the replay of all events of a sweep, or of those up to an event."""
    replay = Replay(history)
    for event in history.events:
        if until is not None and event["seq"] > until:
            break
        replay.apply(event)
    return replay
