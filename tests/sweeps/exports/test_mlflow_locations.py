"""A moved or copied workspace works where it lies, and never writes to its old place."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import mini_sweep
import pytest
from nasty_names import NASTY_FOLDER

from sweeps.exports import mlflow_client
from sweeps.exports.mlflow_locations import correct_locations, correct_workspace
from sweeps.exports.mlflow_writer import MlflowWriter
from sweeps.ledger.ledger import Ledger
from sweeps.storage.files import LocalFiles
from sweeps.storage.workspace import TrialPaths
from sweeps.urls import path_of_uri, sqlite_text


def export(workspace: Path, *, stop_after: int | None = None) -> None:
    """Train a part of the small sweep, with an artifact in every trial, and export it."""
    sweep = mini_sweep.conductor(mini_sweep.spec(), workspace)
    mini_sweep.play(sweep, stop_after=stop_after)
    files = LocalFiles(workspace)
    for trial in sweep.trials:
        files.write(TrialPaths(trial.hash).artifact("config.yaml"), b"seed: 0\n")
    writer = MlflowWriter("mini", Ledger.of_workspace(workspace), files, workspace, None, {})
    writer.start()
    assert writer.finish(120), writer.error


def runs_of(client: Any) -> list[Any]:
    experiment = client.get_experiment_by_name("mini")
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    return [run for run in runs if "sweep.trial" in run.data.tags]


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the old folder of a sweep, and where it was moved to in the middle of the sweep."""
    folder = tmp_path_factory.mktemp("moved")
    old, new = folder / "old place", folder / NASTY_FOLDER
    export(old, stop_after=9)
    with_experiment = mlflow_client.connect(old, None, "mini")
    with_experiment.create_experiment("notes", artifact_location="file:///elsewhere/notes")
    with_experiment.create_experiment("by hand")  # MLflow chooses a location
    shutil.copytree(old, new)
    old.rename(folder / "kept aside")
    export(new)
    return old, new


def test_nothing_is_written_at_the_old_place(moved: tuple[Path, Path]) -> None:
    old, new = moved
    assert not old.exists()
    kept = (old.parent / "kept aside" / "artifacts").rglob("config.yaml")
    assert len(list(kept)) < len(list((new / "artifacts").rglob("config.yaml"))) == 8


def test_every_artifact_is_found_at_the_new_place(moved: tuple[Path, Path]) -> None:
    _, new = moved
    client = mlflow_client.connect(new, None, "mini")
    runs = runs_of(client)
    assert len(runs) == 8
    for run in runs:
        assert path_of_uri(run.info.artifact_uri).is_relative_to(new / "artifacts" / "mini")
        path = client.download_artifacts(run.info.run_id, "config.yaml")
        assert Path(path).read_text() == "seed: 0\n"


def test_locations_that_a_user_chose_stay(moved: tuple[Path, Path]) -> None:
    _, new = moved
    client = mlflow_client.connect(new, None, "mini")
    assert client.get_experiment_by_name("notes").artifact_location == "file:///elsewhere/notes"
    old_client = mlflow_client.connect(new.parent / "kept aside", None, "mini")
    by_hand = [one.get_experiment_by_name("by hand") for one in (client, old_client)]
    assert by_hand[0].artifact_location == by_hand[1].artifact_location


def test_a_second_time_there_is_nothing_to_correct(moved: tuple[Path, Path]) -> None:
    _, new = moved
    assert correct_workspace(new) == 0


def test_a_workspace_without_mlflow_gets_none(tmp_path: Path) -> None:
    assert correct_workspace(tmp_path) == 0
    assert list(tmp_path.iterdir()) == []


def test_in_a_shared_database_only_the_experiment_of_the_sweep_moves(
    moved: tuple[Path, Path], tmp_path: Path
) -> None:
    _, new = moved
    shared = tmp_path / "shared.db"
    shutil.copy(new / "mlflow.db", shared)
    url = sqlite_text(shared)
    assert correct_locations(url, tmp_path / "artifacts", sweep="another") == 0
    # the experiment, its parent run and the runs of eight trials
    assert correct_locations(url, tmp_path / "artifacts", sweep="mini") == 10
    client = mlflow_client.connect(tmp_path, f"sqlite:///{shared}", "mini")
    runs = runs_of(client)
    assert len(runs) == 8
    assert all(
        path_of_uri(run.info.artifact_uri).is_relative_to(tmp_path / "artifacts") for run in runs
    )
