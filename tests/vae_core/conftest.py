"""A data set of 96 small images with known factors, and a trial on it that takes milliseconds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

import vae_core
from metrics import Factors
from vae_core import Data, TrialConfig


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def data() -> Data:
    """Return bars of 16 rows, 3 lengths and 2 first columns, on images of 16 x 16 pixels."""
    values = np.indices((16, 3, 2)).reshape(3, -1).T
    images = np.zeros((96, 16, 16), np.uint8)
    for image, (row, length, column) in zip(images, values, strict=True):
        image[row, 4 * column : 4 * column + 4 * (length + 1)] = 1
    factors = Factors(np.ascontiguousarray(values), ("row", "length", "column"), (16, 3, 2))
    return Data("bars", images.reshape(96, 256), (1, 16, 16), False, 1, factors, "bars-of-16")


@pytest.fixture
def config(data: Data) -> TrialConfig:
    return TrialConfig(
        data=vae_core.DSprites(),  # not read: the data are an argument of `train`
        objective=vae_core.BetaTCVAE(beta=2.0),
        network=vae_core.MLP(hidden=(32,), latents=3),
        # epochs of 6, 6 and 2 steps
        train=vae_core.TrainConfig(steps=14, batch_size=16, learning_rate=3e-3),
        evaluation=vae_core.EvaluationConfig(images=40, samples=16, final=("mig",)),
        seed=3,
        fingerprint=data.fingerprint,
    )
