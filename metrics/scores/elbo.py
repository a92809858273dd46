"""The KL of the ELBO, split into mutual information, total correlation and dimension-wise KL.

With the full mixture q(z) = 1/N sum_n q(z|x_n) and the prior p(z) = N(0, I) (Chen et al. 2018,
eq. 2):

    E_x KL(q(z|x) || p(z)) = I_q(x; z) + KL(q(z) || prod_j q(z_j)) + sum_j KL(q(z_j) || p(z_j))
                                MI                  TC                  dimension-wise KL

With row weights, E_x is the mean under the shares p_n of the rows, and q(z) = sum_n p_n q(z|x_n).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from metrics.codes import latents, row_weights
from metrics.mixture import decomposition
from metrics.mixture.decomposition import decompose
from metrics.types import Array, Codes, Inputs, Score


class ElboDecomposition(NamedTuple):
    """The three parts and their sum, in nats per image.

    Args:
        mi: mutual information I(x; z).
        tc: total correlation.
        dimwise_kl: dimension-wise KL.
        kl: mi + tc + dimwise_kl; the mean KL in closed form, to rounding.
        mi_error, tc_error, dimwise_kl_error: standard errors of the parts.
        samples: number of samples behind them.
    """

    mi: float
    tc: float
    dimwise_kl: float
    kl: float
    mi_error: float
    tc_error: float
    dimwise_kl_error: float
    samples: int


def elbo_decomposition(
    codes: Codes,
    *,
    samples: int,
    seed: int,
    weights: Array | None = None,
    largest_error: float | None = None,
    most_work: float = decomposition.MOST_WORK,
) -> ElboDecomposition:
    """Return MI, TC, dimension-wise KL and their sum, for the mixture q(z) over all codes.

        MI = H(z) - sum_j E_x H(q(z_j|x))
        TC = sum_j H(z_j) - H(z)
        dimension-wise KL = -sum_j H(z_j) - E log p(z)

    H(z) = -E log q(z) is a mean over S samples of the mixture with control variates; the other
    terms are integrals in one dimension or closed forms (`metrics.mixture.decomposition`). So the
    errors of MI and TC are that of H(z), and of opposite sign. If an image has a posterior too
    narrow for the quadrature, H(z_j) of that latent is sampled too.

    MI cannot exceed ln N (with weights, the entropy of the shares of the images) by more than its
    error. For sharp posteriors, TC contains what the finite mixture adds. Both depend on the number
    N of codes and on their weights, so compare only values of equal N and weights. Discrete codes
    are ignored: the prior and the posteriors are those of the continuous latents.

    Args:
        codes: mean and logvar of N images.
        samples: S. Images are stratified: each is drawn S p_n times, give or take less than two.
        seed: of the images and the noise.
        weights: (N,) weight of each image, in any unit; None or equal weights mean uniform.
        largest_error: draw again, with more samples, until the sampling error of MI and TC is at
            most this (nats) or the work is done; None: draw S samples once.
        most_work: the largest samples x images x latents of all draws together.

    Raises:
        TypeError: weights are not floats.
        ValueError: codes without logvar, no rows, samples < 1, or invalid weights (negative, all
            zero, or not one per row).
    """
    codes, shares = row_weights.rows_with_weight(codes, weights)
    parts = decompose(
        codes,
        shares,
        samples=samples,
        seed=seed,
        largest_error=largest_error,
        most_work=most_work,
    )
    return ElboDecomposition(
        mi=parts.mi,
        tc=parts.tc,
        dimwise_kl=parts.dimwise_kl,
        kl=parts.mi + parts.tc + parts.dimwise_kl,
        mi_error=parts.mi_error,
        tc_error=parts.tc_error,
        dimwise_kl_error=parts.dimwise_kl_error,
        samples=parts.samples,
    )


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
        value: KL in closed form, nats per image. No error: nothing is sampled.
        details:
            mi, tc, dimwise_kl: the parts, each with `<name>_error`, its standard error.
            mi_bound: the largest possible MI: the entropy of the shares of the images, which is
                ln N for uniform weights.
            chain, chain_errors: with `chain`, (d - 1,); entry i - 1 is I(z_<i ; z_i).
            excluded: discrete latents.
        Without a continuous latent all of them are 0, with a reason.
    """
    codes, shares = row_weights.rows_with_weight(inputs.codes, row_weights.weights_of(inputs))
    count = codes.mean.shape[1]
    order = range(count) if chain and count else None
    parts = decompose(codes, shares, samples=samples, seed=inputs.seed, order=order)
    discrete_names = latents.names(inputs.codes)[count:]
    details: dict[str, Any] = {
        "mi_bound": row_weights.entropy_of_rows(shares, len(codes)),
        "excluded": dict.fromkeys(
            discrete_names, "discrete: outside the continuous posterior q(z|x)"
        ),
    }
    for name in ("mi", "tc", "dimwise_kl"):
        details |= {name: getattr(parts, name), f"{name}_error": getattr(parts, f"{name}_error")}
    if chain:
        details |= {"chain": parts.chain, "chain_errors": parts.chain_errors}
    if not count:
        details["reason"] = "no continuous latents: there is no q(z|x) to decompose"
    return Score(
        value=parts.mi + parts.tc + parts.dimwise_kl,
        details=details,
        identity={
            "estimator": f"full mixture: {decomposition.ESTIMATOR}",
            "latents": "continuous",
        },
    )
