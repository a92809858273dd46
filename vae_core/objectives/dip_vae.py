"""DIP-VAE: a penalty on the distance between the covariance of q(z) and the identity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor

from vae_core.hyperparameters import field_checks
from vae_core.objectives.abstract import AbstractObjective, Nets
from vae_core.objectives.forward import autoencode
from vae_core.types import Batch, Context, Noise, Scalar, Terms


@dataclass(frozen=True)
class DIPVAEI(AbstractObjective):
    """L = −E log p(x|z) + KL + λ_od·Σ_{i≠j} Cov(μ)_ij² + λ_d·Σ_i (Cov(μ)_ii − 1)².

    μ are the posterior means of the batch.

    Source: Kumar et al. 2018 (arXiv:1711.00848), eq. 6.

    Args:
        lambda_od: λ_od.
        lambda_ratio: λ_d/λ_od; a ratio, so that a trade-off changes both together (10 in Locatello
            et al. 2019).
    """

    strength: ClassVar[str | None] = "lambda_od"
    neutral: ClassVar[dict[str, Any] | None] = {"lambda_od": 0.0}

    lambda_od: Annotated[Scalar, Ge(0)] = 10.0
    lambda_ratio: Annotated[Scalar, Ge(0)] = 10.0

    def __post_init__(self) -> None:
        field_checks.check(self)

    def terms(self, nets: Nets, batch: Batch, noise: Noise, ctx: Context) -> Terms:
        del ctx
        posterior, _, reconstruction, kl = autoencode(nets, batch, noise)
        off_diagonal, diagonal = distances(covariance(posterior.mean))
        penalty = kl + self.lambda_od * (off_diagonal + self.lambda_ratio * diagonal)
        return Terms(reconstruction, penalty, _parts(kl, off_diagonal, diagonal), rivals={})


@dataclass(frozen=True)
class DIPVAEII(AbstractObjective):
    """L = −E log p(x|z) + KL + λ_od·Σ_{i≠j} Cov(z)_ij² + λ_d·Σ_i (Cov(z)_ii − 1)².

    Cov(z) = Cov(μ) + E diag(σ²), with μ and σ² the posterior means and variances of the batch.

    Source: Kumar et al. 2018 (arXiv:1711.00848), eq. 7.

    Args:
        lambda_od: λ_od.
        lambda_ratio: λ_d/λ_od (1 in Locatello et al. 2019).
    """

    strength: ClassVar[str | None] = "lambda_od"
    neutral: ClassVar[dict[str, Any] | None] = {"lambda_od": 0.0}

    lambda_od: Annotated[Scalar, Ge(0)] = 10.0
    lambda_ratio: Annotated[Scalar, Ge(0)] = 1.0

    def __post_init__(self) -> None:
        field_checks.check(self)

    def terms(self, nets: Nets, batch: Batch, noise: Noise, ctx: Context) -> Terms:
        del ctx
        posterior, _, reconstruction, kl = autoencode(nets, batch, noise)
        # diag_embed gives the mean of the matrices diag(σ²), (d, d). Published code takes the
        # diagonal of the matrix (B, d) instead, which is an error.
        spread = covariance(posterior.mean) + torch.diag_embed(posterior.logvar.exp().mean(0))
        off_diagonal, diagonal = distances(spread)
        penalty = kl + self.lambda_od * (off_diagonal + self.lambda_ratio * diagonal)
        return Terms(reconstruction, penalty, _parts(kl, off_diagonal, diagonal), rivals={})


def covariance(mean: Tensor) -> Tensor:
    """Return the covariance of B rows (B, d), divided by B, as (d, d)."""
    centred = mean - mean.mean(0)
    return centred.T @ centred / mean.shape[0]


def distances(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return Σ_{i≠j} M_ij² and Σ_i (M_ii − 1)², 0-d each."""
    diagonal = matrix.diagonal()
    return matrix.square().sum() - diagonal.square().sum(), (diagonal - 1).square().sum()


def _parts(kl: Tensor, off_diagonal: Tensor, diagonal: Tensor) -> dict[str, Tensor]:
    return {"kl": kl, "covariance_off_diagonal": off_diagonal, "covariance_diagonal": diagonal}
