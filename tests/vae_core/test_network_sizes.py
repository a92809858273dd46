"""Shapes and sizes of the networks, and their weights under a seed."""

from __future__ import annotations

import pytest
import torch
from built_networks import SMALL, batch, build, conv, every_network, linear
from torch import nn

from vae_core.networks import (
    MLP,
    NETWORKS,
    AbstractNetwork,
    Burgess,
    ChenConv,
    ChenMLP,
    FactorVAEConv,
    Locatello,
    Trento,
    load_weights,
)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def shapes(cls: type[AbstractNetwork]) -> list[tuple[int, int, int]]:
    """Return shapes that a network takes: all its sizes, or one not square if it takes any."""
    sides = [(12, 20)] if cls.sizes is None else [(side, side) for side in cls.sizes]
    grey = [(1, *side) for side in sides]
    colour = [(3, *side) for side in sides]
    return grey + colour


def every_shape() -> list[tuple[str, tuple[int, int, int]]]:
    pairs: list[tuple[str, tuple[int, int, int]]] = []
    for name, cls in NETWORKS.items():
        pairs += [(name, shape) for shape in shapes(cls)]
    return pairs


def on_meta(
    network: AbstractNetwork, shape: tuple[int, int, int], channels: int, wide: int, narrow: int
) -> list[nn.Module]:
    """Return an encoder of `channels` to `wide` columns and a decoder of `narrow` ones.

    They do not use any memory.
    """
    with torch.device("meta"):
        return [network.encoder((channels, *shape[1:]), wide), network.decoder(narrow, shape)]


@pytest.mark.parametrize(("name", "shape"), every_shape())
@pytest.mark.parametrize(("label", "code"), [(0, 0), (5, 3)])
def test_codes_and_images_have_their_shapes(
    name: str, shape: tuple[int, int, int], label: int, code: int
) -> None:
    """Labels add channels to the encoder and columns to the decoder, codes add columns to both."""
    network = NETWORKS[name]()
    channels = shape[0] + label
    wide, narrow = 2 * network.latents + code, network.latents + label + code
    encoder, decoder = on_meta(network, shape, channels, wide, narrow)
    images = torch.empty(2, channels, *shape[1:], device="meta")
    z = torch.empty(2, narrow, device="meta")
    assert encoder(images).shape == (2, wide)
    assert decoder(z).shape == (2, *shape)


@every_network
def test_every_pixel_is_read_and_written(name: str) -> None:
    """At 28 px, where a side of 7 is halved, no border is ignored or left constant."""
    nets = build(NETWORKS[name]()).double().train()
    draw = torch.Generator().manual_seed(2)
    images = torch.rand(3, 1, 28, 28, generator=draw).double().requires_grad_()
    posterior = nets.encode(batch(images))
    output = posterior.mean.square().sum() + posterior.logvar.sum()
    (slopes,) = torch.autograd.grad(output, images)
    assert (slopes != 0).any(0).all()
    decoded = nets.decode(torch.randn_like(posterior.mean), batch(images))
    assert (decoded.std(0) > 0).all()


@every_network
def test_weights_depend_on_the_seed_alone(name: str) -> None:
    before = torch.random.get_rng_state()
    first, again, other = (
        build(NETWORKS[name](), (1, 28, 28), seed).state_dict() for seed in (0, 0, 1)
    )
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(first[key], again[key]) for key in first)
    matrices = [key for key in first if first[key].ndim > 1]
    assert not any(torch.equal(first[key], other[key]) for key in matrices)
    assert all(value.isfinite().all() for value in first.values())


# Weights of convolutions for an image (1, 64, 64): 32, 32, 64, 64 channels, and the way back over
# 64, 32, 32 to 1. FLAT is between 4 x 4 x 64 and d = 10.
DOWN = conv(1, 32) + conv(32, 32) + conv(32, 64) + conv(64, 64)  # 115,392
UP = conv(64, 64) + conv(64, 32) + conv(32, 32) + conv(32, 1)  # 115,329
FLAT = linear(1024, 256) + linear(256, 20) + linear(10, 256) + linear(256, 1024)

