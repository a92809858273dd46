"""RMIG and JEMMIG: gaps of the quantised stochastic code (Do and Tran 2020).

z_j is cut into equal bins whose width is chosen beforehand, the same for every latent and model. Its distribution is
the mixture of the posteriors: p(b | x_n) is a difference of two values of a Gaussian's cumulative distribution, where
the authors take the density at the bin's centre, and p(b, v) is its mean over the rows that show v, times p(v). No
sample is drawn.
"""

# scipy.sparse and torch carry no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import sparse

from metrics import device, progress
from metrics.codes import latents
from metrics.information.estimate import ALL_CONSTANT, constant_factors, given
from metrics.information.gap import gaps
from metrics.information.matrix import (
    Information,
    entropy,
    factor_entropies,
    posterior,
    present,
    row_weights,
)
from metrics.types import Array, Codes, Factors, Inputs, Score

_BLOCK = 1 << 20  # masses held at a time, rows x bins: 8 MB
_TIE = 1e-9  # nats: latents that know equally much


class Quantised(NamedTuple):
    """Of every latent with every factor, nats.

    Args:
        information: (latents, K).
        joint: (latents, K) H(z_j, v_k).
        entropies: (K,) H(v_k).
        bins: (latents,) bins of a continuous latent, categories of a discrete one.
        outside: (latents,) mass beyond the limits, which the outermost bins have taken.
    """

    information: Array
    joint: Array
    entropies: Array
    bins: Array
    outside: Array


def rmig(inputs: Inputs, *, bins: int = 100, limits: tuple[float, float] = (-4.0, 4.0)) -> Score:
    """MIG with the information of the code quantised in bins of a chosen width: of what a bin can tell.

        RMIG = 1/K sum_k [ I(z_j1; v_k) - I(z_j2; v_k) ] / H(v_k)

    As the bins narrow it tends to `mig`, from below.

    Args:
        inputs: codes with posteriors, factors; discrete codes are further latents, each category a bin.
        bins: equal ones between the limits; the published 100 between -4 and 4 are .08 wide, where the prior's
            standard deviation is 1.
        limits: of the bins; the outermost ones are open. `outside` says how much lies beyond, and when it is much,
            choose others. The score therefore depends on the scale of the codes.

    Returns:
        value: in [0, 1]; no error: it is exact for the given rows.
        details: mutual_information, joint_entropies (latents, K) nats, entropies (K,), gaps (K,), best_latents (K,),
        outside (latents,), excluded: factors of zero entropy. Without any other factor NaN with a reason.

    Raises:
        ValueError: bins < 2, limits that do not rise, codes without logvar.
    """
    found = quantise(inputs, bins=bins, limits=limits)
    gap, best = gaps(found.information, found.entropies)
    return _score(inputs, found, gap, best, {"gaps": gap})


def jemmig(inputs: Inputs, *, bins: int = 100, limits: tuple[float, float] = (-4.0, 4.0)) -> Score:
    """Joint entropy minus the gap, normalised to grow with disentanglement.

        JEMMIG = 1/K sum_k { 1 - [ H(z*, v_k) - I(z*; v_k) + I(z_2; v_k) ] / [ H(v_k) + ln bins ] }

    z* is the latent that knows most of v_k, z_2 the second. Beyond the gap it asks of z* to hold nothing but v_k: the
    more of it varies under a fixed v_k, its own noise included, the lower the score; 1 takes a code that falls into
    one bin per level. Of latents that know equally much (nothing, most often) z* is the one of least entropy. For a
    discrete z* the bins are its categories.

    Args, errors: see `rmig`.

    Returns:
        value: in [0, 1]; details as `rmig`, and jemmig_per_factor (K,).
    """
    found = quantise(inputs, bins=bins, limits=limits)
    best = _best(found)
    columns = np.arange(len(found.entropies))
    most = found.information[best, columns]
    second = found.information.copy()
    second[best, columns] = 0.0
    scale = found.entropies + np.log(np.maximum(found.bins[best], 1))
    short = found.joint[best, columns] - most + second.max(axis=0, initial=0.0)
    kept = found.entropies > 0
    share = np.divide(short, scale, out=np.zeros(len(scale)), where=kept)
    each = np.where(kept, np.clip(1 - share, 0.0, 1.0), np.nan)  # rounding alone leaves [0, 1]
    return _score(inputs, found, each, np.where(kept, best, -1), {"jemmig_per_factor": each})


def quantise(inputs: Inputs, *, bins: int, limits: tuple[float, float]) -> Quantised:
    """Information and joint entropies of quantised latents. Args, errors: see `rmig`."""
    low, high = limits
    if bins < 2 or not low < high:
        raise ValueError(
            f"need bins >= 2 and limits that rise, got {bins} bins from {low} to {high}"
        )
    if not latents.count(inputs.codes):
        raise ValueError("quantised information needs at least one latent, got codes without any")
    codes, factors = present(inputs.codes, given(inputs))
    edges = np.linspace(low, high, bins + 1)
    starts = np.cumsum([0, *factors.sizes])
    entropies = factor_entropies(factors)
    tables, outside = _continuous(codes, factors, edges, starts)
    if codes.discrete is not None:
        membership = _membership(factors.values, row_weights(factors), starts)
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
    """p(v_k, b) of every continuous latent, (sum of levels, bins), and what lies beyond the limits."""
    logvar, weights = posterior(codes), row_weights(factors)
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
            table += _membership(factors.values[rows], weights[rows], starts) @ np.diff(
                below, axis=1
            )
        tables.append(table)
        outside.append(beyond)
    return tables, outside


def _below(mean: Array, logvar: Array, edges: Array) -> Array:
    """Mass of every posterior below every edge: (rows, edges)."""
    inverse = np.exp(np.minimum(-0.5 * logvar.astype(np.float64), 600.0))
    standard = (edges - mean.astype(np.float64)[:, None]) * inverse[:, None]
    with device.one_thread(when=standard.size < _BLOCK):
        return torch.special.ndtr(torch.as_tensor(standard)).numpy()


def _membership(values: Array, weights: Array, starts: Array) -> Any:
    """The weight of every row in each level that it shows: (sum of levels, rows), sparse."""
    rows, factors = values.shape
    ends = np.arange(0, rows * factors + 1, factors)
    content = (np.repeat(weights, factors), (values + starts[:-1]).ravel(), ends)
    return sparse.csc_matrix(content, shape=(int(starts[-1]), rows))


def _best(found: Quantised) -> Array:
    """The latent that knows most of every factor; of equals the one of least joint entropy, whatever their order."""
    most = found.information.max(axis=0)
    return np.where(found.information >= most - _TIE, found.joint, math.inf).argmin(axis=0)


def _score(
    inputs: Inputs, found: Quantised, each: Array, best: Array, further: dict[str, Any]
) -> Score:
    factors, kept = given(inputs), found.entropies > 0
    information = Information(found.information, np.zeros_like(found.information), found.entropies)
    details: dict[str, Any] = {
        "mutual_information": found.information,
        "joint_entropies": found.joint,
        "entropies": found.entropies,
        "best_latents": best,
        "bins": found.bins,
        "outside": found.outside,
        "excluded": constant_factors(information, factors),
        **further,
    }
    names = [name for name, keep in zip(factors.names, kept, strict=True) if keep]
    identity = {"estimator": "quantised posterior, exact", "scored": names}
    if not names:
        details["reason"] = ALL_CONSTANT
        return Score(math.nan, details=details, identity=identity)
    return Score(float(each[kept].mean()), details=details, identity=identity)
