"""The interface of a network: an encoder of images and a decoder of codes, of any width."""

from __future__ import annotations

import abc
from typing import ClassVar

from torch import nn

from vae_core.networks.initialise import Initialisation

Shape = tuple[int, int, int]
"""(C, H, W) of one image."""


class AbstractNetwork(abc.ABC):
    """A frozen dataclass of a network's sizes; none of them may differ between fused trials.

    It does not depend on the objective: `Networks` decides which columns are means, discrete codes
    or labels. The caller (`build_networks`) makes the modules on the meta device, so the weights
    that a constructor would draw are not used.
    """

    latents: int
    """d, the number of continuous latents."""

    sizes: ClassVar[tuple[int, ...] | None]
    """Sides of the (square) images that the network takes; None: images of any size."""

    initialisation: ClassVar[Initialisation] = "pytorch"
    """The distribution of the initial weights in the network's source."""

    @property
    def caution(self) -> str:
        """A warning about the numbers of this network, "" if there is none."""
        return ""

    @abc.abstractmethod
    def encoder(self, shape: Shape, width: int) -> nn.Module:
        """Return a module (B, C, H, W) -> (B, width), for images of this shape."""

    @abc.abstractmethod
    def decoder(self, width: int, shape: Shape) -> nn.Module:
        """Return a module (B, width) -> (B, C, H, W), before any likelihood."""
