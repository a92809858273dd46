"""Runs a sweep, or goes on with it: the same call, whatever happened in between."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from sweeps.driver.conductor import Conductor
from sweeps.driver.live_view import LiveView
from sweeps.driver.result import SweepResult
from sweeps.errors import SweepError
from sweeps.exports import optuna_db
from sweeps.exports.mlflow_writer import EXPORT_PATIENCE
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.provenance import software
from sweeps.ledger.registration import register_sweep, retry_failed
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.storage.checkpoints import Checkpoints
from sweeps.storage.files import AbstractFiles, open_files
from sweeps.storage.lock import one_driver
from vae_core.types import Data


def run_sweep(
    spec: SweepSpec,
    *,
    workspace: Path,
    address: str | None = None,
    console: Console | None = None,
    retry: bool = False,
) -> SweepResult:
    """Run a sweep to its end, or from where it stands; `retry` gives failed trials another try.

    Raises:
        SweepError: the sweep cannot run as asked (another driver has it, another spec has its name, resources that the
            cluster cannot give, a GPU required and none there).
    """
    console = console or Console(stderr=True)
    ledger = Ledger.of_workspace(workspace, spec.store.ledger)
    try:
        with one_driver(spec.name, workspace):
            register_sweep(spec, ledger)
            if retry:
                retry_failed(ledger, spec.name)
            return _live(spec, ledger, workspace, address, console)
    finally:
        ledger.close()


class _Life(NamedTuple):
    """One driver process on one sweep."""

    id: int  # row of the ledger's `life`
    spec: SweepSpec
    ledger: Ledger
    conductor: Conductor
    data: Data
    files: AbstractFiles
    workspace: Path
    console: Console

    def seen(self, **values: Any) -> None:
        """Write that the driver is alive: the budget counts the seconds until the last of these, also after a kill."""
        with self.ledger.transaction() as tx:
            tx.update(tables.LIFE, tables.LIFE.c.id == self.id, seen=time.time(), **values)


def _begin(spec: SweepSpec, ledger: Ledger, workspace: Path, console: Console) -> _Life:
    try:
        data = spec.data.load()
    except (OSError, ValueError) as error:
        raise SweepError(f"data: {error}") from error
    now = time.time()
    row = {
        "sweep": spec.name,
        "host": platform.node(),
        "pid": os.getpid(),
        "slots": 0,
        "started": now,
        "seen": now,
    }
    with ledger.transaction() as tx:
        life = tx.insert(tables.LIFE, **row)
    conductor = Conductor(spec, ledger, fingerprint=data.fingerprint, n_data=len(data), life=life)
    files = open_files(workspace, spec.store.files)
    return _Life(life, spec, ledger, conductor, data, files, workspace, console)


def _live(
    spec: SweepSpec, ledger: Ledger, workspace: Path, address: str | None, console: Console
) -> SweepResult:
    # Imported here: validation and listings must not wait for them.
    from sweeps.exports.mlflow_writer import MlflowWriter

    spent = sum(row["seen"] - row["started"] for row in ledger.of(tables.LIFE, spec.name))
    life = _begin(spec, ledger, workspace, console)
    conductor = life.conductor
    tracker = MlflowWriter(spec.name, ledger, life.files, workspace, spec.store.mlflow, software())
    tracker.start()
    live = LiveView(conductor, tracker, console, spent=spent, beat=life.seen)
    why = ""
    try:
        if not conductor.finished and _execute(life, address, live):
            why = conductor.stopping or "interrupted"
    finally:
        _clear_checkpoints(conductor, life.files)
        _export_study(life)
        exported = tracker.finish(EXPORT_PATIENCE)
        life.seen(outcome=why or "ended")
    states = dict(Counter(trial.state if trial.ended else "OPEN" for trial in conductor.trials))
    result = SweepResult(spec.name, states, conductor.finished, why, exported)
    live.farewell(result, workspace, tracker.error)
    return result


def _export_study(life: _Life) -> None:
    """Bring Optuna's dashboard up to date; its trouble is not the sweep's, and the next life tries again."""
    try:
        optuna_db.export(life.conductor, life.ledger, life.workspace)
    except Exception as error:
        life.console.print(
            f"warning: optuna.db was not brought up to date: {error}", style="yellow"
        )


def _execute(life: _Life, address: str | None, live: LiveView) -> bool:
    """Connect to Ray and run what is left; returns whether the sweep was stopped before its end."""
    # Tune's own snapshots would copy a growing state every ten seconds, and nothing reads them.
    os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "1000000000"
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from cluster import connect
    from sweeps.driver.tune import execute
    from sweeps.storage.store_actor import Store

    try:
        connect.connect(address)
    except (ValueError, ConnectionError) as error:
        raise SweepError(str(error)) from error
    try:
        slots, gpu = _slots(life.spec, connect.nodes(), life.console)
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(slots)
        life.seen(slots=slots)
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        store = (
            ray.remote(Store)
            .options(num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here)
            .remote(life.workspace.resolve(), life.spec.store.files)
        )
        with live.showing(slots), _sigterm_as_sigint():
            execute(life.conductor, life.data, life.files, store, slots=slots, gpu=gpu)
        return not life.conductor.finished
    except KeyboardInterrupt:
        return True
    finally:
        ray.shutdown()


def _slots(spec: SweepSpec, offered: list[Any], console: Console) -> tuple[int, float]:
    """Return how many trials run at once, and the share of a GPU that each gets; refuses what can never be given."""
    from cluster.connect import slots

    want = spec.resources
    gpu = want.gpu
    if gpu > 0 and not any(node.gpus for node in offered):
        if want.require_gpu:
            raise SweepError(
                f"resources.require_gpu is true, but no node has a GPU (gpu: {gpu} asked per trial)"
            )
        console.print(
            f"warning: no GPU here: trials that ask for gpu: {gpu:g} run on CPU", style="yellow"
        )
        gpu = 0.0
    found = slots(offered, cpu=want.cpu, gpu=gpu)
    if found == 0:
        best = max((node.cpus, node.gpus) for node in offered)
        raise SweepError(
            f"no node can ever run a trial with cpu: {want.cpu:g}, gpu: {gpu:g}; the largest of {len(offered)} has "
            f"{best[0]:g} CPUs and {best[1]:g} GPUs: lower resources.cpu or resources.gpu"
        )
    if gpu:
        console.print(
            f"each trial's process may take {100 * gpu:.0f} % of its GPU's memory, and fails beyond that"
        )
    return found if want.max_concurrent == "auto" else min(found, want.max_concurrent), gpu


def _clear_checkpoints(conductor: Conductor, files: AbstractFiles) -> None:
    """Drop the checkpoints of complete trials: their weights stay as an artifact."""
    checkpoints = Checkpoints(files)
    for trial in conductor.trials:
        if trial.state == "COMPLETE" and not trial.reused_from:
            checkpoints.clear(trial.hash)


@contextlib.contextmanager
def _sigterm_as_sigint() -> Iterator[None]:
    """Let a scheduler's SIGTERM (Slurm's notice) end the sweep as Ctrl-C does: cleanly, to be gone on with."""

    def forward(_signal: int, _frame: object) -> None:
        signal.raise_signal(signal.SIGINT)

    old = signal.signal(signal.SIGTERM, forward)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)
