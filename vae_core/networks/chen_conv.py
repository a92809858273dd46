"""The convolutional network of the β-TCVAE paper for images of faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from vae_core.hyperparameters import field_checks
from vae_core.hyperparameters.limits import Latents
from vae_core.networks.abstract import AbstractNetwork, Shape
from vae_core.networks.layers import BATCH_NORM_CAUTION, Halvings, pixel_decoder, pixel_encoder


@dataclass(frozen=True)
class ChenConv(AbstractNetwork):
    """Convolutions of 32, 32, 64, 64 (kernel 4, stride 2) and 512 channels, and the mirror image.

    The convolution of 512 channels covers the remaining 4 x 4 pixels. Images of 28 and 32 px have
    one convolution of 64 less (28: see `Halvings`).

    Source: Chen et al. 2018 (arXiv:1802.04942); rtqichen/beta-tcvae 06e763d, `ConvEncoder` and
    `ConvDecoder` (an option there).

    Args:
        latents: d, the number of continuous latents.
        batch_norm: whether there is a BatchNorm before every ReLU, as in the source; training and
            evaluation then differ (`caution`).
    """

    sizes: ClassVar[tuple[int, ...] | None] = (28, 32, 64)
    latents: Latents = 10
    batch_norm: bool = True

    def __post_init__(self) -> None:
        field_checks.check(self)

    @property
    def caution(self) -> str:
        return BATCH_NORM_CAUTION if self.batch_norm else ""

    def encoder(self, shape: Shape, width: int) -> nn.Module:
        return pixel_encoder(self._stages(shape), shape[0], 512, width)

    def decoder(self, width: int, shape: Shape) -> nn.Module:
        return pixel_decoder(width, 512, self._stages(shape), shape[0], transposed=True)

    def _stages(self, shape: Shape) -> Halvings:
        return Halvings(shape[1], (32, 32, 64, 64), batch_norm=self.batch_norm)
