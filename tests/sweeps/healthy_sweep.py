"""A small finished sweep with files and MLflow, made without training, to plant faults in."""

from __future__ import annotations

import hashlib
import io
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mini_sweep import conductor, play, spec
from PIL import Image

from sweeps.doctor.examine import examine
from sweeps.exports.mlflow_locations import correct_workspace
from sweeps.exports.mlflow_writer import MlflowWriter
from sweeps.ledger.ledger import Ledger
from sweeps.storage.files import LocalFiles
from sweeps.storage.workspace import TrialPaths, WorkspacePaths


def make(workspace: Path, **changes: Any) -> None:
    """Play a sweep to its end: four trials complete 4 epochs, four are pruned at epoch 2."""
    sweep = conductor(spec(**changes), workspace)
    play(sweep)
    for trial in sweep.trials:
        for name, content in artifacts().items() if trial.state == "COMPLETE" else ():
            LocalFiles(workspace).write(TrialPaths(trial.hash).artifact(name), content)
    export(workspace)


def artifacts() -> dict[str, bytes]:
    """Return name -> bytes of the files that a complete trial leaves, whole and tiny."""
    codes, weights = io.BytesIO(), io.BytesIO()
    np.savez(codes, mean=np.zeros((2, 3), np.float32))
    torch.save({"weight": torch.zeros(1000)}, weights)
    files = {"codes.npz": codes.getvalue(), "weights.pt": weights.getvalue()}
    for name, kind in (("traversal.png", "PNG"), ("traversal.gif", "GIF")):
        picture = io.BytesIO()
        Image.new("L", (8, 8)).save(picture, kind)
        files[name] = picture.getvalue()
    return files | {"reconstructions.png": files["traversal.png"]}


def checkpoint() -> bytes:
    """Return bytes that begin with the sha256 of their rest, as a checkpoint does."""
    rest = b"weights of an epoch"
    return hashlib.sha256(rest).digest() + rest


def export(workspace: Path, name: str = "mini") -> None:
    """Bring MLflow up to date, as a driver does at its end."""
    ledger = Ledger.of_workspace(workspace)
    writer = MlflowWriter(name, ledger, LocalFiles(workspace), workspace, None, {})
    writer.start()
    assert writer.finish(120), writer.error
    ledger.close()


def copy(source: Path, target: Path) -> Path:
    """Copy a workspace, and let its MLflow point into the copy."""
    shutil.copytree(source, target)
    correct_workspace(target)
    return target


def sql(workspace: Path, statement: str, *values: Any, database: str = "ledger.db") -> list[Any]:
    """Execute one statement on a database of the workspace, as no command of this package would."""
    connection = sqlite3.connect(workspace / database)
    with connection:
        rows = connection.execute(statement, values).fetchall()
    connection.close()
    return rows


def mlflow_client(workspace: Path) -> Any:
    import mlflow

    return mlflow.MlflowClient(WorkspacePaths(workspace).tracking_uri(None))


def run_id(workspace: Path, trial: int) -> str:
    """Return the run that the ledger names for a trial."""
    ((run,),) = sql(workspace, "SELECT run FROM export WHERE target='mlflow' AND trial=?", trial)
    return run


def folder(workspace: Path, trial: int) -> Path:
    """Return the folder of a trial's files."""
    ((trial_hash,),) = sql(workspace, "SELECT hash FROM trial WHERE number=?", trial)
    return workspace / TrialPaths(trial_hash).folder


def rules(workspace: Path, name: str | None = None, **options: Any) -> set[str]:
    """Return the names of the rules that are broken."""
    return {each.name for each in examine(workspace, name, **options).diagnoses}
