"""The mutual information gap of posterior mixtures (Chen et al. 2018, eq. 6).

    MIG = 1/K sum_k [ I(z_j1; v_k) - I(z_j2; v_k) ] / H(v_k)

with j1 and j2 the latents with the most and second most information about factor k. Scores called
MIG differ in the estimator of I, in the factors and in their entropies. They are different
numbers: see `mig`, `mig_chen4` and `mig_hist.mig_hist20`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from metrics.information.estimate import constant_factors, measure, required_factors
from metrics.information.gap import Average, gap_score, require_choice
from metrics.information.matrix import factor_entropies
from metrics.types import Factors, Inputs, Score

_OF_MIXTURES = ("quadrature", "monte_carlo")


def mig(
    inputs: Inputs,
    *,
    estimator: Literal["quadrature", "monte_carlo"] = "quadrature",
    samples: int = 10_000,
    average: Average = "factors",
) -> Score:
    """Return the mutual information gap of the posterior mixtures q(z_j | v_k), over all factors.

        MIG = 1/K sum_k [ I(z_j1; v_k) - I(z_j2; v_k) ] / H(v_k)    (Chen et al. 2018, eq. 6)

    K counts the factors of positive entropy. p(v_k) and H(v_k) come from the frequencies in the
    given rows, with their weights. Discrete codes, if any, are further latents with the plug-in I.
    A latent without information stays in the ranking with 0. A single latent has its gap to 0.

    Args:
        inputs: codes with posteriors, factors.
        estimator: "quadrature" integrates -q ln q numerically (`quadrature_information`), without
            sampling noise. "monte_carlo", as published, takes entropies as means of -ln q over
            samples (`monte_carlo_information`).
        samples: of every mixture, for "monte_carlo"; the paper takes 10,000.
        average: "factors" is the mean over factors, as published. "entropy" weights each gap by
            H(v_k): the sum of the gaps in nats over the sum of the entropies, so that a factor of
            40 levels has more weight than one of 3.

    Returns:
        value: the gap, in [0, 1].
        error: the sum of the estimated errors of integration, an upper bound, or the standard
            error of the sampled gap; plus `few_rows`. At most what reaches the far end of [0, 1].
        details:
            mutual_information: (latents, K) nats.
            information_error: (latents, K) nats.
            shuffled_information: (latents, K) nats, after a random permutation of the factor's
                rows: what few rows and sharp posteriors alone produce.
            few_rows: how much the score may be wrong for that reason (`few_rows.gap_bounds`); if
                it is large, `reason` says so.
            entropies: (K,) nats.
            gaps: (K,) normalised gaps.
            best_latents: (K,) j1.
            excluded: factors of zero entropy.
        If all factors are excluded the value is NaN, with a reason.

    Raises:
        ValueError: the estimator or the average is unknown, or samples < 2.
    """
    require_choice("estimator", estimator, _OF_MIXTURES)
    information = measure(inputs, estimator, samples=samples)
    return gap_score(
        information,
        information.entropies,
        required_factors(inputs),
        excluded=constant_factors(information, required_factors(inputs)),
        average=average,
        identity={},
    )


def mig_chen4(
    inputs: Inputs,
    *,
    leave_out: tuple[str, ...] = ("shape",),
    estimator: Literal["quadrature", "monte_carlo"] = "quadrature",
    samples: int = 10_000,
) -> Score:
    """Return the gap as Chen et al. 2018 report it for dSprites, over all factors except shape.

    These are scale, orientation, x and y. Two things differ from `mig`. Factors named in
    `leave_out` do not count. And a gap is divided by ln V_k, with V_k the levels of the whole data
    set (`factors.sizes`), as in the code of the authors. On a whole grid of factors ln V_k equals
    H(v_k); in a sample H is less, by about (V_k - 1) / 2N nats, and so is the ceiling. I and p(v)
    are those of the given rows, as in `mig`.

    Args:
        inputs, estimator, samples: see `mig`.
        leave_out: names of factors; `identity["left_out"]` lists those that the data have.

    Returns:
        As `mig`; in the details `entropies` are the ln V_k, and `entropies_of_rows` (K,) are the
        H(v_k) of the given rows.

    Raises:
        ValueError: the estimator is unknown, or samples < 2.
    """
    require_choice("estimator", estimator, _OF_MIXTURES)
    factors = required_factors(inputs)
    information = measure(inputs, estimator, samples=samples)
    left_out = [name for name in factors.names if name in leave_out]
    why = "left out by name: the published score has only ordered factors"
    result = gap_score(
        information,
        np.log(np.array(factors.sizes, dtype=np.float64)),
        factors,
        excluded=constant_factors(information, factors) | dict.fromkeys(left_out, why),
        average="factors",
        identity={"left_out": left_out, "entropies": "ln of the number of levels"},
    )
    return replace(result, details={**result.details, "entropies_of_rows": information.entropies})


def largest_gap_of_sizes(factors: Factors, options: Mapping[str, Any]) -> float:
    """Return a value that `mig_chen4` cannot exceed on these factors: the mean of H(v_k) / ln V_k.

    Args:
        factors: of the scored rows.
        options: `leave_out` of `mig_chen4`.
    """
    entropies = factor_entropies(factors)
    shares: list[float] = []
    for name, size, entropy in zip(factors.names, factors.sizes, entropies, strict=True):
        if entropy > 0 and name not in options["leave_out"]:
            shares.append(float(entropy) / math.log(size))
    return sum(shares) / len(shares) if shares else 1.0
