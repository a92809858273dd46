"""The convolutional network of most dSprites studies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from vae_core.hyperparameters import field_checks
from vae_core.hyperparameters.limits import Latents
from vae_core.networks.abstract import AbstractNetwork, Shape
from vae_core.networks.layers import Halvings, flat_decoder, flat_encoder


@dataclass(frozen=True)
class Burgess(AbstractNetwork):
    """Four convolutions of 32 channels (kernel 4), two layers of 256, and the mirror image.

    The stride is 2 and the padding 1. Each convolution halves the side of the image, down to 4:
    images of 28 and 32 px have one convolution less (28: see `Halvings`).

    Source: Burgess et al. 2018 (arXiv:1804.03599), appendix on model architecture.
    """

    sizes: ClassVar[tuple[int, ...] | None] = (28, 32, 64)
    latents: Latents = 10

    def __post_init__(self) -> None:
        field_checks.check(self)

    def encoder(self, shape: Shape, width: int) -> nn.Module:
        return flat_encoder(Halvings(shape[1], _CHANNELS), shape[0], (256, 256), width)

    def decoder(self, width: int, shape: Shape) -> nn.Module:
        return flat_decoder(width, (256, 256), Halvings(shape[1], _CHANNELS), shape[0])


_CHANNELS = (32, 32, 32, 32)
