"""Faults that strike at a time: deaths of drivers, nodes and stores, damaged files, clock jumps."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from sweeps.driver import trial_actor
from vae_core import checkpoint
from vae_core.errors import Diverged

from .executor import Actor

if TYPE_CHECKING:
    from .driver import Driver
    from .world import World


class Disturbances:
    """Lets the faults of a scenario happen."""

    def __init__(self, world: World) -> None:
        self._world = world

    def schedule(self) -> None:
        """Put the faults of the scenario into the heap."""
        scenario, rng = self._world.scenario, self._world.rng

        def some(fault: str, most: int, action: Callable[[], None]) -> None:
            if fault in scenario.faults:
                for _ in range(rng.randint(1, most)):
                    self._world.after(rng.uniform(0, scenario.horizon), None, action)

        some("driver dies at a time", 3, self._kill_driver)
        some("driver gets SIGTERM", 2, self._interrupt_driver)
        some("node dies", 2, self._kill_node)
        some("store dies", 2, self._kill_store)
        some("checkpoint damaged", 4, self._damage_checkpoint)
        some("clock jumps", 2, self._jump)
        some("MLflow refuses a run", 1, self._refuse_run)
        some("second driver", 2, self._start_second)
        some("driver freezes", 2, self._freeze_driver)
        some("driver cut off", 2, self._cut_driver_off)

    def fault_of_step(self) -> str:
        """Return what happens at an epoch; "" for nothing."""
        scenario = self._world.scenario
        if self._world.clock.now > scenario.horizon or self._world.rng.random() > scenario.rate:
            return ""
        kinds = ("trial dies", "trial hangs", "trial raises", "report repeated")
        enabled = [kind for kind in kinds if kind in scenario.faults]
        if not enabled:
            return ""
        fault = self._world.rng.choice(enabled)
        self._world.gate.injected[fault] += 1
        return fault

    @contextmanager
    def exception_in_training(self, raises: bool) -> Iterator[None]:
        """Let the training of the block raise, if asked: another error each time."""
        if not raises:
            yield
            return
        message = f"out of memory at {self._world.clock.now:.3f}"

        def check(_guard: Any) -> None:
            raise RuntimeError(message)

        original = trial_actor.DataGuard.check
        trial_actor.DataGuard.check = check  # type: ignore[method-assign]
        try:
            yield
        finally:
            trial_actor.DataGuard.check = original  # type: ignore[method-assign]

    def _living(self) -> Driver | None:
        """Return a driver that runs trials."""
        alive = [d for d in self._world.drivers if not d.outcome and d.executor is not None]
        return self._world.rng.choice(alive) if alive else None

    def _kill_driver(self) -> None:
        driver = self._living()
        if driver is not None:
            self._world.gate.injected["driver dies at a time"] += 1
            driver.kill()
            driver.close("killed")

    def _interrupt_driver(self) -> None:
        driver = self._living()
        if driver is not None:
            self._world.gate.injected["driver gets SIGTERM"] += 1
            self._world.do(driver, driver.interrupt)

    def _start_second(self) -> None:
        driver = self._living()
        if driver is not None:
            self._world.gate.injected["second driver"] += 1
            machine = self._world.rng.choice("ab")
            self._world.start_driver(driver.sweep, machine=machine, second=True)

    def _freeze_driver(self) -> None:
        """Stop a driver for a while, as when its machine sleeps; another one may take over."""
        driver = self._living()
        if driver is not None:
            self._world.gate.injected["driver freezes"] += 1
            seconds = self._world.rng.uniform(10, 300)
            driver.frozen_until = self._world.clock.now + seconds
            driver.silence += seconds
            self._take_over_later(driver)

    def _cut_driver_off(self) -> None:
        """Cut the network between a driver and the ledger; another one may take over."""
        driver = self._living()
        if driver is not None:
            self._world.gate.injected["driver cut off"] += 1
            seconds = self._world.rng.uniform(10, 300)
            driver.cut_off_until = self._world.clock.now + seconds
            driver.silence += seconds
            self._take_over_later(driver)

    def _take_over_later(self, driver: Driver) -> None:
        if self._world.rng.random() < 0.7:
            sweep, delay = driver.sweep, self._world.rng.uniform(0, 60)

            def start() -> None:
                self._world.start_driver(sweep, machine="b", second=True)

            self._world.after(delay, None, start)

    def may_arrive_late(self, driver: Driver, actor: Actor) -> None:
        """Let a checkpoint that a dead actor had sent reach the store much later."""
        if "checkpoint late" not in self._world.scenario.faults or self._world.rng.random() < 0.5:
            return
        trainable = actor.trainable
        epochs = getattr(trainable, "_epochs", None)
        if epochs is None:
            return
        config = trainable._config
        try:
            report = next(epochs)
        except (StopIteration, ValueError, Diverged):
            return
        if report.final is not None:  # its artifacts would be sent before, and waited for
            return
        blob = checkpoint.dumps(config, report, report.state)
        self._world.gate.injected["checkpoint late"] += 1

        def arrive() -> None:
            with suppress(OSError, TimeoutError):  # nobody waits for the answer
                driver.store.save_checkpoint.remote(config.hash, report.epoch, blob)

        self._world.after(self._world.rng.uniform(1, 300), driver, arrive)

    def _kill_node(self) -> None:
        driver = self._living()
        if driver is not None:
            self._world.gate.injected["node dies"] += 1
            node = self._world.rng.choice(self._world.nodes)
            self._world.nodes[self._world.nodes.index(node)] = f"node{self._world.next_number()}"
            with self._world.gate.running(driver):
                driver.executor.node_dies(node)

    def _kill_store(self) -> None:
        driver = self._living()
        if driver is not None:
            self._world.gate.injected["store dies"] += 1
            driver.store.restart()

    def _damage_checkpoint(self) -> None:
        """Damage any checkpoint."""
        paths = self._checkpoints()
        if paths:
            self._damage(*self._world.rng.choice(paths))

    def may_damage(self, trial_hash: str) -> None:
        """Damage the newest checkpoint of a trial whose process has died: it resumes from there."""
        if "checkpoint damaged" not in self._world.scenario.faults:
            return
        paths = [path for path in self._checkpoints() if f"/{trial_hash}/" in path[0]]
        if paths and self._world.rng.random() < 0.5:
            self._damage(*max(paths))

    def _checkpoints(self) -> list[tuple[str, str]]:
        """Return folder and name of every checkpoint."""
        folders = self._world.files.folders
        return [
            (folder, name)
            for folder in folders
            if folder.endswith("/checkpoints")
            for name in folders[folder]
        ]

    def _damage(self, folder: str, name: str) -> None:
        """Change a checkpoint: with a wrong checksum, or with a right one and another content."""
        world = self._world
        blob = world.files.folders[folder][name]
        kind = world.rng.choice(["checksum wrong", "unreadable", "empty", "of another trial"])
        world.gate.injected[f"checkpoint damaged: {kind}"] += 1
        if kind == "checksum wrong":
            blob = blob[:50] + b"damage" + blob[56:]
        elif kind == "unreadable":
            blob = hashlib.sha256(blob[40:]).digest() + blob[40:]
        elif kind == "empty":
            blob = b""
        else:
            folder_of, name_of = world.rng.choice(self._checkpoints())
            blob = world.files.folders[folder_of][name_of]
        world.files.folders[folder][name] = blob

    def _refuse_run(self) -> None:
        """Let MLflow refuse everything of one run, for good."""
        ids = [run.run_id for run in self._world.server.runs.values() if "sweep.trial" in run.tags]
        if ids:
            self._world.gate.injected["MLflow refuses a run"] += 1
            self._world.server.forbidden_runs = {self._world.rng.choice(ids)}

    def _jump(self) -> None:
        self._world.gate.injected["clock jumps"] += 1
        self._world.clock.offset += self._world.rng.choice([-3600.0, -60.0, 30.0, 3600.0])
