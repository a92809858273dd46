"""KL divergences in closed form, and the limits of the Gumbel-softmax."""

from __future__ import annotations

import math

import pytest
import torch

from metrics import gaussian
from vae_core import discrete


def double(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_gaussian_kl_has_its_closed_form() -> None:
    # KL(N(1, 1) || N(0, 1)) = 1/2; KL(N(0, e) || N(0, 1)) = (e − 1 − 1)/2 = .359141
    torch.testing.assert_close(gaussian.kl(double(1.0), double(0.0)), double(0.5))
    torch.testing.assert_close(gaussian.kl(double(0.0), double(1.0)), double((math.e - 2) / 2))


def test_categorical_kl_has_its_closed_form() -> None:
    # Against the uniform prior: 0 for uniform probabilities, ln 3 = 1.098612 for a certain
    # category.
    logits = torch.stack([double(2.0, 2.0, 2.0), double(800.0, 0.0, 0.0)])
    torch.testing.assert_close(discrete.kl(logits, [3]), double(0.0, math.log(3)))
    # (1/2, 1/4, 1/4): ln 3 + (−ln 2)/2 + (−ln 4)/2 = ln 3 − 3/2 ln 2
    quarter = double(0.5, 0.25, 0.25).log()[None]
    torch.testing.assert_close(discrete.kl(quarter, [3]), double(math.log(3) - 1.5 * math.log(2)))


def test_categorical_kls_add_over_latents() -> None:
    logits = torch.randn(5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    apart = discrete.kl(logits[:, :3], [3]) + discrete.kl(logits[:, 3:], [4])
    torch.testing.assert_close(discrete.kl(logits, [3, 4]), apart)
    assert (apart <= math.log(12)).all()


def draws(logits: torch.Tensor, temperature: float, n: int = 200_000) -> torch.Tensor:
    gumbel = discrete.standard_gumbel((n, len(logits)), torch.Generator().manual_seed(1)).double()
    return discrete.relaxed(logits.expand(n, -1), gumbel, [len(logits)], temperature)


@pytest.mark.parametrize("temperature", [1e-4])
def test_gumbel_softmax_is_one_hot_at_temperature_zero_with_the_given_probabilities(
    temperature: float,
) -> None:
    probabilities = double(0.6, 0.3, 0.1)
    samples = draws(probabilities.log(), temperature)
    one_hot = (samples - samples.round()).abs().amax(1) < 1e-3
    assert one_hot.double().mean() > 0.999  # ties have a probability of about 1e-4
    # The standard error of a share p of n is sqrt(p(1 − p)/n) < .0011; the tolerance is four.
    torch.testing.assert_close(samples.mean(0), probabilities, atol=0.0045, rtol=0)


def test_gumbel_softmax_flattens_with_temperature() -> None:
    logits = double(0.6, 0.3, 0.1).log()
    sharp, flat = (draws(logits, temperature, 1000).amax(1).mean() for temperature in (0.1, 10.0))
    assert sharp > 0.9
    assert flat < 0.45


def test_gumbel_draws_have_the_mean_and_variance_of_the_gumbel_distribution() -> None:
    g = discrete.standard_gumbel((200_000, 1), torch.Generator().manual_seed(2)).double()
    # Mean γ = .577216, variance π²/6; the standard error of the mean is sqrt(1.645/2e5) = .0029.
    assert abs(g.mean().item() - 0.577216) < 0.012
    assert g.var().item() == pytest.approx(math.pi**2 / 6, rel=0.03)


def test_codes_and_levels_are_inverse() -> None:
    logits = torch.tensor([[0.0, 2.0, 1.0, 5.0, 4.0], [3.0, 2.0, 1.0, 0.0, 4.0]])
    code = discrete.most_likely(logits, [3, 2])
    assert code.tolist() == [[0, 1, 0, 1, 0], [1, 0, 0, 0, 1]]
    assert discrete.levels(code, [3, 2]).tolist() == [[1, 0], [0, 1]]
