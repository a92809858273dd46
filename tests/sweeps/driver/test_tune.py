"""Searcher and scheduler without Tune: what they write, print and record."""

import json
from types import SimpleNamespace

import mini_sweep
import pytest
from ray.tune.schedulers import TrialScheduler

from sweeps.driver import tune
from sweeps.driver.desk import Desk, RunningActor
from sweeps.ledger import tables
from sweeps.storage.files import LocalFiles
from sweeps.storage.workspace import TrialPaths


@pytest.fixture
def desk(tmp_path, monkeypatch):
    said = []
    conductor = mini_sweep.conductor(mini_sweep.spec(resources={"retries": 0}), tmp_path)
    desk = Desk(conductor, LocalFiles(tmp_path), 2, 0.0, set(), set(), said.append)
    desk.said = said
    monkeypatch.setitem(tune._DESKS, "mini", desk)
    monkeypatch.setattr(tune, "node_is_gone", lambda node: node == "dead")
    return desk


def suggested(desk):
    return SimpleNamespace(config=tune.CellSearcher("mini").suggest("tune-1"), error_file=None)


def artifact(desk, number, name):
    return desk.files.read(TrialPaths(desk.conductor.trials[number].hash).artifact(name)).decode()


def attempts(desk):
    return desk.conductor._ledger.of(tables.ATTEMPT, "mini")


def test_the_config_of_an_attempt_has_the_last_reported_epoch(desk):
    first = suggested(desk).config
    assert first["last_epoch"] == 0
    trial = desk.conductor.trials[first["number"]]
    desk.conductor.record(trial.number, mini_sweep.body(trial, 1, 0.1))
    desk.conductor.lost(trial.number, "node", "gone")
    assert suggested(desk).config["last_epoch"] == 1


def test_skipped_checkpoints_are_printed_and_kept(desk):
    number = suggested(desk).config["number"]
    trial = desk.conductor.trials[number]
    for epoch, skipped in ((1, ["000003.pt: cut", "000002.pt: of another trial"]), (2, ["x: y"])):
        body = mini_sweep.body(trial, epoch, 0.1)
        body["resumed"] = {"epoch": epoch - 1, "skipped": skipped}
        tune.CellScheduler("mini").on_trial_result(None, None, {"report": json.dumps(body)})
    assert desk.said == [
        "warning: trial 0 cannot use checkpoint 000003.pt: cut; it begins at epoch 1",
        "warning: trial 0 cannot use checkpoint 000002.pt: of another trial; it begins at epoch 1",
        "warning: trial 0 cannot use checkpoint x: y; it resumes after epoch 1",
    ]
    assert artifact(desk, 0, "skipped-checkpoints.txt") == (
        f"attempt {trial.attempt} begins at epoch 1; skipped:\n"
        "  000003.pt: cut\n  000002.pt: of another trial\n"
        f"attempt {trial.attempt} resumes after epoch 1; skipped:\n  x: y\n"
    )
    row = desk.conductor._ledger.of(tables.REPORT, "mini")[0]
    assert json.loads(row["body"])["resumed"]["epoch"] == 0


def test_a_resume_without_skipped_checkpoints_prints_nothing(desk):
    trial = desk.conductor.trials[suggested(desk).config["number"]]
    body = mini_sweep.body(trial, 1, 0.1) | {"resumed": {"epoch": 1, "skipped": []}}
    tune.CellScheduler("mini").on_trial_result(None, None, {"report": json.dumps(body)})
    assert desk.said == []


@pytest.mark.parametrize(("node", "outcome"), [("dead", "node"), ("alive", "lost"), ("", "lost")])
def test_a_dead_node_is_not_charged_to_retries(desk, node, outcome):
    trial = suggested(desk)
    attempt = trial.config["attempt"]
    if node:
        desk.actors[attempt] = RunningActor("handle", node, 0.0)
    tune.CellScheduler("mini").on_trial_error(None, trial)
    assert [row["outcome"] for row in attempts(desk)] == [outcome]
    progress = desk.conductor.trials[0]
    assert progress.state == ("WAITING" if outcome == "node" else "FAILED")  # retries: 0
    assert artifact(desk, 0, "failure.txt").startswith(f"{outcome}\n")


def test_an_attempt_that_the_watchdog_ended_is_a_timeout(desk):
    trial = suggested(desk)
    desk.expired.add(trial.config["attempt"])
    tune.CellScheduler("mini").on_trial_error(None, trial)
    (row,) = attempts(desk)
    assert row["outcome"] == "timeout"
    assert "resources.trial_timeout" in row["message"]


def test_the_death_of_an_older_attempt_does_not_touch_the_present_one(desk):
    old = suggested(desk)
    desk.conductor.lost(0, "node", "gone")
    suggested(desk)
    tune.CellScheduler("mini").on_trial_error(None, old)
    assert [row["outcome"] for row in attempts(desk)] == ["node", None]


def test_a_full_disk_does_not_end_the_sweep_for_an_artifact(desk, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(desk.files, "write", full)
    trial = suggested(desk)
    progress = desk.conductor.trials[0]
    failure = {"failure": "error", "message": "x", "log": ""}
    body = mini_sweep.body(progress, 1, 0.1) | failure
    decision = tune.CellScheduler("mini").on_trial_result(None, trial, {"report": json.dumps(body)})
    assert decision == TrialScheduler.STOP
    assert [line.partition(": ")[0] for line in desk.said] == ["warning", "warning"]
    assert "config.yaml cannot be written: [Errno 28]" in desk.said[0]
