"""The variational autoencoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from vae_core.objectives.abstract import AbstractObjective, Nets
from vae_core.objectives.forward import autoencode
from vae_core.types import Batch, Context, Noise, Terms


@dataclass(frozen=True)
class VAE(AbstractObjective):
    """L = −E log p(x|z) + KL(q(z|x) || N(0, I)), nats per image; −L is the evidence lower bound.

    Source: Kingma and Welling 2014 (arXiv:1312.6114), eq. 10, with the KL in closed form.
    """

    strength: ClassVar[str | None] = None
    neutral: ClassVar[dict[str, Any] | None] = {}

    def terms(self, nets: Nets, batch: Batch, noise: Noise, ctx: Context) -> Terms:
        del ctx
        _, _, reconstruction, kl = autoencode(nets, batch, noise)
        return Terms(reconstruction, penalty=kl, parts={"kl": kl}, rivals={})
