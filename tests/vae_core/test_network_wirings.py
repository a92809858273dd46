"""What encoder, decoder and discriminator read, by wiring."""

from __future__ import annotations

import itertools

import pytest
import torch
from built_networks import ADVERSARY, SMALL, batch, every_network, linear, wired
from torch import nn

from vae_core.networks import MLP, NETWORKS, Burgess, Trento, Widths
from vae_core.types import Wiring


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_labels_at_encoder_and_decoder() -> None:
    nets = wired(Burgess(), Wiring(reads_label="both"), (3, 28, 28), widths=Widths(label=5))
    original = batch(torch.rand(2, 3, 28, 28), labels=5)
    assert next(nets.encoder.parameters()).shape[1] == 3 + 5
    other = original._replace(labels=1 - original.labels)
    z = nets.encode(original).mean
    assert not torch.equal(z, nets.encode(other).mean)
    assert not torch.equal(nets.decode(z, original), nets.decode(z, other))


def test_labels_at_the_decoder_only() -> None:
    nets = wired(SMALL, Wiring(reads_label="decoder"), (1, 6, 6), widths=Widths(label=5))
    original = batch(torch.rand(2, 1, 6, 6), labels=5)
    other = original._replace(labels=1 - original.labels)
    z = nets.encode(original).mean
    assert torch.equal(z, nets.encode(other).mean)
    assert not torch.equal(nets.decode(z, original), nets.decode(z, other))


@every_network
def test_discrete_codes(name: str) -> None:
    """Logits are the columns after means and log variances; the decoder reads the code after z."""
    network = NETWORKS[name]()
    nets = wired(network, Wiring(infers_code=(3, 2), reads_code=(3, 2))).eval()
    images = batch(torch.rand(2, 1, 28, 28), code=5)
    posterior = nets.encode(images)
    assert posterior.mean.shape == posterior.logvar.shape == (2, network.latents)
    assert posterior.logits.shape == (2, 5)
    assert torch.equal(torch.cat(posterior, 1), nets.encoder(images.images))
    columns = torch.cat([posterior.mean, images.code], 1)
    assert torch.equal(nets.decode(posterior.mean, images), nets.decoder(columns))


def test_encoder_of_factors() -> None:
    wiring = Wiring(reads_factors="scaled", factor_hidden=(16,))
    nets = wired(Burgess(), wiring, widths=Widths(factors=4))
    original = batch(torch.rand(2, 1, 28, 28), factors=4)
    assert sum(p.numel() for p in nets.encoder.parameters()) == linear(4, 16) + linear(16, 20)
    z = nets.encode(original).mean
    assert torch.equal(z, nets.encode(original._replace(images=1 - original.images)).mean)
    assert nets.decode(z, original).shape == (2, 1, 28, 28)


def test_the_discriminator_is_the_paper_s() -> None:
    """Six layers of 1,000, leaky ReLU of slope 0.2, two logits (Kim and Mnih 2018, appendix)."""
    nets = wired(MLP((8,)), ADVERSARY, (1, 6, 6))
    layers = list(nets.discriminator.children())
    assert [type(layer) for layer in layers] == [nn.Linear, nn.LeakyReLU] * 6 + [nn.Linear]
    assert {layer.negative_slope for layer in layers if isinstance(layer, nn.LeakyReLU)} == {0.2}
    assert nets.discriminate(torch.randn(3, 10)).shape == (3, 2)
    players = nets.players()
    expected = linear(10, 1000) + 5 * linear(1000, 1000) + linear(1000, 2)
    assert sum(p.numel() for p in players["adversary"]) == expected
    of_players = [id(p) for p in itertools.chain(*players.values())]
    assert sorted(of_players) == sorted(id(p) for p in nets.parameters())


@every_network
def test_a_discriminator_changes_no_other_weight(name: str) -> None:
    wirings = (Wiring(adversary=(5,)), Wiring(judges_images=True), Wiring())
    of_codes, of_images, without = (wired(NETWORKS[name](), wiring, seed=4) for wiring in wirings)
    weights = without.state_dict()
    for with_one in (of_codes, of_images):
        others = with_one.state_dict()
        assert all(torch.equal(others[key], weights[key]) for key in weights)
        added = others.keys() - weights.keys()
        assert {key.split(".")[0] for key in added} == {"discriminator"}
    assert list(without.players()) == ["vae"]


@every_network
def test_a_discriminator_of_images_is_a_network_like_the_encoder(name: str) -> None:
    """It has two columns instead of means and log variances."""
    network = NETWORKS[name]()
    nets = wired(network, Wiring(judges_images=True))
    encoder = sum(p.numel() for p in nets.encoder.parameters())
    discriminator = sum(p.numel() for p in nets.discriminator.parameters())
    linears = [layer for layer in nets.encoder.modules() if isinstance(layer, nn.Linear)]
    features = linears[-1].in_features
    assert discriminator == encoder - linear(features, 2 * network.latents) + linear(features, 2)


@every_network
def test_the_slope_of_an_image_does_not_depend_on_its_batch(name: str) -> None:
    """Also under BatchNorm; and the slope changes nothing in the networks."""
    nets = wired(NETWORKS[name](), Wiring(judges_images=True))
    images = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    before = {key: value.clone() for key, value in nets.state_dict().items()}
    slopes = nets.squared_slope(images)
    assert slopes.shape == (4,)
    first = nets.squared_slope(images[:1])
    torch.testing.assert_close(first, slopes[:1], rtol=1e-4, atol=0)  # float32
    assert all(torch.equal(value, before[key]) for key, value in nets.state_dict().items())
    assert nets.discriminator.training


def test_the_slope_is_that_of_the_log_odds() -> None:
    """log D − log(1 − D) is l_0 − l_1; if D is linear its slope is the difference of two rows."""
    nets = wired(MLP((8,)), Wiring(judges_images=True), (1, 2, 3))
    nets.discriminator = nn.Sequential(nn.Flatten(), nn.Linear(6, 2))
    (weight, _) = nets.discriminator.parameters()
    expected = (weight[0] - weight[1]).square().sum()
    torch.testing.assert_close(nets.squared_slope(torch.rand(3, 1, 2, 3)), expected.repeat(3))


def test_incompressible_noise_is_read_after_all_other_inputs() -> None:
    nets = wired(MLP((8,), latents=2), Wiring(reads_code=(3,), reads_noise=4), (1, 6, 6))
    images = batch(torch.rand(5, 1, 6, 6), code=3)._replace(noise=torch.randn(5, 4))
    z = torch.randn(5, 2)
    columns = torch.cat([z, images.code, images.noise], 1)
    assert torch.equal(nets.decode(z, images), nets.decoder(columns))


def test_squared_weights_leave_out_biases_normalisation_and_discriminator() -> None:
    nets = wired(Trento(), Wiring(adversary=(7,)))
    kinds = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
    truth = torch.zeros((), dtype=torch.float64)
    for layer in itertools.chain(nets.encoder.modules(), nets.decoder.modules()):
        if isinstance(layer, kinds):
            truth = truth + layer.weight.double().square().sum()
    # float32, 200,000 terms
    torch.testing.assert_close(nets.squared_weights().double(), truth, rtol=1e-5, atol=0)
