"""The convolutional network of CascadeVAE and JointVAE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from vae_core.hyperparameters import field_checks
from vae_core.hyperparameters.limits import Latents
from vae_core.networks.abstract import AbstractNetwork, Shape
from vae_core.networks.initialise import Initialisation
from vae_core.networks.layers import Halvings, flat_decoder, flat_encoder


@dataclass(frozen=True)
class CascadeConv(AbstractNetwork):
    """Convolutions of 32, 32, 64, 64 channels (kernel 4, stride 2), a layer of 256, and a decoder.

    The decoder has layers of 256 and 1,024, then transposed convolutions. The sizes are those
    of `LocatelloK4`, with other initial weights. Images of 28 and 32 px have one convolution of 64
    less, like CascadeVAE's network for 32 px (JointVAE's has one of 32 less instead; 28: see
    `Halvings`).

    Source: Jeong and Song 2019 (CascadeVAE), snu-mllab/DisentanglementICML19 23c4c5f,
    `tfops/nets.py`. There the convolutions start from a truncated N(0, 2/fan_in) and the linear
    layers from Glorot's distribution; here all start from N(0, 2/fan_in) without truncation.
    JointVAE's network (Dupont 2018, arXiv:1804.00104) has the same sizes at 64 px and
    `initialisation: pytorch`.
    """

    sizes: ClassVar[tuple[int, ...] | None] = (28, 32, 64)
    initialisation: ClassVar[Initialisation] = "kaiming_normal"
    latents: Latents = 10

    def __post_init__(self) -> None:
        field_checks.check(self)

    def encoder(self, shape: Shape, width: int) -> nn.Module:
        return flat_encoder(Halvings(shape[1], _CHANNELS), shape[0], (256,), width)

    def decoder(self, width: int, shape: Shape) -> nn.Module:
        return flat_decoder(width, (256,), Halvings(shape[1], _CHANNELS), shape[0])


_CHANNELS = (32, 32, 64, 64)
