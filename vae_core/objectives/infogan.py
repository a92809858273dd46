"""InfoGAN: the decoder generates images that fool a discriminator and show their codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from metrics import gaussian
from vae_core.hyperparameters import field_checks
from vae_core.hyperparameters.limits import WIDTH
from vae_core.objectives.abstract import AbstractObjective, Nets, Rival
from vae_core.objectives.factor_vae import Beta, discriminator_loss
from vae_core.objectives.forward import autoencode
from vae_core.types import Batch, Context, Noise, Scalar, Terms, Wiring


@dataclass(frozen=True)
class InfoGAN(AbstractObjective):
    """L = −E log D(G(z, u)) − λ·E log Q(z|G(z, u)), nats per image; the discriminator descends

        L_D = −½·E log D(x) − ½·E log(1 − D(G(z, u))) + γ/2·E|∇_x logit D(x)|²,

    with codes z ~ N(0, I) and incompressible noise u ~ N(0, I). G is the decoder, its images are
    E[x|z, u]. Q is the encoder. D, the probability that an image is from the data, is a network
    like the encoder. L_I = E log Q + H(z), a lower bound on the information I(z; G(z, u)), is
    reported as `information`, and E|∇_x logit D|² as `slope`.

    The reconstruction −E log p(x|z, u = 0) is measured and not descended: no setting makes this a
    VAE. Differences from the paper: the last term of L_D (without it D separates binary images from
    grey ones immediately, and G stops learning); G descends −log D instead of log(1 − D), as in the
    authors' code; Q shares no layers with D and its variances are learned; z and u are Gaussian;
    the optimiser of G and Q is `train.optimiser`, where Adam has betas (.9, .999).

    Source: Chen et al. 2016 (arXiv:1606.03657), eq. 4 to 6; last term: Mescheder et al. 2018
    (arXiv:1801.04406), eq. 9.

    Args:
        lambda_information: λ.
        noise: width of u.
        gradient_penalty: γ; because the cross entropies are halved, it has twice the effect of
            Mescheder's γ. With 10, D did not see the shapes of dSprites at 32 px; 0 gives the
            published loss.
        discriminator_learning_rate: learning rate of the discriminator's Adam; 2e-4 in the paper,
            with 1e-3 for G and Q (from memory).
        discriminator_betas: betas of the discriminator's Adam.
    """

    strength: ClassVar[str | None] = "lambda_information"
    neutral: ClassVar[dict[str, Any] | None] = None

    lambda_information: Annotated[Scalar, Ge(0)] = 0.1
    noise: Annotated[int, Ge(0), Le(WIDTH)] = 5
    gradient_penalty: Annotated[Scalar, Ge(0)] = 1.0
    discriminator_learning_rate: Annotated[float, Gt(0)] = 1e-3
    discriminator_betas: tuple[Beta, Beta] = (0.5, 0.999)

    def __post_init__(self) -> None:
        field_checks.check(self)

    @property
    def wiring(self) -> Wiring:
        return Wiring(judges_images=True, reads_noise=self.noise)

    @property
    def rivals(self) -> dict[str, Rival]:
        return {"adversary": Rival(self.discriminator_learning_rate, self.discriminator_betas)}

    def terms(self, nets: Nets, batch: Batch, noise: Noise, ctx: Context) -> Terms:
        del ctx
        with torch.no_grad():
            _, _, reconstruction, kl = autoencode(nets, batch, noise)
        generated = nets.expected(noise.prior, batch._replace(noise=noise.decoder))
        generator = -nets.discriminate(generated).log_softmax(1)[:, 0].mean()
        guess = nets.encode(batch._replace(images=generated))
        surprise = -gaussian.log_density(noise.prior, guess.mean, guess.logvar).sum(1).mean()
        information = prior_entropy(noise.prior) - surprise
        rival = discriminator_loss(nets, batch.images, generated.detach())
        # This must be the last pass of D. The gradient of the slope depends on the running
        # statistics of BatchNorm, and a later pass would change them before it is computed.
        slope = nets.squared_slope(batch.images).mean()
        return Terms(
            reconstruction,
            penalty=generator + self.lambda_information * surprise,
            parts={"kl": kl, "generator": generator, "information": information, "slope": slope},
            rivals={"adversary": rival + self.gradient_penalty / 2 * slope},
        )


def prior_entropy(z: Tensor) -> float:
    """Return H(z) of N(0, I) for codes (B, d): d/2·ln 2πe nats."""
    return 0.5 * z.shape[1] * (gaussian.LOG_2PI + 1)
