"""Runs a sweep, or resumes it: the same call after any interruption."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import platform
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from sweeps.driver.conductor import Conductor
from sweeps.driver.heartbeat import Heartbeat, seconds_spent
from sweeps.driver.live_view import LiveView
from sweeps.driver.result import SweepResult
from sweeps.driver.start_checks import load_data
from sweeps.errors import SweepError
from sweeps.exports import optuna_db
from sweeps.exports.mlflow_writer import EXPORT_PATIENCE, MlflowWriter
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.ownership import held_sweep
from sweeps.ledger.provenance import software
from sweeps.ledger.registration import (
    register_sweep,
    require_same_revision,
    require_same_spec,
    retry_failed,
)
from sweeps.ledger.states import EndReason
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.storage.checkpoints import Checkpoints
from sweeps.storage.files import AbstractFiles, open_files
from vae_core.data import store_floor
from vae_core.types import Data

log = logging.getLogger(__name__)


def run_sweep(
    spec: SweepSpec,
    *,
    workspace: Path,
    address: str | None = None,
    console: Console | None = None,
    retry: bool = False,
) -> SweepResult:
    """Run a sweep to its end, from its start or from where it was interrupted.

    Args:
        spec: the spec.
        workspace: the folder of ledger and results.
        address: of a running Ray cluster; None starts one on this machine.
        console: where progress is shown; stderr if None.
        retry: whether failed trials get further attempts.

    Raises:
        SweepError: the sweep cannot run as asked: another driver runs it, it began with another
            spec, other data or in a version with other numbers, the data cannot be loaded, no node
            has the resources of a trial, or a GPU is required and there is none.
    """
    console = console or Console(stderr=True)
    ledger = _open_ledger(spec, workspace)
    try:
        say = functools.partial(_say, console)
        with held_sweep(spec.name, workspace, ledger, say=say):
            require_same_spec(spec, ledger)  # before the data are loaded, which may take minutes
            data = _load_data(spec, console)
            note = register_sweep(spec, ledger, fingerprint=data.fingerprint)
            if note:
                _say(console, f"note: {note}")
            require_same_revision(spec, ledger, retry=retry)
            if retry:
                retry_failed(ledger, spec.name)
            run = _begin(spec, ledger, data, workspace, console)
            return _drive(run, address)
    finally:
        ledger.close()


def _open_ledger(spec: SweepSpec, workspace: Path) -> Ledger:
    """Return the ledger of the workspace; create it if there is none.

    Raises:
        SweepError: the workspace or the database cannot be written to.
    """
    try:
        return Ledger.of_workspace(workspace, spec.store.ledger)
    except OSError as error:
        raise SweepError(
            f"workspace must be a folder that can be written to, got {str(workspace)!r} ({error}); "
            "name another with --workspace"
        ) from error
    except OperationalError as error:
        path = "store.ledger" if spec.store.ledger else "the ledger of the workspace"
        raise SweepError(f"{path} cannot be opened: {error.orig}; workspace {workspace}") from error


def _say(console: Console, message: str) -> None:
    """Print a note or a warning; it may hold square brackets, which rich would read as markup."""
    console.print(message, style="yellow", markup=False, highlight=False, soft_wrap=True)


class _DriverRun(NamedTuple):
    """One driver process on one sweep."""

    spec: SweepSpec
    ledger: Ledger
    conductor: Conductor
    heartbeat: Heartbeat
    data: Data
    files: AbstractFiles
    workspace: Path
    console: Console


def _load_data(spec: SweepSpec, console: Console) -> Data:
    """Return the data of the sweep, and print what is worth knowing about them."""
    data = load_data(spec)
    try:
        store_floor(spec.data, data)  # computed once: the copies of the trials have it
    except OSError as error:
        raise SweepError(f"data: {error}") from error
    for note in data.notes:
        _say(console, f"note: {note}")
    return data


def _begin(
    spec: SweepSpec, ledger: Ledger, data: Data, workspace: Path, console: Console
) -> _DriverRun:
    """Write the row of this driver run, and read the sweep from the ledger."""
    try:
        files = open_files(workspace, spec.store.files)
    except (OSError, ValueError) as error:
        raise SweepError(f"store.files cannot be opened: {error}") from error
    spent = seconds_spent(ledger, spec.name)
    now = time.time()
    with ledger.transaction() as tx:
        driver_run = tx.insert(
            tables.DRIVER_RUN,
            sweep=spec.name,
            host=platform.node(),
            pid=os.getpid(),
            slots=0,
            started=now,
            seen=now,
        )
    conductor = Conductor(
        spec,
        ledger,
        fingerprint=data.fingerprint,
        n_data=len(data),
        driver_run=driver_run,
        notify=functools.partial(_say, console),
    )
    return _DriverRun(
        spec=spec,
        ledger=ledger,
        conductor=conductor,
        heartbeat=Heartbeat(ledger, driver_run, spent=spent),
        data=data,
        files=files,
        workspace=workspace,
        console=console,
    )


def _drive(run: _DriverRun, address: str | None) -> SweepResult:
    """Run the trials that are left, then bring the exports up to date."""
    spec, conductor = run.spec, run.conductor
    writer = MlflowWriter(
        spec.name, run.ledger, run.files, run.workspace, spec.store.mlflow, software()
    )
    writer.start()
    view = LiveView(conductor, writer, run.console)
    why = ""
    try:
        if not conductor.finished and _run_trials(run, address, view):
            why = conductor.stopping or "interrupted"
    finally:
        _clear_checkpoints(conductor, run.files)
        _export_studies(run)
        exported = writer.finish(EXPORT_PATIENCE)
        _note_outcome(run, "ended" if conductor.finished else why or "failed")
    states = Counter(trial.state.value if trial.ended else "OPEN" for trial in conductor.trials)
    result = SweepResult(
        spec.name,
        dict(states),
        conductor.finished,
        why,
        exported,
        cells=len(conductor.cells),
        cells_total=conductor.cells_total,
        cells_asked=conductor.cells_asked,
    )
    view.farewell(result, run.workspace, writer.why_behind())
    return result


def _note_outcome(run: _DriverRun, outcome: str) -> None:
    """Write how the driver run ended; without it `sweeps status` says that it was killed."""
    try:
        run.heartbeat.note(outcome=outcome)
    except (SQLAlchemyError, SweepError):
        log.debug("the outcome of the driver run was not written", exc_info=True)


def _export_studies(run: _DriverRun) -> None:
    """Bring `optuna.db` up to date. An error there does not fail the sweep."""
    try:
        optuna_db.export_studies(run.spec, run.conductor.cells, run.ledger, run.workspace)
    except Exception as error:
        _say(run.console, f"warning: optuna.db was not brought up to date: {error}")


def _run_trials(run: _DriverRun, address: str | None, view: LiveView) -> bool:
    """Connect to Ray and run the trials that are left; return whether the sweep stopped early."""
    # Tune's own snapshots would copy a growing state every ten seconds, and nothing reads them.
    os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "1000000000"
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    import ray

    from cluster import connect
    from sweeps.driver.tune import execute

    try:
        note = connect.connect(address)
    except (ValueError, ConnectionError) as error:
        raise SweepError(str(error)) from error
    if note is not None:
        _say(run.console, f"note: {note}")
    try:
        slots, gpu = _slots(run.spec, connect.nodes(), run.console)
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(slots)
        run.heartbeat.note(slots=slots)
        store = _start_store(run)
        with (
            run.heartbeat.beating(run.conductor),
            view.showing(slots),
            _sigterm_as_sigint(),
        ):
            execute(run.conductor, run.data, run.files, store, slots=slots, gpu=gpu)
        return not run.conductor.finished
    except KeyboardInterrupt:
        return True
    finally:
        ray.shutdown()


def _start_store(run: _DriverRun) -> Any:
    """Start the store actor on this node, where the workspace is, and return its handle."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from sweeps.storage.store_actor import Store

    node = ray.get_runtime_context().get_node_id()
    options = {
        "num_cpus": 0,
        "max_restarts": -1,
        "max_task_retries": -1,
        "scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False),
    }
    actor = ray.remote(Store).options(**options)
    store = run.spec.store
    return actor.remote(run.workspace.resolve(), store.files, store.patience)


