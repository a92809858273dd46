"""`Networks`: encoder, decoder, likelihood and discriminator of one trial; how to build them."""

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
    """Widths of a wiring's inputs that depend on the data."""

    label: int = 0
    factors: int = 0


class Networks(nn.Module):
    """The trained functions of one trial; the contract is `vae_core.objectives.abstract.Nets`."""

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
        """Return q(z|x) of every image of the batch.

        Means and log variances are (B, d), the logits of the discrete latents (B, width).
        """
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
        """Return the decoder's output (B, C, H, W), before any likelihood.

        The decoder reads z (B, d) and, as the wiring asks, code, label and noise of the batch.
        """
        inputs = [z]
        if self.wiring.reads_code:
            inputs.append(batch.code)
        if self.wiring.reads_label != "nowhere":
            inputs.append(batch.labels)
        if self.wiring.reads_noise:
            inputs.append(batch.noise)
        return self.decoder(torch.cat(inputs, 1) if len(inputs) > 1 else z)

    def discriminate(self, codes_or_images: Tensor) -> Tensor:
        """Return the discriminator's two logits (B, 2).

        For codes (B, d): that they come from q(z), and from the permuted codes. For images
        (B, C, H, W), if the wiring judges images: that they come from the data, and from the
        decoder.
        """
        return self.discriminator(codes_or_images)

    def squared_slope(self, images: Tensor) -> Tensor:
        """Return |∇_x (l_0 − l_1)|² (B,) of the discriminator's logits at images (B, C, H, W)."""

        def log_odds(x: Tensor) -> Tensor:
            logits = self.discriminator(x)
            return (logits[:, 0] - logits[:, 1]).sum()

        # BatchNorm uses its running statistics here: those of the batch would mix the gradients of
        # its images.
        was_training = self.discriminator.training
        self.discriminator.eval()
        slopes = torch.func.grad(log_odds)(images)
        self.discriminator.train(was_training)
        return slopes.flatten(1).square().sum(1)

    def log_likelihood(self, output: Tensor, images: Tensor) -> Tensor:
        """Return log p(x|z) per image (B,), nats, summed over pixels."""
        return self.likelihood.log_prob(output, images, self.log_sigma)

    def expected(self, z: Tensor, batch: Batch) -> Tensor:
        """Return E[x|z], images (B, C, H, W) in [0, 1], from codes (B, d)."""
        return self.likelihood.mean(self.decode(z, batch))

    def squared_weights(self) -> Tensor:
        """Return the sum of all squared weights of encoder and decoder, without biases, 0-d."""
        weights: list[Tensor] = []
        for part in (self.encoder, self.decoder):
            weights += [parameter for parameter in part.parameters() if parameter.ndim > 1]
        return torch.stack([weight.square().sum() for weight in weights]).sum()

    def forward(self, function: Callable[[Networks], T]) -> T:
        """Return `function(self)`.

        `torch.func.functional_call` uses it to compute a function on other weights.
        """
        return function(self)

    def players(self) -> dict[str, list[nn.Parameter]]:
        """Return the parameters of each player; each player has its own optimiser."""
        autoencoder = [*self.encoder.parameters(), *self.decoder.parameters()]
        if self.likelihood.learned:
            autoencoder.append(self.log_sigma)
        players = {"vae": autoencoder}
        if self.wiring.adversary or self.wiring.judges_images:
            players["adversary"] = list(self.discriminator.parameters())
        return players


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
    """Return networks on the CPU; their weights depend on `generator`, not on the global one.

    Args:
        network: sizes of encoder and decoder.
        wiring: what they read, and whether there is a discriminator, of codes or of images.
        shape: (C, H, W) of one image.
        likelihood: p(x|z).
        generator: draws the initial weights: encoder first, then decoder, then discriminator.
        widths: widths of labels and factors, if the wiring reads them.
        initialisation: initial weights of encoder and decoder, and of a discriminator of images;
            None: as in the network's source.

    Raises:
        ValueError: the network does not take images of this shape.
    """
    nets = shaped_networks(network, wiring, shape, likelihood=likelihood, widths=widths)
    name = initialisation or network.initialisation
    discriminator_name: Initialisation = name if wiring.judges_images else "pytorch"
    initialisations: list[tuple[nn.Module, Initialisation]] = [
        (nets.encoder, name),
        (nets.decoder, name),
        (nets.discriminator, discriminator_name),
    ]
    for part, part_name in initialisations:
        part.to_empty(device="cpu")
        initialise(part, generator, part_name)
    return nets


