"""FactorVAE: total correlation from the density ratio that a discriminator learns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor

from vae_core.hyperparameters import field_checks
from vae_core.hyperparameters.limits import DEPTH, Width
from vae_core.objectives.abstract import AbstractObjective, Nets, Rival
from vae_core.objectives.forward import autoencode, sample
from vae_core.types import Batch, Context, Noise, Scalar, Terms, Wiring

Beta = Annotated[float, Ge(0), Lt(1)]


@dataclass(frozen=True)
class FactorVAE(AbstractObjective):
    """L = −E log p(x|z) + KL + γ·E_q(z)[D_0(z) − D_1(z)], nats per image; the discriminator has

        L_D = ½·CE(D(z), 0) + ½·CE(D(z'), 1),

    with z from q(z) and z' from the product of its marginals: codes of other images, each latent
    permuted independently along the batch. The autoencoder steps first, with a gradient through z
    and D constant; then D steps, with z and z' constant. D_0 − D_1 is log q(z)/∏_j q(z_j) if D is
    optimal and biased up or down if not, so it is reported as `tc_discriminator` and never as `tc`.
    (Here z' comes from the encoder before its step, in the paper from the encoder after it.)

    Source: Kim and Mnih 2018 (arXiv:1802.05983), eq. 2 and 3, algorithm 2.

    Args:
        gamma: γ; the paper's best on dSprites is 35.
        second_batch: whether z' comes from a second, independent batch as in the paper; false
            permutes the same batch.
        depth: number of hidden layers of the discriminator, with leaky ReLU of slope 0.2.
        width: width of each hidden layer.
        discriminator_learning_rate: learning rate of the discriminator's Adam; 1e-4 in the paper on
            dSprites.
        discriminator_betas: betas of the discriminator's Adam.
    """

    strength: ClassVar[str | None] = "gamma"
    neutral: ClassVar[dict[str, Any] | None] = {"gamma": 0.0}

    gamma: Annotated[Scalar, Ge(0)] = 35.0
    second_batch: bool = True
    depth: Annotated[int, Ge(1), Le(DEPTH)] = 6
    width: Width = 1000
    discriminator_learning_rate: Annotated[float, Gt(0)] = 1e-4
    discriminator_betas: tuple[Beta, Beta] = (0.5, 0.9)

    def __post_init__(self) -> None:
        field_checks.check(self)

    @property
    def wiring(self) -> Wiring:
        return Wiring(adversary=(self.width,) * self.depth, second_batch=self.second_batch)

    @property
    def rivals(self) -> dict[str, Rival]:
        return {"adversary": Rival(self.discriminator_learning_rate, self.discriminator_betas)}

    def terms(self, nets: Nets, batch: Batch, noise: Noise, ctx: Context) -> Terms:
        del ctx
        _, z, reconstruction, kl = autoencode(nets, batch, noise)
        logits = nets.discriminate(z)
        tc = (logits[:, 0] - logits[:, 1]).mean()
        other = z
        if self.second_batch:
            with torch.no_grad():
                other = sample(nets.encode(batch._replace(images=batch.second)), noise.second)
        rival = discriminator_loss(nets, z.detach(), permuted(other.detach(), noise.permutation))
        return Terms(
            reconstruction,
            penalty=kl + self.gamma * tc,
            parts={"kl": kl, "tc_discriminator": tc},
            rivals={"adversary": rival},
        )


def permuted(z: Tensor, permutation: Tensor) -> Tensor:
    """Return z (B, d) with latent j of row i taken from row permutation[i, j].

    The result is a sample of the product of the marginals.
    """
    return z.gather(0, permutation)


def discriminator_loss(nets: Nets, first: Tensor, second: Tensor) -> Tensor:
    """Return ½·CE(D(first), 0) + ½·CE(D(second), 1), nats, 0-d."""
    first_logits, second_logits = nets.discriminate(first), nets.discriminate(second)
    log_first = first_logits.log_softmax(1)[:, 0].mean()
    log_second = second_logits.log_softmax(1)[:, 1].mean()
    return 0.5 * (-log_first - log_second)
