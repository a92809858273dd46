"""One stretch of one trial in an actor, with its store and Ray faked."""

import pytest
from local_actor import FakeStore, actor, fake_ray, step

from sweeps.driver import trial_actor


@pytest.fixture(autouse=True)
def no_ray(monkeypatch):
    monkeypatch.setattr(trial_actor, "ray", fake_ray())


def test_a_snapshot_is_stored_with_its_epoch_before_the_checkpoint():
    store = FakeStore()
    made = actor(store)
    assert [step(made)["epoch"] for _ in range(2)] == [1, 2]
    assert store.log == ["snapshot-0001.png", "checkpoint 1", "snapshot-0002.png", "checkpoint 2"]


def test_a_trial_that_was_killed_leaves_the_same_snapshots():
    whole, cut = FakeStore(), FakeStore()
    made = actor(whole)
    reports = [step(made) for _ in range(3)]
    first = actor(cut)
    step(first)
    step(first)
    del cut.checkpoints[
        2
    ]  # as if the process had died with epoch 2's snapshot written and its checkpoint not
    again = actor(cut)
    repeated = [step(again) for _ in range(3)]
    assert [report["metrics"] for report in repeated] == [report["metrics"] for report in reports]
    snapshots = sorted(name for name in whole.files if name.startswith("snapshot-"))
    assert snapshots == ["snapshot-0001.png", "snapshot-0002.png", "snapshot-0003.png"]
    assert {name: cut.files[name] for name in snapshots} == {
        name: whole.files[name] for name in snapshots
    }


def test_the_last_report_has_the_best_epochs_numbers():
    made = actor(FakeStore())
    first, second, last = (step(made) for _ in range(3))
    migs = {report["epoch"]: report["metrics"]["mig"] for report in (first, second, last)}
    assert first["best"] is None
    assert last["best"]["epoch"] == max(migs, key=lambda epoch: migs[epoch])
    assert set(last["final"]) >= set(last["best"]) - {"epoch"}


def test_a_trial_that_diverges_in_its_first_epoch_reports_so():
    report = step(actor(FakeStore(), learning_rate=1e6, optimiser="sgd"))
    assert report["failure"] == "diverged"
    assert "epoch 1" in report["message"]
