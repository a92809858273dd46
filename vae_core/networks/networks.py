"""`Networks`: encoder, decoder and likelihood as an objective sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from vae_core.likelihood import LIKELIHOODS, Likelihood
from vae_core.networks.abstract import AbstractNetwork, Shape, initialise
from vae_core.types import Batch, Posterior, Wiring

T = TypeVar("T")


class Networks(nn.Module):
    """The trained functions of one trial; see `vae_core.objectives.abstract.Nets` for the contract."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, *, likelihood: Likelihood, latents: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.latents = latents

    def encode(self, batch: Batch) -> Posterior:
        """Return q(z|x) of every image of the batch, (B, d) each."""
        return self.posterior(batch.images)

    def posterior(self, images: Tensor) -> Posterior:
        """Return q(z|x) of images (B, C, H, W), (B, d) each."""
        mean, logvar = self.encoder(images).chunk(2, dim=1)
        return Posterior(mean, logvar)

    def decode(self, z: Tensor, batch: Batch) -> Tensor:
        """Return the decoder's output (B, C, H, W), before any likelihood."""
        del batch  # read by conditional decoders
        return self.decoder(z)

    def log_likelihood(self, output: Tensor, images: Tensor) -> Tensor:
        """Return log p(x|z) per image (B,), nats, summed over pixels."""
        return self.likelihood.log_prob(output, images)

    def expected(self, z: Tensor) -> Tensor:
        """Return E[x|z], images (B, C, H, W) in [0, 1], from codes (B, d)."""
        return self.likelihood.mean(self.decoder(z))

    def forward(self, function: Callable[[Networks], T]) -> T:
        """Return `function(self)`: under `torch.func.functional_call`, a computation on other weights."""
        return function(self)

    def players(self) -> dict[str, list[nn.Parameter]]:
        """Return the parameters of each player; each has its own optimiser."""
        return {"vae": [*self.encoder.parameters(), *self.decoder.parameters()]}


def build_networks(
    network: AbstractNetwork, wiring: Wiring, shape: Shape, *, likelihood: str, generator: torch.Generator
) -> Networks:
    """Return networks on the CPU whose weights depend on the generator alone (the global one is not touched).

    Raises:
        ValueError: the network does not take images of this shape, or nothing serves the wiring.
    """
    _, height, width = shape
    if network.sizes is not None and (height != width or height not in network.sizes):
        takes = " or ".join(f"{side} x {side}" for side in network.sizes)
        raise ValueError(f"network {type(network).__name__} takes images of {takes} pixels, got {height} x {width}")
    if wiring != Wiring():
        raise ValueError(f"no network serves this wiring yet: {wiring}")
    with torch.device("meta"):  # no memory and no draw from the global generator
        encoder, decoder = network.build(wiring, shape)
    nets = Networks(encoder, decoder, likelihood=LIKELIHOODS[likelihood], latents=network.latents)
    nets.to_empty(device="cpu")
    initialise(nets, generator)
    return nets


def load_weights(nets: Networks, weights: Mapping[str, Tensor]) -> None:
    """Copy weights into the networks.

    Raises:
        ValueError: they are of other networks; the message names what is missing, left over or of another
            shape.
    """
    own = nets.state_dict()
    wrong = [f"{name} is missing" for name in own if name not in weights]
    wrong += [f"{name} is unknown" for name in weights if name not in own]
    wrong += [
        f"{name} has shape {tuple(weights[name].shape)} instead of {tuple(own[name].shape)}"
        for name in own
        if name in weights and weights[name].shape != own[name].shape
    ]
    if wrong:
        raise ValueError(f"the weights are of another network: {'; '.join(wrong)}")
    nets.load_state_dict(dict(weights))
