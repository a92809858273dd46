"""What a person watching a sweep sees: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import live as rich_live
from rich.console import Console, Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sweeps.driver.conductor import Conductor
from sweeps.ledger.replay import TrialState
from sweeps.spec.rungs import expected_epochs

if TYPE_CHECKING:
    from sweeps.driver.result import SweepResult
    from sweeps.exports.mlflow_writer import MlflowWriter

PERIOD = 0.5
BEAT = 10.0
"""Seconds between two notes in the ledger that the driver is alive."""
QUIET_PERIOD = 15.0
"""Seconds between two lines where there is no terminal."""


class LiveView:
    """Shows a conductor's state while Tune runs, and watches the budget."""

    def __init__(
        self,
        conductor: Conductor,
        tracker: MlflowWriter,
        console: Console,
        *,
        spent: float,
        beat: Callable[[], None],
    ) -> None:
        self._conductor = conductor
        self._tracker = tracker
        self._console = console
        self._spent = spent
        self._beat = beat
        self._last_beat = 0.0
        self._started = time.monotonic()
        self._done_before = 0.0
        self._slots = 0

    @contextlib.contextmanager
    def showing(self, slots: int) -> Iterator[None]:
        """Show progress inside the block."""
        self._slots = slots
        self._started = time.monotonic()
        self._done_before = self._progress()[0]
        silent = threading.Event()
        thread = threading.Thread(target=self._show, args=(silent,), name="live", daemon=True)
        thread.start()
        try:
            yield
        finally:
            silent.set()
            thread.join()

    def _show(self, silent: threading.Event) -> None:
        if self._console.is_terminal:
            with rich_live.Live(
                self._table(), console=self._console, auto_refresh=False, transient=True
            ) as screen:
                while not silent.wait(PERIOD):
                    self._watch_budget()
                    screen.update(self._table(), refresh=True)
            return
        last = 0.0
        while not silent.wait(PERIOD):
            self._watch_budget()
            if time.monotonic() - last >= QUIET_PERIOD:
                last = time.monotonic()
                self._console.print(self._line(), highlight=False, soft_wrap=True)

    def _watch_budget(self) -> None:
        if time.monotonic() - self._last_beat > BEAT:
            self._last_beat = time.monotonic()
            self._beat()
        hours = self._conductor.spec.budget.hours
        if hours is not None and self._spent + time.monotonic() - self._started > 3600 * hours:
            with self._conductor.lock:
                self._conductor.stopping = f"the budget of {hours:g} hours is spent"

    # ---- what is shown

    def _progress(self) -> tuple[float, float]:
        """Return epochs done and epochs expected in all, if the rungs to come keep their share of the cells."""
        sweep = self._conductor
        pruning = sweep.spec.pruning
        reduction = 1.0 if pruning is None else pruning.reduction
        done = expected = 0.0
        for trial in sweep.trials:
            cell = sweep.cells[trial.cell]
            done += trial.epoch
            whole = expected_epochs(cell.rungs, cell.verdicts, trial.epochs, reduction)
            expected += trial.epoch if trial.ended else max(whole, trial.epoch)
        unasked = max(0, sweep.cells_total - len(sweep.cells)) * len(sweep.spec.seeds)
        if sweep.trials and unasked:
            # Cells to come are taken to be like the first: spaces of different lengths are rare.
            first = sweep.cells[0]
            expected += unasked * expected_epochs(
                first.rungs, {}, sweep.trials[0].epochs, reduction
            )
        return done, max(expected, 1.0)

    def _left(self) -> str:
        done, total = self._progress()
        gained = done - self._done_before
        if gained <= 0:
            return "estimating time left"
        seconds = (total - done) * (time.monotonic() - self._started) / gained
        return f"about {_duration(seconds)} left"

    def _best(self) -> TrialState | None:
        goal = self._conductor.spec.goal[0]
        scored = [
            (trial.reported[trial.epoch][goal.metric], trial)
            for trial in self._conductor.trials
            if trial.state == "COMPLETE" and goal.metric in trial.reported.get(trial.epoch, {})
        ]
        if not scored:
            return None
        return (max if goal.mode == "max" else min)(scored, key=lambda pair: pair[0])[1]

    def _headline(self) -> str:
        counts = self.counts()
        parts = [f"{counts[state]} {state.lower()}" for state in sorted(counts)]
        best = self._best()
        goal = self._conductor.spec.goal[0].metric
        if best is not None:
            parts.append(f"best {goal} {best.reported[best.epoch][goal]:.4f} (trial {best.number})")
        if self._tracker.error:
            parts.append(f"MLflow waits: {self._tracker.error}")
        return " · ".join(parts)

    def counts(self) -> dict[str, int]:
        """Return the number of trials by state."""
        counts: dict[str, int] = {}
        for trial in self._conductor.trials:
            counts[trial.state] = counts.get(trial.state, 0) + 1
        return counts

    def _line(self) -> str:
        with self._conductor.lock:
            done, total = self._progress()
            return f"{self._conductor.spec.name}: {100 * done / total:.0f} % · {self._headline()} · {self._left()}"

    def _table(self) -> Group:
        with self._conductor.lock:
            done, total = self._progress()
            spec = self._conductor.spec
            table = Table(box=None, pad_edge=False, header_style="bold")
            keys = ["reconstruction", "tc", "mig"]
            for title in ("trial", "cell", "seed", "epoch", *keys):
                table.add_column(
                    title, justify="right" if title != "cell" else "left", no_wrap=True
                )
            for trial in self._conductor.trials:
                if trial.state != "RUNNING":
                    continue
                last = trial.reported.get(trial.epoch, {})
                cell = self._conductor.cells[trial.cell]
                table.add_row(
                    str(trial.number),
                    f"{trial.config['objective']['name']} {_params(cell.params)}",
                    str(trial.seed),
                    f"{trial.epoch}/{trial.epochs}",
                    *(f"{last[key]:.4g}" if key in last else "·" for key in keys),
                )
            head = Text(f"{spec.name}  ", style="bold")
            head.append(
                f"{100 * done / total:3.0f} %  {self._left()}  ({self._slots} at once)",
                style="not bold",
            )
            bar = Table.grid()  # a bar of its own ends without a line break
            bar.add_row(ProgressBar(total=total, completed=done, width=60))
            return Group(head, bar, Text(self._headline()), table)

    def farewell(self, result: SweepResult, workspace: Path, export_error: str | None) -> None:
        """Say how it ended and what to do next."""
        say = functools.partial(self._console.print, highlight=False, soft_wrap=True)
        counts = ", ".join(f"{number} {state}" for state, number in sorted(result.states.items()))
        say(f"sweep {result.name}: {counts or 'no trials'} · workspace {workspace}")
        if result.why:
            say(f"stopped: {result.why}. The same command goes on from here.")
        if result.states.get("FAILED"):
            say(
                f"`sweeps runs {result.name}` says why trials failed; `--retry-failed` tries them again",
                highlight=False,
            )
        if not result.exported:
            say(
                f"MLflow has not got everything yet ({export_error}); the same command sends the rest",
                highlight=False,
            )


def _params(params: dict[str, Any]) -> str:
    return " ".join(
        f"{path.rpartition('.')[2]}={value:.4g}"
        if isinstance(value, float)
        else f"{path.rpartition('.')[2]}={value}"
        for path, value in params.items()
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
