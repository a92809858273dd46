"""The mutual information gap of posterior mixtures (Chen et al. 2018, eq. 6).

    MIG = 1/K sum_k [ I(z_j1; v_k) - I(z_j2; v_k) ] / H(v_k)

with j1 and j2 the latents that know most and second most about factor k. What is called MIG differs in the estimator
of I, in the factors and in their entropies, and is not one number: see `mig`, `mig_chen4` and `mig_hist.mig_hist20`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from metrics.information.estimate import constant_factors, given, measure
from metrics.information.gap import Average, check_choice, gap_score
from metrics.types import Inputs, Score

_OF_MIXTURES = ("quadrature", "monte_carlo")


def mig(
    inputs: Inputs,
    *,
    estimator: Literal["quadrature", "monte_carlo"] = "quadrature",
    samples: int = 10_000,
    average: Average = "factors",
) -> Score:
    """Gap with I of the posterior mixtures q(z_j | v_k), over all factors of positive entropy.

    H(v_k) and p(v_k) are the frequencies in the given rows, by their weights. Discrete codes, if any, are further
    latents with the plug-in I. A latent that knows nothing stays in the ranking with 0; a single latent has its gap
    to 0.

    Args:
        inputs: codes with posteriors, factors.
        estimator: "quadrature" integrates -q ln q numerically (`quadrature_information`): no sampling noise. Or
            "monte_carlo" as published (`monte_carlo_information`): entropies as means of -ln q over samples.
        samples: of every mixture, for "monte_carlo"; the paper's are 10,000.
        average: "factors" is the mean over factors, as published. "entropy" weighs each gap by H(v_k): all gaps in nats
            over all entropies, so that a factor of 40 levels counts for more than one of 3.

    Returns:
        value: the gap, in [0, 1]; error: at most the sum of the estimated errors of integration, or the standard
        error of the sampled one.
        details: mutual_information (latents, K) nats, information_error the same, entropies (K,), gaps (K,),
        best_latents (K,), excluded: factors of zero entropy. Without any other factor the value is NaN with a reason.

    Raises:
        ValueError: an unknown estimator or average; samples < 2.
    """
    check_choice("estimator", estimator, _OF_MIXTURES)
    information = measure(inputs, estimator, samples=samples)
    return gap_score(
        information,
        information.entropies,
        given(inputs),
        excluded=constant_factors(information, given(inputs)),
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
    """The gap as Chen et al. 2018 report it for dSprites: without the shape, over scale, orientation, x and y.

    Two things differ from `mig`. Factors named in `leave_out` do not count. And a gap is divided by ln V_k, with V_k
    the levels of the whole data set (`factors.sizes`), as the authors' code does. On a whole grid of factors that is
    H(v_k) itself; in a sample H is less, by about (V_k - 1) / 2N nats, and so is the ceiling. I and p(v) are of the
    given rows all the same.

    Args:
        inputs, estimator, samples: see `mig`.
        leave_out: names of factors; `identity["left_out"]` says which of them the data have.

    Returns:
        As `mig`; `entropies` are the ln V_k, `entropies_of_rows` the H(v_k) found.

    Raises:
        ValueError: an unknown estimator; samples < 2.
    """
    check_choice("estimator", estimator, _OF_MIXTURES)
    factors = given(inputs)
    information = measure(inputs, estimator, samples=samples)
    left_out = [name for name in factors.names if name in leave_out]
    why = "left out by name: not a factor of the published score, whose factors are all ordered"
    result = gap_score(
        information,
        np.log(np.array(factors.sizes, dtype=np.float64)),
        factors,
        excluded=constant_factors(information, factors) | dict.fromkeys(left_out, why),
        average="factors",
        identity={"left_out": left_out, "entropies": "ln of the number of levels"},
    )
    return replace(result, details={**result.details, "entropies_of_rows": information.entropies})
