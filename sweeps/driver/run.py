"""Runs a sweep, or resumes it: the same call after any interruption."""

from __future__ import annotations

import functools
import logging
import os
import platform
import time
from pathlib import Path

from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from sweeps.driver.conductor import Conductor
from sweeps.driver.driver_run import DriverRun, say_note
from sweeps.driver.early_end import EARLY_EXPORT_PATIENCE, EarlyEnd, result_of
from sweeps.driver.heartbeat import Heartbeat, seconds_spent
from sweeps.driver.live_view import LiveView
from sweeps.driver.ray_session import run_trials
from sweeps.driver.result import SweepResult
from sweeps.driver.start_checks import load_data, require_memory_here
from sweeps.driver.stopping import Stopper
from sweeps.errors import SweepError
from sweeps.exports import optuna_db
from sweeps.exports.mlflow_database import require_mlflow_database
from sweeps.exports.mlflow_writer import EXPORT_PATIENCE, MlflowWriter
from sweeps.failpoints import failpoint
from sweeps.ledger import tables
from sweeps.ledger.connecting import ledger_errors
from sweeps.ledger.damage import naming_damage
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.opening import title_of
from sweeps.ledger.ownership import held_sweep, release
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
from sweeps.storage.file_checks import open_checked_files
from sweeps.storage.files import AbstractFiles
from sweeps.storage.real_urls import real_url, require_variables
from sweeps.storage.workspace import writing
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
    stopper: Stopper | None = None,
) -> SweepResult:
    """Run a sweep to its end, from its start or from where it was interrupted.

    Args:
        spec: the spec.
        workspace: the folder of ledger and results.
        address: of a running Ray cluster; None starts one on this machine.
        console: where progress is shown; stderr if None.
        retry: whether failed trials get further attempts.
        stopper: ends the run early; None makes one that listens to signals while trials run.

    Raises:
        SweepError: the sweep cannot run as asked: another driver runs it, it began with another
            spec, other data or in a version with other numbers, the data cannot be loaded, no node
            has the resources of a trial, a GPU is required and there is none, or this machine has
            not the memory of a trial; or workspace, ledger or files cannot be opened or written to.
    """
    console = console or Console(stderr=True)
    stopper = stopper or Stopper(ends_process=False)
    failpoint("driver.start")
    require_memory_here(spec, address)
    require_variables(spec.store)
    ledger = Ledger.of_workspace(workspace, spec.store.ledger)
    try:
        say = functools.partial(say_note, console)
        with (
            ledger_errors("store.ledger" if spec.store.ledger else title_of(workspace)),
            writing(workspace),
            held_sweep(spec.name, workspace, ledger, say=say),
        ):
            require_mlflow_database(workspace, spec.store.mlflow)
            files = open_checked_files(workspace, real_url(spec.store.files, "files"))
            with naming_damage(ledger):
                require_same_spec(spec, ledger)  # before the data are loaded: that takes minutes
            data = _load_data(spec, console)
            failpoint("driver.data_loaded")
            with naming_damage(ledger):
                note = register_sweep(spec, ledger, fingerprint=data.fingerprint)
            if note:
                say_note(console, f"note: {note}")
            with naming_damage(ledger):
                require_same_revision(spec, ledger, retry=retry)
                if retry:
                    retry_failed(ledger, spec.name)
                run = _begin(spec, ledger, data, files, workspace, console)
            failpoint("driver.registered")
            return _drive(run, address, stopper)
    finally:
        stopper.hold()
        ledger.close()
        stopper.over()


def _load_data(spec: SweepSpec, console: Console) -> Data:
    """Return the data of the sweep, and print what is worth knowing about them."""
    data = load_data(spec)
    try:
        store_floor(spec.data, data)  # computed once: the copies of the trials have it
    except OSError as error:
        raise SweepError(f"data: {error}") from error
    for note in data.notes:
        say_note(console, f"note: {note}")
    return data


def _begin(
    spec: SweepSpec,
    ledger: Ledger,
    data: Data,
    files: AbstractFiles,
    workspace: Path,
    console: Console,
) -> DriverRun:
    """Write the row of this driver run, and read the sweep from the ledger."""
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
        notify=functools.partial(say_note, console),
    )
    return DriverRun(
        spec=spec,
        ledger=ledger,
        conductor=conductor,
        heartbeat=Heartbeat(ledger, driver_run, spent=spent),
        data=data,
        files=files,
        workspace=workspace,
        console=console,
    )


def _drive(run: DriverRun, address: str | None, stopper: Stopper) -> SweepResult:
    """Run the trials that are left, then bring the exports up to date."""
    spec, conductor = run.spec, run.conductor
    writer = MlflowWriter(
        spec.name,
        run.ledger,
        run.files,
        run.workspace,
        real_url(spec.store.mlflow, "mlflow"),
        software(),
    )
    writer.start()
    view = LiveView(conductor, writer, run.console)
    stopper.close = EarlyEnd(
        conductor,
        writer,
        view,
        run.workspace,
        stopper,
        note_outcome=functools.partial(_note_outcome, run),
        release=functools.partial(release, run.ledger),
    )
    why = ""
    try:
        if not conductor.finished and run_trials(run, address, view, stopper):
            why = conductor.stopping or "interrupted"
    finally:
        stopper.hold()
        failpoint("driver.exporting")
        _clear_checkpoints(conductor, run.files)
        _export_studies(run)
        exported = writer.finish(EARLY_EXPORT_PATIENCE if stopper.requested else EXPORT_PATIENCE)
        stopper.hold()
        _note_outcome(run, "ended" if conductor.finished else why or "failed")
    result = result_of(conductor, why, exported=exported)
    stopper.over()
    view.farewell(result, run.workspace, writer.why_behind())
    return result


def _note_outcome(run: DriverRun, outcome: str) -> None:
    """Write how the driver run ended; without it `sweeps status` says that it was killed."""
    try:
        run.conductor.patiently(lambda: run.heartbeat.note(outcome=outcome))
    except (SQLAlchemyError, SweepError):
        log.debug("the outcome of the driver run was not written", exc_info=True)


def _export_studies(run: DriverRun) -> None:
    """Bring `optuna.db` up to date. An error there does not fail the sweep."""
    try:
        optuna_db.export_studies(run.spec, run.conductor.cells, run.ledger, run.workspace)
    except Exception as error:
        say_note(run.console, f"warning: optuna.db was not brought up to date: {error}")


def _clear_checkpoints(conductor: Conductor, files: AbstractFiles) -> None:
    """Delete the checkpoints of complete trials: their weights stay as an artifact."""
    checkpoints = Checkpoints(files)
    for trial in conductor.trials:
        if trial.end_reason is EndReason.COMPLETED:
            try:
                checkpoints.clear(trial.hash)
            except OSError as error:  # the next driver run deletes them
                log.warning("checkpoints of trial %s cannot be deleted: %s", trial.hash, error)
                return