COUNTS = {
    "burgess": (
        conv(1, 32) + 3 * conv(32, 32) + linear(512, 256) + linear(256, 256) + linear(256, 20)
    )
    + (linear(10, 256) + linear(256, 256) + linear(256, 512) + 3 * conv(32, 32) + conv(32, 1)),
    "cascade": DOWN + FLAT + UP,
    # A BatchNorm has two numbers per channel. There is one after each convolution, and before each
    # transposed one except the first.
    "chen_conv": (DOWN + conv(64, 512) + conv(512, 20, 1) + 2 * (32 + 32 + 64 + 64 + 512))
    + (conv(10, 512, 1) + conv(512, 64) + UP + 2 * (512 + 64 + 64 + 32 + 32)),
    "chen_mlp": (linear(4096, 1200) + linear(1200, 1200) + linear(1200, 20))
    + (linear(10, 1200) + 2 * linear(1200, 1200) + linear(1200, 4096)),
    "factor_vae": DOWN + conv(64, 128) + conv(128, 20, 1) + conv(10, 128, 1) + conv(128, 64) + UP,
    "higgins_conv": DOWN + conv(64, 256) + linear(256, 20) + linear(10, 256) + conv(256, 64) + UP,
    "locatello": conv(1, 32) + conv(32, 32) + conv(32, 64, 2) + conv(64, 64, 2) + FLAT + UP,
    "locatello_k4": DOWN + FLAT + UP,
    "mlp": 2 * linear(256, 256)
    + linear(4096, 256)
    + linear(256, 20)
    + linear(10, 256)
    + linear(256, 4096),
    "simple_conv": (
        conv(1, 32) + conv(32, 32) + conv(32, 64) + conv(64, 128) + conv(128, 256) + conv(256, 256)
    )
    + (linear(256, 32) + linear(16, 256))
    + (conv(256, 256) + conv(256, 128) + conv(128, 64) + conv(64, 32) + conv(32, 32) + conv(32, 1)),
    "trento": DOWN + linear(1024, 20) + linear(10, 1024) + UP + 2 * 2 * (32 + 32 + 64 + 64),
}


@every_network
def test_published_sizes(name: str) -> None:
    """Weights and biases at 64 px and one channel, counted by hand from the sources' layers."""
    network = NETWORKS[name]()
    encoder, decoder = on_meta(network, (1, 64, 64), 1, 2 * network.latents, network.latents)
    count = sum(p.numel() for p in encoder.parameters())
    count += sum(p.numel() for p in decoder.parameters())
    assert count == COUNTS[name]


def test_kernels_of_locatello() -> None:
    layers = build(Locatello(), (1, 64, 64)).encoder.modules()
    kernels = [layer.kernel_size for layer in layers if isinstance(layer, nn.Conv2d)]
    assert kernels == [(4, 4), (4, 4), (2, 2), (2, 2)]


def test_factor_vae_has_256_channels_for_other_data() -> None:
    count = sum(p.numel() for p in build(FactorVAEConv(bottleneck=256), (1, 64, 64)).parameters())
    assert count == COUNTS["higgins_conv"]  # the same layers: only the initial weights differ


def test_wrong_image_sizes_are_refused_with_the_right_ones() -> None:
    for name, cls in NETWORKS.items():
        if cls.sizes is not None:
            sizes = " or ".join(f"{side} x {side}" for side in cls.sizes)
            message = f"{cls.__name__} takes images of {sizes} pixels, got 16 x 16"
            with pytest.raises(ValueError, match=message):
                build(NETWORKS[name](), (1, 16, 16))
    with pytest.raises(ValueError, match="got 64 x 32"):
        build(Burgess(), (1, 64, 32))


def test_sizes_are_checked() -> None:
    refused = [
        lambda: MLP(hidden=()),
        lambda: MLP(hidden=(0,)),
        lambda: ChenMLP(-1),
        lambda: FactorVAEConv(bottleneck=0),
        lambda: Trento(channels=(32, 32, 64)),
        lambda: Trento(channels=(32, 32, 64, 0)),
    ]
    rules = r"(hidden|channels)(\[\d\])? must be|(latents|bottleneck) must be >= 1"
    for make in refused:
        with pytest.raises(ValueError, match=rules):
            make()
    for cls in NETWORKS.values():
        with pytest.raises(ValueError, match="latents must be >= 1, got 0"):
            cls(latents=0)  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize("network", [ChenConv(batch_norm=False), Trento(batch_norm=False)])
def test_batch_norm_can_be_left_out(network: AbstractNetwork) -> None:
    assert network.caution == ""
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in build(network).modules())


def test_weights_of_other_networks_are_refused_by_name() -> None:
    nets = build(SMALL, (1, 6, 6))
    weights = nets.state_dict()
    weights["encoder.9.weight"] = weights.pop("encoder.1.weight")
    with pytest.raises(
        ValueError, match=r"encoder\.1\.weight is missing; encoder\.9\.weight is unknown"
    ):
        load_weights(nets, weights)
