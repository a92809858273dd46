"""A trial actor in the process of a test: its store and Ray are faked."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from sweeps.driver import trial_actor
from sweeps.driver.data_guard import FileStamp
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


def fake_ray() -> Any:
    """Return what stands for the module ray in an actor that runs in the process of a test."""
    context = SimpleNamespace(current_actor=None)
    return SimpleNamespace(
        put=lambda value: value, get=lambda value: value, get_runtime_context=lambda: context
    )


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
