"""Stands for Ray Tune and its actors in one driver: asks the searcher, runs actors, hands results
to the scheduler, in the order of Tune's controller.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from sweeps.driver.trial_actor import TrialActor
from sweeps.driver.tune import CellScheduler, CellSearcher
from sweeps.storage.store_actor import Store
from vae_core.config import TrialConfig

from .faults import Gate, Process

if TYPE_CHECKING:
    from .driver import Driver


class StoreHandle:
    """The handle of the store actor: `handle.method.remote(…)` calls it at once."""

    def __init__(self, gate: Gate, workspace: Any) -> None:
        self._gate = gate
        self._workspace = workspace
        self.restart()

    def restart(self) -> None:
        """Let Ray start the store's process anew; what it held in memory is lost."""
        self._store = Store(self._workspace, None)

    def __getattr__(self, method: str) -> Any:
        def remote(*arguments: Any) -> Any:
            return self._gate.operation("call", lambda: getattr(self._store, method)(*arguments))

        return SimpleNamespace(remote=remote)


class Actor(Process):
    """The process of a trial actor."""

    def __init__(self, name: str, driver: Driver, node: str) -> None:
        super().__init__(name, driver)
        self.node = node
        self.trainable: Any = None
        self.trial: TuneTrial | None = None
        self.hangs = False


class TuneTrial:
    """What Tune calls a trial: one attempt of one of ours."""

    def __init__(self, trial_id: str, config: dict[str, Any]) -> None:
        self.trial_id = trial_id
        self.config = config
        self.error_file: str | None = None
        self.over = False  # for Tune


class Executor:
    """Runs the attempts of one driver."""

    def __init__(self, driver: Driver, name: str, slots: int) -> None:
        self._driver = driver
        self._world = driver.world
        self._searcher = CellSearcher(name)
        self._scheduler = CellScheduler(name)
        self._slots = slots
        self._searching = True
        self._count = 0
        self.actors: list[Actor] = []
        self.trials: list[TuneTrial] = []  # those that are not over

    @property
    def done(self) -> bool:
        """Whether nothing runs and nothing will come."""
        return not self._searching and not self.trials

    # ---- begin attempts

    def fill(self) -> None:
        """Ask for attempts while there are free slots, as Tune does after every event."""
        while self._searching and len(self.trials) < self._slots:
            trial_id = f"{self._driver.name}-{self._count}"
            config = self._searcher.suggest(trial_id)
            if config is None:
                break
            if config == Searcher.FINISHED:
                self._searching = False
                break
            self._count += 1
            trial = TuneTrial(trial_id, config)
            self.trials.append(trial)
            self._begin(trial)

    def _begin(self, trial: TuneTrial) -> None:
        world = self._world
        idle = [actor for actor in self.actors if not actor.dead and actor.trial is None]
        if idle:
            actor = idle[0]
        else:
            actor = Actor(f"{trial.trial_id}-actor", self._driver, world.pick_node())
            self.actors.append(actor)
        actor.trial = trial
        actor.hangs = False
        delay = 0.1 if idle else world.rng.uniform(1, 5)
        world.after(delay, actor, lambda: self._set_up(actor, trial))

    def _set_up(self, actor: Actor, trial: TuneTrial) -> None:
        if actor.trainable is None:
            made = TrialActor.__new__(TrialActor)
            made.setup(trial.config, self._world.data, None, self._driver.store)
            actor.trainable = made
        else:
            actor.trainable.reset_config(trial.config)
        self._schedule_step(actor, trial, fresh=True)

    def _schedule_step(self, actor: Actor, trial: TuneTrial, *, fresh: bool = False) -> None:
        world = self._world
        if fresh:
            # The watchdog looks every second; here it looks often enough to see every attempt.
            world.after(1.0, self._driver, self._driver.look)
        else:
            actor.trainable._enlist()  # `step` begins with it, and takes the whole epoch
        world.after(world.epoch_seconds(trial), actor, lambda: self._step(actor, trial))

    # ---- one epoch

    def _step(self, actor: Actor, trial: TuneTrial) -> None:
        if actor.trial is not trial or trial.over:
            return
        world = self._world
        fault = world.disturbances.fault_of_step()
        if fault == "trial dies" and world.rng.random() < 0.5:
            self.kill(actor)
            return
        if fault == "trial hangs":
            actor.hangs = True
            world.note_fault(trial, "timeout")
            if world.rng.random() < 0.5:
                return  # before the epoch is trained
        with world.disturbances.exception_in_training(fault == "trial raises"):
            result = actor.trainable.step()
        if fault == "trial raises":
            world.note_fault(trial, "error")
        if fault == "trial dies":
            self.kill(actor)  # its checkpoint is saved, its report is lost
        elif fault == "trial hangs":
            actor.held_result = result  # type: ignore[attr-defined]
        else:
            delay = world.rng.uniform(0.01, 1.0)
            driver = self._driver
            world.after(delay, driver, lambda: self.deliver(actor, trial, result))
            if fault == "report repeated":
                world.after(
                    delay, driver, lambda: self.deliver(actor, trial, result, repeated=True)
                )

    def deliver(
        self, actor: Actor, trial: TuneTrial, result: dict[str, Any], repeated: bool = False
    ) -> None:
        """Hand a result to the scheduler, in the driver."""
        if trial.over and not repeated:
            return
        decision = self._scheduler.on_trial_result(None, trial, dict(result))
        self._world.after_report(self._driver)
        if repeated or trial.over:
            return
        if decision == TrialScheduler.STOP:
            self._over(trial)
            self._searcher.on_trial_complete(trial.trial_id, result)
            if actor.trial is trial:
                actor.trial = None
        elif not actor.dead:
            with self._world.gate.running(actor):
                self._schedule_step(actor, trial)
        self.fill()

    # ---- deaths

    def kill(self, actor: Actor, kind: str = "lost") -> None:
        """End the process of an actor; Tune notices it a moment later."""
        if actor.dead:
            return
        actor.kill()
        trial = actor.trial
        self._world.disturbances.may_arrive_late(self._driver, actor)
        if trial is not None and not trial.over:
            self._world.note_fault(trial, kind)
            self._world.disturbances.may_damage(TrialConfig.from_dict(trial.config["config"]).hash)
            if kind == "node":  # what Ray writes into the error of the actor
                trial.error_file = str(self._world.workspace / f"{trial.trial_id}-error.txt")
                Path(trial.error_file).write_text("The actor died because its node has died.")
            delay = self._world.rng.uniform(0.1, 5.0)
            self._world.after(delay, self._driver, lambda: self._on_death(actor, trial))

    def _on_death(self, actor: Actor, trial: TuneTrial) -> None:
        if trial.over:
            return
        self._over(trial)
        self._scheduler.on_trial_error(None, trial)
        self._searcher.on_trial_complete(trial.trial_id, error=True)
        held = getattr(actor, "held_result", None)
        if held is not None and "report late" in self._world.scenario.faults:
            self._world.gate.injected["report late"] += 1
            delay = self._world.rng.uniform(0.0, 60.0)
            self._world.after(
                delay, self._driver, lambda: self.deliver(actor, trial, held, repeated=True)
            )
        self.fill()
        self._world.after_report(self._driver)

    def node_dies(self, node: str) -> None:
        """End all actors of a node at once."""
        for actor in self.actors:
            if actor.node == node:
                self.kill(actor, "node")

    def _over(self, trial: TuneTrial) -> None:
        trial.over = True
        self.trials.remove(trial)
