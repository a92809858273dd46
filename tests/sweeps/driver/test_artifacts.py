"""What a trained trial leaves behind."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from sweeps.driver.artifacts import final_artifacts, snapshot_artifacts
from vae_core import MLP, DSprites, EvaluationConfig, TrainConfig, TrialConfig, train
from vae_core.objectives import OBJECTIVES

DATA = DSprites(resolution=16, stride={"scale": 3, "orientation": 10, "pos_x": 8, "pos_y": 8})
LOADED = DATA.load()


def trained(objective, *, epochs=1, **evaluation):
    config = TrialConfig(
        data=DATA,
        objective=objective,
        network=MLP(hidden=(8,), latents=2),
        train=TrainConfig(epochs=epochs, batch_size=64),
        evaluation=EvaluationConfig(images=64, samples=4, **evaluation),
        fingerprint=LOADED.fingerprint,
    )
    return config, list(train(config, LOADED))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_leaves_codes_weights_and_pictures(name):
    config, reports = trained(OBJECTIVES[name]())
    files = final_artifacts(config, LOADED, reports[-1])
    assert {
        "codes.npz",
        "weights.pt",
        "traversal.png",
        "traversal.gif",
        "mutual_information.png",
    } < set(files)
    codes = np.load(io.BytesIO(files["codes.npz"]))
    assert codes["mean"].shape == (len(LOADED), 2)
    categories = config.objective.wiring.reads_code
    assert ("discrete" in codes) == bool(categories)
    if categories:
        assert codes["discrete"].shape == (len(LOADED), len(categories))
    assert ("snapshot-0001.png" in snapshot_artifacts(reports[0])) == (
        reports[0].snapshot is not None
    )
    for picture in ("traversal.png", "traversal.gif"):
        Image.open(io.BytesIO(files[picture])).verify()


def test_snapshots_are_of_objectives_with_a_capacity():
    _, with_c = trained(OBJECTIVES["capacity_vae"](), epochs=3)
    _, without = trained(OBJECTIVES["beta_vae"]())
    files = [name for report in with_c for name in snapshot_artifacts(report)]
    assert files == ["snapshot-0001.png", "snapshot-0002.png", "snapshot-0003.png"]
    assert snapshot_artifacts(without[0]) == {}


def test_the_best_epochs_weights_are_kept_apart():
    config, reports = trained(OBJECTIVES["beta_vae"](), epochs=2, best="mig")
    files = final_artifacts(config, LOADED, reports[-1])
    kept = torch.load(io.BytesIO(files["weights-best.pt"]), weights_only=True)
    assert kept.keys() == torch.load(io.BytesIO(files["weights.pt"]), weights_only=True).keys()
    best = reports[-1].state.best
    assert best is not None
    assert all(torch.equal(kept[name], weight) for name, weight in best.weights.items())
