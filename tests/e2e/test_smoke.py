"""All commands in a row, as a user types them: run, status, runs, report, export."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest


def sweeps(*arguments, workspace, code=0):
    """Run a command in a new process; return what it prints."""
    command = [sys.executable, "-m", "sweeps", *arguments]
    environment = {**os.environ, "SWEEPS_WORKSPACE": str(workspace)}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("smoke")
    sweeps("run", "smoke", workspace=folder)
    return folder


def test_status_shows_an_ended_sweep_with_complete_exports(workspace):
    (smoke,) = json.loads(sweeps("status", "--json", workspace=workspace))
    assert (smoke["name"], smoke["state"]) == ("smoke", "ENDED")
    assert set(smoke["trials"]) == {"COMPLETE", "PRUNED"}
    assert sum(smoke["trials"].values()) == 8  # 4 cells of 2 seeds
    for lags in smoke["exports"].values():
        assert all(lag == 0 for lag in lags.values())


def test_runs_prints_a_row_per_trial_and_final_scores_of_complete_trials(workspace):
    rows = json.loads(sweeps("runs", "smoke", "--json", workspace=workspace))
    assert len(rows) == 8
    for row in rows:
        assert (row["final/mig"] is not None) == (row["state"] == "COMPLETE")
        assert row["epoch"] == (2 if row["state"] == "COMPLETE" else 1)


def test_a_complete_trial_leaves_its_files_and_no_checkpoint(workspace):
    rows = json.loads(sweeps("runs", "smoke", "--json", workspace=workspace))
    complete = next(row for row in rows if row["state"] == "COMPLETE")
    pruned = next(row for row in rows if row["state"] == "PRUNED")
    complete_folder = workspace / "trials" / complete["trial"]
    pruned_folder = workspace / "trials" / pruned["trial"]
    assert set(os.listdir(complete_folder / "artifacts")) == {
        "codes.npz",
        "config.yaml",
        "mutual_information.png",
        "reconstructions.png",
        "traversal.gif",
        "traversal.png",
        "weights.pt",
    }
    assert os.listdir(complete_folder / "checkpoints") == []
    assert os.listdir(pruned_folder / "checkpoints") == ["000001.pt"]


def test_report_and_export_are_written(workspace):
    page = sweeps("report", "smoke", workspace=workspace).strip()
    assert page == str(workspace / "reports" / "smoke" / "report.html")
    assert "smoke" in Path(page).read_text()
    target = workspace / "runs.csv"
    sweeps("export", "smoke", "--to", str(target), workspace=workspace)
    assert len(pd.read_csv(target)) == 8


def test_optuna_db_holds_the_study(workspace):
    import optuna

    storage = f"sqlite:///{workspace / 'optuna.db'}"
    (name,) = optuna.get_all_study_names(storage)
    study = optuna.load_study(study_name=name, storage=storage)
    states = [trial.state.name for trial in study.trials]
    assert len(states) == 4
    assert set(states) == {"COMPLETE", "PRUNED"}


def test_an_unknown_sweep_is_refused_without_a_traceback(workspace):
    command = [sys.executable, "-m", "sweeps", "runs", "smoek", "--workspace", str(workspace)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "did you mean 'smoke'?" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_without_a_gpu_trials_run_on_the_cpu_with_one_warning(tmp_path):
    command = [sys.executable, "-m", "sweeps", "run", "smoke", "--workspace", str(tmp_path)]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    command += ["--set", "resources.gpu=0.25", "--set", "search.trials=1"]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("warning:") == 1
    assert "no GPU here" in done.stderr
