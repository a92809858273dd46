"""The mutual information gap (Chen et al. 2018, eq. 6).

    MIG = 1/K sum_k [ I(z_j1; v_k) - I(z_j2; v_k) ] / H(v_k)

with j1 and j2 the latents that know most and second most about factor k. Two estimators of I, which are not
the same number: see `mig` and `mig_hist20`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from metrics.information import (
    Information,
    discrete_information,
    histogram_information,
    quadrature_information,
)
from metrics.types import Array, Factors, Inputs, Score


def mig(inputs: Inputs) -> Score:
    """Gap with I of the posterior mixtures q(z_j | v_k), integrated numerically (`quadrature_information`).

    Over all factors of positive entropy; H(v_k) and p(v_k) are the frequencies in the given rows. Discrete
    codes, if any, are further latents with the plug-in I. Integration replaces the paper's 10,000 samples:
    the value has no sampling noise, and `error` is the estimated error of integration.
    """
    information = quadrature_information(inputs.codes, _factors(inputs))
    return _gap(_with_discrete(inputs, information), _factors(inputs), {"estimator": "posterior quadrature"})


def mig_hist20(inputs: Inputs, *, bins: int = 20) -> Score:
    """Gap with the plug-in I of posterior means cut into equal bins (Locatello et al. 2019, appendix B).

    Not comparable with `mig`. A factor of more levels than bins cannot score 1: read it against its ceiling
    (.9024 on all of dSprites with 20 bins). `error` is the plug-in bias of I, the same way.
    """
    information = histogram_information(inputs.codes.mean, _factors(inputs), bins=bins)
    return _gap(_with_discrete(inputs, information), _factors(inputs), {"estimator": "histogram of means"})


def gaps(information: Array, entropies: Array) -> tuple[Array, Array]:
    """Normalised gap per factor and the best latent per factor; factors of zero entropy get NaN and -1.

    Args:
        information: (d, K) nats. A single latent has a gap to 0, as if a dead one stood beside it.
        entropies: (K,) nats.
    """
    padded = np.concatenate([information, np.zeros((1, information.shape[1]))])
    best, second = np.sort(padded, axis=0)[[-1, -2]]
    kept = entropies > 0
    gap = np.full(len(entropies), np.nan)
    gap[kept] = (best[kept] - second[kept]) / entropies[kept]
    return gap, np.where(kept, information.argmax(axis=0), -1)


def _gap(information: Information, factors: Factors, identity: dict[str, Any]) -> Score:
    gap, best = gaps(information.matrix, information.entropies)
    kept = information.entropies > 0
    names = [name for name, keep in zip(factors.names, kept, strict=True) if keep]
    details: dict[str, Any] = {
        "mutual_information": information.matrix,
        "entropies": information.entropies,
        "gaps": gap,
        "best_latents": best,
        "excluded": {
            name: "one level only in the given rows: zero entropy"
            for name, keep in zip(factors.names, kept, strict=True)
            if not keep
        },
    }
    if not names:
        details["reason"] = "every factor is constant in the given rows"
        return Score(value=float("nan"), details=details, identity=identity | {"scored": names})
    # Each gap is a difference of two entries of its column: at worst their errors add.
    error = (np.sort(information.error, axis=0)[-2:].sum(axis=0)[kept] / information.entropies[kept]).mean()
    return Score(float(gap[kept].mean()), float(error), details=details, identity=identity | {"scored": names})


def _with_discrete(inputs: Inputs, information: Information) -> Information:
    if inputs.codes.discrete is None:
        return information
    further = discrete_information(inputs.codes.discrete, _factors(inputs))
    return Information(
        np.concatenate([information.matrix, further.matrix]),
        np.concatenate([information.error, further.error]),
        information.entropies,
    )


def _factors(inputs: Inputs) -> Factors:
    assert inputs.factors is not None, "score() checks needs"
    return inputs.factors
