"""Decides: which trial runs next, and after every report whether it goes on.

One `record(report)` writes report, verdict and end in one transaction and answers; a repeat is a no-op that gets the
same answer. The conductor knows nothing of Ray: it is driven by Tune in a sweep and by plain calls in tests.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from sweeps.cells import cell_grid, names, timeline
from sweeps.failpoints import failpoint
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger, Transaction
from sweeps.ledger.replay import CellState, TrialState, last_line, read_trials
from sweeps.ledger.states import COLLAPSED
from sweeps.search import cell_record, halving, suggest
from sweeps.spec.sweep_spec import SweepSpec

REDRAWS = 20
"""How often a sampler may repeat an earlier cell before its turn is given up: choices can run out."""


class Assignment(NamedTuple):
    """A trial to run now, from its newest checkpoint if it has one."""

    trial: TrialState
    judged: tuple[
        int, ...
    ]  # epochs whose checkpoint is needed, as the trial may stop there and go on later


class Conductor:
    """The one writer of a sweep's events. Thread-safe: Tune's loop records, the watchdog and the live table look on."""

    def __init__(
        self, spec: SweepSpec, ledger: Ledger, *, fingerprint: str, n_data: int, life: int
    ) -> None:
        self.spec = spec
        self.lock = threading.RLock()
        self.stopping: str | None = None  # why no trial may go on, once that is so
        self._ledger = ledger
        self._fingerprint = fingerprint
        self._n_data = n_data
        self._life = life
        self._layouts = cell_grid.all_layouts(spec)
        self.cells_total = len(self._layouts) * cell_grid.cells_per_layout(spec)
        self.cells: list[CellState] = []
        self.trials: list[TrialState] = []
        self._turn = 0  # the next turn to ask: turns go round the layout points
        self._read()

    def _read(self) -> None:
        name = self.spec.name
        self.trials = read_trials(self._ledger, name)
        for row in self._ledger.of(tables.CELL, name):
            mine = [trial for trial in self.trials if trial.cell == row["number"]]
            params = json.loads(row["params"])
            # Anew: cells of before and of now must meet in one bracket, whatever it was called then.
            layout = self._layouts[row["layout"]]
            bracket = names.bracket_name(self.spec, layout, params | layout.fixed)
            cell = self._cell(row["number"], row["layout"], params, bracket, mine[0].config)
            cell.trials.extend(mine)
            self.cells.append(cell)
            self._turn = row["turn"] + 1
        for row in self._ledger.of(tables.DECISION, name):
            cell = self.cells[row["cell"]]
            cell.verdicts[row["rung"]] = row["verdict"] == "go"
            cell.values[row["rung"]] = math.nan if row["value"] is None else row["value"]
        with self._ledger.transaction() as tx:
            # Attempts that a dead driver left open: its end is not the trial's fault.
            unfinished = (tables.ATTEMPT.c.sweep == name) & tables.ATTEMPT.c.outcome.is_(None)
            tx.update(tables.ATTEMPT, unfinished, outcome="interrupted", ended=time.time())
            for cell in self.cells:
                own = (tables.CELL.c.sweep == name) & (tables.CELL.c.number == cell.number)
                tx.update(tables.CELL, own, bracket=cell.bracket)
                self._settle(tx, cell)

    @property
    def finished(self) -> bool:
        """Whether every cell has been asked and every trial has ended."""
        return self._turn >= self.cells_total and all(trial.ended for trial in self.trials)

    # ---- what runs next

    def next(self) -> Assignment | Literal["finished"] | None:
        """Return the next trial to run, None if there is none just now, or "finished" if there will be none."""
        with self.lock:
            if self.stopping:
                return "finished"
            trial = self._waiting()
            while trial is None and self._turn < self.cells_total:
                self._ask()
                trial = self._waiting()
            if trial is None:
                return None if any(not trial.ended for trial in self.trials) else "finished"
            with self._ledger.transaction() as tx:
                trial.attempt = tx.insert(
                    tables.ATTEMPT,
                    sweep=self.spec.name,
                    trial=trial.number,
                    life=self._life,
                    started=time.time(),
                )
            trial.state = "RUNNING"
            trial.since = time.monotonic()
            return Assignment(trial, tuple(self.cells[trial.cell].rungs.values()))

    def _waiting(self) -> TrialState | None:
        # The furthest cell first: a cell in hand is finished before a new one is begun.
        return next((trial for trial in self.trials if trial.state == "WAITING"), None)

    def _ask(self) -> None:
        """Add the next cell and its trials, or give its turn up when the sampler only repeats itself."""
        turn = self._turn
        layout = self._layouts[turn % len(self._layouts)]
        seen = {trial.hash for trial in self.trials}
        history = self._history(layout)
        for redraw in range(REDRAWS):
            drawn = suggest.suggest(
                self.spec.search.name,
                layout.searched,
                history,
                seed=self.spec.search.seed,
                layout=layout.position,
                number=turn // len(self._layouts) + redraw * self.cells_total,
                directions=[goal.mode for goal in self.spec.goal],
            )
            params = {**layout.fixed, **drawn}
            configs = [
                cell_grid.trial_config(self.spec, layout, params, seed, self._fingerprint)
                for seed in self.spec.seeds
            ]
            if not seen & {config.hash for config in configs}:
                break
        else:
            self._turn += 1
            return
        number = len(self.cells)
        bracket = names.bracket_name(self.spec, layout, params)
        cell = self._cell(number, layout.position, params, bracket, configs[0].to_dict())
        with self._ledger.transaction() as tx:
            tx.insert(
                tables.CELL,
                sweep=self.spec.name,
                number=number,
                turn=turn,
                layout=layout.position,
                params=json.dumps(params),
                bracket=cell.bracket,
                asked=time.time(),
            )
            for seed, config in zip(self.spec.seeds, configs, strict=True):
                trial = TrialState(
                    number=len(self.trials) + len(cell.trials),
                    cell=number,
                    seed=seed,
                    hash=config.hash,
                    config=config.to_dict(),
                    epochs=cell.timeline.epochs,
                )
                self._insert(tx, trial)
                cell.trials.append(trial)
            self._settle(tx, cell)
        self.cells.append(cell)
        self.trials.extend(cell.trials)
        self._turn = turn + 1
        failpoint("driver.asked")

    def _insert(self, tx: Transaction, trial: TrialState) -> None:
        """Write a new trial, with the numbers of the same trial of another sweep where there are any."""
        name = self.spec.name
        found = {row["state"]: row for row in self._ledger.trials_elsewhere(name, trial.hash)}
        source = found.get("COMPLETE") or found.get("PRUNED")
        trial.reused_from = source["sweep"] if source else ""
        tx.insert(
            tables.TRIAL,
            sweep=name,
            number=trial.number,
            cell=trial.cell,
            seed=trial.seed,
            hash=trial.hash,
            config=json.dumps(trial.config),
            epochs=trial.epochs,
            reused_from=trial.reused_from,
            asked=time.time(),
        )
        if source is None:
            return
        tx.copy_reports((source["sweep"], source["number"]), (name, trial.number))
        where = (
            tables.REPORT.c.sweep == source["sweep"],
            tables.REPORT.c.trial == source["number"],
        )
        for row in self._ledger.rows(tables.REPORT, *where):
            trial.reported[row["epoch"]] = json.loads(row["body"])["metrics"]
            trial.seconds += row["seconds"]
        if source["state"] == "COMPLETE":
            self._end(tx, trial, "COMPLETE", f"reused from sweep {source['sweep']}")

    def _history(self, layout: cell_grid.Layout) -> list[cell_record.CellRecord]:
        return [self.told(cell) for cell in self.cells if cell.layout == layout.position]

    def told(self, cell: CellState) -> cell_record.CellRecord:
        """Return a cell as samplers learn of it: means over seeds, complete at full horizon only.

        A seed that was ended for its collapse counts with its last numbers, as at a rung.
        """
        alive = [trial for trial in cell.trials if trial.state != "FAILED"]
        whole = [trial for trial in alive if trial.at(trial.epochs) is not None]
        pruning = self.spec.pruning
        curve: dict[int, float] = {}
        if pruning is not None:
            epochs = sorted({epoch for trial in alive for epoch in trial.reported})
            curve = {
                epoch: _value(alive, epoch, pruning.metric)
                for epoch in epochs
                if _arrived(alive, epoch)
            }
            curve = {epoch: value for epoch, value in curve.items() if math.isfinite(value)}
        values: tuple[float, ...] = ()
        state: Literal["running", "complete", "pruned", "failed"] = "running"
        if all(trial.ended for trial in cell.trials):
            if any(trial.state == "COMPLETE" for trial in alive):
                values = tuple(
                    _value(whole, cell.timeline.epochs, goal.metric) for goal in self.spec.goal
                )
                state = "complete" if all(math.isfinite(value) for value in values) else "failed"
            else:
                state = (
                    "pruned" if any(trial.state == "PRUNED" for trial in cell.trials) else "failed"
                )
        return cell_record.CellRecord(
            cell.params, state, values if state == "complete" else (), curve
        )

    # ---- what a report leads to

    def record(self, number: int, body: Mapping[str, Any]) -> bool:
        """Write a trial's report and return whether it goes on."""
        with self.lock:
            trial = self.trials[number]
            if trial.state != "RUNNING" or trial.attempt != body["attempt"]:
                return False  # a straggler of an attempt that was given up
            trial.since = time.monotonic()
            if "failure" in body:
                self._failed(trial, str(body["failure"]), str(body["message"]), str(body["log"]))
                return False
            failpoint("driver.before_report")
            epoch = int(body["epoch"])
            with self._ledger.transaction() as tx:
                if tx.report(
                    self.spec.name,
                    number,
                    epoch=epoch,
                    at=time.time(),
                    seconds=body["step_seconds"],
                    body=body,
                ):
                    trial.reported[epoch] = dict(body["metrics"])
                    trial.seconds += body["step_seconds"]
                self._settle(tx, self.cells[trial.cell])
                if trial.state == "RUNNING" and epoch >= trial.epochs:
                    self._end(tx, trial, "COMPLETE", "")
                if self.stopping and trial.state == "RUNNING":
                    self._outcome(tx, trial, "interrupted")
                    trial.state = "WAITING"
            failpoint("driver.reported")
            return trial.state == "RUNNING"

    def _settle(self, tx: Transaction, cell: CellState) -> None:
        """Judge every rung that the last of a cell's seeds has reached; park seeds that must wait for the others."""
        self._stop_collapsed(tx, cell)
        for position, epoch in cell.rungs.items():
            alive = [trial for trial in cell.trials if trial.state != "FAILED"]
            if position not in cell.verdicts and alive and _arrived(alive, epoch):
                self._judge(tx, cell, position, alive)
            if position not in cell.verdicts:
                for trial in alive:
                    if epoch in trial.reported and trial.state in ("WAITING", "RUNNING"):
                        if trial.state == "RUNNING":
                            self._outcome(tx, trial, "parked")
                        trial.state = "PARKED"
                return
            if not cell.verdicts[position]:
                for trial in alive:
                    if not trial.ended:
                        self._end(tx, trial, "PRUNED", f"rung {position + 1} (epoch {epoch})")
                return
            for trial in alive:
                if trial.state == "PARKED":
                    trial.state = "WAITING"

    def _stop_collapsed(self, tx: Transaction, cell: CellState) -> None:
        """End the seeds that stay collapsed; the last epoch completes a trial in any case."""
        if self.spec.pruning is None or not self.spec.pruning.stop_collapsed:
            return
        for trial in cell.trials:
            if (
                not trial.ended
                and trial.epoch < trial.epochs
                and timeline.stays_collapsed(cell.timeline, trial.reported)
            ):
                self._end(tx, trial, "PRUNED", f"{COLLAPSED} (epoch {trial.epoch})")

    def _judge(
        self, tx: Transaction, cell: CellState, position: int, alive: list[TrialState]
    ) -> None:
        pruning = self.spec.pruning
        assert pruning is not None
        epoch = cell.rungs[position]
        value = _value(alive, epoch, pruning.metric)
        others = [
            other.values[position]
            for other in self.cells
            if other is not cell and other.bracket == cell.bracket and position in other.values
        ]
        go, why = halving.judge(value, others, reduction=pruning.reduction, mode=pruning.mode)
        tx.decision(
            self.spec.name,
            cell.number,
            rung=position,
            verdict="go" if go else "prune",
            value=value,
            why=why,
        )
        cell.verdicts[position] = go
        cell.values[position] = value

    def _failed(self, trial: TrialState, kind: str, message: str, log: str) -> None:
        """A non-finite loss fails the trial; an exception is tried again, unless it comes again at the same epoch."""
        said = (trial.epoch, last_line(message))
        text = message if not log.strip() else f"{message}\n--- end of its output ---\n{log}"
        final = kind == "diverged" or said == trial.last_error
        trial.last_error = said
        self._lose(trial, kind, text, why=f"{kind}: {said[1]}", final=final)

    def lost(self, number: int, kind: Literal["lost", "timeout"], message: str) -> None:
        """Take note that a trial's process died (or was ended for its silence); it is tried again."""
        with self.lock:
            trial = self.trials[number]
            if trial.state == "RUNNING":
                self._lose(trial, kind, message, why=f"{kind}: {last_line(message)}", final=False)

    def _lose(
        self, trial: TrialState, outcome: str, message: str, *, why: str, final: bool
    ) -> None:
        with self._ledger.transaction() as tx:
            self._outcome(tx, trial, outcome, message)
            trial.charged += 1
            trial.state = "WAITING"
            if final or trial.charged > self.spec.resources.retries:
                self._end(tx, trial, "FAILED", why)
            self._settle(
                tx, self.cells[trial.cell]
            )  # seeds that waited for this one need not any more

    def _end(self, tx: Transaction, trial: TrialState, state: str, why: str) -> None:
        if trial.state == "RUNNING":
            self._outcome(tx, trial, state.lower())
        tx.end(self.spec.name, trial.number, state, why)
        trial.state = state
        trial.why = why

    def _outcome(self, tx: Transaction, trial: TrialState, outcome: str, message: str = "") -> None:
        where = tables.ATTEMPT.c.id == trial.attempt
        tx.update(tables.ATTEMPT, where, outcome=outcome, ended=time.time(), message=message)

    def _cell(
        self,
        number: int,
        layout: int,
        params: dict[str, Any],
        bracket: str,
        config: Mapping[str, Any],
    ) -> CellState:
        own = timeline.on_data(config, self._n_data)
        rungs = (
            {} if self.spec.pruning is None else timeline.judged_rungs(self.spec.pruning.rungs, own)
        )
        return CellState(number, layout, params, bracket, own, rungs)


def _arrived(trials: Sequence[TrialState], epoch: int) -> bool:
    """Return whether every trial has numbers for an epoch."""
    return all(trial.at(epoch) is not None for trial in trials)


def _value(trials: Sequence[TrialState], epoch: int, metric: str) -> float:
    """Return a metric's mean over trials at an epoch, NaN without any."""
    values = [(trial.at(epoch) or {}).get(metric, math.nan) for trial in trials]
    return float(np.mean(values)) if values else math.nan
