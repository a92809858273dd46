"""The interface of an objective: from its hyperparameters and a batch to the terms of the loss."""

from __future__ import annotations

import abc
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vae_core.types import Batch, Context, Noise, Posterior, Scalar, Terms, Wiring


class Nets(Protocol):
    """The networks that an objective uses; `vae_core.networks.Networks` implements them."""

    def encode(self, batch: Batch) -> Posterior:
        """Return q(z|x) of every image of the batch.

        The wiring decides whether the encoder reads the image, the image and its label, or factors.
        """
        ...

    def decode(self, z: Tensor, batch: Batch) -> Tensor:
        """Return the decoder's output (B, C, H, W) for z (B, d).

        The wiring decides whether the decoder also reads code, label and noise of the batch.
        """
        ...

    def expected(self, z: Tensor, batch: Batch) -> Tensor:
        """Return E[x|z], images (B, C, H, W) in [0, 1], for z (B, d); the batch as in `decode`."""
        ...

    def discriminate(self, codes_or_images: Tensor) -> Tensor:
        """Return the discriminator's two logits (B, 2).

        For codes (B, d): that they come from q(z), and from the product of its marginals. For
        images (B, C, H, W), if the wiring judges images: that they come from the data, and from
        the decoder.
        """
        ...

    def squared_slope(self, images: Tensor) -> Tensor:
        """Return |∇_x (l_0 − l_1)|² (B,) of the discriminator's logits at images x (B, C, H, W)."""
        ...

    def log_likelihood(self, output: Tensor, images: Tensor) -> Tensor:
        """Return log p(x|z) per image (B,), nats, summed over pixels."""
        ...

    def squared_weights(self) -> Tensor:
        """Return the sum of all squared weights of encoder and decoder, without biases, 0-d."""
        ...


class Rival(NamedTuple):
    """The settings of Adam for a player other than the autoencoder."""

    learning_rate: float
    betas: tuple[float, float]


class AbstractObjective(abc.ABC):
    """A frozen dataclass of hyperparameters with one pure method, `terms`.

    Fields of type `Scalar` may differ between fused trials (and are 0-d tensors inside
    `torch.func.vmap`); `int`, `str` and `bool` fields are structure and may not. An objective keeps
    no state: no counter, no optimiser, no device.
    """

    strength: ClassVar[str | None]
    """Name of the hyperparameter of the trade-off (`beta`), or None."""

    neutral: ClassVar[dict[str, Any] | None]
    """Field values for which loss and gradients are those of the VAE.

    None: no values give them, because the objective does not descend its reconstruction."""

    @property
    def wiring(self) -> Wiring:
        """The networks that exist, and what they read."""
        return Wiring()

    @property
    def rivals(self) -> dict[str, Rival]:
        """The optimiser of every player but the autoencoder, with the keys of `Terms.rivals`."""
        return {}

    @property
    def memory(self) -> tuple[float, ...]:
        """`Context.memory` at the first step; () if the objective carries nothing between steps."""
        return ()

    def settled(self, total_steps: int, latents: int) -> int:
        """Return the number of steps after which every schedule has ended.

        Before that a trial has poor metrics by design. A stage counts with its full length, so that
        the latent that the last stage opens is trained too.
        """
        del total_steps, latents
        return 0

    def capacity(self, ctx: Context) -> Scalar | None:
        """Return the KL, in nats, that the objective asks for at this step; None: no such KL."""
        del ctx
        return None

    @abc.abstractmethod
    def terms(self, nets: Nets, batch: Batch, noise: Noise, ctx: Context) -> Terms:
        """Return the terms of the loss on one batch, nats per image."""

    def code(self, nets: Nets, batch: Batch, posterior: Posterior, ctx: Context) -> Tensor:
        """Return the discrete code (B, width) for the evaluation of a model, without noise."""
        del nets, posterior, ctx
        return batch.code


class AbstractAlternating(AbstractObjective):
    """An objective with an inner problem, which is solved without gradient before each step.

    Its solution is the `code` of the batch.
    """

    @abc.abstractmethod
    def cost(self, nets: Nets, batch: Batch, noise: Noise, ctx: Context) -> Tensor:
        """Return the cost of each category for each image, (B, K) nats; without side effects."""

    @abc.abstractmethod
    def resolve(self, cost: NDArray[np.float64], ctx: Context) -> NDArray[np.int64]:
        """Return the category of each image (B,), computed on the CPU."""

    @abc.abstractmethod
    def alternates(self, ctx: Context) -> bool:
        """Return whether this step has an inner problem; if not, the code is zeros."""


class AbstractStaged(AbstractObjective):
    """An objective trained in stages; each stage starts with a new optimiser of the autoencoder."""

    @abc.abstractmethod
    def stage(self, ctx: Context, latents: int) -> int:
        """Return the number of the stage at this step."""
