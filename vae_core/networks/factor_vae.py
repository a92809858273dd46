"""The convolutional network of the FactorVAE paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from vae_core.hyperparameters import field_checks
from vae_core.hyperparameters.limits import Latents, Width
from vae_core.networks.abstract import AbstractNetwork, Shape
from vae_core.networks.initialise import Initialisation
from vae_core.networks.layers import Halvings, pixel_decoder, pixel_encoder


@dataclass(frozen=True)
class FactorVAEConv(AbstractNetwork):
    """Convolutions of 32, 32, 64, 64 (kernel 4, stride 2) and 128 channels, and the mirror image.

    The convolution of 128 channels covers the remaining 4 x 4 pixels. Images of 28 and 32 px have
    one convolution of 64 less (28: see `Halvings`).

    Source: Kim and Mnih 2018 (arXiv:1802.05983), appendix, in the form of 1Konny/FactorVAE 10d8a4c.
    There the normal initialisation leaves out the transposed convolutions, which keep PyTorch's
    initial weights; here all weights are drawn from it.

    Args:
        latents: d, the number of continuous latents.
        bottleneck: channels of the convolution over 4 x 4 pixels: 128 for dSprites, 256 for the
            source's other data sets.
    """

    sizes: ClassVar[tuple[int, ...] | None] = (28, 32, 64)
    initialisation: ClassVar[Initialisation] = "normal"
    latents: Latents = 10
    bottleneck: Width = 128

    def __post_init__(self) -> None:
        field_checks.check(self)

    def encoder(self, shape: Shape, width: int) -> nn.Module:
        return pixel_encoder(Halvings(shape[1], _CHANNELS), shape[0], self.bottleneck, width)

    def decoder(self, width: int, shape: Shape) -> nn.Module:
        return pixel_decoder(width, self.bottleneck, Halvings(shape[1], _CHANNELS), shape[0])


_CHANNELS = (32, 32, 64, 64)
