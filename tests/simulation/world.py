"""One simulation: the heap of events, the clock, the services that outlive drivers."""

from __future__ import annotations

import heapq
import json
import logging
import random
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from sweeps.errors import SweepError
from sweeps.search.draw_cell import draw_cell

from . import end_invariants, invariants, training
from .clock import FakeTime
from .disturbances import Disturbances
from .driver import Driver
from .executor import TuneTrial
from .faults import Gate, Killed, Process
from .files import SimulatedFiles
from .history import History, last_event, read
from .ledger_connection import empty_ledger, simulated_connections
from .mlflow_server import Client, Server
from .product import SteppedThread, stand_ins
from .scenario import Scenario, Sweep, draw

FOLDER = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where ledgers lie: in memory if there is such a folder."""

BOUND = 6 * 3600.0
"""Seconds after the last fault in which every sweep must end."""

MOST_DRIVER_RUNS = 60
"""Driver runs in which every sweep must end: with all faults there are about five."""


class Outcome(NamedTuple):
    """What a simulation shows."""

    seed: int
    broken: list[str]  # "invariant: what is wrong"
    injected: dict[str, int]  # fault -> how often
    seconds: float  # of the fake clock
    driver_runs: int
    reports: int


class Asked(NamedTuple):
    """A request for a cell, and its answer."""

    sweep: str
    spec: Any
    turn: int
    n_layouts: int
    history: list[Any]
    drawn: Any
    last_event: int  # of the ledger when it was asked


class World:
    """A simulation of one seed."""

    def __init__(self, scenario: Scenario, *, trace: bool = False) -> None:
        self.scenario = scenario
        self.rng = random.Random(f"events {scenario.seed}")
        self.clock = FakeTime()
        self.gate = Gate(self.clock, self.rng)
        self.gate.outages = scenario.outages
        self.gate.lost_answers = dict(scenario.lost_answers)  # type: ignore[arg-type]
        self.gate.calm_from = scenario.horizon
        self.files: Any = SimulatedFiles(self.gate)
        self.first_dies_at = 0  # number of the operation at which the first driver dies
        self.first_dies_after = False
        self.histories: dict[str, History] = {}  # at the end
        self.server = Server()
        self.data: Any = training.FakeData()
        self.drivers: list[Driver] = []
        self.broken: list[str] = []
        self.suggestions: list[Asked] = []
        self.attempt_faults: dict[int, set[str]] = defaultdict(set)
        self.nodes = ["node0", "node1"]
        self.workspace: Path
        self._trace = trace
        self._heap: list[tuple[float, int, Process | None, Callable[[], None]]] = []
        self._count = 0
        self.disturbances = Disturbances(self)
        self._sleepers: list[Process] = []
        self._late: list[Any] = []
        self._given_up = False

    # ---- the heap

    def after(self, seconds: float, process: Process | None, action: Callable[[], None]) -> None:
        """Let a process do something later, unless it is dead by then."""
        self._count += 1
        heapq.heappush(self._heap, (self.clock.now + seconds, self._count, process, action))

    def run(self) -> Outcome:
        """Run everything to its end and return what was seen."""
        self.workspace = Path(tempfile.mkdtemp(prefix="simulation-", dir=FOLDER))
        try:
            with (
                _quiet(),
                mock.patch.object(tempfile, "tempdir", str(self.workspace)),
                simulated_connections(self.gate, self._on_commit),
                stand_ins(
                    self.clock,
                    self.gate,
                    files=self.files,
                    connect=lambda *_: Client(self.server, self.gate),
                    kill=lambda actor: actor.parent.executor.kill(actor, "timeout"),
                    nodes=lambda: self.nodes,
                    draw_cell=self._draw_cell,
                    on_thread=self._start_thread,
                ),
            ):
                self.clock.on_sleep = self._sleep
                self._schedule()
                self._loop()
                reports = self._check_end()
        finally:
            shutil.rmtree(self.workspace)
        return Outcome(
            self.scenario.seed,
            self.broken,
            dict(self.gate.injected),
            self.clock.now,
            len(self.drivers),
            reports,
        )

    def _loop(self) -> None:
        while self._heap and not self._given_up:
            self._next_event()

    def _next_event(self, sleeper: Process | None = None) -> None:
        """Let the next event happen; events of a process that sleeps wait until it wakes."""
        moment, count, process, action = heapq.heappop(self._heap)
        if process is not None:
            if process.dead:
                return
            frozen = process.root.frozen_until
            if frozen > moment:
                heapq.heappush(self._heap, (frozen, count, process, action))
                return
            if process.root in self._sleepers:
                self._late.append((moment, count, process, action))
                return
        if moment > self.scenario.horizon + BOUND:
            self._given_up = True
            self.break_("every_sweep_ends", f"events are left {BOUND:.0f} s after the last fault")
            return
        self.clock.advance_to(moment)
        self.do(process, action)
        self._check_event()

    def _sleep(self, seconds: float) -> None:
        """Let a process wait while the others go on."""
        process = self.gate.process
        end = self.clock.now + seconds
        if process is None or process.root in self._sleepers:
            self.clock.advance_to(end)
            return
        driver = process.root
        self._sleepers.append(driver)
        while self._heap and self._heap[0][0] <= end and not driver.dead and not self._given_up:
            self._next_event()
        self._sleepers.remove(driver)
        late, self._late = self._late, []
        for event in late:
            heapq.heappush(self._heap, event)
        self.clock.advance_to(end)
        if self._given_up:
            driver.kill()
        if driver.dead:
            raise Killed(driver.name)
        if driver.frozen_until > self.clock.now:
            self._sleep(driver.frozen_until - self.clock.now)

    def _start_thread(self, thread: SteppedThread) -> None:
        """Step a thread of the running process: the beat of its lease.

        A sign of life is read only by a driver that waits for one, so between two starts of drivers
        most of them are left out.
        """
        driver: Any = self.gate.process

        def turn() -> None:
            seen = any(not each.outcome and each.conductor is None for each in self.drivers)
            period = 5.0
            if seen or self.rng.random() < 0.05:
                period = thread.turn()
            if not driver.outcome:
                self.after(period, driver, turn)

        self.after(5.0, driver, turn)

    def next_number(self) -> int:
        """Return a number that was not returned before."""
        self._count += 1
        return self._count

    # ---- checks

    def _check_event(self) -> None:
        for driver in self.drivers:
            if not driver.outcome and driver.executor is not None:
                for problem in invariants.slots_are_never_exceeded(driver):
                    self.break_("slots_are_never_exceeded", problem)

    def check_ledger(self) -> dict[str, Any]:
        """Check every sweep of the ledger; return the histories."""
        histories = read(self.workspace / "ledger.db")
        for history in histories.values():
            specs = [d.spec for d in self.drivers if d.sweep.name == history.sweep]
            history.retries = [spec.resources.retries for spec in specs]
            for check in invariants.OF_LEDGER:
                for problem in check(history):
                    self.break_(check.__name__, f"{history.sweep}: {problem}")
        return histories

    def _check_end(self) -> int:
        self.clock.on_sleep = lambda seconds: None
        histories = self.histories = self.check_ledger()
        reports = sum(len(history.reports) for history in histories.values())
        checks = end_invariants.OF_END
        if self.scenario.seed % 3:  # it takes as long as the simulation
            checks = checks[:-1]
        for check in checks:
            for problem in check(self, histories):
                self.break_(check.__name__, problem)
        return reports

    def do(self, process: Process | None, action: Callable[[], None]) -> None:
        """Let a process do something; note if it dies of it."""
        driver = None if process is None else process.root
        try:
            with self.gate.running(process):
                action()
        except Killed:
            pass
        except Exception as error:
            if not isinstance(driver, Driver):
                raise
            self._crash(driver, error)
        if isinstance(driver, Driver) and driver.dead and not driver.outcome:
            driver.close("killed")

    def _crash(self, driver: Driver, error: Exception) -> None:
        """Let an exception end a driver: Tune ends, and `run_sweep` cleans up."""
        driver.error = error
        self.log(f"{driver.name} crashes: {type(error).__name__}: {error}")
        if not isinstance(error, SweepError):  # which ends with a message, and not a traceback
            self.break_("no_driver_crashes", f"{driver.name}: {type(error).__name__}: {error}")
            if self._trace:
                import traceback

                traceback.print_exception(error)
        driver.close("crashed")

    # ---- what happens

    def _schedule(self) -> None:
        """Put the first events into the heap."""
        for sweep in self.scenario.sweeps:
            self.after(sweep.begins, None, lambda sweep=sweep: self.start_driver(sweep))
        self.disturbances.schedule()

    def start_driver(self, sweep: Sweep, *, machine: str = "a", second: bool = False) -> None:
        """Start a driver run of a sweep, a second one only if asked."""
        lives = any(driver.sweep is sweep and not driver.outcome for driver in self.drivers)
        if lives and not second:
            return
        if len(self.drivers) >= MOST_DRIVER_RUNS:
            self._given_up = True
            self.break_("every_sweep_ends", f"there were {MOST_DRIVER_RUNS} driver runs")
            return
        driver = Driver(self, sweep, machine)
        self.log(f"{driver.name} starts")
        if (
            "driver dies at an operation" in self.scenario.faults
            and self.clock.now < self.scenario.horizon
            and self.rng.random() < 0.6
        ):
            driver.dies_at = int(self.rng.expovariate(1 / 300)) + 1
            driver.dies_after = self.rng.random() < 0.5
        if not self.drivers and self.first_dies_at:
            driver.dies_at, driver.dies_after = self.first_dies_at, self.first_dies_after
        self.drivers.append(driver)
        if not (self.workspace / "ledger.db").exists():
            self._make_ledger()
        self.do(driver, driver.start)

    def _make_ledger(self) -> None:
        (self.workspace / "ledger.db").write_bytes(empty_ledger())

    def driver_ended(self, driver: Driver) -> None:
        """Start the sweep again a while later, unless it is finished."""
        self.log(f"{driver.name} {driver.outcome} {driver.error or ''}")
        delay = self.rng.uniform(1, 200)
        budget = driver.sweep.spec.get("budget")
        why = "" if driver.conductor is None else driver.conductor.stopping or ""
        if budget is not None and "budget" in why:
            budget["hours"] *= 3  # the user raises it
        if driver.outcome == "ended":
            if not driver.writer.why_behind() or driver.started_at > self.scenario.horizon:
                return
            delay += max(0.0, self.scenario.horizon - self.clock.now)  # the user runs it again
        machine = "a"
        if "second driver" in self.scenario.faults and self.clock.now < self.scenario.horizon:
            machine = self.rng.choice("aab")
        self.after(delay, None, lambda: self.start_driver(driver.sweep, machine=machine))

    def after_report(self, driver: Driver) -> None:
        """Finish a driver whose last trial has ended, once Tune has noticed it."""
        self.after(0.1, driver, driver.finish_if_done)

    def note_fault(self, trial: TuneTrial, kind: str) -> None:
        """Remember what happens to an attempt, to compare it with the outcomes in the ledger."""
        self.attempt_faults[trial.config["attempt"]].add(kind)

    def pick_node(self) -> str:
        """Return the node on which the next actor starts."""
        return self.rng.choice(self.nodes)

    def epoch_seconds(self, trial: TuneTrial) -> float:
        """Return how long the next epoch of a trial takes."""
        del trial
        return self.scenario.epoch_seconds * self.rng.uniform(0.5, 2)

    # ---- what is seen

    def _draw_cell(self, spec: Any, layouts: Any, turn: int, history: Any, **options: Any) -> Any:
        drawn = draw_cell(spec, layouts, turn, history, **options)
        event = last_event(self.workspace / "ledger.db")
        self.suggestions.append(
            Asked(spec.name, spec, turn, len(layouts), list(history.outcomes()), drawn, event)
        )
        return drawn

    def _on_commit(self) -> None:
        """Note a commit of a driver that is not the newest of its sweep."""
        process = self.gate.process
        driver: Any = None if process is None else process.root
        if driver is not None and driver.superseded and driver.outcome != "ended":
            self.break_("an_older_driver_writes_nothing", f"{driver.name} commits")

    def break_(self, invariant: str, problem: str) -> None:
        """Note that an invariant is broken."""
        self.log(f"BROKEN {invariant}: {problem}")
        if len(self.broken) < 20:
            self.broken.append(f"{invariant}: {problem}")

    def log(self, message: str) -> None:
        """Print what happens, if asked to."""
        if self._trace:
            print(f"{self.clock.now:12.3f}  {message}")


def simulate(seed: int, *, trace: bool = False) -> Outcome:
    """Return what the simulation of a seed shows."""
    world = World(draw(seed), trace=trace)
    if trace:
        scenario = world.scenario
        print(json.dumps({"faults": sorted(scenario.faults), "slots": scenario.slots}))
    return world.run()


@contextmanager
def _quiet() -> Iterator[None]:
    """Show no warnings: product code warns of every fault."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)
