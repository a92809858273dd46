"""A progress bar on stderr for what takes more than two seconds, and nothing at all where nobody looks."""

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
    """How many of `total` steps are done, and how far the step in hand is; use `showing`."""

    def __init__(self, total: int, console: Console) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        self._progress = Progress(*columns, console=console, transient=True)
        self._all = self._progress.add_task("", total=total)
        self._within = self._progress.add_task("", total=None, visible=False)
        self._lock = threading.Lock()
        self._over = False

    def step(self, what: str) -> None:
        """Say which step comes next."""
        self._progress.update(self._all, description=what)
        self._progress.update(self._within, visible=False)

    def done(self) -> None:
        """Count a step."""
        self._progress.advance(self._all)

    def listen(self, what: str, done: int, total: int) -> None:
        """Show how far a loop inside the step is; see `metrics.progress`."""
        self._progress.update(
            self._within, description=what, completed=done, total=total, visible=total > 1
        )

    def start(self) -> None:
        """Appear, unless all is over."""
        with self._lock:
            if not self._over:
                self._progress.start()

    def stop(self) -> None:
        """Vanish for good."""
        with self._lock:
            self._over = True
            self._progress.stop()


@contextmanager
def showing(total: int, *, console: Console | None = None) -> Iterator[Bar]:
    """Show the progress of the metrics scored in the block, on a terminal, once it has taken `DELAY` seconds."""
    console = console or Console(stderr=True)
    shown = Bar(total, console)
    timer = threading.Timer(DELAY, shown.start)
    timer.daemon = True
    if console.is_terminal:
        timer.start()
    try:
        with progress.listening(shown.listen):
            yield shown
    finally:
        timer.cancel()
        if console.is_terminal:
            shown.stop()
