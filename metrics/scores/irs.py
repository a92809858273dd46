"""The interventional robustness score (Suter et al. 2019): does one factor alone fix a latent?

The score asks how far a latent moves while its factor is fixed and all other factors change.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from metrics import progress
from metrics.codes import latents, rows_by_level
from metrics.codes.rows_by_level import Pool
from metrics.types import Array, Codes, Inputs, Score


def irs(inputs: Inputs, *, quantile: float = 0.99) -> Score:
    """Return how little latents move while their best factor is fixed, relative to all rows.

        R[j, k] = 1 - mean_v Q_n[ |z_nj - m_jv| : v_nk = v ] / M_j
        IRS = sum_j M_j max_k R[j, k] / sum_j M_j

    with m_jv the mean of z_j over the rows of level v, and M_j = max_n |z_nj - mean of z_j|. The
    rows of a level replace interventions on all other factors. This is correct if the factors are
    crossed (every combination, equally often). Q is a quantile: 1 in the paper, and .99 in the
    code of its authors, so that one row does not decide. Levels have equal weights. Levels with
    only one row are left out, because a row never deviates from itself.

    A discrete latent is its vector of indicators, with the distance of total variation,
    1/2 sum_c |.|. The definition leaves this open. A row of category c then has distance 1 - p_c
    from shares p. The weight M_j of a discrete latent is at most 1, at any scale of the continuous
    ones.

    The score of noise is not 0, because a quantile is divided by a maximum (Gaussian noise on
    10,000 rows gives about 1 - 2.6 / 3.9 = .33). So compare the score with its chance level.
    Scaling one latent against the others changes the weights.

    Args:
        inputs: codes and factors; all rows are used.
        quantile: Q, in (0, 1]. Variant `paper`: 1.

    Returns:
        value: in [0, 1].
        details:
            max_deviations: (d + m,) M.
            robustness: (d + m, K) R, NaN for factors and latents left out. An entry is below 0
                if a level spreads more than all rows do.
            scores: (d + m,) max_k R[j, k], but 0 if that is negative.
            best_factors: (d + m,) columns of the best factors; -1 for a latent left out.
            excluded: factors left out and constant latents.
        The value is 0 if no latent varies and NaN if no factor varies, each with a reason.

    Raises:
        ValueError: quantile is outside (0, 1].
    """
    assert inputs.factors is not None, "score() checks needs"
    if not 0 < quantile <= 1:
        raise ValueError(f"quantile must lie in (0, 1], got {quantile}")
    codes, names, pools = inputs.codes, inputs.factors.names, rows_by_level.pools(inputs.factors)
    categories = latents.discrete_columns(codes)
    largest = _deviations(codes, categories, np.arange(len(codes))).max(axis=0)
    varies = largest > 0
    excluded = rows_by_level.excluded(inputs.factors, pools)
    for name, latent_varies in zip(latents.names(codes), varies, strict=True):
        if not latent_varies:
            excluded[name] = "constant"
    details: dict[str, Any] = {"max_deviations": largest, "excluded": excluded}
    identity = {"estimator": "quantile of deviations", "scored": [names[k] for k in pools]}
    if not pools:
        details["reason"] = "every factor is constant, or shows no two levels with two rows each"
        return Score(math.nan, details=details, identity=identity)
    if not varies.any():
        details["reason"] = "no latent varies"
        return Score(0.0, details=details, identity=identity)
    robustness = np.full((len(largest), len(names)), math.nan)
    for k, pool in progress.steps(list(pools.items()), "irs: factor"):
        within_level = _mean_quantile(codes, categories, pool, quantile)
        robustness[varies, k] = 1 - within_level[varies] / largest[varies]
    columns = np.array(list(pools))
    scored = robustness[np.ix_(varies, columns)]
    scores, best = np.full(len(largest), math.nan), np.full(len(largest), -1)
    scores[varies] = scored.max(axis=1).clip(0.0, 1.0)
    best[varies] = columns[scored.argmax(axis=1)]
    details |= {"robustness": robustness, "scores": scores, "best_factors": best}
    value = float(np.average(scores[varies], weights=largest[varies]))
    return Score(value, details=details, identity=identity)


def _mean_quantile(codes: Codes, categories: list[Array], pool: Pool, quantile: float) -> Array:
    """Return the quantile of deviations within each level, averaged over levels: (d + m,)."""
    total = np.zeros(latents.count(codes))
    for start, count in zip(pool.starts, pool.counts, strict=True):
        rows = pool.order[start : start + count]
        total += np.quantile(_deviations(codes, categories, rows), quantile, axis=0)
    return total / len(pool.starts)


def _deviations(codes: Codes, categories: list[Array], rows: Array) -> Array:
    """Return the distance of each of the given rows from their mean: (n, d + m)."""
    means = codes.mean[rows].astype(np.float64)
    parts = [np.abs(means - means.mean(axis=0))]
    for column in categories:
        of_rows = column[rows]
        shares = np.bincount(of_rows) / len(rows)
        parts.append(1 - shares[of_rows][:, None])
    deviations = np.concatenate(parts, axis=1)
    # The mean of equal numbers may differ from them in the last bit; that is no deviation.
    size = np.concatenate([np.abs(means).max(axis=0, initial=0.0), np.ones(len(categories))])
    return np.where(deviations > 1e-12 * size, deviations, 0.0)
