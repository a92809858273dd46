"""The interface of an objective: hyperparameters in, a breakdown of the loss out."""

from __future__ import annotations

import abc
from typing import ClassVar, Protocol

from torch import Tensor

from vae_core.types import Batch, Context, Noise, Posterior, Terms, Wiring


class Nets(Protocol):
    """The networks as an objective sees them; `vae_core.networks.Networks` is the one implementation."""

    def encode(self, batch: Batch) -> Posterior:
        """Return q(z|x) of every image of the batch."""
        ...

    def decode(self, z: Tensor, batch: Batch) -> Tensor:
        """Return the decoder's output (B, C, H, W): logits of a Bernoulli, before any likelihood."""
        ...

    def log_likelihood(self, output: Tensor, images: Tensor) -> Tensor:
        """Return log p(x|z) per image (B,), nats, summed over pixels."""
        ...


class AbstractObjective(abc.ABC):
    """A frozen dataclass of hyperparameters with one pure method.

    Fields typed `Knob` may differ between fused trials (and be 0-d tensors inside `torch.func.vmap`); `int`,
    `str` and `bool` fields are structure. It keeps no state: no counter, no optimiser, no device.
    """

    strength: ClassVar[str | None]
    """Name of the knob of the trade-off (`beta`), or None."""

    neutral: ClassVar[dict[str, float]]
    """Values of the fields at which loss and gradients are those of the plain VAE."""

    @property
    def wiring(self) -> Wiring:
        """Which networks exist and what they read."""
        return Wiring()

    @abc.abstractmethod
    def terms(self, nets: Nets, batch: Batch, noise: Noise, ctx: Context) -> Terms:
        """Return the loss's terms on one batch, nats per image."""
