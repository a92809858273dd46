"""The codes that we and other packages score, and the grid of factors as those packages see data."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from metrics import Codes, Factors

NAMES = ("shape", "scale", "orientation", "pos_x", "pos_y")
SIZES = (3, 6, 40, 4, 4)  # dSprites with every 8th position and all else: 11,520 images
ROWS = int(np.prod(SIZES))
SEED = 0
TRAIN, TEST = 2_000, 1_000  # rows of what learns on one part and is tested on another
DCI_TRAIN, DCI_TEST = 500, 500
DCI_FACTORS = (0, 1, 3, 4)  # without orientation, whose 40 classes would be most of the trees


def factors(*columns: int) -> Factors:
    """The whole grid, one row per combination; of all factors or of some."""
    values = np.stack(np.unravel_index(np.arange(ROWS), SIZES), axis=1)
    kept = list(columns or range(len(SIZES)))
    return Factors(values[:, kept], tuple(NAMES[k] for k in kept), tuple(SIZES[k] for k in kept))


def codes() -> dict[str, Codes]:
    """The codes under comparison; rounded, so that every machine makes the same ones."""
    rng = np.random.default_rng(SEED)
    values = factors().values
    own = (
        2 * values / (np.array(SIZES) - 1) - 1
    )  # one latent per factor, levels evenly over [-1, 1]
    turn = np.array([[1.0, -1.0], [1.0, 1.0]]) / np.sqrt(2)

    # What a trained model leaves: position sharp, scale and angle mixed with shape, five latents that say nothing.
    noisy = 0.02 * rng.standard_normal((len(values), 10))
    noisy[:, 0] += 1.7 * own[:, 3] + 0.15 * rng.standard_normal(len(values))
    noisy[:, 1] += 1.7 * own[:, 4] + 0.15 * rng.standard_normal(len(values))
    noisy[:, 2] += 1.5 * own[:, 1] + 0.4 * own[:, 0] + 0.1 * rng.standard_normal(len(values))
    noisy[:, 3] += np.cos(np.pi * own[:, 2]) * (1 + 0.3 * own[:, 0]) + 0.1 * rng.standard_normal(
        len(values)
    )
    noisy[:, 4] += (
        np.sin(np.pi * own[:, 2]) + 0.6 * own[:, 0] + 0.1 * rng.standard_normal(len(values))
    )
    dead = noisy.copy()
    dead[:, 5:] = 0.0

    means = {
        "identity": own,
        "stretched": own
        * np.array([0.1, 1.0, 10.0, 3.0, 0.3]),  # the same, each latent on a scale of its own
        "noisy": noisy,
        "dead": dead,  # the same, with the five constant to the bit
        "rotated": np.concatenate([own[:, :3], own[:, 3:] @ turn], axis=1),
        "noise": rng.standard_normal((len(values), 10)),
    }
    return {
        name: Codes(mean.round(6), np.full(mean.shape, 2 * np.log(0.1)))
        for name, mean in means.items()
    }


def digest(one: Codes) -> str:
    """What tells whether the codes here are those that were scored there."""
    return hashlib.sha256(one.mean.tobytes()).hexdigest()[:16]


class Deck:
    """The grid as disentanglement_lib and disent see data; an "observation" is the number of a row.

    Batches (`sample`) are dealt from a permutation of all rows, the one from which our metrics draw rows to learn from
    and then rows to be tested on; what a metric draws by factor, it draws by its own generator.
    """

    num_factors = len(SIZES)

    def __init__(self, mean: np.ndarray) -> None:
        self._mean, self._rows, self._next = mean, np.random.default_rng(SEED).permutation(ROWS), 0
        self._values = factors().values
        self.gt_data = self

    def code(self, observations: np.ndarray) -> np.ndarray:
        return self._mean[observations]

    def sample(self, size: int, _state: Any = None) -> tuple[np.ndarray, np.ndarray]:
        dealt = self._rows[np.arange(self._next, self._next + size) % ROWS]
        self._next += size
        return self._values[dealt], dealt

    def sample_observations(self, size: int, state: Any = None) -> np.ndarray:
        return self.sample(size, state)[1]

    def sample_factors(self, size: int, state: Any = np.random) -> np.ndarray:
        return np.stack([state.randint(levels, size=size) for levels in SIZES], axis=1)

    def sample_observations_from_factors(
        self, values: np.ndarray, _state: Any = None
    ) -> np.ndarray:
        return np.ravel_multi_index(tuple(values.T), SIZES)

    # disent's names for the same
    def dataset_sample_batch(self, size: int, mode: str) -> np.ndarray:
        return self.sample(size)[1]

    def dataset_sample_batch_with_factors(
        self, size: int, mode: str
    ) -> tuple[np.ndarray, np.ndarray]:
        values, observations = self.sample(size)
        return observations, values

    def dataset_batch_from_factors(self, values: np.ndarray, mode: str) -> np.ndarray:
        return self.sample_observations_from_factors(values)
