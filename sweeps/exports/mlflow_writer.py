"""Exports the ledger to MLflow, in one writer thread of the driver.

It writes in batches, with the times of the ledger. Writing again changes nothing: a run is found by
its id or its tags before one is created, and MLflow keeps one of several equal points (run, key,
value, time, step). A tracking server that is away stops no training: what it lacks waits in the
ledger. A run that is deleted, or that MLflow refuses, does not keep the other runs from being
written. What MLflow never takes is left out, and the ledger notes it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from sweeps.errors import SweepError
from sweeps.exports import left_out, mlflow_client
from sweeps.exports.mlflow_errors import cause, described, has_no_answer, is_lasting
from sweeps.exports.mlflow_exporter import Exporter, ExportStoppedError
from sweeps.exports.patience import EXPORT_PATIENCE, Patience, wait_for
from sweeps.ledger.ledger import Ledger
from sweeps.storage.files import AbstractFiles
from sweeps.urls import redacted

__all__ = ["EXPORT_PATIENCE", "MlflowWriter"]

log = logging.getLogger(__name__)

PERIOD = 1.0
"""Seconds between two passes while MLflow answers."""

LONGEST_PAUSE = 60.0
"""Longest pause in seconds between two passes while the server is away."""

LAST_TRIES = 10.0
"""Seconds in which a finished sweep tries again to reach a server that is away."""


class MlflowWriter(threading.Thread):
    """Writes to MLflow what is new in the ledger, until `finish()`."""

    def __init__(
        self,
        name: str,
        ledger: Ledger,
        files: AbstractFiles,
        workspace: Path,
        uri: str | None,
        tags: Mapping[str, str],
    ) -> None:
        super().__init__(name="mlflow-writer", daemon=True)
        self.exporter = Exporter(name, ledger, files, workspace, uri, tags)
        self._uri = uri
        self._is_local = mlflow_client.is_local(uri)
        self._finish = threading.Event()
        self._stopped = False  # whether this driver may write no more
        self._unanswered = False  # whether the last pass failed because of no answer
        self._lasting = False  # whether another pass would fail as the last one did
        self.error: str | None = None  # why the last pass failed as a whole

    def run(self) -> None:
        """Write what is new once a second; pause longer and longer while the server is away."""
        pause = PERIOD
        while not self._finish.is_set():
            pause = PERIOD if self.step() else min(2 * pause, LONGEST_PAUSE)
            if self._stopped:
                return
            self._finish.wait(pause)
        self._write_rest()

    def _write_rest(self) -> None:
        """Write what is left. Try again, for a short time, if MLflow is away."""
        began = time.monotonic()
        pause = 0.0  # at first: the experiment may have been deleted meanwhile
        tries = 0
        while not self.step(last=True) and not self._stopped:
            tries += 1
            is_late = time.monotonic() + pause - began > LAST_TRIES or self.exporter.is_late
            is_second = tries > 1 or self._unanswered
            if is_second and (is_late or self._lasting):
                return
            time.sleep(pause)
            pause = 2 * pause or PERIOD

    def finish(self, timeout: float) -> bool:
        """Write the rest; return whether MLflow has everything that it takes.

        It returns within `timeout`, also if a call to MLflow has no answer; the thread then ends
        before it writes another run. Of a server it waits no longer than `SILENCE` for one answer.

        Args:
            timeout: seconds.
        """
        self.exporter.deadline = time.monotonic() + timeout
        self._finish.set()
        if self.ident is None:  # never started
            return self.step(last=True) and not self.why_behind()
        patience = Patience() if self._is_local else self.exporter.patience
        if not wait_for(self, patience, timeout):
            self.exporter.deadline = time.monotonic()
            return False
        return not self.why_behind()

    def why_behind(self) -> str:
        """Return what MLflow does not have yet and why; "" if nothing is known to be missing.

        What MLflow never takes is not part of it.
        """
        problem = self.error
        if problem is None:
            problem = left_out.first_texts(run.problem for run in self.exporter.runs)
        return redacted(problem, self._uri)

    def left_out(self) -> str:
        """Return what MLflow never takes and why; "" if it takes everything."""
        text = left_out.first_texts(run.omission for run in self.exporter.runs)
        return redacted(text, self._uri)

    # ---- one pass

    def step(self, *, last: bool = False) -> bool:
        """Write what is new, once, in the calling thread; return whether MLflow could be reached.

        The writer's thread calls it again and again. A writer without a thread is stepped instead.

        Args:
            last: whether the sweep is over: also close the runs of trials that have not ended.
        """
        try:
            self.exporter.write_new(last=last)
            self.error = None
        except Exception as error:  # an error of the server must not stop the sweep
            self.error = described(error)
            if isinstance(error, ExportStoppedError):
                self.error = cause(error)
            self._stopped = isinstance(error, SweepError)  # another driver has taken over
            origin = error.__cause__ if isinstance(error, ExportStoppedError) else error
            self._lasting = isinstance(origin, Exception) and is_lasting(origin)
            self._unanswered = isinstance(origin, Exception) and has_no_answer(origin)
            self.exporter.forget_runs()
            log.debug("MLflow export failed", exc_info=True)
        return self.error is None
