"""Slow, simple float64 versions of what `metrics` computes fast, and small known data."""

from __future__ import annotations

import itertools

import numpy as np

from metrics import Codes, Factors


def log_normal(z, mean, std):
    return -0.5 * ((z - mean) / std) ** 2 - np.log(std) - 0.5 * np.log(2 * np.pi)


def log_mean_exp(values):
    top = max(values)
    return top + np.log(sum(np.exp(value - top) for value in values) / len(values))


def elbo_by_loops(codes, *, samples, seed):
    """Return MI, TC, dimension-wise KL on the draws that `elbo_decomposition` makes."""
    mean, std = codes.mean.astype(np.float64), np.exp(0.5 * codes.logvar.astype(np.float64))
    rng = np.random.default_rng(seed)
    images = rng.choice(len(mean), size=samples, replace=samples > len(mean))
    noise = rng.standard_normal((samples, mean.shape[1]))
    terms = []
    for n, eps in zip(images, noise, strict=True):
        z = mean[n] + std[n] * eps
        log_q = log_normal(z, mean, std)  # image n, latent j
        log_qz = log_mean_exp(log_q.sum(axis=1))
        log_prod = sum(log_mean_exp(log_q[:, j]) for j in range(mean.shape[1]))
        log_pz = log_normal(z, 0.0, 1.0).sum()
        terms.append((log_q[n].sum() - log_qz, log_qz - log_prod, log_prod - log_pz))
    return np.mean(terms, axis=0)


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
