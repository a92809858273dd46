"""Codes about which every metric's answer is known beforehand; `known_scores` says what it is."""

from __future__ import annotations

import numpy as np
from metric_references import grid_factors

from metrics import Codes, Factors
from metrics.chance_and_ceiling import own_codes

# Two pairs of factors of equal size: rotating a pair by 45 degrees mixes both equally. Four rows of every combination,
# so that a held-out row has a twin to learn from.
_GRID = grid_factors(6, 6, 4, 4)
FACTORS = Factors(np.repeat(_GRID.values, 4, axis=0), _GRID.names, _GRID.sizes)  # 2,304 rows
_OWN = own_codes(FACTORS)


def _with_mean(mean, std=None):
    logvar = np.broadcast_to(_OWN.logvar[:, :1] if std is None else 2 * np.log(std), mean.shape)
    return Codes(np.ascontiguousarray(mean), np.ascontiguousarray(logvar))


def _rotated():
    turn = np.array([[1.0, -1.0], [1.0, 1.0]]) / np.sqrt(2)
    return np.concatenate([_OWN.mean[:, pair] @ turn for pair in ([0, 1], [2, 3])], axis=1).round(
        12
    )


CODES = {
    # Every latent is one factor, its levels spread over [-1, 1].
    "identity": Codes(_OWN.mean, _OWN.logvar, FACTORS.values),
    # The posterior is the prior whatever the image; the discrete code is one category.
    "constant": Codes(
        np.zeros((len(FACTORS), 4)),
        np.zeros((len(FACTORS), 4)),
        np.zeros((len(FACTORS), 1), np.int64),
    ),
    # Every factor on two latents that are the same.
    "duplicated": Codes(
        np.repeat(_OWN.mean, 2, axis=1),
        np.repeat(_OWN.logvar, 2, axis=1),
        np.repeat(FACTORS.values, 2, axis=1),
    ),
    # Two latents for two factors, each the sum or the difference of both.
    "rotated": Codes(_rotated(), _OWN.logvar, FACTORS.values[:, [1, 0, 3, 2]]),
    # Latents that vary, with no regard to the image.
    "noise": Codes(
        np.random.default_rng(0).standard_normal((len(FACTORS), 4)),
        np.full((len(FACTORS), 4), 2 * np.log(0.3)),
        np.random.default_rng(1).integers(0, 6, (len(FACTORS), 1)),
    ),
}
