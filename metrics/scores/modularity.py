"""Modularity: does each latent have information about one factor only?

Ridgeway and Mozer 2018, section 3.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from metrics.codes import latents
from metrics.information.estimate import measure, supported
from metrics.information.matrix import Information
from metrics.types import Array, Inputs, Score

_ESTIMATORS = {"histogram": "histogram of means", "posterior": "posterior quadrature"}
_NONE_COUNTED = {
    "active": "no latent is active",
    "all": "no latent has information about any factor",
}


def modularity(
    inputs: Inputs,
    *,
    estimator: Literal["histogram", "posterior"] = "histogram",
    bins: int = 20,
    over: Literal["active", "all"] = "active",
    min_variance: float = 0.0,
) -> Score:
    """Return the mean over latents of how little information they have beyond their best factor.

        m_j = 1 - sum_{k != k*} I_jk² / (I_jk*² (K - 1)),   k* = argmax_k I_jk

    with I_jk the mutual information of latent j and factor k in nats, and K the number of factors
    of positive entropy. The score does not ask whether any latent has information about a factor
    (`explicitness` does), nor whether only one latent has it (`mig` does). Latents that are only
    noise have a little information, because the rows are finite in number. They score from one
    half up to .99, the latter if one factor has many more levels than the others.

    Args:
        inputs: codes and factors. Discrete codes are further latents, with the plug-in I.
        estimator: "histogram" of posterior means in equal bins, as published; or "posterior", the
            mixtures q(z_j | v_k) integrated numerically (needs codes.logvar).
        bins: of the histogram.
        over: "active" averages over latents that vary (Var_x of the mean > min_variance, or more
            than one category) and have information. "all" averages over every latent, and a
            latent without information counts 0: with 5 dead latents of 10, perfect codes then
            score .5 (Locatello et al. 2019, in their code).
        min_variance: the posterior mean of an active latent has a variance above this. With a limit
            above 0 the score depends on the scale of the codes.

    Returns:
        value: the mean of m_j, in [0, 1].
        error: an upper bound on the effect of the errors of I (of the integration, and because rows
            are few), to first order.
        details:
            mutual_information, shuffled_information: (latents, K) nats, see `mig`.
            entropies: (K,) nats.
            modularity_per_latent: (latents,) m, NaN for a latent without information.
            best_factors: (latents,) k*, -1 for a latent without information.
            counted: the number of latents that the mean is over.
            excluded: factors and latents.
        Without a latent to count the value is 0, and without a varying factor it is NaN. With a
        single varying factor it is 1, because no other factor can share a latent. All three come
        with a reason.

    Raises:
        ValueError: the estimator or `over` is unknown, or "posterior" is given without
            codes.logvar.
    """
    assert inputs.factors is not None, "score() checks needs"
    if over not in ("active", "all"):
        raise ValueError(f"modularity: over must be 'active' or 'all', got {over!r}")
    names = inputs.factors.names
    information = _information(inputs, estimator, bins)
    varies = information.entropies > 0
    errors_of_information = information.error + information.excess_or_zero()
    modularities, errors = per_latent(
        information.matrix[:, varies], errors_of_information[:, varies]
    )
    counted, excluded = _counted(inputs, modularities, over, min_variance)
    for name, factor_varies in zip(names, varies, strict=True):
        if not factor_varies:
            excluded[name] = "one level only in the given rows: zero entropy"
    best_factors = np.where(np.isnan(modularities), -1, information.matrix.argmax(axis=1))
    details: dict[str, Any] = {
        "mutual_information": information.matrix,
        "shuffled_information": information.shuffled_or_zero(),
        "entropies": information.entropies,
        "modularity_per_latent": modularities,
        "best_factors": best_factors,
        "counted": int(counted.sum()),
        "excluded": excluded,
    }
    identity = {
        "estimator": _ESTIMATORS[estimator],
        "scored": [names[k] for k in np.flatnonzero(varies)],
    }
    if not varies.any():
        details["reason"] = "every factor is constant in the given rows"
        return Score(math.nan, details=details, identity=identity)
    if not counted.any() or np.isnan(modularities[counted]).all():
        details["reason"] = _NONE_COUNTED[over]
        return Score(0.0, 0.0, details=details, identity=identity)
    if varies.sum() == 1:
        details["reason"] = "one factor varies: no latent can have information about another"
    value = float(np.nan_to_num(modularities[counted]).mean())
    return Score(value, float(errors[counted].mean()), details=details, identity=identity)


def per_latent(information: Array, error: Array) -> tuple[Array, Array]:
    """Return m_j of every latent, and how much the errors of I can change it, to first order.

        m_j = 1 - sum_{k != k*} I_jk² / (I_jk*² (K - 1))    (Ridgeway and Mozer 2018, section 3)

    Args:
        information: (latents, K) nats, of factors that vary.
        error: (latents, K) nats.

    Returns:
        m (latents,), NaN for a latent without information; and its error (latents,), at most 1.
    """
    modularities, errors = np.full(len(information), np.nan), np.zeros(len(information))
    informed = information.max(axis=1, initial=0.0) > 0
    if not informed.any():
        return modularities, errors
    most = information[informed].max(axis=1, keepdims=True)
    relative = information[informed] / most  # its squares cannot underflow
    other_factors = max(information.shape[1] - 1, 1)
    shared = (relative**2).sum(axis=1) - 1
    modularities[informed] = 1 - shared / other_factors
    # dm_j / dI_jk = -2 I_jk / (I_jk*² (K - 1)), and dm_j / dI_jk* = 2 shared / (I_jk* (K - 1)).
    slope = 2 * relative / most
    np.put_along_axis(slope, relative.argmax(axis=1)[:, None], 2 * shared[:, None] / most, axis=1)
    errors[informed] = (slope * error[informed]).sum(axis=1) / other_factors
    return modularities, np.minimum(errors, 1.0)


def _information(inputs: Inputs, estimator: str, bins: int) -> Information:
    """Return the mutual information by one of the two estimators."""
    if estimator not in _ESTIMATORS:
        raise ValueError(
            f"modularity: estimator must be 'histogram' or 'posterior', got {estimator!r}"
        )
    if estimator == "histogram":
        return measure(inputs, "histogram", bins=bins)
    # The rounding of I is no information.
    return supported(measure(inputs, "quadrature"), inputs.codes)


def _counted(
    inputs: Inputs, modularities: Array, over: str, min_variance: float
) -> tuple[Array, dict[str, str]]:
    """Return which latents the mean is over, and the reasons why the others are not."""
    if over == "all":
        return np.ones(len(modularities), dtype=bool), {}
    active = latents.active(inputs.codes, min_variance=min_variance)
    counted = active & ~np.isnan(modularities)
    dead = f"dead: its mean varies by no more than {min_variance:g}, or it is one category"
    excluded: dict[str, str] = {}
    for j, name in enumerate(latents.names(inputs.codes)):
        if not active[j]:
            excluded[name] = dead
        elif not counted[j]:
            excluded[name] = "no information about any factor"
    return counted, excluded
