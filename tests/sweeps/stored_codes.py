"""A finished sweep with stored codes, made without training, and what MLflow has of a sweep."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from mini_sweep import conductor, play, spec

from sweeps.driver.conductor import Conductor
from sweeps.exports.mlflow_writer import MlflowWriter
from sweeps.ledger.ledger import Ledger
from sweeps.storage.files import LocalFiles
from sweeps.storage.workspace import TrialPaths, WorkspacePaths

FACTORS = np.indices((4, 3, 5)).reshape(3, -1).T
PLAIN: dict[str, Any] = {"pruning": "none", "train": {"epochs": 2, "batch_size": 32}}


def finished(workspace: Path, **changes: Any) -> Conductor:
    """Play a small sweep to its end, store noisy codes of 60 images per trial, and export it."""
    sweep = conductor(spec(**{**PLAIN, **changes}), workspace)
    play(sweep)
    for trial in sweep.trials:
        rng = np.random.default_rng(trial.number)
        mean = FACTORS - FACTORS.mean(0) + 0.3 * rng.normal(size=FACTORS.shape)
        buffer = io.BytesIO()
        np.savez(
            buffer,
            mean=mean.astype(np.float32),
            logvar=rng.uniform(-4, -2, FACTORS.shape).astype(np.float32),
            factors=FACTORS,
            factor_names=np.array(["shape", "scale", "x"]),
            factor_sizes=np.array([4, 3, 5]),
        )
        LocalFiles(workspace).write(TrialPaths(trial.hash).artifact("codes.npz"), buffer.getvalue())
    export(workspace)
    return sweep


def export(workspace: Path) -> None:
    """Bring MLflow up to date, as a driver does at its end."""
    writer = MlflowWriter(
        "mini", Ledger.of_workspace(workspace), LocalFiles(workspace), workspace, None, {}
    )
    writer.start()
    assert writer.finish(120), writer.error


def points(workspace: Path, name: str = "mini") -> dict[int, Counter[tuple[str, int]]]:
    """Return, for the run of each trial, how often MLflow has each (final metric, step)."""
    import mlflow

    client = mlflow.MlflowClient(WorkspacePaths(workspace).tracking_uri(None))
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    counts: dict[int, Counter[tuple[str, int]]] = {}
    for run in client.search_runs([experiment.experiment_id], max_results=1000):
        if "sweep.trial" not in run.data.tags:
            continue
        number = int(run.data.tags["sweep.trial"].rpartition("/")[2])
        assert number not in counts  # one run per trial
        counts[number] = Counter()
        for key in run.data.metrics:
            if key.startswith("final/"):
                history = client.get_metric_history(run.info.run_id, key)
                counts[number].update((point.key, point.step) for point in history)
    return counts


def values(workspace: Path, number: int) -> dict[str, float]:
    """Return the metrics of a trial's run."""
    return _run(workspace, number).data.metrics


def tags(workspace: Path, number: int) -> dict[str, str]:
    """Return the tags of a trial's run."""
    return _run(workspace, number).data.tags


def _run(workspace: Path, number: int) -> Any:
    import mlflow

    client = mlflow.MlflowClient(WorkspacePaths(workspace).tracking_uri(None))
    experiment = client.get_experiment_by_name("mini")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], f"tags.`sweep.trial` = 'mini/{number}'")
    return run
