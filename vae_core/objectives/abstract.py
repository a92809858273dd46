"""The interface of an objective: hyperparameters in, a breakdown of the loss out."""

from __future__ import annotations

import abc
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vae_core.types import Batch, Context, Noise, Posterior, Scalar, Terms, Wiring


class Nets(Protocol):
    """The networks as an objective sees them; `vae_core.networks.Networks` is the one implementation."""

    def encode(self, batch: Batch) -> Posterior:
        """Return q(z|x) of every image of the batch (of its factors, or with its label, as the wiring says)."""
        ...

    def decode(self, z: Tensor, batch: Batch) -> Tensor:
        """Return the decoder's output (B, C, H, W) of z (B, d) with what it reads of the batch: code, label, noise."""
        ...

    def expected(self, z: Tensor, batch: Batch) -> Tensor:
        """Return E[x|z], images (B, C, H, W) in [0, 1], of z (B, d) with what the decoder reads of the batch."""
        ...

    def discriminate(self, what: Tensor) -> Tensor:
        """Return two logits (B, 2): that codes (B, d) come from q(z), or from the product of its marginals.

        Where the wiring judges images: that images (B, C, H, W) come from the data, or from the decoder.
        """
        ...

    def squared_slope(self, images: Tensor) -> Tensor:
        """Return |∇_x (l_0 − l_1)|² (B,) of the discriminator's two logits at images x (B, C, H, W)."""
        ...

    def log_likelihood(self, output: Tensor, images: Tensor) -> Tensor:
        """Return log p(x|z) per image (B,), nats, summed over pixels."""
        ...

    def squared_weights(self) -> Tensor:
        """Return the sum of all squared weights of encoder and decoder, without biases, 0-d."""
        ...


class Rival(NamedTuple):
    """The Adam of a player other than the autoencoder."""

    learning_rate: float
    betas: tuple[float, float]


class AbstractObjective(abc.ABC):
    """A frozen dataclass of hyperparameters with one pure method.

    Fields typed `Scalar` may differ between fused trials (and be 0-d tensors inside `torch.func.vmap`); `int`,
    `str` and `bool` fields are structure. It keeps no state: no counter, no optimiser, no device.
    """

    strength: ClassVar[str | None]
    """Name of the knob of the trade-off (`beta`), or None."""

    neutral: ClassVar[dict[str, Any] | None]
    """Values of the fields at which loss and gradients are those of the plain VAE; None: its reconstruction is not
    descended at any."""

    @property
    def wiring(self) -> Wiring:
        """Which networks exist and what they read."""
        return Wiring()

    @property
    def rivals(self) -> dict[str, Rival]:
        """The optimiser of every other player, by the name that `Terms.rivals` gives its loss."""
        return {}

    @property
    def memory(self) -> tuple[float, ...]:
        """What is handed in as `Context.memory` at the first step; () if nothing is carried from step to step."""
        return ()

    def settled(self, total_steps: int, latents: int) -> int:
        """Return the number of steps after which every schedule has ended: before it a trial is poor by design.

        A stage ends with its own length, so that what the last one opened has been trained.
        """
        del total_steps, latents
        return 0

    def capacity(self, ctx: Context) -> Scalar | None:
        """Return the KL in nats that the objective asks for at this step, None if it asks for none."""
        del ctx
        return None

    @abc.abstractmethod
    def terms(self, nets: Nets, batch: Batch, noise: Noise, ctx: Context) -> Terms:
        """Return the loss's terms on one batch, nats per image."""

    def code(self, nets: Nets, batch: Batch, posterior: Posterior, ctx: Context) -> Tensor:
        """Return the discrete code (B, width) with which a trained model is evaluated, without noise."""
        del nets, posterior, ctx
        return batch.code


class AbstractAlternating(AbstractObjective):
    """An objective with an inner problem that is solved without gradient before each step: `Batch.code`."""

    @abc.abstractmethod
    def cost(self, nets: Nets, batch: Batch, noise: Noise, ctx: Context) -> Tensor:
        """Return what each category would cost each image, (B, K) nats; pure."""

    @abc.abstractmethod
    def resolve(self, cost: NDArray[np.float64], ctx: Context) -> NDArray[np.int64]:
        """Return the category of each image (B,), on the host."""

    @abc.abstractmethod
    def alternates(self, ctx: Context) -> bool:
        """Return whether this step has an inner problem; if not, the code is zeros."""


class AbstractStaged(AbstractObjective):
    """An objective trained in stages: the autoencoder's optimiser begins anew whenever `stage` changes."""

    @abc.abstractmethod
    def stage(self, ctx: Context, latents: int) -> int:
        """Return the number of the stage at this step."""
