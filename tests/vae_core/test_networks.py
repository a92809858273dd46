"""Shapes, sizes and initial weights of the networks; the likelihood."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from vae_core.draws import generator
from vae_core.likelihood import bernoulli
from vae_core.networks import MLP, NETWORKS, Burgess, ChenMLP, Networks, build_networks, load_weights
from vae_core.networks.abstract import initialise
from vae_core.types import Wiring

every_network = pytest.mark.parametrize("name", NETWORKS)
SHAPES = [(1, 32, 32), (3, 64, 64)]


def build(name: str, shape: tuple[int, int, int], seed: int = 0) -> Networks:
    draw = generator(seed, "weights")
    return build_networks(NETWORKS[name](), Wiring(), shape, likelihood="bernoulli", generator=draw)


@every_network
@pytest.mark.parametrize("shape", SHAPES)
def test_codes_and_images_have_their_shapes(name: str, shape: tuple[int, int, int]) -> None:
    nets = build(name, shape)
    images = torch.rand(2, *shape)
    mean, logvar = nets.posterior(images)
    assert mean.shape == logvar.shape == (2, nets.latents)
    decoded = nets.expected(mean)
    assert decoded.shape == images.shape
    assert 0 <= decoded.min() <= decoded.max() <= 1


@every_network
def test_weights_depend_on_the_seed_alone(name: str) -> None:
    before = torch.random.get_rng_state()
    first, again, other = (build(name, (1, 32, 32), seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not any(torch.equal(first[key], other[key]) for key in first)


def test_initial_weights_are_pytorch_s_own() -> None:
    """From one seed PyTorch's constructors draw bitwise the same from the global generator."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        theirs = nn.Sequential(nn.Conv2d(3, 8, 4), nn.Linear(30, 40), nn.ConvTranspose2d(16, 8, 4)).state_dict()
    with torch.device("meta"):
        layers = nn.Sequential(nn.Conv2d(3, 8, 4), nn.Linear(30, 40), nn.ConvTranspose2d(16, 8, 4))
    layers.to_empty(device="cpu")
    initialise(layers, torch.Generator().manual_seed(5))
    ours = layers.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_unknown_layers_have_no_initial_distribution() -> None:
    with pytest.raises(TypeError, match="BatchNorm2d"):
        initialise(nn.BatchNorm2d(3), torch.Generator())


def test_published_sizes() -> None:
    """Weights and biases counted by hand from the layers' sizes."""
    chen = 4096 * 1200 + 1200 + 1200 * 1200 + 1200 + 1200 * 20 + 20  # encoder
    chen += 10 * 1200 + 1200 + 2 * (1200 * 1200 + 1200) + 1200 * 4096 + 4096
    burgess = (16 * 32 + 32) + 3 * (16 * 32 * 32 + 32) + (512 * 256 + 256) + (256 * 256 + 256) + (256 * 20 + 20)
    burgess += (10 * 256 + 256) + (256 * 256 + 256) + (256 * 512 + 512) + 3 * (16 * 32 * 32 + 32) + (16 * 32 + 1)
    for name, count in (("chen_mlp", chen), ("burgess", burgess)):
        assert sum(p.numel() for p in build(name, (1, 64, 64)).parameters()) == count


def test_wrong_image_sizes_are_refused_with_the_right_ones() -> None:
    with pytest.raises(ValueError, match="Burgess takes images of 32 x 32 or 64 x 64 pixels, got 28 x 28"):
        build("burgess", (1, 28, 28))
    with pytest.raises(ValueError, match="got 64 x 32"):
        build("burgess", (1, 64, 32))


def test_sizes_are_checked() -> None:
    for wrong in (lambda: MLP(hidden=()), lambda: MLP(hidden=(0,)), lambda: Burgess(0), lambda: ChenMLP(-1)):
        with pytest.raises(ValueError, match=r"hidden must be|latents must be >= 1"):
            wrong()


def test_wiring_that_nothing_serves_is_refused() -> None:
    with pytest.raises(ValueError, match="no network serves this wiring"):
        build_networks(MLP(), Wiring(adversary=True), (1, 8, 8), likelihood="bernoulli", generator=torch.Generator())


def test_weights_of_other_networks_are_refused_by_name() -> None:
    nets = build("mlp", (1, 32, 32))
    weights = nets.state_dict()
    weights["encoder.9.weight"] = weights.pop("encoder.1.weight")
    with pytest.raises(ValueError, match=r"encoder\.1\.weight is missing; encoder\.9\.weight is unknown"):
        load_weights(nets, weights)


def test_logits_zero_cost_ln_2_per_pixel() -> None:
    images = torch.stack([torch.zeros(1, 64, 64), torch.full((1, 64, 64), 0.3), torch.ones(1, 64, 64)]).double()
    expected = torch.full((3,), -4096 * math.log(2), dtype=torch.float64)  # −2839.1309, whatever the image
    torch.testing.assert_close(bernoulli(torch.zeros_like(images), images), expected, rtol=1e-12, atol=0)


def test_bernoulli_is_the_log_probability_of_binary_pixels() -> None:
    logits = torch.linspace(-40, 40, 12, dtype=torch.float64).reshape(1, 1, 3, 4)
    images = (torch.arange(12) % 2).reshape(1, 1, 3, 4).double()
    truth = torch.distributions.Bernoulli(logits=logits).log_prob(images).sum()
    torch.testing.assert_close(bernoulli(logits, images)[0], truth, rtol=1e-12, atol=0)
