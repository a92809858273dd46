"""The β-VAE: a larger weight on the KL of every posterior from the prior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Ge

from vae_core.hyperparameters import field_checks
from vae_core.objectives.abstract import AbstractObjective, Nets
from vae_core.objectives.forward import autoencode
from vae_core.types import Batch, Context, Noise, Scalar, Terms


@dataclass(frozen=True)
class BetaVAE(AbstractObjective):
    """L = −E log p(x|z) + β·KL(q(z|x) || N(0, I)), nats per image, summed over pixels and latents.

    Source: Higgins et al. 2017 (ICLR), eq. 4.

    Args:
        beta: β; 1 is the VAE.
    """

    strength: ClassVar[str | None] = "beta"
    neutral: ClassVar[dict[str, Any] | None] = {"beta": 1.0}

    beta: Annotated[Scalar, Ge(0)] = 4.0

    def __post_init__(self) -> None:
        field_checks.check(self)

    def terms(self, nets: Nets, batch: Batch, noise: Noise, ctx: Context) -> Terms:
        del ctx
        _, _, reconstruction, kl = autoencode(nets, batch, noise)
        return Terms(reconstruction, penalty=self.beta * kl, parts={"kl": kl}, rivals={})
