"""The convolutional network of disentanglement_lib, and the variant that most copies of it use."""

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
class Locatello(AbstractNetwork):
    """Convolutions of 32, 32, 64, 64 channels (kernels 4, 4, **2, 2**) and a layer of 256.

    The stride is 2. The decoder has layers of 256 and 1,024 and four transposed convolutions, all
    of kernel 4. Images of 28 and 32 px have one convolution of 64 less in encoder and decoder (28:
    see `Halvings`).

    Source: Locatello et al. 2019 (arXiv:1811.12359), table of architectures; disentanglement_lib
    76f41e3, `conv_encoder` and `deconv_decoder`. There means and log variances come from two
    layers, each with the Glorot bound sqrt(6/(256+d)); here they come from one layer of 2d columns
    with the bound sqrt(6/(256+2d)): 2 % less at d = 10.
    """

    sizes: ClassVar[tuple[int, ...] | None] = (28, 32, 64)
    initialisation: ClassVar[Initialisation] = "glorot_uniform"
    latents: Latents = 10

    def __post_init__(self) -> None:
        field_checks.check(self)

    def encoder(self, shape: Shape, width: int) -> nn.Module:
        return flat_encoder(
            Halvings(shape[1], _CHANNELS), shape[0], (256,), width, kernels=(4, 4, 2, 2)
        )

    def decoder(self, width: int, shape: Shape) -> nn.Module:
        return flat_decoder(width, (256,), Halvings(shape[1], _CHANNELS), shape[0])


@dataclass(frozen=True)
class LocatelloK4(AbstractNetwork):
    """`Locatello` with kernel 4 in all convolutions and PyTorch's initial weights.

    Most copies of that network in PyTorch have this form. Its encoder has 73,728 weights more than
    that of `Locatello`; it takes the same image sizes.

    Source: the copies of disentanglement_lib's network in PyTorch, such as that of
    facebookresearch/disentangling-correlated-factors.
    """

    sizes: ClassVar[tuple[int, ...] | None] = (28, 32, 64)
    latents: Latents = 10

    def __post_init__(self) -> None:
        field_checks.check(self)

    def encoder(self, shape: Shape, width: int) -> nn.Module:
        return flat_encoder(Halvings(shape[1], _CHANNELS), shape[0], (256,), width)

    def decoder(self, width: int, shape: Shape) -> nn.Module:
        return flat_decoder(width, (256,), Halvings(shape[1], _CHANNELS), shape[0])


_CHANNELS = (32, 32, 64, 64)
