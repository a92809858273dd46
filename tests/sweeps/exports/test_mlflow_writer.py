"""MLflow gets every number once, whatever was interrupted."""

import json
import math
from collections import Counter

import pytest
from mini_sweep import body, conductor, play, spec

from sweeps.exports import mlflow_content
from sweeps.exports.mlflow_writer import MlflowWriter
from sweeps.ledger.flatten import flatten
from sweeps.ledger.ledger import Ledger
from sweeps.storage.files import LocalFiles
from sweeps.storage.workspace import TrialPaths, WorkspacePaths

TAGS = {"git_commit": "abc", "torch": "2", "python": "3"}


def export(workspace, name="mini", uri=None):
    tracker = MlflowWriter(
        name, Ledger.of_workspace(workspace), LocalFiles(workspace), workspace, uri, TAGS
    )
    tracker.start()
    assert tracker.finish(120) or uri is not None, tracker.error
    return tracker


def client(workspace):
    import mlflow

    return mlflow.MlflowClient(WorkspacePaths(workspace).tracking_uri(None))


def runs_of(workspace, name="mini"):
    mlflow = client(workspace)
    experiment = mlflow.get_experiment_by_name(name)
    runs = mlflow.search_runs([experiment.experiment_id], max_results=1000)
    parents = [run for run in runs if "sweep.parent" in run.data.tags]
    return parents, [run for run in runs if "sweep.trial" in run.data.tags]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A sweep exported in three goes: cut early, cut later with the cursor lost, to the end."""
    workspace = tmp_path_factory.mktemp("exported")
    play(conductor(spec(), workspace), stop_after=5)
    export(workspace)
    sweep = conductor(spec(), workspace)
    play(sweep, stop_after=9)
    export(workspace)
    from sweeps.ledger import tables

    with Ledger.of_workspace(workspace).transaction() as tx:
        tx.delete(tables.EXPORT)  # as if the driver had died before it wrote how far it was
    sweep = conductor(spec(), workspace)
    play(sweep)
    files = LocalFiles(workspace)
    for trial in sweep.trials:
        files.write(TrialPaths(trial.hash).artifact("config.yaml"), b"seed: 0\n")
    export(workspace)
    return workspace, sweep


def test_one_parent_and_one_run_per_trial_none_left_running(exported):
    parents, runs = runs_of(exported[0])
    assert len(parents) == 1
    assert len({run.data.tags["sweep.trial"] for run in runs}) == len(runs) == 8
    assert {run.data.tags["mlflow.parentRunId"] for run in runs} == {parents[0].info.run_id}
    assert Counter(run.info.status for run in [*parents, *runs]) == {"FINISHED": 5, "KILLED": 4}


def test_every_step_of_every_metric_is_there_once(exported):
    workspace, sweep = exported
    mlflow = client(workspace)
    _, runs = runs_of(workspace)
    for run in runs:
        trial = sweep.trials[int(run.data.tags["sweep.trial"].rpartition("/")[2])]
        for key in ("mig", "tc", "reconstruction", "train/loss"):
            steps = [point.step for point in mlflow.get_metric_history(run.info.run_id, key)]
            assert sorted(steps) == list(range(1, trial.epoch + 1)), (trial.number, key)


def test_errors_of_an_epoch_are_in_a_folder_of_their_own():
    metrics = {"tc": 1.0, "tc_error": 0.1, "information/scale_error": 0.5}
    written = {"metrics": metrics, "train": {}, "final": {"tc": 1.0, "tc_error": 0.1}}
    row = {"body": json.dumps(written), "at": 0.0, "epoch": 1, "seconds": 1.0}
    assert {point.key for point in mlflow_content.report_points(row)} == {
        *("tc", "error/tc", "information/scale_error"),
        *("final/tc", "final/tc_error", "seconds"),
    }


def test_only_complete_trials_have_final_metrics(exported):
    _, runs = runs_of(exported[0])
    assert {run.data.tags["state"] for run in runs if "final/mig" in run.data.metrics} == {
        "COMPLETE"
    }


def test_a_run_carries_config_tags_and_artifacts(exported):
    workspace, sweep = exported
    _, runs = runs_of(workspace)
    run = next(run for run in runs if run.data.tags["sweep.trial"] == "mini/2")
    trial = sweep.trials[2]
    assert run.data.params["objective.beta"] == "4.0"
    assert run.data.tags["config_hash"] == trial.hash
    assert float(run.data.tags["beta_normalised"]) == pytest.approx(
        4 * 3 / (16 * 16)
    )  # beta * d / pixels
    names = [file.path for file in client(workspace).list_artifacts(run.info.run_id)]
    assert names == ["config.yaml"]


def test_an_ended_run_says_whether_it_collapsed_and_what_its_best_weights_score(tmp_path):
    evaluation = {"images": 64, "samples": 16, "final": ["mig"], "best": "mig"}
    small = spec(
        evaluation=evaluation, train={"epochs": 2, "batch_size": 32}, pruning="none", seeds=2
    )
    play(
        conductor(small, tmp_path),
        active=lambda trial, epoch: 0.0 if trial.seed and epoch == 2 else 1.0,
    )
    export(tmp_path)
    runs = runs_of(tmp_path)[1]
    assert {(run.data.tags["seed"], run.data.tags["collapsed"]) for run in runs} == {
        ("0", "false"),
        ("1", "true"),
    }
    mlflow = client(tmp_path)
    for run in runs:
        assert [point.step for point in mlflow.get_metric_history(run.info.run_id, "best/mig")] == [
            2
        ]
        assert run.data.metrics["best/epoch"] == 1


def test_snapshots_are_among_a_pruned_runs_artifacts(tmp_path):
    sweep = conductor(spec(), tmp_path)
    play(sweep)
    pruned = next(trial for trial in sweep.trials if trial.state == "PRUNED")
    LocalFiles(tmp_path).write(TrialPaths(pruned.hash).artifact("snapshot-0001.png"), b"png")
    export(tmp_path)
    run = next(run for run in runs_of(tmp_path)[1] if run.data.tags["config_hash"] == pruned.hash)
    assert [file.path for file in client(tmp_path).list_artifacts(run.info.run_id)] == [
        "snapshot-0001.png"
    ]


def test_a_local_artifact_is_a_link_not_a_copy(exported):
    workspace, sweep = exported
    paths = list((workspace / "artifacts").rglob("config.yaml"))
    assert len(paths) == 8
    inodes = {
        (workspace / TrialPaths(trial.hash).artifact("config.yaml")).stat().st_ino
        for trial in sweep.trials
    }
    assert {path.stat().st_ino for path in paths} == inodes


def test_what_is_not_finite_becomes_a_tag_not_a_point(tmp_path):
    sweep = conductor(spec(pruning="none"), tmp_path)
    trial = sweep.next().trial
    sweep.record(trial.number, body(trial, 1, math.inf))
    export(tmp_path)
    run = next(run for run in runs_of(tmp_path)[1] if run.data.tags["sweep.trial"] == "mini/0")
    assert "mig" not in run.data.metrics
    assert run.data.tags["not_finite"] == "mig"
    assert run.data.tags["state"] == "INTERRUPTED"


def test_a_server_that_is_away_is_an_error_to_show_not_to_raise(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    play(conductor(spec(), tmp_path), stop_after=3)
    tracker = export(tmp_path, uri="http://127.0.0.1:9")  # the discard port: nobody listens
    assert tracker.error is not None


def test_flatten_joins_paths_with_dots():
    assert flatten({"a": {"b": 1, "c": {"d": [1, 2]}}, "e": None}) == {
        "a.b": 1,
        "a.c.d": [1, 2],
        "e": None,
    }
