"""Initial weights by the name of their distribution, drawn by an explicit generator."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import nn

Initialisation = Literal["pytorch", "glorot_uniform", "kaiming_normal", "normal"]
INITIALISATIONS: tuple[Initialisation, ...] = get_args(Initialisation)

_Layer = nn.Linear | nn.Conv2d | nn.ConvTranspose2d


@torch.no_grad()
def initialise(
    module: nn.Module, generator: torch.Generator, name: Initialisation = "pytorch"
) -> None:
    """Draw all weights and biases from a named distribution, by an explicit generator.

    - "pytorch": weights and biases from U(−1/sqrt(fan_in), 1/sqrt(fan_in)), as `reset_parameters`
      of these layers (kaiming_uniform_ with a = sqrt(5) has this bound).
    - "glorot_uniform": weights from U(−b, b), b = sqrt(6 / (fan_in + fan_out)), biases 0: the
      default of TensorFlow, so also of disentanglement_lib (Glorot and Bengio 2010).
    - "kaiming_normal": weights from N(0, 2/fan_in), biases 0 (He et al. 2015).
    - "normal": weights from N(0, 0.02²), biases 0.

    fan_in and fan_out are those of torch.nn.init: b·k² and a·k² for a weight (a, b, k, k). The
    weight of a ConvTranspose2d has its input channels first, so its "fan_in" is
    (output channels)·k², for any stride; the Glorot bound is the same with the two swapped.
    BatchNorm is not random: weight 1, bias 0, running mean 0, running variance 1, no batches
    counted.

    Raises:
        ValueError: no distribution has this name.
        TypeError: a layer of another kind has parameters.
    """
    if name not in _DRAWS:
        raise ValueError(
            f"initialisation must be one of {', '.join(INITIALISATIONS)}, got {name!r}"
        )
    for layer in module.modules():
        if isinstance(layer, _Layer):
            _DRAWS[name](layer, generator)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.reset_parameters()
        elif next(layer.parameters(recurse=False), None) is not None:
            raise TypeError(f"no initial distribution is known for a {type(layer).__name__}")


def _pytorch(layer: _Layer, generator: torch.Generator) -> None:
    bound = 1 / math.sqrt(layer.weight[0].numel())
    for parameter in layer.parameters():
        parameter.uniform_(-bound, bound, generator=generator)


def _glorot_uniform(layer: _Layer, generator: torch.Generator) -> None:
    nn.init.xavier_uniform_(layer.weight, generator=generator)
    _zero_bias(layer)


def _kaiming_normal(layer: _Layer, generator: torch.Generator) -> None:
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
    _zero_bias(layer)


def _normal(layer: _Layer, generator: torch.Generator) -> None:
    nn.init.normal_(layer.weight, std=0.02, generator=generator)
    _zero_bias(layer)


def _zero_bias(layer: _Layer) -> None:
    if layer.bias is not None:
        layer.bias.zero_()


_DRAWS: dict[str, Callable[[_Layer, torch.Generator], None]] = {
    "pytorch": _pytorch,
    "glorot_uniform": _glorot_uniform,
    "kaiming_normal": _kaiming_normal,
    "normal": _normal,
}
