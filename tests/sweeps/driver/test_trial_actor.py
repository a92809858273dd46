"""One stretch of one trial in an actor, with its store and Ray faked."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from sweeps.driver import trial_actor
from vae_core import MLP, DSprites, EvaluationConfig, TrainConfig, TrialConfig
from vae_core.objectives import CapacityVAE

DATA = DSprites(resolution=16, stride={"scale": 3, "orientation": 10, "pos_x": 8, "pos_y": 8})
LOADED = DATA.load()


class FakeStore:
    """Keeps what an actor hands over; every method is called as `store.method.remote(…)`."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.checkpoints: dict[int, bytes] = {}
        self.log: list[str] = []  # names in the order of arrival
        self.enlist = SimpleNamespace(remote=lambda number, actor: None)
        self.newest_checkpoint = SimpleNamespace(
            remote=lambda _: self.checkpoints.get(max(self.checkpoints, default=0))
        )
        self.save_artifacts = SimpleNamespace(remote=self._save_artifacts)
        self.save_checkpoint = SimpleNamespace(remote=self._save_checkpoint)

    def _save_artifacts(self, _: str, files: dict[str, bytes]) -> None:
        self.files |= files
        self.log += files

    def _save_checkpoint(self, _: str, epoch: int, blob: bytes) -> None:
        self.checkpoints[epoch] = blob
        self.log.append(f"checkpoint {epoch}")


@pytest.fixture(autouse=True)
def no_ray(monkeypatch):
    context = SimpleNamespace(current_actor=None)
    fake = SimpleNamespace(
        put=lambda value: value, get=lambda value: value, get_runtime_context=lambda: context
    )
    monkeypatch.setattr(trial_actor, "ray", fake)


def actor(
    store: FakeStore, data: Data = LOADED, stamp: FileStamp | None = None, **train: Any
) -> trial_actor.TrialActor:
    """Return an actor at the beginning of a stretch."""
    config = TrialConfig(
        data=DATA,
        objective=CapacityVAE(gamma=10.0, c_max=5.0),
        network=MLP(hidden=(8,), latents=2),
        train=TrainConfig(**{"epochs": 3, "batch_size": 64, **train}),
        evaluation=EvaluationConfig(images=64, samples=4, best="mig"),
        fingerprint=LOADED.fingerprint,
    )
    made = trial_actor.TrialActor.__new__(trial_actor.TrialActor)
    assigned = {
        "number": 0,
        "attempt": 1,
        "config": config.to_dict(),
        "judged": [1, 2],
        "threads": 1,
        "gpu": 0.0,
    }
    made.setup({**assigned, "checkpoint_every": 1, "checkpoint_seconds": 0.0}, data, stamp, store)
    return made


def step(made: trial_actor.TrialActor) -> dict[str, Any]:
    return json.loads(made.step()["report"])


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
