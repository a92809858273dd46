"""Faults of a simulation: processes that die, and operations that fail before or after they act.

Every commit, file operation, call of MLflow and call between processes passes `Gate.operation`. The
gate counts it, and lets it fail, apply it and lose the answer, or kill the process.
"""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple, TypeVar

from .clock import FakeTime

Result = TypeVar("Result")
Kind = Literal[
    "commit",
    "read",
    "write",
    "file write",
    "file read",
    "file delete",
    "rename",
    "fsync",
    "mlflow",
    "call",
]
Target = Literal["ledger", "mlflow", "files"]
Mode = Literal["away", "locked", "full", "slow", "lost answer"]


class Killed(BaseException):
    """A process of the simulation died. It is no Exception, so product code cannot catch it."""


class Process:
    """A process of the simulation: a driver, or the actor that trains a trial."""

    def __init__(self, name: str, parent: Process | None = None) -> None:
        self.name = name
        self.parent = parent  # dies with it
        self.operations = 0
        self.dies_at = 0  # number of the operation at which it dies; 0 is never
        self.dies_after = False  # whether that operation is applied first
        self._dead = False
        self.machine = "a"
        self.frozen_until = 0.0  # a process that was stopped, or whose machine sleeps
        self.cut_off_until = 0.0  # its network to the ledger is cut

    @property
    def root(self) -> Process:
        """The driver that the process belongs to."""
        return self if self.parent is None else self.parent

    @property
    def dead(self) -> bool:
        """Whether this process, or the one that it belongs to, is gone."""
        return self._dead or (self.parent is not None and self.parent.dead)

    def kill(self) -> None:
        """End the process at once: nothing of it runs any more."""
        self._dead = True


class Outage(NamedTuple):
    """A period in which a service fails."""

    target: Target
    mode: Mode
    start: float
    end: float


TARGETS: dict[str, Target] = {
    "commit": "ledger",
    "read": "ledger",
    "write": "ledger",
    "file write": "files",
    "file read": "files",
    "file delete": "files",
    "mlflow": "mlflow",
}


class Gate:
    """Decides about every operation whether it works."""

    def __init__(self, clock: FakeTime, rng: random.Random) -> None:
        self.clock = clock
        self.rng = rng
        self.process: Process | None = None  # that runs now; None is the simulation itself
        self.outages: list[Outage] = []
        self.lost_answers: dict[Target, float] = {}  # share of operations whose answer is lost
        self.calm_from = float("inf")  # no fault from this moment on
        self.counted: frozenset[str] | None = None  # kinds at which a driver may die; None is all
        self.injected: Counter[str] = Counter()
        self.on_operation: Callable[[Process, str], None] = lambda process, kind: None

    @contextmanager
    def running(self, process: Process | None) -> Iterator[None]:
        """Let the block be code of a process."""
        previous, self.process = self.process, process
        try:
            yield
        finally:
            self.process = previous

    def operation(self, kind: Kind, apply: Callable[[], Result]) -> Result:
        """Apply an operation of the running process, or fail as the faults say.

        Raises:
            Killed: the process is dead, or dies now.
            Exception: the service is away, or its answer is lost.
        """
        process = self.process
        if process is None:
            return apply()
        if process.dead:
            raise Killed(process.name)
        self.on_operation(process, kind)
        driver = process.root
        counts = self.counted is None or kind in self.counted
        driver.operations += counts
        dies = counts and driver.operations == driver.dies_at
        if dies and not driver.dies_after:
            self._kill(driver, f"before {kind}")
        target = TARGETS.get(kind)
        if target is not None:
            self._fail_in_outage(kind, target)
        if target == "ledger" and self.clock.now < driver.cut_off_until:
            self.injected["ledger: network cut"] += 1
            raise _error(target, "away")
        result = apply()
        if dies:
            self._kill(driver, f"after {kind}")
        share = 0.0 if target is None else self.lost_answers.get(target, 0.0)
        may_be_lost = kind != "read" and self.clock.now < self.calm_from
        if share and may_be_lost and self.rng.random() < share:
            self.injected[f"{target}: answer lost"] += 1
            raise _error(target, "lost answer")
        return result

    def _kill(self, process: Process, when: str) -> None:
        self.injected[f"driver dies {when}"] += 1
        process.kill()
        raise Killed(process.name)

    def _fail_in_outage(self, kind: Kind, target: Target) -> None:
        for outage in self.outages:
            if outage.target != target or not outage.start <= self.clock.now < outage.end:
                continue
            reads = kind in ("read", "file read")
            if reads and outage.mode in ("locked", "full"):
                continue
            if kind == "file delete" and outage.mode == "full":
                continue
            if outage.mode == "slow":
                self.clock.now += self.rng.uniform(0.1, 3.0)
                continue
            self.injected[f"{target}: {outage.mode}"] += 1
            raise _error(target, outage.mode)


def _error(target: str | None, mode: Mode) -> Exception:
    """Return the exception that a client of the service raises."""
    if target == "ledger":
        texts = {
            "locked": "database is locked",
            "full": "database or disk is full",
            "away": "unable to open database file",
            "lost answer": "disk I/O error",
        }
        return sqlite3.OperationalError(texts.get(mode, mode))
    if target == "mlflow":
        from mlflow.exceptions import MlflowException

        return MlflowException(f"API request failed with error code 500: {mode}")
    if mode == "full":
        return OSError(28, "No space left on device")
    return TimeoutError(f"the file store did not answer: {mode}")
