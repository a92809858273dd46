"""Modularity: does each latent know about one factor only? (Ridgeway and Mozer 2018, section 3)."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from metrics.codes import latents
from metrics.information.estimate import measure, supported
from metrics.information.matrix import Information
from metrics.types import Array, Inputs, Score


def modularity(
    inputs: Inputs,
    *,
    estimator: Literal["histogram", "posterior"] = "histogram",
    bins: int = 20,
    over: Literal["active", "all"] = "active",
    min_variance: float = latents.MIN_VARIANCE,
) -> Score:
    """Mean over latents of how little they know about any but their best factor.

        m_j = 1 - sum_{k != k*} I_jk² / (I_jk*² (K - 1)),   k* = argmax_k I_jk

    with I_jk the mutual information of latent j and factor k in nats, and K the factors of positive entropy. It does
    not ask whether a factor is known at all (`explicitness` does), nor whether one latent knows it (`mig` does):
    latents of mere noise, whose few nats come from finitely many rows, score from one half up to .99 where one factor
    has many more levels than the others.

    Args:
        inputs: codes and factors. Discrete codes are further latents, with the plug-in I.
        estimator: "histogram" of posterior means in equal bins, as published; or "posterior", the mixtures q(z_j | v_k)
            integrated numerically (needs codes.logvar).
        bins: of the histogram.
        over: "active" averages over latents that vary (Var_x of the mean > min_variance, or more than one category)
            and know something; "all" over every latent, a latent without information counting 0: with 5 dead
            latents of 10, perfect codes then score .5 (Locatello et al. 2019, in their code).
        min_variance: of the posterior mean of an active latent.

    Returns:
        value: the mean of m_j, in [0, 1]; error: the errors of I (bias of the histogram or of integration) carried to
        first order, at most.
        details: mutual_information (latents, K), entropies (K,), modularity_per_latent (latents,) with NaN where I is
        0, best_factors (latents,), counted (how many latents the mean is over), excluded: factors and latents.
        Without a latent to count the value is 0, without a varying factor NaN, both with a reason; a single varying
        factor leaves nothing to share: 1.

    Raises:
        ValueError: an unknown estimator or `over`, or "posterior" without codes.logvar.
    """
    assert inputs.factors is not None, "score() checks needs"
    if over not in ("active", "all"):
        raise ValueError(f"modularity: over must be 'active' or 'all', got {over!r}")
    names = inputs.factors.names
    information = _information(inputs, estimator, bins)
    varies = information.entropies > 0
    each, errors = per_latent(information.matrix[:, varies], information.error[:, varies])
    counted, excluded = _counted(inputs, each, over, min_variance)
    excluded |= {
        name: "one level only in the given rows: zero entropy"
        for name, kept in zip(names, varies, strict=True)
        if not kept
    }
    details: dict[str, Any] = {
        "mutual_information": information.matrix,
        "entropies": information.entropies,
        "modularity_per_latent": each,
        "best_factors": np.where(np.isnan(each), -1, information.matrix.argmax(axis=1)),
        "counted": int(counted.sum()),
        "excluded": excluded,
    }
    words = {"histogram": "histogram of means", "posterior": "posterior quadrature"}[estimator]
    identity = {
        "estimator": words,
        "scored": [name for name, kept in zip(names, varies, strict=True) if kept],
    }
    if not varies.any():
        details["reason"] = "every factor is constant in the given rows"
        return Score(math.nan, details=details, identity=identity)
    if not counted.any() or np.isnan(each[counted]).all():
        details["reason"] = (
            "no latent is active" if over == "active" else "no latent knows any factor"
        )
        return Score(0.0, 0.0, details=details, identity=identity)
    if varies.sum() == 1:
        details["reason"] = "one factor varies: no latent can know another"
    value = float(np.nan_to_num(each[counted]).mean())
    return Score(value, float(errors[counted].mean()), details=details, identity=identity)


def per_latent(information: Array, error: Array) -> tuple[Array, Array]:
    """m_j of every latent, NaN where it knows nothing, and what errors of I can change of it to first order.

    Args:
        information: (latents, K) nats, of factors that vary.
        error: (latents, K) nats.
    """
    each, errors = np.full(len(information), np.nan), np.zeros(len(information))
    known = information.max(axis=1, initial=0.0) > 0
    if not known.any():
        return each, errors
    most = information[known].max(axis=1, keepdims=True)
    relative = information[known] / most  # its squares cannot underflow
    others = max(information.shape[1] - 1, 1)
    shared = (relative**2).sum(axis=1) - 1
    each[known] = 1 - shared / others
    # Of m_j by I_jk: -2 I_jk / (I_jk*² (K - 1)); by I_jk* itself: 2 shared / (I_jk* (K - 1)).
    slope = 2 * relative / most
    np.put_along_axis(slope, relative.argmax(axis=1)[:, None], 2 * shared[:, None] / most, axis=1)
    errors[known] = (slope * error[known]).sum(axis=1) / others
    return each, np.minimum(errors, 1.0)


def _information(inputs: Inputs, estimator: str, bins: int) -> Information:
    if estimator not in ("histogram", "posterior"):
        raise ValueError(
            f"modularity: estimator must be 'histogram' or 'posterior', got {estimator!r}"
        )
    if estimator == "histogram":
        return measure(inputs, "histogram", bins=bins)
    return supported(
        measure(inputs, "quadrature"), inputs.codes
    )  # the rounding of I is no knowledge


def _counted(
    inputs: Inputs, each: Array, over: str, min_variance: float
) -> tuple[Array, dict[str, str]]:
    """Which latents the mean is over, and why the others are not."""
    if over == "all":
        return np.ones(len(each), dtype=bool), {}
    active = latents.active(inputs.codes, min_variance=min_variance)
    counted = active & ~np.isnan(each)
    excluded: dict[str, str] = {}
    for name, alive, kept in zip(latents.names(inputs.codes), active, counted, strict=True):
        if not kept:
            dead = f"dead: its mean varies by no more than {min_variance:g}, or it is one category"
            excluded[name] = "no information about any factor" if alive else dead
    return counted, excluded
