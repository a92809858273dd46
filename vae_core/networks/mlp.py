"""Fully connected networks, for images of any size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import MaxLen, MinLen
from torch import nn

from vae_core.hyperparameters import field_checks
from vae_core.hyperparameters.limits import DEPTH, Latents, Width
from vae_core.networks.abstract import AbstractNetwork, Shape
from vae_core.networks.layers import perceptron


@dataclass(frozen=True)
class MLP(AbstractNetwork):
    """An MLP with ReLU and its mirror image.

    Args:
        hidden: widths of the encoder's hidden layers, from the image on; the decoder has them in
            reverse.
        latents: d, the number of continuous latents.
    """

    sizes: ClassVar[tuple[int, ...] | None] = None
    hidden: Annotated[tuple[Width, ...], MinLen(1), MaxLen(DEPTH)] = (256, 256)
    latents: Latents = 10

    def __post_init__(self) -> None:
        field_checks.check(self)

    def encoder(self, shape: Shape, width: int) -> nn.Module:
        return nn.Sequential(
            nn.Flatten(), *perceptron((math.prod(shape), *self.hidden, width), nn.ReLU)
        )

    def decoder(self, width: int, shape: Shape) -> nn.Module:
        layers = perceptron((width, *reversed(self.hidden), math.prod(shape)), nn.ReLU)
        return nn.Sequential(*layers, nn.Unflatten(1, shape))


@dataclass(frozen=True)
class ChenMLP(AbstractNetwork):
    """The MLP of the β-TCVAE paper: two hidden layers of 1,200 with ReLU, three with tanh back.

    Source: Chen et al. 2018 (arXiv:1802.04942), appendix on the dSprites networks.
    """

    sizes: ClassVar[tuple[int, ...] | None] = None
    latents: Latents = 10

    def __post_init__(self) -> None:
        field_checks.check(self)

    def encoder(self, shape: Shape, width: int) -> nn.Module:
        return nn.Sequential(
            nn.Flatten(), *perceptron((math.prod(shape), 1200, 1200, width), nn.ReLU)
        )

    def decoder(self, width: int, shape: Shape) -> nn.Module:
        layers = perceptron((width, 1200, 1200, 1200, math.prod(shape)), nn.Tanh)
        return nn.Sequential(*layers, nn.Unflatten(1, shape))
