"""Samples z ~ q(z|x) of seeded images."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from metrics import gaussian
from metrics.codes import row_weights
from metrics.types import Array, Codes

Precision = type[np.float32] | type[np.float64]


class Samples(NamedTuple):
    """S draws z_s ~ q(z | x_s)."""

    z: Array  # (S, d) float64; each number is exact in `precision`
    log_qzx: Array  # (S, d) log q(z_sj | x_s), nats
    precision: Precision  # of the densities of these codes


def draw(codes: Codes, *, samples: int, seed: int, shares: Array | None = None) -> Samples:
    """Return one z from the posterior of each of some drawn images, in the order of the images.

    Images are stratified (`row_weights.draw_stratified`): an image of share p_n is drawn S p_n
    times, give or take less than two. If S is a multiple of N, all images are drawn equally often.

    Args:
        codes: mean and logvar of N images.
        samples: S.
        seed: of the images and the noise.
        shares: (N,) p_n, or None if all images count alike.

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
    images = row_weights.draw_stratified(shares, len(codes), samples, rng)
    precision = _precision(codes.mean, codes.logvar)
    mean = codes.mean[images].astype(np.float64)
    logvar = codes.logvar[images].astype(np.float64)
    z = mean + np.exp(0.5 * logvar) * rng.standard_normal(mean.shape)
    # Round the samples to the working precision: every density is then of exactly these numbers.
    z = z.astype(precision).astype(np.float64)
    return Samples(z, gaussian.log_density_of_arrays(z, mean, logvar), precision)


def _precision(mean: Array, logvar: Array) -> Precision:
    """Return the precision of densities; sums are always float64.

    Differences z - mu of nearby float32 numbers are exact. Float32 codes therefore lose nothing
    until a posterior is as narrow as the spacing of float32 numbers around its mean, or until the
    widths span more than float32's range.
    """
    if mean.dtype == np.float64:
        return np.float64
    if not mean.size:
        return np.float32
    largest = max(1.0, float(mean.max()), -float(mean.min()))
    narrow = float(logvar.min()) < 2 * math.log(1e-5 * largest)
    # Up to 60, the density of a sample under its own posterior stays above e^-50.
    uneven = float((logvar.max(axis=0) - logvar.min(axis=0)).max()) > 60
    return np.float64 if narrow or uneven else np.float32
