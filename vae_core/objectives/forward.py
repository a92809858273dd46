"""The forward pass through encoder and decoder, the same in every VAE."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from metrics import gaussian
from vae_core.objectives.abstract import Nets
from vae_core.types import Batch, Noise, Posterior, Scalar


class Pass(NamedTuple):
    """The result of one pass over a batch."""

    posterior: Posterior  # (B, d) each
    z: Tensor  # (B, d), one sample per image
    reconstruction: Tensor  # 0-d: −E log p(x|z), nats per image
    kl: Tensor  # 0-d: KL(q(z|x) || N(0, I)) in closed form, nats per image


def autoencode(nets: Nets, batch: Batch, noise: Noise) -> Pass:
    """Encode a batch, draw one z per image and decode it; return reconstruction and KL."""
    posterior = nets.encode(batch)
    z = sample(posterior, noise.posterior)
    log_likelihood = nets.log_likelihood(nets.decode(z, batch), batch.images)
    kl = gaussian.kl(posterior.mean, posterior.logvar).sum(1)
    return Pass(posterior, z, reconstruction=-log_likelihood.mean(), kl=kl.mean())


def sample(posterior: Posterior, noise: Tensor) -> Tensor:
    """Return z = mean + exp(logvar/2)·noise, the reparametrisation trick."""
    return posterior.mean + (0.5 * posterior.logvar).exp() * noise


def part(value: Scalar, like: Tensor) -> Tensor:
    """Return a hyperparameter as a 0-d tensor, for `Terms.parts`."""
    return like.detach() * 0 + value
