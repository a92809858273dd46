"""The KL of the ELBO split into mutual information, total correlation and dimension-wise KL.

With the full mixture q(z) = 1/N sum_n q(z|x_n) and the prior p(z) = N(0, I) (Chen et al. 2018, eq. 2):

    E_x KL(q(z|x) || p(z)) = I_q(x; z) + KL(q(z) || prod_j q(z_j)) + sum_j KL(q(z_j) || p(z_j))
                                MI              TC                        dimension-wise KL
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch

from metrics.gaussian import LOG_2PI
from metrics.types import Array, Codes, Inputs, Score

Precision = type[np.float32] | type[np.float64]

_BLOCK = 1 << 16  # numbers per working buffer, samples x images: 256 KiB in float32 stay in a core's cache
# Smaller exponents are raised to this one, which cannot be seen beside the sample's own posterior: vectorised
# exponentials are a hundred times slower where their result underflows.
_LEAST = {np.float32: -80.0, np.float64: -700.0}


class ElboDecomposition(NamedTuple):
    """Nats per image; `kl` is the sum of the other three, exactly."""

    mi: float
    tc: float
    dimwise_kl: float
    kl: float


def elbo_decomposition(codes: Codes, *, samples: int, seed: int) -> ElboDecomposition:
    """Split the KL on S samples z ~ q(z|x) of seeded images, against the mixture over all given codes.

    MI = mean_s [log q(z|x) - log q(z)], TC = mean_s [log q(z) - sum_j log q(z_j)], dimension-wise KL =
    mean_s [sum_j log q(z_j) - log p(z)]. The same samples serve the three means, so they telescope: `kl` is
    the Monte-Carlo KL mean_s [log q(z|x) - log p(z)], not the closed form (`gaussian.kl` of the codes).

    MI cannot exceed ln N and, for sharp posteriors, TC contains what the finite mixture adds: both depend on
    the number N of codes. Compare values of equal N only.

    Args:
        codes: mean and logvar of N images.
        samples: S; images are drawn without replacement if S <= N, else with it.
        seed: of the images and the noise.

    Raises:
        ValueError: codes without logvar, no rows, or samples < 1.
    """
    terms = _sampled_terms(codes, samples=samples, seed=seed).mean(axis=0)
    mi, tc, dimwise = (float(term) for term in terms)
    return ElboDecomposition(mi=mi, tc=tc, dimwise_kl=dimwise, kl=mi + tc + dimwise)


def elbo(inputs: Inputs, *, samples: int = 512) -> Score:
    """Score whose value is the KL of the ELBO (its rate), with the three parts in the details.

    The reconstruction half of the ELBO needs images and is the metric `reconstruction`; ELBO is minus both.

    Returns:
        value: sampled KL, nats per image; error: its standard error over the S samples.
        details: mi, tc, dimwise_kl, each with `<name>_error`; mi_bound = ln N.
    """
    terms = _sampled_terms(inputs.codes, samples=samples, seed=inputs.seed)
    means, errors = terms.mean(axis=0), _standard_errors(terms)
    details: dict[str, float] = {"mi_bound": math.log(len(inputs.codes))}
    for name, mean, error in zip(("mi", "tc", "dimwise_kl"), means, errors, strict=True):
        details |= {name: float(mean), f"{name}_error": float(error)}
    total = terms.sum(axis=1, keepdims=True)
    return Score(
        value=details["mi"] + details["tc"] + details["dimwise_kl"],
        error=float(_standard_errors(total)[0]),
        details=details,
        identity={"estimator": "full mixture, sampled"},
    )


def _standard_errors(terms: Array) -> Array:
    # One sample has no spread to estimate from: its error is unknown, said as infinity.
    if len(terms) == 1:
        return np.full_like(terms[0], math.inf)
    spread: Array = terms.std(axis=0, ddof=1)
    return spread / math.sqrt(len(terms))


def _sampled_terms(codes: Codes, *, samples: int, seed: int) -> Array:
    """The integrands of MI, TC and dimension-wise KL at each sample: (S, 3) float64."""
    if codes.logvar is None:
        raise ValueError("the ELBO's decomposition needs posteriors: codes.logvar is None")
    if samples < 1 or not len(codes):
        raise ValueError(f"need samples >= 1 and images >= 1, got {samples} samples of {len(codes)} images")
    rng = np.random.default_rng(seed)
    images = rng.choice(len(codes), size=samples, replace=samples > len(codes))
    precision = _precision(codes.mean, codes.logvar)
    mean, logvar = codes.mean[images].astype(np.float64), codes.logvar[images].astype(np.float64)
    z = mean + np.exp(0.5 * logvar) * rng.standard_normal(mean.shape)
    # The samples are what the working precision can hold; every density below is of these very numbers.
    z = z.astype(precision).astype(np.float64)
    log_qzx = -0.5 * (np.square((z - mean) * np.exp(-0.5 * logvar)) + logvar + LOG_2PI).sum(axis=1)
    log_pz = -0.5 * (np.square(z) + LOG_2PI).sum(axis=1)
    log_qz, log_prod_qzj = _mixture_log_densities(z, codes.mean, codes.logvar, precision)
    return np.stack([log_qzx - log_qz, log_qz - log_prod_qzj, log_prod_qzj - log_pz], axis=1)


def _precision(mean: Array, logvar: Array) -> Precision:
    """The precision in which densities are formed; sums are float64 always.

    Differences z - mu of nearby float32 numbers are exact, so float32 codes lose nothing until a posterior is
    as narrow as the spacing of float32 numbers around its mean, or the widths span more than float32's range.
    """
    if mean.dtype == np.float64:
        return np.float64
    narrow = float(logvar.min()) < 2 * math.log(1e-5 * max(1.0, float(np.abs(mean).max())))
    uneven = float((logvar.max(axis=0) - logvar.min(axis=0)).max()) > 60  # the own posterior stays above e^-50
    return np.float64 if narrow or uneven else np.float32


def _mixture_log_densities(z: Array, mean: Array, logvar: Array, precision: Precision) -> tuple[Array, Array]:
    """log q(z) and sum_j log q(z_j) of the mixture over all rows of mean and logvar; (S,) each, float64.

    Images are streamed in blocks, one latent at a time, through buffers of fixed size. A block's per-latent
    log densities l[s, n] = log q(z_sj | x_n) are summed over latents for the joint and exponentiated for the
    marginal. They are formed from differences, not as a matrix product of [z^2, z, 1]: that form cancels
    numbers of size mu^2 / sigma^2 and loses the answer at sigma = 1e-3.
    """
    count, latents = z.shape
    points = torch.as_tensor(np.ascontiguousarray(z.T.astype(precision)))[:, :, None]  # (d, S, 1)
    # The highest peak of any posterior, per latent: relative to it no density overflows.
    peak = torch.as_tensor(-0.5 * logvar.min(axis=0).astype(np.float64))
    block, least = max(1, _BLOCK // count), _LEAST[precision]
    running_max = torch.full((count,), -math.inf, dtype=torch.float64)
    joint_sum = torch.zeros(count, dtype=torch.float64)
    marginal_sum = torch.zeros((latents, count), dtype=torch.float64)
    for start in range(0, len(mean), block):
        centre = torch.as_tensor(np.ascontiguousarray(mean[start : start + block].T.astype(precision)))
        log_var = torch.as_tensor(np.ascontiguousarray(logvar[start : start + block].T.astype(np.float64)))
        scale = (math.sqrt(0.5) * (-0.5 * log_var).exp()).to(centre)
        height = (-0.5 * log_var - peak[:, None]).to(centre)
        joint = torch.zeros((count, centre.shape[1]), dtype=centre.dtype)
        work = torch.empty_like(joint)
        for j in range(latents):
            torch.sub(points[j], centre[j], out=work)
            work.mul_(scale[j])
            torch.addcmul(height[j], work, work, value=-1, out=work)
            joint.add_(work)
            marginal_sum[j] += work.clamp_(min=least).exp_().sum(dim=1)
        highest = torch.maximum(running_max, joint.amax(dim=1).double())
        joint_sum *= (running_max - highest).exp()
        joint_sum += joint.sub_(highest[:, None].to(joint)).clamp_(min=least).exp_().sum(dim=1)
        running_max = highest
    normaliser = math.log(len(mean)) + 0.5 * LOG_2PI * latents
    log_qz = running_max + joint_sum.log() + peak.sum() - normaliser
    log_prod = (marginal_sum.log() + peak[:, None] - math.log(len(mean)) - 0.5 * LOG_2PI).sum(dim=0)
    return log_qz.numpy(), log_prod.numpy()
