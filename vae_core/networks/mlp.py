"""Fully connected networks, for images of any size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, ClassVar

from annotated_types import Ge
from torch import nn

from vae_core import fields
from vae_core.networks.abstract import AbstractNetwork, Shape, decoder_width, encoder_width
from vae_core.types import Wiring


@dataclass(frozen=True)
class MLP(AbstractNetwork):
    """An MLP with ReLU and its mirror image.

    Args:
        hidden: widths of the encoder's hidden layers, from the image on; the decoder has them in reverse.
        latents: d.
    """

    sizes: ClassVar[tuple[int, ...] | None] = None
    hidden: tuple[int, ...] = (256, 256)
    latents: Annotated[int, Ge(1)] = 10

    def __post_init__(self) -> None:
        fields.check(self)
        if not self.hidden or min(self.hidden) < 1:
            raise ValueError(f"hidden must be one or more widths >= 1, got {list(self.hidden)}")

    def build(self, wiring: Wiring, shape: Shape) -> tuple[nn.Module, nn.Module]:
        pixels = math.prod(shape)
        encoder = _stack((pixels, *self.hidden, encoder_width(self.latents, wiring)), nn.ReLU)
        decoder = _stack((decoder_width(self.latents, wiring), *reversed(self.hidden), pixels), nn.ReLU)
        return nn.Sequential(nn.Flatten(), *encoder), nn.Sequential(*decoder, nn.Unflatten(1, shape))


@dataclass(frozen=True)
class ChenMLP(AbstractNetwork):
    """The MLP of the total-correlation paper: two hidden layers of 1,200 with ReLU, three with tanh back.

    Source: Chen et al. 2018 (arXiv:1802.04942), appendix on the dSprites networks.
    """

    sizes: ClassVar[tuple[int, ...] | None] = None
    latents: Annotated[int, Ge(1)] = 10

    def __post_init__(self) -> None:
        fields.check(self)

    def build(self, wiring: Wiring, shape: Shape) -> tuple[nn.Module, nn.Module]:
        pixels = math.prod(shape)
        encoder = _stack((pixels, 1200, 1200, encoder_width(self.latents, wiring)), nn.ReLU)
        decoder = _stack((decoder_width(self.latents, wiring), 1200, 1200, 1200, pixels), nn.Tanh)
        return nn.Sequential(nn.Flatten(), *encoder), nn.Sequential(*decoder, nn.Unflatten(1, shape))


def _stack(widths: Sequence[int], activation: type[nn.Module]) -> list[nn.Module]:
    """Return linear layers of the given widths with an activation between any two."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), activation()]
    return layers[:-1]
