"""The interface of a network's sizes: a wiring and an image shape in, an encoder and a decoder out."""

from __future__ import annotations

import abc
import math
from typing import ClassVar

import torch
from torch import nn

from vae_core.types import Wiring

Shape = tuple[int, int, int]
"""(C, H, W) of one image."""


class AbstractNetwork(abc.ABC):
    """A frozen dataclass of a network's sizes; all are structure, none may differ between fused trials."""

    latents: int
    """d, the number of continuous latents."""

    sizes: ClassVar[tuple[int, ...] | None]
    """Image sides that the network takes, or None for any."""

    @abc.abstractmethod
    def build(self, wiring: Wiring, shape: Shape) -> tuple[nn.Module, nn.Module]:
        """Return the encoder (B, C, H, W) -> (B, `encoder_width`) and the decoder (B, `decoder_width`) -> (B,
        C, H, W).

        The encoder's columns are d means, d log variances, then the logits of a discrete code if one is
        inferred. Weights are left to the caller (`build_networks`), which makes the modules on the meta
        device.
        """


def encoder_width(latents: int, wiring: Wiring) -> int:
    """Return the number of the encoder's outputs."""
    return 2 * latents + wiring.infers_code


def decoder_width(latents: int, wiring: Wiring) -> int:
    """Return the number of the decoder's inputs."""
    return latents + wiring.reads_code + wiring.reads_label


@torch.no_grad()
def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Draw all weights and biases from PyTorch's default, U(-1/sqrt(fan_in), 1/sqrt(fan_in)), by an explicit generator.

    fan_in is the number of entries of one row of the weight, as in `reset_parameters` of Linear, Conv2d and
    ConvTranspose2d (kaiming_uniform_ with a = sqrt(5) has just this bound).

    Raises:
        TypeError: a layer of another kind has parameters.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            bound = 1 / math.sqrt(layer.weight[0].numel())
            for parameter in layer.parameters():
                parameter.uniform_(-bound, bound, generator=generator)
        elif next(layer.parameters(recurse=False), None) is not None:
            raise TypeError(f"no initial distribution is known for a {type(layer).__name__}")
