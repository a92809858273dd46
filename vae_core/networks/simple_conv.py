"""The deep convolutional network of amir-abdi/disentanglement-pytorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from vae_core.hyperparameters import field_checks
from vae_core.hyperparameters.limits import Latents
from vae_core.networks.abstract import AbstractNetwork, Shape
from vae_core.networks.layers import Halvings, flat_decoder, flat_encoder


@dataclass(frozen=True)
class SimpleConv(AbstractNetwork):
    """Convolutions of 32, 32, 64, 128, 256, 256 channels (kernel 4), and the mirror image.

    The stride is 2. The last convolution leaves one pixel, which a linear layer reads. Images of 28
    and 32 px have one convolution of 256 less (28: see `Halvings`).

    Source: sizes of the encoder `SimpleConv64` of amir-abdi/disentanglement-pytorch. Our decoder is
    its mirror image; theirs has other channels and paddings.
    """

    sizes: ClassVar[tuple[int, ...] | None] = (28, 32, 64)
    latents: Latents = 16

    def __post_init__(self) -> None:
        field_checks.check(self)

    def encoder(self, shape: Shape, width: int) -> nn.Module:
        return flat_encoder(Halvings(shape[1], _CHANNELS, end=1), shape[0], (), width)

    def decoder(self, width: int, shape: Shape) -> nn.Module:
        return flat_decoder(width, (), Halvings(shape[1], _CHANNELS, end=1), shape[0])


_CHANNELS = (32, 32, 64, 128, 256, 256)
