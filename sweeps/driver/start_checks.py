"""Checks before a driver run: whether a sweep may begin or resume with this spec and these data."""

from __future__ import annotations

from pathlib import Path

from sweeps.cells.memory import entry_memories, require_memory, runs_elsewhere
from sweeps.errors import SweepError
from sweeps.exports.mlflow_database import require_mlflow_database
from sweeps.ledger import opening
from sweeps.ledger.connecting import ledger_errors
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.registration import require_same_data, require_same_spec
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.storage.file_checks import open_checked_files
from sweeps.storage.real_urls import real_url, require_variables
from sweeps.storage.workspace import require_folder, writing
from vae_core.types import Data


def require_memory_here(spec: SweepSpec, address: str | None) -> None:
    """Raise if trials run on this machine, and it has not the memory of one of them.

    Raises:
        SweepError: it says what a trial needs, by an estimate from shapes.
    """
    if not runs_elsewhere(spec, address):
        require_memory(spec, entry_memories(spec))


def load_data(spec: SweepSpec) -> Data:
    """Return the data of a sweep.

    Raises:
        SweepError: they cannot be loaded.
    """
    try:
        return spec.data.load()
    except (OSError, ValueError) as error:
        raise SweepError(f"data: {error}") from error


def require_resumable(spec: SweepSpec, workspace: Path) -> str:
    """Check that a sweep may begin or resume in a workspace; return a note, "" if there is none.

    The data are loaded only if the workspace has a sweep of this name. Nothing is written but the
    columns that opening a ledger of an older version adds.

    Raises:
        SweepError: the sweep began with another spec or with other data, or the data cannot be
            loaded; or the ledger, the workspace or the files cannot be opened.
    """
    require_variables(spec.store)
    with writing(workspace):
        require_folder(workspace)
    engine = opening.open_existing(workspace, spec.store.ledger)
    require_mlflow_database(workspace, spec.store.mlflow)
    open_checked_files(workspace, real_url(spec.store.files, "files"), write=False)
    if engine is None:
        return ""
    ledger = Ledger(engine)
    try:
        with ledger_errors("store.ledger" if spec.store.ledger else opening.title_of(workspace)):
            if ledger.sweep(spec.name) is None:
                return ""
            require_same_spec(spec, ledger)
            return require_same_data(spec, ledger, fingerprint=load_data(spec).fingerprint)
    finally:
        ledger.close()
