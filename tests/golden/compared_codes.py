"""The codes that we and other packages score, and the grid of factors in their form of data."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from metrics import Codes, Factors

NAMES = ("shape", "scale", "orientation", "pos_x", "pos_y")
SIZES = (3, 6, 40, 4, 4)  # dSprites with every 8th position: 11,520 images
ROWS = int(np.prod(SIZES))
SEED = 0
TRAIN, TEST = 2_000, 1_000  # rows for scores that train a model
DCI_TRAIN, DCI_TEST = 500, 500
DCI_FACTORS = (0, 1, 3, 4)  # without orientation: its 40 classes would need most of the trees


def factors(*columns: int) -> Factors:
    """Return the complete grid, one row per combination, with all factors or some of them."""
    values = np.stack(np.unravel_index(np.arange(ROWS), SIZES), axis=1)
    kept = list(columns or range(len(SIZES)))
    return Factors(values[:, kept], tuple(NAMES[k] for k in kept), tuple(SIZES[k] for k in kept))


def codes() -> dict[str, Codes]:
    """Return the codes to compare; they are rounded, so that every machine makes the same ones."""
    rng = np.random.default_rng(SEED)
    values = factors().values
    # One latent per factor, with levels spread evenly over [-1, 1].
    identity = 2 * values / (np.array(SIZES) - 1) - 1
    turn = np.array([[1.0, -1.0], [1.0, 1.0]]) / np.sqrt(2)

    # Like a trained model: position is sharp, scale and angle are mixed with shape, and five
    # latents are noise.
    noisy = 0.02 * rng.standard_normal((len(values), 10))
    noisy[:, 0] += 1.7 * identity[:, 3] + 0.15 * rng.standard_normal(len(values))
    noisy[:, 1] += 1.7 * identity[:, 4] + 0.15 * rng.standard_normal(len(values))
    noisy[:, 2] += (
        1.5 * identity[:, 1] + 0.4 * identity[:, 0] + 0.1 * rng.standard_normal(len(values))
    )
    noisy[:, 3] += np.cos(np.pi * identity[:, 2]) * (
        1 + 0.3 * identity[:, 0]
    ) + 0.1 * rng.standard_normal(len(values))
    noisy[:, 4] += (
        np.sin(np.pi * identity[:, 2])
        + 0.6 * identity[:, 0]
        + 0.1 * rng.standard_normal(len(values))
    )
    dead = noisy.copy()
    dead[:, 5:] = 0.0

    means = {
        "identity": identity,
        # The same, but each latent has a different scale.
        "stretched": identity * np.array([0.1, 1.0, 10.0, 3.0, 0.3]),
        "noisy": noisy,
        # The same, but the five latents of noise are exactly constant.
        "dead": dead,
        "rotated": np.concatenate([identity[:, :3], identity[:, 3:] @ turn], axis=1),
        "noise": rng.standard_normal((len(values), 10)),
    }
    return {
        name: Codes(mean.round(6), np.full(mean.shape, 2 * np.log(0.1)))
        for name, mean in means.items()
    }


def digest(scored: Codes) -> str:
    """Return a hash of the means, to check that the recorded scores belong to these codes."""
    return hashlib.sha256(scored.mean.tobytes()).hexdigest()[:16]


class Deck:
    """The grid in the form of data sets of disentanglement_lib and disent.

    An "observation" is the number of a row. `sample` takes its batches from a permutation of all
    rows. Our metrics draw training rows and then test rows from the same permutation. A metric that
    draws rows by factor uses another generator.
    """

    num_factors = len(SIZES)

    def __init__(self, mean: np.ndarray) -> None:
        self._mean = mean
        self._rows = np.random.default_rng(SEED).permutation(ROWS)
        self._next = 0
        self._values = factors().values
        self.gt_data = self

    def code(self, observations: np.ndarray) -> np.ndarray:
        return self._mean[observations]

    def sample(self, size: int, _state: Any = None) -> tuple[np.ndarray, np.ndarray]:
        rows = self._rows[np.arange(self._next, self._next + size) % ROWS]
        self._next += size
        return self._values[rows], rows

    def sample_observations(self, size: int, state: Any = None) -> np.ndarray:
        return self.sample(size, state)[1]

    def sample_factors(self, size: int, state: Any = np.random) -> np.ndarray:
        return np.stack([state.randint(levels, size=size) for levels in SIZES], axis=1)

    def sample_observations_from_factors(
        self, values: np.ndarray, _state: Any = None
    ) -> np.ndarray:
        return np.ravel_multi_index(tuple(values.T), SIZES)

    # The names of disent for the same methods.
    def dataset_sample_batch(self, size: int, mode: str) -> np.ndarray:
        return self.sample(size)[1]

    def dataset_sample_batch_with_factors(
        self, size: int, mode: str
    ) -> tuple[np.ndarray, np.ndarray]:
        values, observations = self.sample(size)
        return observations, values

    def dataset_batch_from_factors(self, values: np.ndarray, mode: str) -> np.ndarray:
        return self.sample_observations_from_factors(values)