def _slots(spec: SweepSpec, nodes: Sequence[Any], console: Console) -> tuple[int, float]:
    """Return the number of slots, and the share of a GPU per trial.

    Raises:
        SweepError: no node can ever run a trial.
    """
    from cluster.connect import slots

    resources = spec.resources
    gpu = resources.gpu
    if gpu > 0 and not any(node.gpus for node in nodes):
        if resources.require_gpu:
            raise SweepError(
                f"resources.require_gpu is true, but no node has a GPU (gpu: {gpu} asked per trial)"
            )
        _say(console, f"warning: no GPU here: trials that ask for gpu: {gpu:g} run on CPU")
        gpu = 0.0
    available = slots(nodes, cpu=resources.cpu, gpu=gpu)
    if available == 0:
        cpus, gpus = max((node.cpus, node.gpus) for node in nodes)
        raise SweepError(
            f"no node can ever run a trial with cpu: {resources.cpu:g}, gpu: {gpu:g}; the largest "
            f"of {len(nodes)} has {cpus:g} CPUs and {gpus:g} GPUs: lower resources.cpu or "
            "resources.gpu"
        )
    if gpu:
        console.print(
            f"each trial's process may take {100 * gpu:.0f} % of its GPU's memory, and fails "
            "beyond that"
        )
    if resources.max_concurrent == "auto":
        return available, gpu
    return min(available, resources.max_concurrent), gpu


def _clear_checkpoints(conductor: Conductor, files: AbstractFiles) -> None:
    """Delete the checkpoints of complete trials: their weights stay as an artifact."""
    checkpoints = Checkpoints(files)
    for trial in conductor.trials:
        if trial.end_reason is EndReason.COMPLETED:
            checkpoints.clear(trial.hash)


@contextlib.contextmanager
def _sigterm_as_sigint() -> Iterator[None]:
    """Let SIGTERM end the sweep as Ctrl-C does, so that it can be resumed.

    Schedulers such as Slurm send SIGTERM before their time limit.
    """

    def forward(_signal: int, _frame: object) -> None:
        signal.raise_signal(signal.SIGINT)

    previous = signal.signal(signal.SIGTERM, forward)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
