"""A trial actor in the process of a test: its store and Ray are faked."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from sweeps.driver import trial_actor
from sweeps.driver.data_guard import FileStamp
from sweeps.storage.store_actor import Store
from vae_core import MLP, DSprites, EvaluationConfig, TrainConfig, TrialConfig
from vae_core.objectives import CapacityVAE
from vae_core.types import Data

DATA = DSprites(resolution=16, stride={"scale": 3, "orientation": 10, "pos_x": 8, "pos_y": 8})
LOADED = DATA.load()


class FakeStore:
    """Keeps what an actor hands over; every method is called as `store.method.remote(…)`."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.checkpoints: dict[int, bytes] = {}
        self.log: list[str] = []  # names in the order of arrival
        self.enlist = SimpleNamespace(remote=lambda attempt, node, actor: None)
        self.checkpoint_epochs = SimpleNamespace(remote=self._checkpoint_epochs)
        self.read_checkpoint = SimpleNamespace(
            remote=lambda _, epoch: (self.checkpoints[epoch], "")
        )
        self.save_artifacts = SimpleNamespace(remote=self._save_artifacts)
        self.save_checkpoint = SimpleNamespace(remote=self._save_checkpoint)

    def _checkpoint_epochs(self, _: str, until: int) -> list[int]:
        return sorted((epoch for epoch in self.checkpoints if epoch <= until), reverse=True)

    def _save_artifacts(self, _: str, files: dict[str, bytes]) -> None:
        self.files |= files
        self.log += files

    def _save_checkpoint(self, _: str, epoch: int, blob: bytes) -> None:
        self.checkpoints[epoch] = blob
        self.log.append(f"checkpoint {epoch}")


class LocalStore:
    """A store in the process of a test: `store.method.remote(…)` calls it at once."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def __getattr__(self, method: str) -> Any:
        return SimpleNamespace(remote=getattr(self.store, method))


def fake_ray() -> Any:
    """Return what stands for the module ray in an actor that runs in the process of a test."""
    context = SimpleNamespace(current_actor=None, get_node_id=lambda: "this node")
    return SimpleNamespace(
        put=lambda value: value,
        get=lambda value, timeout=None: value,
        get_runtime_context=lambda: context,
    )


def actor(
    store: Any,
    data: Data = LOADED,
    stamp: FileStamp | None = None,
    *,
    last_epoch: int = 1_000,
    **train: Any,
) -> trial_actor.TrialActor:
    """Return an actor at the beginning of an attempt.

    Args:
        store: of files and checkpoints.
        data: of the trial.
        stamp: of the data's file.
        last_epoch: the last epoch that the sweep has a report of.
        train: fields of the training settings.
    """
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
        "last_epoch": last_epoch,
        "judged": [1, 2],
        "patience": 0.0,
        "threads": 1,
        "gpu": 0.0,
    }
    made.setup({**assigned, "checkpoint_every": 1, "checkpoint_seconds": 0.0}, data, stamp, store)
    return made


def step(made: trial_actor.TrialActor) -> dict[str, Any]:
    return json.loads(made.step()["report"])
