"""One driver run: the steps of `run_sweep` and of its threads, as events of a simulation.

The order is that of `sweeps.driver.run.run_sweep`. Ray, the live view and threads are left out: the
writer, the watchdog and the heartbeat are called from the heap.
"""

from __future__ import annotations

import io
from contextlib import ExitStack, suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from rich.console import Console

from sweeps.driver import run as run_module
from sweeps.driver import watchdog
from sweeps.driver.desk import Desk
from sweeps.driver.tune import EarlyStop
from sweeps.exports.mlflow_writer import PERIOD, MlflowWriter
from sweeps.ledger.connecting import ledger_errors
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.ownership import held_sweep
from sweeps.ledger.registration import register_sweep, require_same_revision, require_same_spec
from sweeps.spec.load import spec_from_mapping

from .executor import Executor, StoreHandle
from .faults import Killed, Process
from .product import OneTurn

if TYPE_CHECKING:
    from .scenario import Sweep
    from .world import World

BEAT = 60.0
"""Seconds between two heartbeats and two looks of the watchdog."""


NEVER_STOPPED: Any = SimpleNamespace(requested=False, is_near=lambda: False)
"""Stands for the Stopper: a simulation calls `interrupt` itself."""


class Driver(Process):
    """A driver run of a sweep."""

    def __init__(self, world: World, sweep: Sweep, machine: str) -> None:
        super().__init__(f"{sweep.name}#{sweep.driver_runs}")
        self.machine = machine
        self.world = world
        self.sweep = sweep
        self.spec = spec_from_mapping(sweep.spec_of(sweep.driver_runs))
        sweep.driver_runs += 1
        self.outcome = ""  # "ended", "interrupted", "killed", "crashed"; "" while it runs
        self.error: Exception | None = None  # that ended it
        self.desk: Desk
        self.store: StoreHandle
        self.conductor: Any = None
        self.writer: Any = None
        self.executor: Any = None
        self.silence = BEAT + sum(each.end - each.start for each in world.gate.outages)
        self.superseded = False  # another driver holds the sweep since
        self.started_at = self.ended_at = 0.0
        self._stack = ExitStack()

    # ---- the steps of run_sweep

    def start(self) -> None:
        """Do what `run_sweep` does before the first trial, and begin to ask for trials."""
        with ledger_errors("the ledger"):
            self._start()
        self.beat()
        self.watch()
        self.write(PERIOD)
        if self.conductor.finished:
            self.finish()
        else:
            self.executor.fill()
            self.finish_if_done()

    def _start(self) -> None:
        world, spec = self.world, self.spec
        ledger = Ledger.of_workspace(world.workspace, None)
        self._stack.callback(ledger.close)
        # The file lock of another machine is not seen, so each machine has a folder of its own.
        locks = world.workspace / self.machine
        self._stack.enter_context(
            held_sweep(spec.name, locks, ledger, say=lambda text: world.log(f"{self.name}: {text}"))
        )
        self.takes_over()
        require_same_spec(spec, ledger)
        register_sweep(spec, ledger, fingerprint=world.data.fingerprint)
        require_same_revision(spec, ledger, retry=False)
        console = Console(file=io.StringIO())
        self.started_at = world.clock.now
        run = run_module._begin(spec, ledger, world.data, world.files, world.workspace, console)
        self.run = run
        self.conductor = run.conductor
        self.ledger = ledger
        self.writer = MlflowWriter(
            spec.name, ledger, run.files, world.workspace, None, {"python": "3"}
        )
        self.store = StoreHandle(world.gate, world.workspace)
        slots = world.scenario.slots
        self.desk = Desk(run.conductor, run.files, slots, 0.0, set(), set(), stopper=NEVER_STOPPED)
        run.heartbeat.note(slots=slots)
        self.executor = Executor(self, spec.name, slots)

    def finish(self, why: str = "") -> None:
        """Do what `run_sweep` does after the last trial."""
        run = self.run
        run_module._clear_checkpoints(run.conductor, run.files)
        self._write_last()
        finished = run.conductor.finished
        run_module._note_outcome(run, "ended" if finished else why or "failed")
        self.close("ended" if finished else "interrupted")

    def _write_last(self) -> None:
        """Write the rest to MLflow, with the patience of a finished sweep."""
        self.writer._write_rest()

    def finish_if_done(self) -> None:
        """Finish if Tune has nothing left to do."""
        if self.executor.done and not self.outcome:
            why = self.conductor.stopping or "interrupted"
            self.finish("" if self.conductor.finished else why)

    def close(self, outcome: str) -> None:
        """Free what the kernel frees when a process ends, and note how it ended."""
        self.outcome = outcome
        self.ended_at = self.world.clock.now
        if outcome == "killed":
            self.kill()  # so that nothing is written while the kernel frees what it held
        with self.world.gate.running(self), suppress(Killed):
            self._stack.close()
        self.kill()
        self.world.driver_ended(self)

    def interrupt(self) -> None:
        """Get SIGTERM: Tune stops its actors and returns."""
        self.conductor.interrupt("interrupted")
        for actor in self.executor.actors:
            actor.kill()
        self.finish("interrupted")

    def takes_over(self) -> None:
        """Note that this driver holds the sweep now: older ones may write nothing any more."""
        for driver in self.world.drivers:
            if driver.sweep is self.sweep and driver is not self:
                driver.superseded = True

    # ---- its threads

    def beat(self) -> None:
        """Beat once, as the heartbeat's thread does, and again later."""
        self.run.heartbeat._beat(self.conductor, OneTurn())
        self.world.after(BEAT, self, self.beat)

    def watch(self) -> None:
        """Look for hanging trials once, as the watchdog does, and again later."""
        self.look()
        if EarlyStop(self.spec.name).stop_all():  # Tune asks this all the time
            for actor in self.executor.actors:
                actor.kill()
            self.finish(self.conductor.stopping or "interrupted")
        self.world.after(BEAT, self, self.watch)

    def look(self) -> None:
        """Look for hanging trials."""
        watchdog.look(self.desk, self.store)

    def write(self, pause: float) -> None:
        """Write what is new to MLflow, and again later."""
        reached = self.writer.step()
        if self.writer._stopped:
            return  # another driver has taken over, and the thread ends
        pause = PERIOD if reached else min(2 * pause, 60.0)
        delay = pause if not reached else self.world.rng.uniform(5.0, 300.0)
        self.world.after(delay, self, lambda: self.write(pause))
