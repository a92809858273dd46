"""The KL of the ELBO, split into mutual information, total correlation and dimension-wise KL.

With the full mixture q(z) = 1/N sum_n q(z|x_n) and the prior p(z) = N(0, I) (Chen et al. 2018,
eq. 2):

    E_x KL(q(z|x) || p(z)) = I_q(x; z) + KL(q(z) || prod_j q(z_j)) + sum_j KL(q(z_j) || p(z_j))
                                MI                  TC                  dimension-wise KL

With row weights, E_x is the mean under the shares p_n of the rows, and q(z) = sum_n p_n q(z|x_n).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from metrics.codes import latents, row_weights
from metrics.codes.sampling import draw, standard_errors
from metrics.gaussian import LOG_2PI
from metrics.mixture.chain_rule import chain_integrands
from metrics.mixture.log_density import log_densities
from metrics.types import Array, Codes, Inputs, Score


class ElboDecomposition(NamedTuple):
    """The three parts and their sum, in nats per image; the sum is exact.

    Args:
        mi: mutual information I(x; z).
        tc: total correlation.
        dimwise_kl: dimension-wise KL.
        kl: mi + tc + dimwise_kl.
    """

    mi: float
    tc: float
    dimwise_kl: float
    kl: float


def elbo_decomposition(
    codes: Codes, *, samples: int, seed: int, weights: Array | None = None
) -> ElboDecomposition:
    """Return MI, TC, dimension-wise KL and their sum, sampled against the mixture over all codes.

        MI = mean_s [log q(z|x) - log q(z)]
        TC = mean_s [log q(z) - sum_j log q(z_j)]
        dimension-wise KL = mean_s [sum_j log q(z_j) - log p(z)]

    over S samples z ~ q(z|x) of seeded images (Chen et al. 2018, eq. 2). The same samples give all
    three means, so they telescope: `kl` is the Monte Carlo KL mean_s [log q(z|x) - log p(z)], not
    the closed form (`gaussian.kl` of the codes).

    MI cannot exceed ln N (with weights, the entropy of the shares of the images). For sharp
    posteriors, TC contains what the finite mixture adds. Both depend on the number N of codes and
    on their weights, so compare only values of equal N and weights. Discrete codes are ignored:
    the prior and the posteriors are those of the continuous latents.

    Args:
        codes: mean and logvar of N images.
        samples: S. Images are drawn without replacement if S <= N, else with it; with weights,
            they are drawn from the weights.
        seed: of the images and the noise.
        weights: (N,) weight of each image, in any unit; None or equal weights mean uniform.

    Raises:
        TypeError: weights are not floats.
        ValueError: codes without logvar, no rows, samples < 1, or invalid weights (negative, all
            zero, or not one per row).
    """
    codes, shares = row_weights.rows_with_weight(codes, weights)
    terms = _integrands(codes, samples=samples, seed=seed, shares=shares)[0].mean(axis=0)
    mi, tc, dimwise = (float(term) for term in terms)
    return ElboDecomposition(mi=mi, tc=tc, dimwise_kl=dimwise, kl=mi + tc + dimwise)


def elbo(inputs: Inputs, *, samples: int = 512, chain: bool = False) -> Score:
    """Return the KL of the ELBO (the rate), with MI, TC and dimension-wise KL in the details.

        KL = MI + TC + dimension-wise KL    (`elbo_decomposition`; Chen et al. 2018, eq. 2)

    The reconstruction term of the ELBO needs images and is the metric `reconstruction`; the ELBO
    is minus the sum of both. Discrete latents are left out: `excluded` names them, and
    `identity["latents"]` is "continuous".

    Args:
        inputs: codes with posteriors; the row weights of the factors, if there are any; seed.
        samples: S of `elbo_decomposition`.
        chain: also split TC by the chain rule (`metrics.chain`), in the order of the latents, on
            the same samples.

    Returns:
        value: sampled KL, nats per image.
        error: its standard error over the S samples.
        details:
            mi, tc, dimwise_kl: the parts, each with `<name>_error`.
            mi_bound: the largest possible MI: the entropy of the shares of the images, which is
                ln N for uniform weights.
            chain, chain_errors: with `chain`, (d - 1,); entry i - 1 is I(z_<i ; z_i).
            excluded: discrete latents.
        Without a continuous latent all of them are 0, with a reason.
    """
    codes, shares = row_weights.rows_with_weight(inputs.codes, row_weights.weights_of(inputs))
    terms, links = _integrands(codes, samples=samples, seed=inputs.seed, chain=chain, shares=shares)
    means, errors = terms.mean(axis=0), standard_errors(terms)
    discrete_names = latents.names(inputs.codes)[inputs.codes.mean.shape[1] :]
    details: dict[str, Any] = {
        "mi_bound": row_weights.entropy_of_rows(shares, len(codes)),
        "excluded": dict.fromkeys(
            discrete_names, "discrete: outside the continuous posterior q(z|x)"
        ),
    }
    for name, mean, error in zip(("mi", "tc", "dimwise_kl"), means, errors, strict=True):
        details |= {name: float(mean), f"{name}_error": float(error)}
    if chain:
        details |= {"chain": links.mean(axis=0), "chain_errors": standard_errors(links)}
    if not inputs.codes.mean.shape[1]:
        details["reason"] = "no continuous latents: there is no q(z|x) to decompose"
    total = terms.sum(axis=1, keepdims=True)
    return Score(
        value=details["mi"] + details["tc"] + details["dimwise_kl"],
        error=float(standard_errors(total)[0]),
        details=details,
        identity={"estimator": "full mixture, sampled", "latents": "continuous"},
    )


def _integrands(
    codes: Codes, *, samples: int, seed: int, chain: bool = False, shares: Array | None
) -> tuple[Array, Array]:
    """Return the integrands of MI, TC and dimension-wise KL, (S, 3), and of the chain, (S, d - 1).

    Both are float64. Without `chain` the second has no columns.
    """
    drawn = draw(codes, samples=samples, seed=seed, shares=shares)
    if not codes.mean.shape[1]:
        return np.zeros((samples, 3)), np.zeros((samples, 0))
    densities = log_densities(drawn, codes, prefixes=chain, shares=shares)
    log_qzx = drawn.log_qzx.sum(axis=1)
    log_pz = -0.5 * (np.square(drawn.z) + LOG_2PI).sum(axis=1)
    log_qz, log_prod = densities.joint[-1], densities.marginal.sum(axis=0)
    links = chain_integrands(densities) if chain else np.zeros((samples, 0))
    return np.stack([log_qzx - log_qz, log_qz - log_prod, log_prod - log_pz], axis=1), links
