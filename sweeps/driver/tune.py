"""Ray Tune as the executor: thin stand-ins for a searcher and a scheduler that ask the conductor.

Tune pickles both when its Tuner is constructed, so they hold only the name under which the live desk is found.
A Tune trial is one stretch of one of our trials: from a checkpoint until a rung, an end or a death.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import ray
from ray import tune
from ray.exceptions import RayError
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from sweeps.driver.conductor import Conductor
from sweeps.driver.trial_actor import TrialActor
from sweeps.ledger.states import TrialState
from sweeps.spec.yaml_writer import dump
from sweeps.storage.files import AbstractFiles
from sweeps.storage.workspace import TrialPaths
from vae_core.types import Data


class Desk(NamedTuple):
    """What the stand-ins need while a sweep runs."""

    conductor: Conductor
    files: AbstractFiles
    slots: int
    gpu: float  # share of a GPU per trial; 0 where there is none, whatever the spec asks for
    running: set[str]  # Tune's ids of the trials it has and has not given back
    expired: set[int]  # numbers of the trials that the watchdog ended


_DESKS: dict[str, Desk] = {}


class CellSearcher(Searcher):
    """Hands Tune the next trial of the sweep."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Accept everything: the space is the sweep's own."""
        return True

    def suggest(self, trial_id: str) -> Any:
        """Return the next assignment, None if there is none just now, FINISHED if there will be none."""
        desk = _DESKS[self._name]
        if len(desk.running) >= desk.slots:
            return None
        found = desk.conductor.next()
        if found is None:
            return None
        if found == "finished":
            return Searcher.FINISHED
        trial, spec = found.trial, desk.conductor.spec
        desk.running.add(trial_id)
        desk.files.write(
            TrialPaths(trial.hash).artifact("config.yaml"), dump(trial.config).encode()
        )
        return {
            "number": trial.number,
            "attempt": trial.attempt,
            "config": trial.config,
            "judged": list(found.judged),
            "threads": max(1, int(spec.resources.cpu)),
            "gpu": desk.gpu,
            "checkpoint_every": spec.checkpoint.every,
            "checkpoint_seconds": spec.checkpoint.min_seconds,
        }

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Free the slot."""
        _DESKS[self._name].running.discard(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Unused: the ledger is the sweep's state."""

    def restore(self, checkpoint_path: str) -> None:
        """Unused: see `save`."""


class CellScheduler(FIFOScheduler):
    """Records every report and stops the trials that the conductor stops."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Record a report; Tune calls this for every one, as no trial ever calls itself done."""
        body = json.loads(result["report"])
        desk = _DESKS[self._name]
        goes_on = desk.conductor.record(body["number"], body)
        if "failure" in body:
            ours = desk.conductor.trials[body["number"]]
            text = f"{body['message']}\n--- end of its output ---\n{body['log']}"
            desk.files.write(TrialPaths(ours.hash).artifact("failure.txt"), text.encode())
        return TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Take note that a trial's process died."""
        desk = _DESKS[self._name]
        number = trial.config["number"]
        path = Path(trial.error_file) if trial.error_file else None
        message = path.read_text() if path is not None and path.exists() else "the process died"
        kind = "timeout" if number in desk.expired else "lost"
        folder = TrialPaths(desk.conductor.trials[number].hash)
        desk.files.write(folder.artifact("failure.txt"), f"{kind}\n{message}".encode())
        desk.expired.discard(number)
        desk.conductor.lost(number, kind, message)


def execute(
    conductor: Conductor, data: Data, files: AbstractFiles, store: Any, *, slots: int, gpu: float
) -> None:
    """Run trials until the conductor has none left, or until a signal stops Tune."""
    spec = conductor.spec
    desk = Desk(conductor, files, slots, gpu, set(), set())
    _DESKS[spec.name] = desk
    silent = threading.Event()
    watchdog = threading.Thread(
        target=_watch, args=(desk, store, silent), daemon=True, name="watchdog"
    )
    watchdog.start()
    try:
        with tempfile.TemporaryDirectory(
            prefix="sweeps-tune-", ignore_cleanup_errors=True
        ) as scratch:
            trainable = tune.with_resources(
                tune.with_parameters(TrialActor, data=data, store=store),
                {"cpu": spec.resources.cpu, "gpu": gpu},
            )
            tuner = tune.Tuner(
                trainable,
                tune_config=tune.TuneConfig(
                    search_alg=CellSearcher(spec.name),
                    scheduler=CellScheduler(spec.name),
                    num_samples=10**9,  # the conductor says when it is finished
                    reuse_actors=True,
                    trial_name_creator=_short_name,
                    trial_dirname_creator=_short_name,
                ),
                run_config=tune.RunConfig(
                    name=spec.name,
                    storage_path=scratch,
                    verbose=0,
                    # A stretch that dies is over; the conductor decides whether its trial gets another.
                    failure_config=tune.FailureConfig(max_failures=0),
                    checkpoint_config=tune.CheckpointConfig(
                        checkpoint_frequency=0, checkpoint_at_end=False
                    ),
                ),
            )
            tuner.fit()
    finally:
        silent.set()
        watchdog.join()
        del _DESKS[spec.name]


def _short_name(trial: Any) -> str:
    return f"{trial.config['number']:05d}-{trial.trial_id}"


def _watch(desk: Desk, store: Any, silent: threading.Event) -> None:
    """End the process of a trial that has said nothing for `resources.trial_timeout`."""
    limit = desk.conductor.spec.resources.trial_timeout
    if limit is None:
        return
    while not silent.wait(min(limit / 4, 10.0)):
        with desk.conductor.lock:
            hung = [
                trial.number
                for trial in desk.conductor.trials
                if trial.state is TrialState.RUNNING and time.monotonic() - trial.since > limit
            ]
        for number in hung:
            try:
                for reference in ray.get(store.actor_of.remote(number)):
                    actor: Any = ray.get(reference)
                    desk.expired.add(number)
                    ray.kill(actor)
            except RayError:
                continue  # the process died meanwhile, and its handle with it: Tune says so on its own
