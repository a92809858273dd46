"""Stops a driver run early: on a signal, or because Ray is gone.

The main thread cannot do it. Ray's client waits in C++ for a cluster that died, and aborts this
process after a minute; Ray and Tune also install signal handlers of their own. So the signals are
blocked in every thread, no handler ever runs, and a thread of its own waits for them.

This module imports hardly anything: it works before anything large is imported.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from sweeps.driver.signal_threads import blocked_signals, handled_signals

SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU")
    if hasattr(signal, name)
)
"""Signals that ask a process to end. Schedulers send one of the last three before a limit."""

DEADLINE = 8.0
"""Seconds after which the process ends, whatever is left to do: `docker stop` waits for ten."""

CHILDREN_DEADLINE = 0.8
"""Seconds to end the processes of Ray."""

ONE_KEY = 0.5
"""Seconds in which a second SIGINT is the same Ctrl-C: launchers pass it on once more."""


class Stopper:
    """Ends a driver run early, in threads of its own.

    The run replaces `close` as it goes on; it says what must be done before the end.
    """

    def __init__(self, *, ends_process: bool) -> None:
        """Take whether this process is only the driver (`sweeps run`).

        Then the process ends here, with exit code 1. Else, in a program that calls `sweeps.run`,
        the main thread returns from there as soon as Ray lets it; only a signal that asks the
        process to end (not Ctrl-C) has a deadline.
        """
        self.ends_process = ends_process
        self.why = ""
        self.close: Callable[[str], None] = say_nothing_ran
        self.end_children: Callable[[], object] = _nothing
        self.freeze_children: Callable[[], object] = _nothing
        self.scratch: str | None = None  # folder of Tune that must not stay behind
        self.show: Callable[[Any], None] = _nothing  # shows the result of a run that ended here
        self._lock = threading.Lock()
        self._requested = threading.Event()
        self._since = 0.0
        self._first_key: float | None = None  # when the main thread of a program saw a Ctrl-C
        self._over = False  # whether the main thread has done everything

    # ---- what the run asks

    @property
    def requested(self) -> bool:
        """Whether the run must stop."""
        return self._requested.is_set()

    def is_near(self, seconds: float = 0.7) -> bool:
        """Return whether the run must stop, also if that is known only in a moment.

        A signal to the whole process group, or a Ray that dies, first shows as an error of a trial.
        """
        return self._requested.wait(seconds)

    def hold(self) -> None:
        """Wait for the end of the process if it has begun: what follows is not for this thread."""
        if self.ends_process and self.requested:
            threading.Event().wait()

    def over(self) -> None:
        """Say that everything is done; a later signal ends the process at once."""
        with self._lock:
            if not (self.ends_process and self.requested):
                self._over = True
        self.hold()

    # ---- signals

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals while the block runs.

        Signals that are ignored (`nohup`) or that this program handles itself are left alone. In
        another thread than the main one all are left alone.
        """
        default = (signal.SIG_DFL, signal.default_int_handler)
        taken = {number for number in SIGNALS if signal.getsignal(number) in default}
        if threading.current_thread() is not threading.main_thread() or not taken:
            yield
        elif self.ends_process:
            with blocked_signals(taken, self._signal):
                yield
        else:
            # Threads of this program may take a signal, so blocking it here would not be enough.
            with handled_signals(taken, self._handle, self._signal):
                yield

    def _signal(self, number: signal.Signals) -> None:
        """Stop the run; a second Ctrl-C does not wait. Called in a thread of its own."""
        is_key = number is signal.SIGINT
        if not self.requested:
            self.request(f"{number.name} (Ctrl-C)" if is_key else number.name, deadline=not is_key)
        elif self.ends_process and is_key and time.monotonic() - self._since > ONE_KEY:
            self._leave()

    def _handle(self, number: int, _frame: object) -> None:
        """Raise KeyboardInterrupt at a second Ctrl-C. Called in the main thread of a program."""
        if number != signal.SIGINT:
            return
        if self._first_key is None:
            self._first_key = time.monotonic()
        elif time.monotonic() - self._first_key > ONE_KEY:
            raise KeyboardInterrupt

    # ---- the end

    def request(self, why: str, *, deadline: bool = True) -> None:
        """Stop the run; a second request changes nothing.

        Args:
            why: for the user.
            deadline: whether the process ends after `DEADLINE` if the main thread does not return.
        """
        with self._lock:
            if self.requested:
                return
            self.why = why
            self._since = time.monotonic()
            self._requested.set()
        if self._over and self.ends_process:
            self._leave()
        if self.ends_process or deadline:
            threading.Thread(target=self._force, name="deadline", daemon=True).start()
        threading.Thread(target=self._stop, name="stopper", daemon=True).start()

    def _stop(self) -> None:
        if self.ends_process:
            # Ray's client ends this process, in C++, soon after the node process has ended. If that
            # has got the signal too, it must not end before the ledger is closed.
            self.freeze_children()
            logging.disable(logging.CRITICAL)  # Tune reports at length what it loses now
        try:
            self.close(self.why)
        finally:
            if self.ends_process:
                self._leave()

    def _force(self) -> None:
        time.sleep(DEADLINE)
        if not self._over:
            self._leave()

    def _leave(self) -> None:
        """End this process and Ray's. Exit handlers do not run: those of Ray may wait for ever."""
        bounded(self.end_children, CHILDREN_DEADLINE)
        if self.scratch is not None:
            shutil.rmtree(self.scratch, ignore_errors=True)
        os._exit(1)


def bounded(action: Callable[[], object], seconds: float) -> bool:
    """Run an action in a thread; return whether it succeeded in time. It may go on for longer."""
    succeeded = threading.Event()

    def run() -> None:
        with contextlib.suppress(Exception):
            action()
            succeeded.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    return succeeded.is_set()


def say_nothing_ran(why: str) -> None:
    """Print that a run was stopped before a trial ran."""
    with contextlib.suppress(OSError, ValueError):  # the terminal may be gone
        if sys.stderr.isatty():
            sys.stderr.write("\x1b[?25h\r\x1b[K")  # show the cursor that a progress bar has hidden
        sys.stderr.write(
            f"stopped by {why} before a trial ran. The same command starts or resumes the sweep.\n"
        )
        sys.stderr.flush()


def _nothing(*_: object) -> None:
    """Do nothing."""


process_stopper: list[Stopper] = []
"""The stopper of this process: one if this process is `sweeps run`, else none."""
