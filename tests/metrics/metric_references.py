"""Slow, simple float64 versions of what `metrics` computes fast, and small known data."""

from __future__ import annotations

import itertools

import numpy as np

from metrics import Codes, Factors
from metrics.codes.sampling import draw


def log_normal(z, mean, std):
    return -0.5 * ((z - mean) / std) ** 2 - np.log(std) - 0.5 * np.log(2 * np.pi)


def elbo_by_loops(codes, *, samples, seed):
    """Return MI, TC, dimension-wise KL as plain means over the draws of `elbo_decomposition`.

    All three are sampled here, also those that `elbo_decomposition` integrates.
    """
    drawn = draw(codes, samples=samples, seed=seed)
    joint, marginal = densities_by_loops(drawn.z, codes)
    log_qzx, log_prod = drawn.log_qzx.sum(axis=1), marginal.sum(axis=0)
    log_pz = log_normal(drawn.z, 0.0, 1.0).sum(axis=1)
    terms = [log_qzx - joint[-1], joint[-1] - log_prod, log_prod - log_pz]
    return np.mean(terms, axis=1)


def elbo_by_grids(codes, *, p=None, points=300):
    """Return MI, TC, dimension-wise KL of codes with two latents, by sums over a grid of the plane.

    The grid reaches seven widths beyond every mean; its step must be below half of every width.
    """
    mean, std = codes.mean.astype(np.float64), np.exp(0.5 * codes.logvar.astype(np.float64))
    p = np.full(len(mean), 1 / len(mean)) if p is None else p
    grids, densities, entropies = [], [], []
    for j in range(2):
        low, high = (mean[:, j] - 7 * std[:, j]).min(), (mean[:, j] + 7 * std[:, j]).max()
        grid, step = np.linspace(low, high, points, retstep=True)
        assert step < std[:, j].min() / 2
        density = np.exp(log_normal(grid, mean[:, j, None], std[:, j, None]))  # (N, points)
        entropies.append(_entropy(p @ density) * step)
        grids.append(step)
        densities.append(density)
    joint = _entropy((densities[0] * p[:, None]).T @ densities[1]) * grids[0] * grids[1]
    of_posteriors = p @ (np.log(std) + 0.5 * np.log(2 * np.pi * np.e)).sum(axis=1)
    log_pz = -0.5 * p @ (mean**2 + std**2 + np.log(2 * np.pi)).sum(axis=1)
    return joint - of_posteriors, sum(entropies) - joint, -sum(entropies) - log_pz


def _entropy(density):
    return -(density * np.log(np.maximum(density, 1e-300))).sum()


def densities_by_loops(z, codes):
    """Return log q(z_1 … z_i) of every prefix and log q(z_j) of every latent, (d, S) each."""
    mean, std = codes.mean.astype(np.float64), np.exp(0.5 * codes.logvar.astype(np.float64))
    joint, marginal = [], []
    for point in z:
        log_q = log_normal(point, mean, std)  # image n, latent j
        joint.append(_log_mean_exp_of_rows(log_q.cumsum(axis=1)))
        marginal.append(_log_mean_exp_of_rows(log_q))
    return np.array(joint).T, np.array(marginal).T


def mixture_information(mean, std, level, points=40_001):
    """Return I(z; v) of one latent: -p ln p by the trapezoid rule on a dense grid."""
    grid = np.linspace((mean - 9 * std).min(), (mean + 9 * std).max(), points)

    def entropy(rows):
        p = np.mean([np.exp(log_normal(grid, mean[n], std[n])) for n in rows], axis=0)
        return np.trapezoid(-p * np.log(np.maximum(p, 1e-300)), grid)

    rows = np.arange(len(mean))
    conditional = sum((level == v).mean() * entropy(rows[level == v]) for v in np.unique(level))
    return entropy(rows) - conditional


def grid_factors(*sizes, names=None):
    """Return factors with every combination of levels once."""
    values = np.array(list(itertools.product(*map(range, sizes))), dtype=np.int64)
    return Factors(values, names or tuple(f"factor{k}" for k in range(len(sizes))), tuple(sizes))


def sharp_codes(mean, std=1e-3):
    mean = np.asarray(mean, dtype=np.float64)
    return Codes(mean, np.full_like(mean, 2 * np.log(std)))


def noisy_codes(factors, *, latents, seed, noise=0.3):
    """Return float32 codes of a plausible model: one noisy latent per factor, the rest dead."""
    rng = np.random.default_rng(seed)
    mean = 0.05 * rng.standard_normal((len(factors), latents))
    std = np.full((len(factors), latents), 0.97)
    for k, size in enumerate(factors.sizes[:latents]):
        scale = max(size - 1, 1)
        spread = noise * rng.standard_normal(len(factors))
        mean[:, k] = 3 * factors.values[:, k] / scale - 1.5 + spread
        std[:, k] = 0.08 + 0.2 * rng.random(len(factors))
    return Codes(mean.astype(np.float32), (2 * np.log(std)).astype(np.float32))


def _log_mean_exp_of_rows(logs):
    top = logs.max(axis=0)
    return top + np.log(np.exp(logs - top).mean(axis=0))
