"""`Networks`: encoder, decoder, likelihood and discriminator as an objective sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from vae_core.likelihood import Likelihood
from vae_core.networks.abstract import AbstractNetwork, Shape
from vae_core.networks.initialise import Initialisation, initialise
from vae_core.networks.layers import perceptron
from vae_core.types import Batch, Posterior, Wiring

T = TypeVar("T")

LEAK = 0.2
"""Slope of the discriminator's leaky ReLU (Kim and Mnih 2018, appendix)."""


class Widths(NamedTuple):
    """Sizes that a wiring takes from the data."""

    label: int = 0
    factors: int = 0


class Networks(nn.Module):
    """The trained functions of one trial; see `vae_core.objectives.abstract.Nets` for the contract."""

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        discriminator: nn.Module,
        *,
        likelihood: Likelihood,
        latents: int,
        wiring: Wiring,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.discriminator = discriminator
        self.likelihood = likelihood
        self.latents = latents
        self.wiring = wiring
        sigma = torch.tensor(likelihood.sigma).log()
        if likelihood.learned:
            self.log_sigma = nn.Parameter(sigma)
        else:
            self.register_buffer("log_sigma", sigma, persistent=False)

    def encode(self, batch: Batch) -> Posterior:
        """Return q(z|x) of every image of the batch: means and log variances (B, d), logits of discrete latents."""
        if self.wiring.reads_factors != "no":
            inputs = batch.factors
        elif self.wiring.reads_label == "both":
            height, width = batch.images.shape[-2:]
            channels = batch.labels[:, :, None, None].expand(-1, -1, height, width)
            inputs = torch.cat([batch.images, channels], 1)
        else:
            inputs = batch.images
        mean, logvar, logits = self.encoder(inputs).split(
            [self.latents, self.latents, sum(self.wiring.infers_code)], 1
        )
        return Posterior(mean, logvar, logits)

    def decode(self, z: Tensor, batch: Batch) -> Tensor:
        """Return the decoder's output (B, C, H, W), before any likelihood, of z with what it reads of the batch."""
        inputs = [z]
        if self.wiring.reads_code:
            inputs.append(batch.code)
        if self.wiring.reads_label != "nowhere":
            inputs.append(batch.labels)
        if self.wiring.reads_noise:
            inputs.append(batch.noise)
        return self.decoder(torch.cat(inputs, 1) if len(inputs) > 1 else z)

    def discriminate(self, what: Tensor) -> Tensor:
        """Return the discriminator's two logits (B, 2).

        Of codes (B, d): that they are from q(z), from the permuted codes. Of images (B, C, H, W), where the wiring
        judges images: that they are of the data, made by the decoder.
        """
        return self.discriminator(what)

    def squared_slope(self, images: Tensor) -> Tensor:
        """Return |∇_x (l_0 − l_1)|² (B,) of the discriminator's two logits at images x (B, C, H, W)."""

        def log_odds(x: Tensor) -> Tensor:
            judged = self.discriminator(x)
            return (judged[:, 0] - judged[:, 1]).sum()

        # By running statistics where there is batch normalisation: a batch's would mix its images' gradients.
        before = self.discriminator.training
        self.discriminator.eval()
        slopes = torch.func.grad(log_odds)(images)
        self.discriminator.train(before)
        return slopes.flatten(1).square().sum(1)

    def log_likelihood(self, output: Tensor, images: Tensor) -> Tensor:
        """Return log p(x|z) per image (B,), nats, summed over pixels."""
        return self.likelihood.log_prob(output, images, self.log_sigma)

    def expected(self, z: Tensor, batch: Batch) -> Tensor:
        """Return E[x|z], images (B, C, H, W) in [0, 1], from codes (B, d)."""
        return self.likelihood.mean(self.decode(z, batch))

    def squared_weights(self) -> Tensor:
        """Return the sum of all squared weights of encoder and decoder, 0-d; biases do not count."""
        weights = [
            p for part in (self.encoder, self.decoder) for p in part.parameters() if p.ndim > 1
        ]
        return torch.stack([weight.square().sum() for weight in weights]).sum()

    def forward(self, function: Callable[[Networks], T]) -> T:
        """Return `function(self)`: under `torch.func.functional_call`, a computation on other weights."""
        return function(self)

    def players(self) -> dict[str, list[nn.Parameter]]:
        """Return the parameters of each player; each has its own optimiser."""
        own = [self.log_sigma] if self.likelihood.learned else []
        found = {"vae": [*self.encoder.parameters(), *self.decoder.parameters(), *own]}
        if self.wiring.adversary or self.wiring.judges_images:
            found["adversary"] = list(self.discriminator.parameters())
        return found


def build_networks(
    network: AbstractNetwork,
    wiring: Wiring,
    shape: Shape,
    *,
    likelihood: Likelihood,
    generator: torch.Generator,
    widths: Widths = Widths(),  # noqa: B008  (immutable)
    initialisation: Initialisation | None = None,
) -> Networks:
    """Return networks on the CPU whose weights depend on the generator alone (the global one is not touched).

    Args:
        network: sizes of encoder and decoder.
        wiring: what they read, and whether there is a discriminator, of codes or of images.
        shape: (C, H, W) of one image.
        likelihood: p(x|z).
        generator: of the initial weights: encoder first, then decoder, then discriminator.
        widths: of labels and factors, where the wiring reads them.
        initialisation: of encoder and decoder, and of a discriminator of images; None: as in the network's source.

    Raises:
        ValueError: the network does not take images of this shape.
    """
    channels, height, width = shape
    if network.sizes is not None and (height != width or height not in network.sizes):
        takes = " or ".join(f"{side} x {side}" for side in network.sizes)
        raise ValueError(
            f"network {type(network).__name__} takes images of {takes} pixels, got {height} x {width}"
        )
    d = network.latents
    encoded, decoded = 2 * d + sum(wiring.infers_code), d + sum(wiring.reads_code)
    if wiring.reads_label != "nowhere":
        decoded += widths.label
    decoded += wiring.reads_noise
    with torch.device("meta"):  # no memory and no draw from the global generator
        if wiring.reads_factors != "no":
            encoder = nn.Sequential(
                *perceptron((widths.factors, *wiring.factor_hidden, encoded), nn.ReLU)
            )
        else:
            read = channels + (widths.label if wiring.reads_label == "both" else 0)
            encoder = network.encoder((read, height, width), encoded)
        decoder = network.decoder(decoded, shape)
        if wiring.judges_images:
            discriminator = network.encoder(shape, 2)
        else:
            judge = (
                perceptron((d, *wiring.adversary, 2), partial(nn.LeakyReLU, LEAK))
                if wiring.adversary
                else []
            )
            discriminator = nn.Sequential(*judge)
    own = initialisation or network.initialisation
    judging: Initialisation = own if wiring.judges_images else "pytorch"
    starts: list[tuple[nn.Module, Initialisation]] = [
        (encoder, own),
        (decoder, own),
        (discriminator, judging),
    ]
    for part, name in starts:
        part.to_empty(device="cpu")
        initialise(part, generator, name)
    return Networks(
        encoder, decoder, discriminator, likelihood=likelihood, latents=d, wiring=wiring
    )


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
