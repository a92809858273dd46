"""The β-TCVAE: a weight for each of the three parts of the KL, above all for total correlation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge

from metrics import gaussian, minibatch
from vae_core.hyperparameters import field_checks, schedules
from vae_core.hyperparameters.limits import Length
from vae_core.objectives.abstract import AbstractObjective, Nets
from vae_core.objectives.forward import autoencode
from vae_core.types import Batch, Context, Noise, Scalar, Terms


@dataclass(frozen=True)
class BetaTCVAE(AbstractObjective):
    """L = −E log p(x|z) + α·MI + β·TC + γ·DW, nats per image.

    MI, TC and DW are the parts of the KL, E_x KL(q(z|x) || p(z)) = MI + TC + DW:

        MI = E log q(z|x)/q(z),  TC = E log q(z)/∏_j q(z_j),  DW = E log ∏_j q(z_j)/p(z_j).

    q(z) is estimated within the batch, so the parts are biased by nats (see `metrics.minibatch`):
    they steer training and are no measurement. With `kl="closed"` the penalty is
    KL + (α−1)·MI + (β−1)·TC + (γ−1)·DW with the KL in closed form. It has the same expectation and
    less variance, and is exactly that of the VAE at α = β = γ = 1. `kl="sampled"` is the sum of the
    paper.

    Source: Chen et al. 2018 (arXiv:1802.04942), eqs. 2 and 4.

    Args:
        alpha: α; there are published negative values, which reward mutual information.
        beta: β.
        gamma: γ.
        estimator: estimator of log q(z); see `metrics.minibatch.log_qz`.
        kl: how the total KL is computed.
        warmup: how long β grows linearly from 0 to its value; up to 1 a fraction of the trial,
            above 1 steps; 0: no growth. Chen et al. report 7,000 steps on one data set.
    """

    strength: ClassVar[str | None] = "beta"
    neutral: ClassVar[dict[str, Any] | None] = {"alpha": 1.0, "beta": 1.0, "gamma": 1.0}

    alpha: Scalar = 1.0
    beta: Annotated[Scalar, Ge(0)] = 4.0
    gamma: Annotated[Scalar, Ge(0)] = 1.0
    estimator: Literal["mws", "mss", "mss-symmetric", "mss-published"] = "mws"
    kl: Literal["closed", "sampled"] = "closed"
    warmup: Length = 0.0

    def __post_init__(self) -> None:
        field_checks.check(self)

    def settled(self, total_steps: int, latents: int) -> int:
        return schedules.steps(self.warmup, total_steps)

    def terms(self, nets: Nets, batch: Batch, noise: Noise, ctx: Context) -> Terms:
        (mean, logvar, _), z, reconstruction, kl = autoencode(nets, batch, noise)
        beta = schedules.ramp(ctx, 0.0, self.beta, self.warmup)
        prior = torch.zeros_like(z)  # mean and log variance of N(0, I)
        log_qz, log_prod_qzj = minibatch.log_qz(z, mean, logvar, ctx.n_data, self.estimator)
        mi = (gaussian.log_density(z, mean, logvar).sum(1) - log_qz).mean()
        tc = (log_qz - log_prod_qzj).mean()
        dimwise_kl = (log_prod_qzj - gaussian.log_density(z, prior, prior).sum(1)).mean()
        if self.kl == "closed":
            penalty = kl + (self.alpha - 1) * mi + (beta - 1) * tc + (self.gamma - 1) * dimwise_kl
        else:
            penalty = self.alpha * mi + beta * tc + self.gamma * dimwise_kl
        return Terms(
            reconstruction,
            penalty,
            parts={"kl": kl, "mi": mi, "tc": tc, "dimwise_kl": dimwise_kl},
            rivals={},
        )
