"""The live view of a sweep: a table that updates on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich import live as rich_live
from rich.console import Console, Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sweeps.cells.cell_count import shortage_notes
from sweeps.driver.conductor import Conductor
from sweeps.driver.result import SweepResult
from sweeps.exports.mlflow_writer import MlflowWriter
from sweeps.ledger.progress import SHOWN_METRICS, TrialProgress
from sweeps.ledger.roster import Roster
from sweeps.ledger.states import TrialState
from sweeps.spec.rungs import expected_epochs

PERIOD = 0.5
"""Seconds between two pictures on a terminal."""

LINE_PERIOD = 15.0
"""Seconds between two lines where there is no terminal."""


class LiveView:
    """Shows the state of a conductor while Tune runs."""

    def __init__(self, conductor: Conductor, writer: MlflowWriter, console: Console) -> None:
        self._conductor = conductor
        self._writer = writer
        self._console = console
        self._started = time.monotonic()
        self._epochs_at_start = 0.0
        self._slots = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._roster: Roster | None = None  # that `_best` has looked at
        self._looked_at = 0  # number of its ended trials
        self._best_so_far: tuple[tuple[float, int], tuple[float, TrialProgress]] | None = None

    @contextlib.contextmanager
    def showing(self, slots: int) -> Iterator[None]:
        """Show progress while the block runs."""
        self._slots = slots
        self._started = time.monotonic()
        self._epochs_at_start = self._progress()[0]
        self._thread = threading.Thread(target=self._show, name="live", daemon=True)
        self._thread.start()
        try:
            yield
        finally:
            self.stop()

    def stop(self, seconds: float | None = None) -> None:
        """Remove the view from the terminal; wait for it, at most for so many seconds."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(seconds)
        if self._console.is_terminal:
            self._console.show_cursor(True)

    def _show(self) -> None:
        if self._console.is_terminal:
            with rich_live.Live(
                self._screen(), console=self._console, auto_refresh=False, transient=True
            ) as screen:
                while not self._stop.wait(PERIOD):
                    screen.update(self._screen(), refresh=True)
            return
        last_line = 0.0
        while not self._stop.wait(PERIOD):
            if time.monotonic() - last_line >= LINE_PERIOD:
                last_line = time.monotonic()
                self._console.print(self._line(), highlight=False, soft_wrap=True, markup=False)

    # ---- what is shown

    def _progress(self) -> tuple[float, float]:
        """Return epochs done and epochs expected in all.

        Expected is what is trained if every rung that is not judged yet promotes its share of the
        cells.
        """
        conductor = self._conductor
        pruning = conductor.spec.pruning
        reduction = 1.0 if pruning is None else pruning.reduction
        done = expected = float(conductor.roster.epochs_of_ended)
        for trial in conductor.roster.open_trials():
            cell = conductor.cells[trial.cell]
            left = expected_epochs(cell.rungs, cell.promotions, trial.epochs, reduction)
            done += trial.epoch
            expected += max(left, trial.epoch)
        trials_to_ask = conductor.cells_to_come * len(conductor.spec.seeds)
        if conductor.trials and trials_to_ask:
            # Cells to come are taken to be like the first: spaces of different lengths are rare.
            rungs, epochs = conductor.cells[0].rungs, conductor.trials[0].epochs
            expected += trials_to_ask * expected_epochs(rungs, {}, epochs, reduction)
        return done, max(expected, 1.0)

    def _time_left(self) -> str:
        done, total = self._progress()
        gained = done - self._epochs_at_start
        if gained <= 0:
            return "estimating time left"
        seconds = (total - done) * (time.monotonic() - self._started) / gained
        return f"about {_duration(seconds)} left"

    def _best(self) -> tuple[float, TrialProgress] | None:
        """Return the best last value of the first goal, and the complete trial that has it.

        Only the trials that have ended since the last call are looked at.
        """
        goal = self._conductor.spec.goal[0]
        roster = self._conductor.roster
        if roster is not self._roster:  # the conductor has read the ledger again
            self._roster, self._looked_at, self._best_so_far = roster, 0, None
        for trial in roster.ended[self._looked_at :]:
            value = trial.last_metrics.get(goal.metric)
            if trial.state is not TrialState.COMPLETE or value is None:
                continue
            rank = (value if goal.mode == "max" else -value, -trial.number)
            if self._best_so_far is None or rank > self._best_so_far[0]:
                self._best_so_far = (rank, (value, trial))
        self._looked_at = len(roster.ended)
        return None if self._best_so_far is None else self._best_so_far[1]

    def _headline(self) -> str:
        counts = self.counts()
        parts = [f"{counts[state]} {state.lower()}" for state in sorted(counts)]
        best = self._best()
        goal = self._conductor.spec.goal[0].metric
        if best is not None:
            value, trial = best
            parts.append(f"best {goal} {value:.4f} (trial {trial.number})")
        if self._writer.why_behind():
            parts.append(f"MLflow waits: {self._writer.why_behind()}")
        return " · ".join(parts)

    def counts(self) -> dict[str, int]:
        """Return the number of trials by state."""
        return {state.value: n for state, n in self._conductor.roster.counts.items()}

    def _line(self) -> str:
        with self._conductor.lock:
            done, total = self._progress()
            name = self._conductor.spec.name
            percent = 100 * done / total
            return f"{name}: {percent:.0f} % · {self._headline()} · {self._time_left()}"

    def _screen(self) -> Group:
        with self._conductor.lock:
            done, total = self._progress()
            head = Text(f"{self._conductor.spec.name}  ", style="bold")
            head.append(
                f"{100 * done / total:3.0f} %  {self._time_left()}  ({self._slots} at once)",
                style="not bold",
            )
            bar = Table.grid()  # without a table around it the bar ends without a line break
            bar.add_row(ProgressBar(total=total, completed=done, width=60))
            return Group(head, bar, Text(self._headline()), self._running_trials())

    def _running_trials(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for title in ("trial", "cell", "seed", "epoch", *SHOWN_METRICS):
            justify = "left" if title == "cell" else "right"
            table.add_column(title, justify=justify, no_wrap=True)
        for trial in self._conductor.roster.in_state(TrialState.RUNNING):
            metrics = trial.last_metrics
            cell = self._conductor.cells[trial.cell]
            table.add_row(
                str(trial.number),
                f"{trial.config['objective']['name']} {_parameters(cell.params)}",
                str(trial.seed),
                f"{trial.epoch}/{trial.epochs}",
                *(f"{metrics[key]:.4g}" if key in metrics else "·" for key in SHOWN_METRICS),
            )
        return table

    def say(self, message: str) -> None:
        """Print a sentence; it may hold square brackets, which rich would read as markup."""
        self._console.print(message, highlight=False, soft_wrap=True, markup=False)

    def say_stopped(self, why: str, *, finished: bool) -> None:
        """Print why the driver run stopped early, and what the same command does."""
        rest = "brings the exports up to date" if finished else "resumes the sweep"
        self.say(f"stopped: {why}. The same command {rest}.")

    def farewell(
        self, result: SweepResult, workspace: Path, export_error: str, *, stopped: bool = True
    ) -> None:
        """Print how the driver run ended and what to do next.

        Args:
            result: how it ended.
            workspace: of the sweep.
            export_error: why MLflow does not have everything.
            stopped: whether to print why it stopped early, if it did.
        """
        say = self.say
        counts = ", ".join(f"{number} {state}" for state, number in sorted(result.states.items()))
        say(f"sweep {result.name}: {counts or 'no trials'} · workspace {workspace}")
        if not result.finished and result.cells < result.cells_total:
            say(f"{result.cells} of {result.cells_total} cells have begun")
        if result.finished and result.cells < result.cells_asked:
            say(f"{result.cells} of the {result.cells_asked} cells that were asked for ran:")
            for reason in shortage_notes(self._conductor.spec, self._conductor.cell_count):
                say(f"  {reason}")
        if result.why and stopped:
            self.say_stopped(result.why, finished=result.finished)
        if result.states.get(TrialState.FAILED):
            say(
                f"`sweeps runs {result.name}` says why trials failed; "
                "`--retry-failed` tries them again"
            )
        if not result.exported:
            say(
                f"MLflow does not have everything yet: {export_error or 'it takes too long'}; "
                "the same command tries again"
            )
        if self._writer.left_out():
            say(
                f"MLflow does not take everything: {self._writer.left_out()}; the ledger has it, "
                f"and `sweeps status {result.name} --json` lists all of it"
            )


def _parameters(parameters: dict[str, Any]) -> str:
    """Return the parameters of a cell in a few words: `beta=4 learning_rate=0.001`."""
    words: list[str] = []
    for path, value in parameters.items():
        field = path.rpartition(".")[2]
        words.append(f"{field}={value:.4g}" if isinstance(value, float) else f"{field}={value}")
    return " ".join(words)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
