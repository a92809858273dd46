"""RMIG and JEMMIG: gaps of the quantised stochastic code (Do and Tran 2020).

z_j is cut into equal bins of a width that is chosen beforehand, the same for every latent and
model. The distribution of z_j is the mixture of the posteriors: p(b | x_n) is a difference of two
values of the cumulative distribution of a Gaussian (the authors take the density at the centre of
the bin), and p(b, v) is its mean over the rows with level v, times p(v). No sample is drawn.
"""

# scipy.sparse and torch carry no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import sparse

from metrics import device, progress
from metrics.codes import latents
from metrics.information.estimate import ALL_CONSTANT, constant_factors, required_factors
from metrics.information.gap import gaps
from metrics.information.matrix import (
    Information,
    entropy,
    factor_entropies,
    logvar_of,
    row_shares,
    without_weightless_rows,
)
from metrics.types import Array, Codes, Factors, Inputs, Score

_BLOCK = 1 << 20  # masses held at a time, rows x bins: 8 MB
_TIE = 1e-9  # nats: latents with information this close to each other count as equal


class Quantised(NamedTuple):
    """Entropies and information of every quantised latent with every factor, in nats.

    Args:
        information: (latents, K) I(z_j; v_k).
        joint: (latents, K) H(z_j, v_k).
        entropies: (K,) H(v_k).
        bins: (latents,) bins of a continuous latent, categories of a discrete one.
        outside: (latents,) mass beyond the limits, counted in the outermost bins.
    """

    information: Array
    joint: Array
    entropies: Array
    bins: Array
    outside: Array


def rmig(inputs: Inputs, *, bins: int = 100, limits: tuple[float, float] = (-4.0, 4.0)) -> Score:
    """Return the mutual information gap of the code quantised in bins of a fixed width.

        RMIG = 1/K sum_k [ I(z_j1; v_k) - I(z_j2; v_k) ] / H(v_k)

    with j1 and j2 the latents with the most and second most information about factor k (Do and
    Tran 2020). With narrower bins, I approaches that of `mig` from below.

    Args:
        inputs: codes with posteriors, factors; discrete codes are further latents, with one bin
            per category.
        bins: equal bins between the limits. The published 100 bins between -4 and 4 have width
            .08, for a prior of standard deviation 1.
        limits: of the bins; the outermost ones are open. `outside` is the mass beyond the limits;
            if it is large, choose other limits. The score therefore depends on the scale of the
            codes.

    Returns:
        value: in [0, 1].
        error: None, because the value is exact for the given rows.
        details:
            mutual_information, joint_entropies: (latents, K) nats.
            entropies: (K,) nats.
            best_latents: (K,) j1.
            bins: (latents,) numbers of bins or categories.
            outside: (latents,) mass beyond the limits.
            excluded: factors of zero entropy.
            gaps: (K,) normalised gaps.
        If all factors are excluded the value is NaN, with a reason.

    Raises:
        ValueError: bins < 2, limits that do not rise, or codes without logvar.
    """
    quantised = quantise(inputs, bins=bins, limits=limits)
    gap, best = gaps(quantised.information, quantised.entropies)
    return _score(inputs, quantised, gap, best, "gaps")


def jemmig(inputs: Inputs, *, bins: int = 100, limits: tuple[float, float] = (-4.0, 4.0)) -> Score:
    """Return JEMMIG: joint entropy minus the gap, normalised to grow with disentanglement.

        JEMMIG = 1/K sum_k { 1 - [ H(z*, v_k) - I(z*; v_k) + I(z_2; v_k) ] / [ H(v_k) + ln bins ] }

    with z* the latent with the most information about v_k, and z_2 the second (Do and Tran 2020).
    Unlike the gap, it also asks that z* contains nothing but v_k: the more z* varies under a fixed
    v_k, its own noise included, the lower the score. The value 1 needs a code that falls into one
    bin per level. Of latents with equal information (mostly none), z* is the one of least entropy.
    For a discrete z* the bins are its categories.

    Args:
        inputs, bins, limits: see `rmig`.

    Returns:
        As `rmig`, with jemmig_per_factor (K,) in the place of gaps; best_latents are the z*.

    Raises:
        ValueError: as `rmig`.
    """
    quantised = quantise(inputs, bins=bins, limits=limits)
    best = _best(quantised)
    columns = np.arange(len(quantised.entropies))
    most = quantised.information[best, columns]
    others = quantised.information.copy()
    others[best, columns] = 0.0
    second = others.max(axis=0, initial=0.0)
    scale = quantised.entropies + np.log(np.maximum(quantised.bins[best], 1))
    shortfall = quantised.joint[best, columns] - most + second
    kept = quantised.entropies > 0
    share = np.divide(shortfall, scale, out=np.zeros(len(scale)), where=kept)
    # Only rounding leaves [0, 1].
    per_factor = np.where(kept, np.clip(1 - share, 0.0, 1.0), np.nan)
    return _score(inputs, quantised, per_factor, np.where(kept, best, -1), "jemmig_per_factor")


