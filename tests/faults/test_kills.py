"""Sweeps with processes killed by SIGKILL: they end complete and store every number once."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
from mini_sweep import MINI

from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.spec.yaml_writer import dump
from sweeps.storage.workspace import WorkspacePaths

SPEC = {
    **MINI,
    "seeds": 1,
    "train": {"epochs": 6, "batch_size": 32, "learning_rate": {"grid": [1e-2, 1e-3]}},
    # The ELBO of two learning rates is never equal; MIG is 0 for both if all latents are dead.
    "pruning": {**MINI["pruning"], "metric": "elbo"},
    "checkpoint": {"every": 1, "min_seconds": 0},
    # One trial at a time: ASHA judges in order of arrival, so only then are the verdicts the same
    # as without a kill.
    "resources": {"max_concurrent": 1},
}
HALF = {"COMPLETE": 2, "PRUNED": 2}
TWO_AT_ONCE = {**SPEC, "resources": {"trial_timeout": "30s"}}


def start(workspace, spec, failpoint=None):
    """Start `sweeps run` in another process, which a failpoint may kill."""
    workspace.mkdir(exist_ok=True)
    path = workspace / "spec.yaml"
    path.write_text(dump(spec))
    environment = dict(os.environ)
    if failpoint:
        environment["SWEEPS_FAILPOINT"] = f"{failpoint}={workspace / 'killed'}"
    command = [sys.executable, "-m", "sweeps", "run", str(path), "--workspace", str(workspace)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def run(workspace, spec, failpoint=None):
    """Run `sweeps run` to its end; return exit code and output."""
    process = start(workspace, spec, failpoint)
    output, _ = process.communicate(timeout=240)
    return process.returncode, output


def rows(workspace, table):
    return Ledger.of_workspace(workspace).of(table, "mini")


def wait_for_reports(workspace, number, seconds=120):
    """Return the reports of a running sweep as soon as there are `number` of them."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (workspace / "ledger.db").exists():
            reports = rows(workspace, tables.REPORT)
            if len(reports) >= number:
                return reports
        time.sleep(0.05)
    raise AssertionError(f"no {number} reports in {seconds} s")


def assert_every_number_once(workspace, states=None):
    """Check that ledger and MLflow have every epoch of every trial once, and no open trial."""
    import mlflow

    trials = {row["number"]: row for row in rows(workspace, tables.TRIAL)}
    ends = {row["trial"]: row["state"] for row in rows(workspace, tables.END)}
    assert ends.keys() == trials.keys()
    assert set(ends.values()) <= {"COMPLETE", "PRUNED"}
    assert states is None or Counter(ends.values()) == states
    reports = rows(workspace, tables.REPORT)
    epochs = {number: [] for number in trials}
    for row in reports:
        epochs[row["trial"]].append(row["epoch"])
    for number, reported in epochs.items():
        last = 6 if ends[number] == "COMPLETE" else 3
        assert reported == list(range(1, last + 1)), epochs

    client = mlflow.MlflowClient(WorkspacePaths(workspace).tracking_uri(None))
    experiment = client.get_experiment_by_name("mini")
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == len(trials) + 1  # and the parent run
    assert {run.info.status for run in runs} <= {"FINISHED", "KILLED"}
    for run in runs:
        if "sweep.trial" in run.data.tags:
            number = int(run.data.tags["sweep.trial"].rpartition("/")[2])
            steps = [point.step for point in client.get_metric_history(run.info.run_id, "tc")]
            assert sorted(steps) == epochs[number]


def numbers(workspace):
    """Return {(trial hash, epoch): metrics}."""
    hashes = {row["number"]: row["hash"] for row in rows(workspace, tables.TRIAL)}
    return {
        (hashes[row["trial"]], row["epoch"]): json.loads(row["body"])["metrics"]
        for row in rows(workspace, tables.REPORT)
    }


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """Return the workspace of the same sweep without a kill."""
    workspace = tmp_path_factory.mktemp("clean")
    code, output = run(workspace, SPEC)
    assert code == 0, output
    assert_every_number_once(workspace, HALF)
    return workspace


def assert_same_numbers(workspace, clean, *, same_verdicts=True):
    ours, theirs = numbers(workspace), numbers(clean)
    assert ours.keys() == theirs.keys() or not same_verdicts
    assert len(ours.keys() & theirs.keys()) >= 4 * 3  # every trial reaches the rung at epoch 3
    # Every bit is equal: the CPU's arithmetic is the same in every process, and a checkpoint has
    # everything that training needs.
    assert all(ours[key] == theirs[key] for key in ours.keys() & theirs.keys())


