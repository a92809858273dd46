"""Samples z ~ q(z|x) of seeded images, and what a mean over them is worth."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from metrics.codes import row_weights
from metrics.gaussian import LOG_2PI
from metrics.types import Array, Codes

Precision = type[np.float32] | type[np.float64]


class Samples(NamedTuple):
    """S draws z_s ~ q(z | x_s)."""

    z: Array  # (S, d) float64, every number one that `precision` can hold
    log_qzx: Array  # (S, d) log q(z_sj | x_s), nats
    precision: Precision  # in which densities of these codes are formed


def draw(codes: Codes, *, samples: int, seed: int, shares: Array | None = None) -> Samples:
    """Draw images, without replacement if samples <= N, else with it, and one z from the posterior of each.

    With shares (N,) images are drawn from these (`weights.stratified`).

    Raises:
        ValueError: codes without logvar, no rows, or samples < 1.
    """
    if codes.logvar is None:
        raise ValueError("samples z ~ q(z|x) need posteriors: codes.logvar is None")
    if samples < 1 or not len(codes):
        raise ValueError(
            f"need samples >= 1 and images >= 1, got {samples} samples of {len(codes)} images"
        )
    rng = np.random.default_rng(seed)
    if shares is None:
        images = rng.choice(len(codes), size=samples, replace=samples > len(codes))
    else:
        images = row_weights.stratified(shares, samples, rng)
    precision = _precision(codes.mean, codes.logvar)
    mean, logvar = codes.mean[images].astype(np.float64), codes.logvar[images].astype(np.float64)
    z = mean + np.exp(0.5 * logvar) * rng.standard_normal(mean.shape)
    # The samples are what the working precision can hold; every density is of these very numbers.
    z = z.astype(precision).astype(np.float64)
    log_qzx = -0.5 * (np.square((z - mean) * np.exp(-0.5 * logvar)) + logvar + LOG_2PI)
    return Samples(z, log_qzx, precision)


def standard_errors(terms: Array) -> Array:
    """Standard errors of the means over samples: (S, T) -> (T,)."""
    # One sample has no spread to estimate from: its error is unknown, said as infinity.
    if len(terms) == 1:
        return np.full_like(terms[0], math.inf)
    spread: Array = terms.std(axis=0, ddof=1)
    return spread / math.sqrt(len(terms))


def _precision(mean: Array, logvar: Array) -> Precision:
    """The precision in which densities are formed; sums are float64 always.

    Differences z - mu of nearby float32 numbers are exact, so float32 codes lose nothing until a posterior is
    as narrow as the spacing of float32 numbers around its mean, or the widths span more than float32's range.
    """
    if mean.dtype == np.float64:
        return np.float64
    if not mean.size:
        return np.float32
    narrow = float(logvar.min()) < 2 * math.log(
        1e-5 * max(1.0, float(mean.max()), -float(mean.min()))
    )
    uneven = (
        float((logvar.max(axis=0) - logvar.min(axis=0)).max()) > 60
    )  # the own posterior stays above e^-50
    return np.float64 if narrow or uneven else np.float32
