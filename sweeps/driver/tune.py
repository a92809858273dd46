"""Ray Tune as the executor: a searcher and a scheduler for Tune that only ask the conductor.

Tune pickles both when its Tuner is constructed, so they hold only the name of the sweep; `_DESKS`
has the objects that they need. A Tune trial is one attempt of one of our trials: from a checkpoint
until a rung, an end or a failure.
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyarrow import fs
from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from sweeps.driver.conductor import Assignment, Conductor
from sweeps.driver.data_guard import file_stamp
from sweeps.driver.deaths import cause_of_death, node_is_gone
from sweeps.driver.desk import Desk
from sweeps.driver.stopping import Stopper
from sweeps.driver.trial_actor import TrialActor
from sweeps.driver.tune_messages import without_open_trials
from sweeps.driver.watchdog import watch
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.spec.yaml_writer import dump
from sweeps.storage.files import AbstractFiles
from sweeps.storage.workspace import TrialPaths
from sweeps.urls import redacted
from vae_core.types import Data

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
        desk.running.add(trial_id)
        trial = assignment.trial
        _write(desk, trial.hash, "config.yaml", dump(trial.config))
        return what_the_actor_gets(assignment, desk.conductor.spec, desk.gpu)

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
        trial_hash = desk.conductor.trials[body["number"]].hash
        if body.get("resumed", {}).get("skipped"):
            _note_skipped(desk, trial_hash, body)
        if "failure" in body:
            text = f"{body['message']}\n--- end of its output ---\n{body['log']}"
            _write(desk, trial_hash, "failure.txt", text)
        return TrialScheduler.CONTINUE if keeps_training else TrialScheduler.STOP

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Record that the process of a trial died, or that its node did."""
        desk = _DESKS[self._name]
        if desk.stopper.is_near():
            return  # the driver stops, or Ray is gone: not the fault of this trial
        number, attempt = trial.config["number"], trial.config["attempt"]
        path = Path(trial.error_file) if trial.error_file else None
        message = ""
        if path is not None and path.exists():
            message = path.read_text(errors="replace")
        actor = desk.actors.get(attempt)
        node = "" if actor is None else actor.node
        limit = desk.conductor.spec.resources.trial_timeout
        death = cause_of_death(
            redacted(message),
            timeout=limit if attempt in desk.expired else None,
            node=node,
            node_is_gone=node_is_gone(node),
        )
        trial_hash = desk.conductor.trials[number].hash
        if desk.conductor.trials[number].attempt == attempt:
            desk.conductor.lost(number, death.kind, death.message)
        _write(desk, trial_hash, "failure.txt", f"{death.kind}\n{death.message}")


def what_the_actor_gets(assignment: Assignment, spec: SweepSpec, gpu: float) -> dict[str, Any]:
    """Return what the actor of an attempt is handed, as Tune's config."""
    trial = assignment.trial
    return {
        "number": trial.number,
        "attempt": trial.attempt,
        "config": trial.config,
        "last_epoch": assignment.last_epoch,  # it resumes no later than at the epoch after it
        "judged": list(assignment.judged),
        "threads": max(1, int(spec.resources.cpu)),
        "gpu": gpu,
        "checkpoint_every": spec.checkpoint.every,
        "checkpoint_seconds": spec.checkpoint.min_seconds,
        "patience": _storage_patience(spec),
    }


def _storage_patience(spec: SweepSpec) -> float | None:
    """Return how long a trial waits for a store that cannot write: less than the watchdog does."""
    timeout = spec.resources.trial_timeout
    limits = [spec.store.patience, None if timeout is None else timeout / 2]
    return min((limit for limit in limits if limit is not None), default=None)


def _note_skipped(desk: Desk, trial_hash: str, body: dict[str, Any]) -> None:
    """Print which checkpoints an attempt could not resume from, and add them to an artifact."""
    name, resumed = "skipped-checkpoints.txt", body["resumed"]
    start = f"resumes after epoch {resumed['epoch']}" if resumed["epoch"] else "begins at epoch 1"
    for checkpoint in resumed["skipped"]:
        desk.say(f"warning: trial {body['number']} cannot use checkpoint {checkpoint}; it {start}")
    try:
        earlier = desk.files.read(TrialPaths(trial_hash).artifact(name)).decode()
    except FileNotFoundError:
        earlier = ""
    except OSError as error:
        desk.say(f"warning: {name} of trial {body['number']} cannot be read: {error}")
        return
    lines = [f"attempt {body['attempt']} {start}; skipped:"]
    lines += [f"  {checkpoint}" for checkpoint in resumed["skipped"]]
    _write(desk, trial_hash, name, earlier + "\n".join(lines) + "\n")


def _write(desk: Desk, trial_hash: str, name: str, text: str) -> None:
    """Write an artifact for people; the sweep goes on without it, as the ledger has its content."""
    path = TrialPaths(trial_hash).artifact(name)
    try:
        desk.files.write(path, text.encode())
    except OSError as error:
        desk.say(f"warning: {path} cannot be written: {error}")


class EarlyStop(tune.Stopper):
    """Ends all trials for Tune as soon as the driver run must stop."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Return False: the scheduler stops single trials."""
        return False

    def stop_all(self) -> bool:
        """Return whether the driver run must stop: also if it can write no more.

        Another driver may have taken over. A trial that hangs would keep this one waiting for ever.
        """
        desk = _DESKS[self._name]
        return desk.stopper.requested or desk.conductor.failure is not None


def execute(
    conductor: Conductor,
    data: Data,
    files: AbstractFiles,
    store: Any,
    *,
    slots: int,
    gpu: float,
    stopper: Stopper,
    say: Callable[[str], None],
) -> None:
    """Run trials until the conductor has none left, or until a signal stops Tune.

    Args:
        conductor: says which trial runs next.
        data: of all trials; Ray keeps one copy per node.
        files: where `config.yaml` and `failure.txt` of a trial are written.
        store: handle of the store actor.
        slots: number of trials that run at once.
        gpu: share of a GPU per trial.
        stopper: says whether the driver stops.
        say: prints a line to the user.
    """
    name = conductor.spec.name
    desk = Desk(conductor, files, slots, gpu, set(), set(), say, stopper=stopper)
    _DESKS[name] = desk
    stop = threading.Event()
    watchdog = threading.Thread(
        target=watch, args=(desk, store, stop), daemon=True, name="watchdog"
    )
    watchdog.start()
    try:
        with tempfile.TemporaryDirectory(
            prefix="sweeps-tune-", ignore_cleanup_errors=True
        ) as scratch:
            stopper.scratch = scratch
            with without_open_trials():
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
        stop=EarlyStop(spec.name),
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
