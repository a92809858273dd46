"""Ray Tune as the executor: a searcher and a scheduler for Tune that only ask the conductor.

Tune pickles both when its Tuner is constructed, so they hold only the name of the sweep; `_DESKS`
has the objects that they need. A Tune trial is one attempt of one of our trials: from a checkpoint
until a rung, an end or a failure.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import ray
from pyarrow import fs
from ray import tune
from ray.exceptions import RayError
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from sweeps.driver.conductor import Conductor
from sweeps.driver.data_guard import file_stamp
from sweeps.driver.trial_actor import TrialActor
from sweeps.ledger.states import TrialState
from sweeps.spec.yaml_writer import dump
from sweeps.storage.files import AbstractFiles
from sweeps.storage.workspace import TrialPaths
from vae_core.types import Data


class Desk(NamedTuple):
    """The objects that searcher, scheduler and watchdog need while a sweep runs."""

    conductor: Conductor
    files: AbstractFiles
    slots: int
    gpu: float  # share of a GPU per trial; 0 if the cluster has none
    running: set[str]  # Tune's ids of the attempts that hold a slot
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
        """Accept everything: the sweep has spaces of its own."""
        return True

    def suggest(self, trial_id: str) -> Any:
        """Return the next attempt, None if there is none now, FINISHED if there will be none."""
        desk = _DESKS[self._name]
        if len(desk.running) >= desk.slots:
            return None
        assignment = desk.conductor.next()
        if assignment is None:
            return None
        if assignment == "finished":
            return Searcher.FINISHED
        trial, spec = assignment.trial, desk.conductor.spec
        desk.running.add(trial_id)
        _write(desk, trial.hash, "config.yaml", dump(trial.config))
        return {
            "number": trial.number,
            "attempt": trial.attempt,
            "config": trial.config,
            "judged": list(assignment.judged),
            "last_epoch": assignment.last_epoch,
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
        """Record a report. Tune calls this for every report, as no trial ever calls itself done."""
        body = json.loads(result["report"])
        desk = _DESKS[self._name]
        keeps_training = desk.conductor.record(body["number"], body)
        if "failure" in body:
            trial_hash = desk.conductor.trials[body["number"]].hash
            text = f"{body['message']}\n--- end of its output ---\n{body['log']}"
            _write(desk, trial_hash, "failure.txt", text)
        return TrialScheduler.CONTINUE if keeps_training else TrialScheduler.STOP

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Record that the process of a trial died."""
        desk = _DESKS[self._name]
        number = trial.config["number"]
        path = Path(trial.error_file) if trial.error_file else None
        message = path.read_text() if path is not None and path.exists() else "the process died"
        kind = "timeout" if number in desk.expired else "lost"
        trial_hash = desk.conductor.trials[number].hash
        _write(desk, trial_hash, "failure.txt", f"{kind}\n{message}")
        desk.expired.discard(number)
        desk.conductor.lost(number, kind, message)


def execute(
    conductor: Conductor, data: Data, files: AbstractFiles, store: Any, *, slots: int, gpu: float
) -> None:
    """Run trials until the conductor has none left, or until a signal stops Tune.

    Args:
        conductor: says which trial runs next.
        data: of all trials; Ray keeps one copy per node.
        files: where `config.yaml` and `failure.txt` of a trial are written.
        store: handle of the store actor.
        slots: number of trials that run at once.
        gpu: share of a GPU per trial.
    """
    name = conductor.spec.name
    desk = Desk(conductor, files, slots, gpu, set(), set())
    _DESKS[name] = desk
    stop = threading.Event()
    watchdog = threading.Thread(
        target=_watch, args=(desk, store, stop), daemon=True, name="watchdog"
    )
    watchdog.start()
    try:
        with tempfile.TemporaryDirectory(
            prefix="sweeps-tune-", ignore_cleanup_errors=True
        ) as scratch:
            _tuner(desk, data, store, scratch).fit()
    finally:
        stop.set()
        watchdog.join()
        del _DESKS[name]


def _tuner(desk: Desk, data: Data, store: Any, scratch: str) -> tune.Tuner:
    """Return a Tuner that decides nothing on its own; its files go into a scratch folder."""
    spec = desk.conductor.spec
    trainable = tune.with_resources(
        tune.with_parameters(TrialActor, data=data, stamp=file_stamp(data), store=store),
        {"cpu": spec.resources.cpu, "gpu": desk.gpu},
    )
    tune_config = tune.TuneConfig(
        search_alg=CellSearcher(spec.name),
        scheduler=CellScheduler(spec.name),
        num_samples=10**9,  # the conductor says when it is finished
        reuse_actors=True,
        trial_name_creator=_short_name,
        trial_dirname_creator=_short_name,
    )
    run_config = tune.RunConfig(
        name=spec.name,
        storage_path=scratch,
        # Without it Tune reads the path as a URI, and a folder of TMPDIR may hold `#` or a blank.
        storage_filesystem=fs.LocalFileSystem(),
        verbose=0,
        # A failed attempt is over; the conductor decides whether its trial gets another one.
        failure_config=tune.FailureConfig(max_failures=0),
        checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
    )
    return tune.Tuner(trainable, tune_config=tune_config, run_config=run_config)


def _short_name(trial: Any) -> str:
    return f"{trial.config['number']:05d}-{trial.trial_id}"


def _watch(desk: Desk, store: Any, stop: threading.Event) -> None:
    """End the process of a trial that has not reported for `resources.trial_timeout`."""
    limit = desk.conductor.spec.resources.trial_timeout
    if limit is None:
        return
    while not stop.wait(min(limit / 4, 10.0)):
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
                continue  # the process has died meanwhile; Tune reports that by itself


def _write(desk: Desk, trial_hash: str, name: str, text: str) -> None:
    """Write an artifact for people; the sweep goes on without it, as the ledger has its content."""
    with contextlib.suppress(OSError):
        desk.files.write(TrialPaths(trial_hash).artifact(name), text.encode())
