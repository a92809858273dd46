"""Codes for which every metric's answer is known beforehand; `known_scores` has the answers."""

from __future__ import annotations

import numpy as np
from metric_references import grid_factors

from metrics import Codes, Factors
from metrics.reference.built_in_codes import factor_codes

# Two pairs of factors of equal size: rotating a pair by 45 degrees mixes both equally. Every
# combination has four rows, so that a held-out row has a twin to learn from.
_GRID = grid_factors(6, 6, 4, 4)
FACTORS = Factors(np.repeat(_GRID.values, 4, axis=0), _GRID.names, _GRID.sizes)  # 2,304 rows
_IDENTITY = factor_codes(FACTORS)


def _rotated():
    turn = np.array([[1.0, -1.0], [1.0, 1.0]]) / np.sqrt(2)
    pairs = [_IDENTITY.mean[:, pair] @ turn for pair in ([0, 1], [2, 3])]
    return np.concatenate(pairs, axis=1).round(12)


CODES = {
    # Every latent is one factor, its levels spread over [-1, 1].
    "identity": Codes(_IDENTITY.mean, _IDENTITY.logvar, FACTORS.values),
    # The posterior is the prior for every image; the discrete code is one category.
    "constant": Codes(
        np.zeros((len(FACTORS), 4)),
        np.zeros((len(FACTORS), 4)),
        np.zeros((len(FACTORS), 1), np.int64),
    ),
    # Every factor on two latents that are the same.
    "duplicated": Codes(
        np.repeat(_IDENTITY.mean, 2, axis=1),
        np.repeat(_IDENTITY.logvar, 2, axis=1),
        np.repeat(FACTORS.values, 2, axis=1),
    ),
    # Two latents for two factors, each the sum or the difference of both.
    "rotated": Codes(_rotated(), _IDENTITY.logvar, FACTORS.values[:, [1, 0, 3, 2]]),
    # Latents that vary independently of the image.
    "noise": Codes(
        np.random.default_rng(0).standard_normal((len(FACTORS), 4)),
        np.full((len(FACTORS), 4), 2 * np.log(0.3)),
        np.random.default_rng(1).integers(0, 6, (len(FACTORS), 1)),
    ),
}
