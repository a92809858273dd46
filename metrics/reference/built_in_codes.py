"""Codes that are made from the factors, and codes without information, for ceiling and chance."""

from __future__ import annotations

import numpy as np

from metrics.types import Array, Codes, Factors

NOISE_STD = 0.1
"""Standard deviation of the posteriors of noise codes; their means have standard deviation 1."""


def factor_codes(
    factors: Factors,
    *,
    discrete: bool = False,
    half_width: float = 1.0,
    relative_std: float = 0.1,
) -> Codes:
    """Return codes that are the factors: one latent per factor, with evenly spaced levels.

    By default the standard deviation of each posterior is a tenth of the distance between
    neighbouring levels. Each level is then one code (their mixtures overlap by less than 1e-6), yet
    wide enough to be integrated on a small grid. A factor with one level becomes a dead latent:
    mean 0, standard deviation 1.

    Args:
        factors: of N images.
        discrete: also give the levels as discrete codes.
        half_width: the levels span [-half_width, half_width].
        relative_std: standard deviation of a posterior, in distances between neighbouring levels.
    """
    values = factors.values.astype(np.float64)
    low, span = values.min(axis=0), np.ptp(values, axis=0)
    spacing = np.divide(2.0, span, out=np.full(len(span), 10.0), where=span > 0)
    logvar = np.broadcast_to(2 * np.log(spacing * relative_std), values.shape)
    means = np.where(span > 0, (values - low) * spacing - 1, 0.0)
    logvar = np.where(span > 0, logvar + 2 * np.log(half_width), 0.0)
    return Codes(
        mean=means * half_width,
        logvar=np.ascontiguousarray(logvar),
        discrete=factors.values if discrete else None,
    )


def codes_with_squares(factors: Factors, *, discrete: bool = False) -> Codes:
    """Return `factor_codes` and, as further latents, their squares.

    A linear classifier of a latent and its square can single out a level in the middle of a factor.
    """
    codes = factor_codes(factors, discrete=discrete)
    assert codes.logvar is not None, "factor codes have posteriors"
    return Codes(
        np.concatenate([codes.mean, codes.mean**2], axis=1),
        np.concatenate([codes.logvar, codes.logvar], axis=1),
        codes.discrete,
    )


def codes_of_levels(factors: Factors, *, discrete: bool = False) -> Codes:
    """Return one latent for each level of each varying factor: 1 where the level is shown, else -1.

    A linear classifier of one such latent reads off its level without an error.
    """
    columns: list[Array] = []
    for column in factors.values.T:
        levels = np.unique(column)
        if len(levels) > 1:
            columns.append(np.where(column[:, None] == levels, 1.0, -1.0))
    mean = np.concatenate(columns or [np.zeros((len(factors), 1))], axis=1)
    logvar = np.full(mean.shape, 2 * np.log(0.2))
    return Codes(mean, logvar, factors.values if discrete else None)


def code_of_one_factor(factors: Factors, *, discrete: bool = False) -> Codes:
    """Return `factor_codes` of the varying factor with the fewest levels; other latents are dead.

    Scores that only ask what the latents in use contain are highest for such a code.
    """
    codes = factor_codes(factors, discrete=discrete)
    assert codes.logvar is not None, "factor codes have posteriors"
    levels = np.array([len(np.unique(column)) for column in factors.values.T])
    chosen = int(np.where(levels > 1, levels, levels.max(initial=1) + 1).argmin())
    others = np.arange(len(levels)) != chosen
    return Codes(
        np.where(others, 0.0, codes.mean), np.where(others, 0.0, codes.logvar), codes.discrete
    )


def noise_codes(
    rows: int, latents: int, categories: tuple[int, ...] = (), *, seed: int = 0
) -> Codes:
    """Return codes that contain nothing about the image: Gaussian means of standard deviation 1.

    Args:
        rows: N.
        latents: number of continuous latents, d.
        categories: of every discrete latent, drawn uniformly.
        seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    mean: Array = rng.standard_normal((rows, latents))
    discrete = None
    if categories:
        discrete = np.stack([rng.integers(0, count, rows) for count in categories], axis=1)
    return Codes(mean, np.full((rows, latents), 2 * np.log(NOISE_STD)), discrete)