def shaped_networks(
    network: AbstractNetwork,
    wiring: Wiring,
    shape: Shape,
    *,
    likelihood: Likelihood,
    widths: Widths = Widths(),  # noqa: B008  (immutable)
) -> Networks:
    """Return networks without weights: shapes only, on the meta device, which take no memory.

    The arguments and errors are those of `build_networks`.
    """
    _require_shape(network, shape)
    with torch.device("meta"):  # no memory and no draw from the global generator
        encoder = _encoder(network, wiring, shape, widths)
        decoder = _decoder(network, wiring, shape, widths)
        discriminator = _discriminator(network, wiring, shape)
    return Networks(
        encoder,
        decoder,
        discriminator,
        likelihood=likelihood,
        latents=network.latents,
        wiring=wiring,
    )


def _require_shape(network: AbstractNetwork, shape: Shape) -> None:
    _, height, width = shape
    if network.sizes is not None and (height != width or height not in network.sizes):
        sizes = " or ".join(f"{side} x {side}" for side in network.sizes)
        raise ValueError(
            f"network {type(network).__name__} takes images of {sizes} pixels, "
            f"got {height} x {width}"
        )


def _encoder(network: AbstractNetwork, wiring: Wiring, shape: Shape, widths: Widths) -> nn.Module:
    output_width = 2 * network.latents + sum(wiring.infers_code)
    if wiring.reads_factors != "no":
        layers = perceptron((widths.factors, *wiring.factor_hidden, output_width), nn.ReLU)
        return nn.Sequential(*layers)
    channels, height, width = shape
    if wiring.reads_label == "both":
        channels += widths.label
    return network.encoder((channels, height, width), output_width)


def _decoder(network: AbstractNetwork, wiring: Wiring, shape: Shape, widths: Widths) -> nn.Module:
    input_width = network.latents + sum(wiring.reads_code)
    if wiring.reads_label != "nowhere":
        input_width += widths.label
    input_width += wiring.reads_noise
    return network.decoder(input_width, shape)


def _discriminator(network: AbstractNetwork, wiring: Wiring, shape: Shape) -> nn.Module:
    """Return the discriminator of images or of codes; an empty module if there is none."""
    if wiring.judges_images:
        return network.encoder(shape, 2)
    if not wiring.adversary:
        return nn.Sequential()
    leaky_relu = partial(nn.LeakyReLU, LEAK)
    return nn.Sequential(*perceptron((network.latents, *wiring.adversary, 2), leaky_relu))


def load_weights(nets: Networks, weights: Mapping[str, Tensor]) -> None:
    """Copy weights into the networks.

    Raises:
        ValueError: they belong to other networks (see `require_weights`).
    """
    require_weights(nets, weights)
    nets.load_state_dict(dict(weights))


def require_weights(nets: Networks, weights: Mapping[str, Tensor]) -> None:
    """Check that weights belong to the networks.

    Raises:
        ValueError: they belong to other networks; the message names each weight that is missing,
            unknown or of another shape.
    """
    current = nets.state_dict()
    problems = [f"{name} is missing" for name in current if name not in weights]
    problems += [f"{name} is unknown" for name in weights if name not in current]
    for name, weight in current.items():
        if name in weights and weights[name].shape != weight.shape:
            problems.append(
                f"{name} has shape {tuple(weights[name].shape)} instead of {tuple(weight.shape)}"
            )
    if problems:
        raise ValueError(f"the weights are of another network: {'; '.join(problems)}")
