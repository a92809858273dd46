"""Networks and batches for the tests of networks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vae_core.likelihood import likelihood
from vae_core.networks import MLP, NETWORKS, AbstractNetwork, Networks, Widths, build_networks
from vae_core.random_draws import generator
from vae_core.types import Batch, Wiring

BERNOULLI = likelihood("bernoulli")
ADVERSARY = Wiring(adversary=(1000,) * 6)
SMALL = MLP((8,), latents=2)

every_network = pytest.mark.parametrize("name", NETWORKS)


def build(
    network: AbstractNetwork, shape: tuple[int, int, int] = (1, 28, 28), seed: int = 0
) -> Networks:
    """Return a VAE's networks with weights of one seed."""
    draw = generator(seed, "weights")
    return build_networks(network, Wiring(), shape, likelihood=BERNOULLI, generator=draw)


def wired(
    network: AbstractNetwork,
    wiring: Wiring,
    shape: tuple[int, int, int] = (1, 28, 28),
    *,
    widths: Widths = Widths(),  # noqa: B008  (immutable)
    seed: int = 0,
) -> Networks:
    """Return networks of a wiring, with weights of torch's generator at one seed."""
    draw = torch.Generator().manual_seed(seed)
    return build_networks(
        network, wiring, shape, likelihood=BERNOULLI, generator=draw, widths=widths
    )


def batch(images: Tensor, labels: int = 0, factors: int = 0, code: int = 0) -> Batch:
    """Return images with labels, factors and a code of the given widths."""
    rows = len(images)
    inputs = [
        torch.linspace(0, 1, rows * width).reshape(rows, width) for width in (labels, factors, code)
    ]
    return Batch(images, labels=inputs[0], factors=inputs[1], second=images[:0], code=inputs[2])


def linear(before: int, after: int) -> int:
    """Return the number of weights and biases of a linear layer."""
    return before * after + after


def conv(before: int, after: int, kernel: int = 4) -> int:
    """Return the number of weights and biases of a convolution."""
    return kernel**2 * before * after + after