def test_a_trial_killed_between_its_checkpoint_and_its_report_resumes(tmp_path, clean):
    code, output = run(tmp_path, SPEC, "trial.checkpointed:2")
    assert code == 0, output
    assert (tmp_path / "killed").exists()
    assert "did not complete" not in output  # Tune says so of a lost attempt; nothing is missing
    assert "lost" in {row["outcome"] for row in rows(tmp_path, tables.ATTEMPT)}
    assert_every_number_once(tmp_path, HALF)
    assert_same_numbers(tmp_path, clean)


@pytest.mark.parametrize(
    "moments",
    [
        ("driver.reported:4",),
        pytest.param(
            ("driver.asked:2", "driver.before_report:3", "driver.reported:4"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_driver_killed_at_several_moments_resumes_with_the_same_command(tmp_path, clean, moments):
    for moment in moments:
        (tmp_path / "killed").unlink(missing_ok=True)
        code, output = run(tmp_path, SPEC, moment)
        assert code == -signal.SIGKILL, (moment, output)
    code, output = run(tmp_path, SPEC)
    assert code == 0, output
    assert_every_number_once(tmp_path, HALF)
    assert_same_numbers(tmp_path, clean)
    complete = [row for row in rows(tmp_path, tables.ATTEMPT) if row["outcome"] == "complete"]
    assert len(complete) == 2  # no finished trial was trained again


def test_the_same_command_after_the_end_trains_nothing(clean):
    before = rows(clean, tables.ATTEMPT)
    code, output = run(clean, SPEC)
    assert code == 0, output
    assert rows(clean, tables.ATTEMPT) == before
    assert_every_number_once(clean, HALF)


@pytest.mark.slow
@pytest.mark.parametrize("kill", range(6))
def test_killing_driver_or_trial_at_any_report_loses_nothing(tmp_path, clean, kill):
    process = start(tmp_path, TWO_AT_ONCE)
    reports = wait_for_reports(tmp_path, 1 + 2 * kill)
    victim = process.pid if kill % 2 else json.loads(reports[-1]["body"])["pid"]
    os.kill(victim, signal.SIGKILL)
    process.communicate(timeout=240)
    code, output = run(tmp_path, TWO_AT_ONCE)
    assert code == 0, output
    assert_every_number_once(tmp_path)
    assert_same_numbers(tmp_path, clean, same_verdicts=False)


@pytest.mark.slow
@pytest.mark.parametrize("notice", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_sweep_cleanly_and_it_says_how_to_resume(tmp_path, clean, notice):
    process = start(tmp_path, TWO_AT_ONCE)
    wait_for_reports(tmp_path, 3)
    process.send_signal(notice)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 1, output
    assert "The same command resumes the sweep" in output
    assert "Traceback" not in output
    assert run(tmp_path, TWO_AT_ONCE)[0] == 0
    assert_every_number_once(tmp_path)
    assert_same_numbers(tmp_path, clean, same_verdicts=False)


@pytest.mark.slow
def test_a_trial_that_hangs_is_stopped_and_resumes(tmp_path, clean):
    code, output = run(tmp_path, TWO_AT_ONCE, "trial.checkpointed:2:hang")
    assert code == 0, output
    assert "timeout" in {row["outcome"] for row in rows(tmp_path, tables.ATTEMPT)}
    assert_every_number_once(tmp_path)
    assert_same_numbers(tmp_path, clean, same_verdicts=False)


@pytest.mark.slow
def test_a_second_driver_of_the_same_sweep_is_refused(tmp_path):
    process = start(tmp_path, TWO_AT_ONCE)
    wait_for_reports(tmp_path, 1)
    code, output = run(tmp_path, TWO_AT_ONCE)
    assert code == 2
    assert f"is being driven by pid {process.pid}" in output
    assert process.wait(timeout=240) == 0


@pytest.mark.slow
def test_another_spec_under_the_same_name_is_refused_with_the_difference(clean):
    code, output = run(clean, {**SPEC, "seeds": 2})
    assert code == 2
    assert "seeds: was [0], is [0, 1]" in output
    assert "Traceback" not in output


@pytest.mark.slow
def test_impossible_resources_are_refused_before_the_first_trial(tmp_path):
    code, output = run(tmp_path, {**SPEC, "resources": {"cpu": 4096}})
    assert code == 2, output
    assert "no node can ever run a trial with cpu: 4096" in output
    code, output = run(tmp_path, {**SPEC, "resources": {"gpu": 0.5, "require_gpu": True}})
    assert code == 2, output
    assert rows(tmp_path, tables.TRIAL) == []
