"""The convolutional network of most dSprites studies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge
from torch import nn

from vae_core import fields
from vae_core.networks.abstract import AbstractNetwork, Shape, decoder_width, encoder_width
from vae_core.types import Wiring


@dataclass(frozen=True)
class Burgess(AbstractNetwork):
    """Four convolutions of 32 channels (kernel 4, stride 2, padding 1), two layers of 256, and the mirror image.

    The side of the image halves with each convolution, down to 4: images of side 32 have one convolution
    less.

    Source: Burgess et al. 2018 (arXiv:1804.03599), appendix on model architecture.
    """

    sizes: ClassVar[tuple[int, ...] | None] = (32, 64)
    latents: Annotated[int, Ge(1)] = 10

    def __post_init__(self) -> None:
        fields.check(self)

    def build(self, wiring: Wiring, shape: Shape) -> tuple[nn.Module, nn.Module]:
        channels, side, _ = shape
        halvings = {64: 4, 32: 3}[side]
        down: list[nn.Module] = []
        up: list[nn.Module] = []
        for k in range(halvings):
            down += [nn.Conv2d(32 if k else channels, 32, 4, stride=2, padding=1), nn.ReLU()]
            up += [
                nn.ReLU(),
                nn.ConvTranspose2d(32, 32 if k < halvings - 1 else channels, 4, stride=2, padding=1),
            ]
        encoder = [*down, nn.Flatten(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU()]
        decoder = [
            nn.Linear(decoder_width(self.latents, wiring), 256),
            nn.ReLU(),
            nn.Linear(256, 256),
            nn.ReLU(),
        ]
        return (
            nn.Sequential(*encoder, nn.Linear(256, encoder_width(self.latents, wiring))),
            nn.Sequential(*decoder, nn.Linear(256, 512), nn.Unflatten(1, (32, 4, 4)), *up),
        )
