"""A progress bar on stderr for work of more than two seconds; nothing if stderr is no terminal."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from metrics import progress

DELAY = 2.0
"""Seconds after which the bar appears."""


class Bar:
    """Two lines: how many of `total` steps are done, and how far the current step is.

    Use `showing` to make one.
    """

    def __init__(self, total: int, console: Console) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        self._progress = Progress(*columns, console=console, transient=True)
        self._all_steps = self._progress.add_task("", total=total)
        self._current_step = self._progress.add_task("", total=None, visible=False)
        self._lock = threading.Lock()
        self._stopped = False

    def step(self, what: str) -> None:
        """Show the name of the step that starts now."""
        self._progress.update(self._all_steps, description=what)
        self._progress.update(self._current_step, visible=False)

    def done(self) -> None:
        """Count one step as done."""
        self._progress.advance(self._all_steps)

    def listen(self, what: str, done: int, total: int) -> None:
        """Show how far a loop inside the current step is; see `metrics.progress`."""
        self._progress.update(
            self._current_step, description=what, completed=done, total=total, visible=total > 1
        )

    def start(self) -> None:
        """Show the bar, unless `stop` was called before."""
        with self._lock:
            if not self._stopped:
                self._progress.start()

    def stop(self) -> None:
        """Remove the bar; it does not appear again."""
        with self._lock:
            self._stopped = True
            self._progress.stop()


@contextmanager
def showing(total: int, *, console: Console | None = None) -> Iterator[Bar]:
    """Show the progress of the metrics scored in the block.

    The bar appears only on a terminal, and only after the block has taken `DELAY` seconds.

    Args:
        total: number of steps.
        console: where the bar appears; None: stderr.
    """
    console = console or Console(stderr=True)
    bar = Bar(total, console)
    timer = threading.Timer(DELAY, bar.start)
    timer.daemon = True
    if console.is_terminal:
        timer.start()
    try:
        with progress.listening(bar.listen):
            yield bar
    finally:
        timer.cancel()
        if console.is_terminal:
            bar.stop()
