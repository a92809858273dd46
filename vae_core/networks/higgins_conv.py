"""The convolutional network of the β-VAE paper, in its usual PyTorch form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from vae_core.hyperparameters import field_checks
from vae_core.hyperparameters.limits import Latents
from vae_core.networks.abstract import AbstractNetwork, Shape
from vae_core.networks.layers import Halvings, pixel_decoder, pixel_encoder


@dataclass(frozen=True)
class HigginsConv(AbstractNetwork):
    """Convolutions of 32, 32, 64, 64 (kernel 4, stride 2) and 256 channels, and the mirror image.

    The convolution of 256 channels covers the remaining 4 x 4 pixels. Images of 28 and 32 px have
    one convolution of 64 less (28: see `Halvings`).

    Source: Higgins et al. 2017 (β-VAE), in the form of 1Konny/Beta-VAE 23811d9, `BetaVAE_H`. Its
    Kaiming initialisation is never called there, so it has PyTorch's initial weights.
    """

    sizes: ClassVar[tuple[int, ...] | None] = (28, 32, 64)
    latents: Latents = 10

    def __post_init__(self) -> None:
        field_checks.check(self)

    def encoder(self, shape: Shape, width: int) -> nn.Module:
        return pixel_encoder(Halvings(shape[1], _CHANNELS), shape[0], 256, width)

    def decoder(self, width: int, shape: Shape) -> nn.Module:
        return pixel_decoder(width, 256, Halvings(shape[1], _CHANNELS), shape[0])


_CHANNELS = (32, 32, 64, 64)
