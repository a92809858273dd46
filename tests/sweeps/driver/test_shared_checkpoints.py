"""Sweeps that share trials: each one's ledger gets every epoch once. Ray is left out."""

import json
import shutil

import mini_sweep
import pytest
from local_actor import LOADED, LocalStore, fake_ray
from mini_sweep import MINI

from sweeps.driver import trial_actor
from sweeps.driver.tune import what_the_actor_gets
from sweeps.ledger import tables
from sweeps.storage.checkpoints import Checkpoints
from sweeps.storage.files import LocalFiles
from sweeps.storage.store_actor import Store

CHANGES = {
    "seeds": 1,
    "train": {"epochs": 4, "batch_size": 64},
    "checkpoint": {"every": 1, "min_seconds": 0},
}
FREE = {**CHANGES, "name": "free", "pruning": "none"}
# The ELBO of two trials is never equal.
JUDGED = {**CHANGES, "name": "judged", "pruning": {**MINI["pruning"], "metric": "elbo"}}


@pytest.fixture(autouse=True)
def no_ray(monkeypatch):
    monkeypatch.setattr(trial_actor, "ray", fake_ray())


class LocalSweep:
    """A driver run with one slot: conductor, store and actor are real."""

    def __init__(self, changes, workspace, files=None):
        self.spec = mini_sweep.spec(**changes)
        self.conductor = mini_sweep.conductor(self.spec, workspace, fingerprint=LOADED.fingerprint)
        self.store = LocalStore(Store(files or workspace, None))
        self.assignment = None
        self.actor = None

    def step(self):
        """Train one epoch, in a new process if there is none; return False when nothing is left."""
        if self.assignment is None:
            assignment = self.conductor.next()
            if assignment in (None, "finished"):
                return False
            self.assignment = assignment
        if self.actor is None:
            self.actor = trial_actor.TrialActor.__new__(trial_actor.TrialActor)
            assigned = what_the_actor_gets(self.assignment, self.spec, 0.0)
            self.actor.setup(assigned, LOADED, None, self.store)
        body = json.loads(self.actor.step()["report"])
        assert "failure" not in body, body
        if not self.conductor.record(body["number"], body):
            self.assignment = self.actor = None
        return True

    def lose_process(self):
        """Let the process of the trial die."""
        if self.assignment is not None:
            self.conductor.lost(self.assignment.trial.number, "node", "gone")
            self.assignment = self.actor = None

    def run(self, reports=None):
        """Train to the end, or for a number of reports; the driver then dies."""
        while reports is None or reports > 0:
            if not self.step():
                break
            reports = None if reports is None else reports - 1
        return self

    def epochs(self):
        """Return {trial number: epochs of its reports, in the order of arrival}."""
        epochs = {trial.number: [] for trial in self.conductor.trials}
        for row in self.conductor._ledger.of(tables.REPORT, self.spec.name):
            epochs[row["trial"]].append(row["epoch"])
        return epochs

    def numbers(self):
        """Return {(trial hash, epoch): metrics}."""
        hashes = {trial.number: trial.hash for trial in self.conductor.trials}
        rows = self.conductor._ledger.of(tables.REPORT, self.spec.name)
        return {
            (hashes[row["trial"]], row["epoch"]): json.loads(row["body"])["metrics"] for row in rows
        }

    def assert_every_epoch_once(self):
        assert self.conductor.finished
        for trial in self.conductor.trials:
            assert self.epochs()[trial.number] == list(range(1, trial.epoch + 1))
            assert trial.state == "PRUNED" or trial.epoch == trial.epochs


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Return the numbers of all four trials, trained without another sweep."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trial_actor, "ray", fake_ray())
        return LocalSweep(FREE, tmp_path_factory.mktemp("alone")).run().numbers()


@pytest.mark.parametrize("reports", [3, 14])
def test_a_sweep_after_an_interrupted_one_gets_every_epoch_and_judges_its_rungs(
    tmp_path, alone, reports
):
    LocalSweep(FREE, tmp_path).run(reports=reports)
    second = LocalSweep(JUDGED, tmp_path).run()
    second.assert_every_epoch_once()
    assert second.numbers().items() <= alone.items()
    assert all(cell.verdicts for cell in second.conductor.cells)  # rung 1 at epoch 2
    again = LocalSweep(FREE, tmp_path).run()
    again.assert_every_epoch_once()
    assert again.numbers() == alone


@pytest.mark.parametrize("reports", [6])
def test_a_sweep_whose_ledger_was_deleted_gets_every_epoch_again(tmp_path, alone, reports):
    LocalSweep(FREE, tmp_path).run(reports=reports)
    for file in tmp_path.glob("ledger.db*"):
        file.unlink()
    assert list((tmp_path / "trials").glob("*/checkpoints/*.pt"))
    second = LocalSweep(FREE, tmp_path).run()
    second.assert_every_epoch_once()
    assert second.numbers() == alone


def test_a_sweep_resumes_its_own_trial_where_it_was(tmp_path, alone):
    LocalSweep(FREE, tmp_path).run(reports=3)
    second = LocalSweep(FREE, tmp_path)
    second.step()  # the report of epoch 3 is repeated
    assert second.actor._epochs is not None
    assert next(second.actor._epochs).epoch == 4
    shutil.rmtree(tmp_path / "trials")  # and without its files it begins anew
    third = LocalSweep(FREE, tmp_path).run()
    third.assert_every_epoch_once()
    assert third.numbers() == alone


def test_two_sweeps_train_the_same_trials_at_once_and_lose_nothing(tmp_path, alone):
    """They share files but no ledger; one is ahead, and each loses its process again and again."""
    files = tmp_path / "files"
    fast = LocalSweep(FREE, tmp_path / "fast", files)
    slow = LocalSweep(JUDGED, tmp_path / "slow", files)
    checkpoints = Checkpoints(LocalFiles(files))
    turn = 0
    while not (fast.conductor.finished and slow.conductor.finished):
        turn += 1
        assert turn < 200
        fast.step()
        if turn % 3 == 0:
            slow.step()
        if turn % 5 == 0:
            fast.lose_process()
        if turn % 7 == 0:
            slow.lose_process()
        if turn % 11 == 0:  # the driver of the fast sweep ends and clears its complete trials
            for trial in fast.conductor.trials:
                if trial.state == "COMPLETE":
                    checkpoints.clear(trial.hash)
    for sweep in (fast, slow):
        sweep.assert_every_epoch_once()
        assert sweep.numbers().items() <= alone.items()
    assert fast.numbers() == alone
