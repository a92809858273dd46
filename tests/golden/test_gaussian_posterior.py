"""A Gaussian aggregate posterior: every term of the KL has a closed form."""

import math

import numpy as np
import pytest
import torch

from metrics import Codes, elbo_decomposition, gaussian
from metrics.codes.sampling import draw
from metrics.mixture.log_density import log_densities

# mu ~ N(0, A), q(z|x) = N(mu, .25 I), T = A + .25 I.
# With A = [[.75, .6], [.6, .75]], T = [[1, .6], [.6, 1]]: MI = 1/2 ln(.64 / .0625),
# TC = -1/2 ln .64, DW = 0. With A = [[1, .8], [.8, 1]], det T = 1.5625 - .64.
CASES = [
    ([[0.75, 0.6], [0.6, 0.75]], (1.163151, 0.223144, 0.0, 1.386294)),
    ([[1.0, 0.8], [0.8, 1.0]], (1.345960, 0.263478, 0.026856, 1.636294)),
]


@pytest.mark.parametrize(("spread", "expected"), CASES)
def test_decomposition_gives_the_closed_forms(spread, expected):
    terms = gaussian.decomposition(np.array(spread), np.full(2, 0.25))
    np.testing.assert_allclose(terms, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("d", "rho", "expected"),
    [(2, 0.5, 0.143841), (2, 0.8, 0.510826), (3, 0.5, 0.346574), (10, 0.3, 0.950871)],
)
def test_tc_of_equal_correlations_has_its_closed_form(d, rho, expected):
    # TC = -1/2 [(d - 1) ln(1 - rho) + ln(1 + (d - 1) rho)], at any scales.
    scale = np.linspace(0.1, 10, d)
    correlation = np.full((d, d), rho) + (1 - rho) * np.eye(d)
    covariance = correlation * np.outer(scale, scale)
    assert gaussian.gaussian_tc(covariance) == pytest.approx(expected, abs=1e-6)


def test_independent_coordinates_have_no_tc():
    assert gaussian.gaussian_tc(np.diag([1.0, 2.0, 0.0])) == pytest.approx(0.0, abs=1e-12)


def test_dependent_coordinates_have_infinite_tc():
    assert gaussian.gaussian_tc(np.ones((2, 2))) == math.inf


def drawn(spread, seed=0):
    """Return codes of 20,000 means mu ~ N(0, A), float32."""
    rng = np.random.default_rng(seed)
    mean = rng.multivariate_normal(np.zeros(2), np.array(spread), size=20_000)
    return Codes(mean.astype(np.float32), np.full((20_000, 2), math.log(0.25), np.float32))


@pytest.mark.parametrize(("spread", "expected"), CASES)
def test_the_three_terms_sum_to_the_kl_exactly(spread, expected):
    # MI + TC + DW = 1/2 (tr A + tr S - d - ln |S|), with S = .25 I in two dimensions.
    terms = gaussian.decomposition(np.array(spread), np.full(2, 0.25))
    assert terms.kl == terms.mi + terms.tc + terms.dimwise_kl
    closed = 0.5 * (np.trace(spread) + 0.5 - 2 + 2 * math.log(4))
    assert terms.kl == pytest.approx(closed, abs=1e-12)
    assert terms.kl == pytest.approx(expected[3], abs=1e-6)


# The drawn means have another covariance than A. In the first case, with
# T^-1 = [[1, -.6], [-.6, 1]] / .64 and the variances of 20,000 drawn means, MI changes by
# 1/2 tr(T^-1 dA): standard deviation sqrt(.426 / 20,000) = .0046. That of TC is no larger. DW of
# the second case changes by 1/2 (1 - 1/1.25) (dA_11 + dA_22), with the standard deviation
# .1 sqrt((4 + 2.56) / 20,000) = .0018. Four of them are allowed.
@pytest.mark.parametrize("case", [0, 1])
@pytest.mark.parametrize("seed", range(3))
def test_the_decomposition_of_a_large_mixture_is_near_the_closed_forms(case, seed):
    spread, expected = CASES[case]
    ours = elbo_decomposition(drawn(spread, seed), samples=2_000, seed=0)
    for value, truth, tolerance in zip(ours[:3], expected[:3], (0.02, 0.02, 0.008), strict=True):
        assert abs(value - truth) < tolerance
    assert ours.kl == ours.mi + ours.tc + ours.dimwise_kl


@pytest.mark.parametrize("case", [0, 1])
def test_controls_explain_almost_all_of_a_gaussian(case):
    # log q(z) of a Gaussian is its own control. Per sample, log q(z) - sum_j log q(z_j) has a
    # standard deviation of .6: without controls the error of 2,000 samples would be .013.
    ours = elbo_decomposition(drawn(CASES[case][0]), samples=2_000, seed=0)
    assert max(ours.mi_error, ours.tc_error) < 0.001


@pytest.mark.parametrize("spread", [case[0] for case in CASES])
def test_mixture_and_gaussian_densities_agree_on_the_same_samples(spread):
    """Compare log q(z) of the mixture with ln N(z; 0, T), also per latent, to 1e-3.

    The comparison is sharper than that of the terms, because the noise of the samples cancels.
    """
    codes, total = drawn(spread), np.array(spread) + 0.25 * np.eye(2)
    samples = draw(codes, samples=20_000, seed=0)
    densities, z = log_densities(samples, codes), samples.z
    quadratic = np.einsum("si,ij,sj->s", z, np.linalg.inv(total), z)
    joint = -0.5 * (quadratic + np.linalg.slogdet(2 * np.pi * total)[1])
    marginal = -0.5 * (z**2 / np.diag(total) + np.log(2 * np.pi * np.diag(total)))
    assert abs((densities.joint[0] - joint).mean()) < 1e-3
    np.testing.assert_allclose((densities.marginal.T - marginal).mean(axis=0), 0.0, atol=1e-3)


def test_a_finite_mixture_has_more_tc_than_the_distribution_of_its_means():
    # Independent coordinates, sigma^2 = .05, d = 10: the mixture of 20,000 is 5.2 nats from the
    # product of its marginals (measured; over seeds 5.13 to 5.16). With infinitely many images q(z)
    # would be N(0, I).
    mean = math.sqrt(0.95) * np.random.default_rng(0).standard_normal((20_000, 10))
    codes = Codes(mean, np.full_like(mean, math.log(0.05)))
    assert elbo_decomposition(codes, samples=300, seed=0).tc == pytest.approx(5.2, abs=0.3)
    assert gaussian.gaussian_tc(np.cov(mean.T) + 0.05 * np.eye(10)) < 0.01


def test_kl_per_latent_has_its_closed_form():
    # KL(N(1, 1) || N(0, 1)) = 1/2; KL(N(0, e) || N(0, 1)) = (e - 2) / 2.
    kl = gaussian.kl(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]))
    torch.testing.assert_close(kl, torch.tensor([[0.5, (math.e - 2) / 2]]))


def test_log_density_agrees_with_torch():
    generator = torch.Generator().manual_seed(0)
    z, mean, logvar = torch.randn(3, 5, 2, dtype=torch.float64, generator=generator)
    expected = torch.distributions.Normal(mean, (0.5 * logvar).exp()).log_prob(z)
    torch.testing.assert_close(gaussian.log_density(z, mean, logvar), expected)
