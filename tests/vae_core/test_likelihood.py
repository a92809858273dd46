"""The likelihoods against torch.distributions, and which of them have a weight."""

from __future__ import annotations

import math

import pytest
import torch

from vae_core.likelihood import LIKELIHOODS, LikelihoodName, bernoulli, likelihood
from vae_core.networks import MLP, Networks, build_networks
from vae_core.types import Wiring

every_likelihood = pytest.mark.parametrize("name", LIKELIHOODS)


def build(name: LikelihoodName, sigma: float = 0.5) -> Networks:
    draw = torch.Generator().manual_seed(0)
    chosen = likelihood(name, sigma)
    return build_networks(
        MLP((8,), latents=2), Wiring(), (1, 3, 4), likelihood=chosen, generator=draw
    )


def test_logits_zero_cost_ln_2_per_pixel() -> None:
    images = torch.stack(
        [torch.zeros(1, 64, 64), torch.full((1, 64, 64), 0.3), torch.ones(1, 64, 64)]
    ).double()
    # −2839.1309 for any image
    expected = torch.full((3,), -4096 * math.log(2), dtype=torch.float64)
    log_p = bernoulli(torch.zeros_like(images), images)
    torch.testing.assert_close(log_p, expected, rtol=1e-12, atol=0)


def test_bernoulli_is_the_log_probability_of_binary_pixels() -> None:
    logits = torch.linspace(-40, 40, 12, dtype=torch.float64).reshape(1, 1, 3, 4)
    images = (torch.arange(12) % 2).reshape(1, 1, 3, 4).double()
    truth = torch.distributions.Bernoulli(logits=logits).log_prob(images).sum()
    torch.testing.assert_close(bernoulli(logits, images)[0], truth, rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", ["gaussian", "gaussian_learned"])
@pytest.mark.parametrize("sigma", [0.1, 1.0, 3.0])
def test_gaussian_is_the_log_density_with_its_constants(name: LikelihoodName, sigma: float) -> None:
    output = torch.linspace(-1, 2, 24, dtype=torch.float64).reshape(2, 1, 3, 4)
    images = torch.linspace(1, 0, 24, dtype=torch.float64).reshape(2, 1, 3, 4)
    truth = torch.distributions.Normal(output, sigma).log_prob(images).flatten(1).sum(1)
    log_sigma = torch.tensor(sigma, dtype=torch.float64).log()
    chosen = likelihood(name, sigma)
    torch.testing.assert_close(
        chosen.log_prob(output, images, log_sigma), truth, rtol=1e-12, atol=0
    )


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_the_best_variance_is_the_mean_squared_error(factor: float) -> None:
    """For n pixels per image, d/d(log sigma) of the mean log density is n·(mse/sigma² − 1).

    It is 0 at sigma² = mse.
    """
    output = torch.full((5, 1, 3, 4), 0.25).double()
    images = torch.linspace(0, 1, 60).double().reshape(5, 1, 3, 4)
    mse = (images - output).square().mean()
    log_sigma = (0.5 * (factor * mse).log()).requires_grad_()
    likelihood("gaussian_learned").log_prob(output, images, log_sigma).mean().backward()
    expected = torch.tensor(12 * (1 / factor - 1), dtype=torch.float64)
    # float64, sums of 12 terms near 1
    torch.testing.assert_close(log_sigma.grad, expected, rtol=1e-12, atol=1e-12)


@every_likelihood
def test_expected_images_are_images(name: LikelihoodName) -> None:
    output = torch.tensor([-7.0, -0.5, 0.0, 0.25, 1.5, 7.0])
    mean = likelihood(name).mean(output)
    truth = torch.sigmoid(output) if name == "bernoulli" else torch.tensor([0, 0, 0, 0.25, 1, 1])
    torch.testing.assert_close(mean, truth)


@every_likelihood
def test_only_a_learned_sigma_is_a_weight(name: LikelihoodName) -> None:
    nets = build(name)
    trained = any(parameter is nets.log_sigma for parameter in nets.players()["vae"])
    assert trained == ("log_sigma" in nets.state_dict()) == (name == "gaussian_learned")
    assert nets.log_sigma.item() == pytest.approx(math.log(0.5))


def test_networks_use_their_sigma() -> None:
    nets = build("gaussian", sigma=0.5)
    output, images = torch.zeros(2, 1, 3, 4), torch.ones(2, 1, 3, 4)
    per_pixel = -0.5 / 0.25 - math.log(0.5) - 0.5 * math.log(2 * math.pi)  # ln N(1; 0, 0.25)
    assert nets.log_likelihood(output, images).tolist() == pytest.approx([12 * per_pixel] * 2)


def test_wrong_likelihoods_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"one of bernoulli, gaussian, gaussian_learned, got 'laplace'"
    ):
        likelihood("laplace")  # pyright: ignore[reportArgumentType]
    for sigma in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match=r"sigma must be > 0 and finite, got"):
            likelihood("gaussian", sigma)
