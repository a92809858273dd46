"""The interface of a network's sizes: an encoder of images and a decoder of codes, of any width."""

from __future__ import annotations

import abc
from typing import ClassVar

from torch import nn

from vae_core.networks.initialise import Initialisation

Shape = tuple[int, int, int]
"""(C, H, W) of one image."""


class AbstractNetwork(abc.ABC):
    """A frozen dataclass of a network's sizes; all are structure, none may differ between fused trials.

    It knows nothing of objectives: which columns are means, discrete codes or labels is `Networks`' to say.
    Weights are left to the caller (`build_networks`), which makes the modules on the meta device.
    """

    latents: int
    """d, the number of continuous latents."""

    sizes: ClassVar[tuple[int, ...] | None]
    """Image sides that the network takes, or None for any."""

    initialisation: ClassVar[Initialisation] = "pytorch"
    """The initial distribution of the network's source."""

    @property
    def caution(self) -> str:
        """What a user should know before trusting numbers of this network, "" if nothing."""
        return ""

    @abc.abstractmethod
    def encoder(self, shape: Shape, width: int) -> nn.Module:
        """Return a module (B, C, H, W) -> (B, width)."""

    @abc.abstractmethod
    def decoder(self, width: int, shape: Shape) -> nn.Module:
        """Return a module (B, width) -> (B, C, H, W), before any likelihood."""