def quantise(inputs: Inputs, *, bins: int, limits: tuple[float, float]) -> Quantised:
    """Return information and joint entropies of quantised latents (Do and Tran 2020).

    Args:
        inputs, bins, limits: see `rmig`.

    Raises:
        ValueError: as `rmig`, or codes without any latent.
    """
    low, high = limits
    if bins < 2 or not low < high:
        raise ValueError(
            f"need bins >= 2 and limits that rise, got {bins} bins from {low} to {high}"
        )
    if not latents.count(inputs.codes):
        raise ValueError("quantised information needs at least one latent, got codes without any")
    codes, factors = without_weightless_rows(inputs.codes, required_factors(inputs))
    edges = np.linspace(low, high, bins + 1)
    starts = np.cumsum([0, *factors.sizes])
    entropies = factor_entropies(factors)
    tables, outside = _continuous(codes, factors, edges, starts)
    if codes.discrete is not None:
        membership = _membership(factors.values, row_shares(factors), starts)
        for column in latents.discrete_columns(codes):
            tables.append(membership @ np.eye(int(column.max()) + 1)[column])
            outside.append(0.0)
    shape = (len(tables), len(factors.names))
    information, joint = np.zeros(shape), np.zeros(shape)
    for j, table in enumerate(tables):
        for k, start in enumerate(starts[:-1]):
            p = table[start : starts[k + 1]]
            joint[j, k] = entropy(p.ravel())
            information[j, k] = max(0.0, entropy(p.sum(axis=0)) + entropies[k] - joint[j, k])
    counts = np.array([table.shape[1] for table in tables], dtype=np.int64)
    return Quantised(information, joint, entropies, counts, np.array(outside))


def _continuous(
    codes: Codes, factors: Factors, edges: Array, starts: Array
) -> tuple[list[Array], list[float]]:
    """Return, for every continuous latent, p(v_k, b) and the mass beyond the limits.

    Each table has shape (sum of levels, bins); the rows of factor k begin at starts[k].
    """
    logvar, weights = logvar_of(codes), row_shares(factors)
    tables: list[Array] = []
    outside: list[float] = []
    step = max(1, _BLOCK // len(edges))
    for j in progress.steps(range(codes.mean.shape[1]), "quantised code: latent"):
        table, beyond = np.zeros((int(starts[-1]), len(edges) - 1)), 0.0
        for start in range(0, len(codes), step):
            rows = slice(start, start + step)
            below = _below(codes.mean[rows, j], logvar[rows, j], edges)
            beyond += float(weights[rows] @ (below[:, 0] + 1 - below[:, -1]))
            below[:, 0], below[:, -1] = 0.0, 1.0
            membership = _membership(factors.values[rows], weights[rows], starts)
            table += membership @ np.diff(below, axis=1)
        tables.append(table)
        outside.append(beyond)
    return tables, outside


def _below(mean: Array, logvar: Array, edges: Array) -> Array:
    """Return the mass of every posterior below every edge: (rows, edges)."""
    inverse_std = np.exp(np.minimum(-0.5 * logvar.astype(np.float64), 600.0))
    standard = (edges - mean.astype(np.float64)[:, None]) * inverse_std[:, None]
    with device.one_thread(when=standard.size < _BLOCK):
        return torch.special.ndtr(torch.as_tensor(standard)).numpy()


def _membership(values: Array, weights: Array, starts: Array) -> Any:
    """Return the weight of every row at each of its levels: (sum of levels, rows), sparse."""
    rows, factors = values.shape
    ends = np.arange(0, rows * factors + 1, factors)
    content = (np.repeat(weights, factors), (values + starts[:-1]).ravel(), ends)
    return sparse.csc_matrix(content, shape=(int(starts[-1]), rows))


def _best(quantised: Quantised) -> Array:
    """Return the latent with the most information about every factor: (K,).

    Of equals it is the one of least joint entropy, so that the order of latents does not matter.
    """
    most = quantised.information.max(axis=0)
    is_best = quantised.information >= most - _TIE
    return np.where(is_best, quantised.joint, math.inf).argmin(axis=0)


def _score(inputs: Inputs, quantised: Quantised, per_factor: Array, best: Array, key: str) -> Score:
    """Return the mean of a score per factor (K,); the details contain it under `key`."""
    factors, kept = required_factors(inputs), quantised.entropies > 0
    no_error = np.zeros_like(quantised.information)
    information = Information(quantised.information, no_error, quantised.entropies)
    details: dict[str, Any] = {
        "mutual_information": quantised.information,
        "joint_entropies": quantised.joint,
        "entropies": quantised.entropies,
        "best_latents": best,
        "bins": quantised.bins,
        "outside": quantised.outside,
        "excluded": constant_factors(information, factors),
        key: per_factor,
    }
    names = [factors.names[k] for k in np.flatnonzero(kept)]
    identity = {"estimator": "quantised posterior, exact", "scored": names}
    if not names:
        details["reason"] = ALL_CONSTANT
        return Score(math.nan, details=details, identity=identity)
    return Score(float(per_factor[kept].mean()), details=details, identity=identity)
