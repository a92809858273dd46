"""InfoVAE with the maximum mean discrepancy between the aggregate posterior and the prior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Gt
from torch import Tensor

from vae_core.hyperparameters import field_checks
from vae_core.objectives.abstract import AbstractObjective, Nets
from vae_core.objectives.forward import autoencode
from vae_core.types import Batch, Context, Noise, Scalar, Terms


@dataclass(frozen=True)
class InfoVAE(AbstractObjective):
    """L = −E log p(x|z) + (1 − α)·KL + (α + λ − 1)·MMD²(q(z), N(0, I)), nats per image.

    MMD² does not have a unit. Its kernel is k(a, b) = exp(−|a − b|²/(2h)), h = `bandwidth`·d. The
    expectations over the prior are in closed form (`mmd`), so no sample of the prior is drawn.

    Source: Zhao et al. 2017 (arXiv:1706.02262), eq. 6; its experiments use α = 0 and λ = 1000.

    Args:
        alpha: α; 1 removes the KL.
        lambda_mmd: λ.
        bandwidth: h/d; at 1 the kernel of two samples of the prior is typically e⁻¹, for any number
            of latents.
    """

    strength: ClassVar[str | None] = "lambda_mmd"
    neutral: ClassVar[dict[str, Any] | None] = {"alpha": 0.0, "lambda_mmd": 1.0}

    alpha: Scalar = 0.0
    lambda_mmd: Scalar = 1000.0
    bandwidth: Annotated[Scalar, Gt(0)] = 1.0

    def __post_init__(self) -> None:
        field_checks.check(self)

    def terms(self, nets: Nets, batch: Batch, noise: Noise, ctx: Context) -> Terms:
        del ctx
        _, z, reconstruction, kl = autoencode(nets, batch, noise)
        discrepancy = mmd(z, self.bandwidth * z.shape[1])
        penalty = (1 - self.alpha) * kl + (self.alpha + self.lambda_mmd - 1) * discrepancy
        return Terms(reconstruction, penalty, parts={"kl": kl, "mmd": discrepancy}, rivals={})


def mmd(z: Tensor, width: Scalar) -> Tensor:
    """Return the squared maximum mean discrepancy of samples from N(0, I), unbiased, 0-d.

        MMD² = E k(z, z') − 2·E k(z, y) + E k(y, y'),  z, z' ~ q(z),  y, y' ~ N(0, I),
        k(a, b) = exp(−|a − b|²/(2h)).

    The first term is the mean over pairs of different rows. The Gaussian integrals of the others
    are E_y k(z, y) = (h/(h+1))^{d/2}·exp(−|z|²/(2(h+1))) and E k(y, y') = (h/(h+2))^{d/2}.

    Args:
        z: (B, d) samples, B >= 2.
        width: h.
    """
    rows, d = z.shape
    squares = z.square().sum(1)
    apart = (squares[:, None] + squares[None, :] - 2 * z @ z.T).clamp(min=0)
    among = ((-apart / (2 * width)).exp().sum() - rows) / (rows * (rows - 1))
    across = (width / (width + 1)) ** (d / 2) * (-squares / (2 * (width + 1))).exp().mean()
    return among - 2 * across + (width / (width + 2)) ** (d / 2)
