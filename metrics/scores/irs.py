"""The interventional robustness score: does a latent stay put while all but one factor change (Suter et al. 2019)?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from metrics import progress
from metrics.codes import latents, rows_by_level
from metrics.codes.rows_by_level import Pool
from metrics.types import Array, Codes, Inputs, Score


def irs(inputs: Inputs, *, quantile: float = 0.99) -> Score:
    """Mean over latents of 1 - (largest deviation while their best factor is fixed) / (largest deviation at all).

        R[j, k] = 1 - mean_v  Q_n[ |z_nj - m_jv| : v_nk = v ] / M_j,   m_jv = mean of z_j over the rows of level v,
        IRS = sum_j M_j max_k R[j, k] / sum_j M_j,                     M_j = max_n |z_nj - mean of z_j|

    The rows of a level stand for interventions on all other factors, which they are where the factors are crossed
    (every combination, equally often); Q is a quantile, 1 in the paper and .99 in its authors' code, so that one row
    does not decide. Levels are weighted equally; those shown by one row only are left out, since a row never deviates
    from itself.

    A discrete latent is its vector of indicators with the distance of total variation, 1/2 sum_c |.|, which the
    definition leaves open: a row of category c is 1 - p_c away from shares p. It weighs at most 1, whatever the scale
    of the continuous ones.

    The score of noise is not 0: a quantile is divided by a maximum (Gaussian noise on 10,000 rows gives about
    1 - 2.6 / 3.9 = .33). Read it against its chance level. Scaling one latent against the others changes the weights.

    Args:
        inputs: codes and factors; all rows are used.
        quantile: Q, in (0, 1]. Variant `paper`: 1.

    Returns:
        value: in [0, 1]. details: robustness (d + m, K) with NaN for what was left out (below 0 where a level is
        more spread than the whole; a latent's score is then 0), scores (d + m,), best_factors (d + m,) columns (-1:
        left out), max_deviations (d + m,), excluded: factors, and latents that are constant. No latent that varies
        gives 0, no factor that varies NaN, each with a reason.

    Raises:
        ValueError: quantile outside (0, 1].
    """
    assert inputs.factors is not None, "score() checks needs"
    if not 0 < quantile <= 1:
        raise ValueError(f"quantile must lie in (0, 1], got {quantile}")
    codes, names, pools = inputs.codes, inputs.factors.names, rows_by_level.pools(inputs.factors)
    categories = latents.discrete_columns(codes)
    whole = _deviations(codes, categories, np.arange(len(codes))).max(axis=0)
    varies = whole > 0
    constant = {
        name: "constant"
        for name, moves in zip(latents.names(codes), varies, strict=True)
        if not moves
    }
    details: dict[str, Any] = {
        "max_deviations": whole,
        "excluded": rows_by_level.excluded(inputs.factors, pools) | constant,
    }
    identity = {"estimator": "quantile of deviations", "scored": [names[k] for k in pools]}
    if not pools or not varies.any():
        details["reason"] = (
            "no latent varies"
            if pools
            else "every factor is constant, or shows no two levels with two rows each"
        )
        return Score(0.0 if pools else math.nan, details=details, identity=identity)
    robustness = np.full((len(whole), len(names)), math.nan)
    for k, pool in progress.steps(list(pools.items()), "irs: factor"):
        robustness[varies, k] = (
            1 - _mean_quantile(codes, categories, pool, quantile)[varies] / whole[varies]
        )
    kept = np.array(list(pools))
    scores, best = np.full(len(whole), math.nan), np.full(len(whole), -1)
    scores[varies] = robustness[np.ix_(varies, kept)].max(axis=1).clip(0.0, 1.0)
    best[varies] = kept[robustness[np.ix_(varies, kept)].argmax(axis=1)]
    details |= {"robustness": robustness, "scores": scores, "best_factors": best}
    return Score(
        float(np.average(scores[varies], weights=whole[varies])), details=details, identity=identity
    )


def _mean_quantile(codes: Codes, categories: list[Array], pool: Pool, quantile: float) -> Array:
    """(d + m,): the quantile of deviations within each level, averaged over levels."""
    total = np.zeros(latents.count(codes))
    for start, count in zip(pool.starts, pool.counts, strict=True):
        rows = pool.order[start : start + count]
        total += np.quantile(_deviations(codes, categories, rows), quantile, axis=0)
    return total / len(pool.starts)


def _deviations(codes: Codes, categories: list[Array], rows: Array) -> Array:
    """How far each row is from the mean of these rows: (n, d + m)."""
    means = codes.mean[rows].astype(np.float64)
    parts = [np.abs(means - means.mean(axis=0))]
    for column in categories:
        of_rows = column[rows]
        shares = np.bincount(of_rows) / len(rows)
        parts.append(1 - shares[of_rows][:, None])
    deviations = np.concatenate(parts, axis=1)
    # The mean of equal numbers may differ from them in the last bit, which is no deviation.
    size = np.concatenate([np.abs(means).max(axis=0, initial=0.0), np.ones(len(categories))])
    return np.where(deviations > 1e-12 * size, deviations, 0.0)
