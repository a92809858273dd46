"""The convolutional network with BatchNorm of a capacity study with the `relu` penalty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from vae_core.hyperparameters import field_checks
from vae_core.hyperparameters.limits import Latents, Width
from vae_core.networks.abstract import AbstractNetwork, Shape
from vae_core.networks.layers import BATCH_NORM_CAUTION, Halvings, flat_decoder, flat_encoder


@dataclass(frozen=True)
class Trento(AbstractNetwork):
    """Four convolutions (kernel 4) with BatchNorm, one linear layer, and the mirror image.

    The stride is 2. The source ends with a sigmoid; here it is part of the Bernoulli likelihood.
    Images of 28 and 32 px have one convolution less (28: see `Halvings`).

    Source: the Trento study of β-VAEs with annealed capacity. All we know of its network is "four
    convolutions with BatchNorm each": kernels, strides and the default channels are our choice,
    after the other networks of the field.

    Args:
        latents: d, the number of continuous latents.
        channels: channels of the four convolutions; images of 28 and 32 px use the first three.
        batch_norm: whether there is a BatchNorm before every ReLU, as in the source; training and
            evaluation then differ (`caution`).
    """

    sizes: ClassVar[tuple[int, ...] | None] = (28, 32, 64)
    latents: Latents = 10
    channels: tuple[Width, ...] = (32, 32, 64, 64)
    batch_norm: bool = True

    def __post_init__(self) -> None:
        field_checks.check(self)
        if len(self.channels) != 4 or min(self.channels) < 1:
            raise ValueError(f"channels must be four numbers >= 1, got {list(self.channels)}")

    @property
    def caution(self) -> str:
        return BATCH_NORM_CAUTION if self.batch_norm else ""

    def encoder(self, shape: Shape, width: int) -> nn.Module:
        return flat_encoder(self._stages(shape), shape[0], (), width)

    def decoder(self, width: int, shape: Shape) -> nn.Module:
        return flat_decoder(width, (), self._stages(shape), shape[0])

    def _stages(self, shape: Shape) -> Halvings:
        return Halvings(shape[1], self.channels, batch_norm=self.batch_norm)
