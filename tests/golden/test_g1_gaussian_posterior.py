"""G1: an aggregated posterior that is Gaussian, where every term has a closed form."""

import math

import numpy as np
import pytest
import torch

from metrics import Codes, elbo_decomposition, gaussian

# mu ~ N(0, A), q(z|x) = N(mu, .25 I), T = A + .25 I. With A = [[.75, .6], [.6, .75]]: T = [[1, .6], [.6, 1]], so
# MI = 1/2 ln(.64 / .0625), TC = -1/2 ln .64, DW = 0; with A = [[1, .8], [.8, 1]]: det T = 1.5625 - .64.
CASES = [
    ([[0.75, 0.6], [0.6, 0.75]], (1.163151, 0.223144, 0.0, 1.386294)),
    ([[1.0, 0.8], [0.8, 1.0]], (1.345960, 0.263478, 0.026856, 1.636294)),
]


@pytest.mark.parametrize(("spread", "expected"), CASES)
def test_closed_forms(spread, expected):
    np.testing.assert_allclose(gaussian.decomposition(np.array(spread), np.full(2, 0.25)), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("d", "rho", "expected"), [(2, 0.5, 0.143841), (2, 0.8, 0.510826), (3, 0.5, 0.346574), (10, 0.3, 0.950871)]
)
def test_tc_of_equal_correlations(d, rho, expected):
    # TC = -1/2 [(d - 1) ln(1 - rho) + ln(1 + (d - 1) rho)], whatever the scales.
    scale = np.linspace(0.1, 10, d)
    correlation = np.full((d, d), rho) + (1 - rho) * np.eye(d)
    assert gaussian.gaussian_tc(correlation * np.outer(scale, scale)) == pytest.approx(expected, abs=1e-6)


def test_independent_coordinates_have_no_tc():
    assert gaussian.gaussian_tc(np.diag([1.0, 2.0, 0.0])) == pytest.approx(0.0, abs=1e-12)


def test_dependent_coordinates_have_infinite_tc():
    assert gaussian.gaussian_tc(np.ones((2, 2))) == math.inf


@pytest.mark.parametrize(("spread", "expected"), CASES)
def test_sampled_decomposition_of_a_large_mixture(spread, expected):
    rng = np.random.default_rng(0)
    mean = rng.multivariate_normal(np.zeros(2), np.array(spread), size=20_000)
    codes = Codes(mean.astype(np.float32), np.full((20_000, 2), math.log(0.25), np.float32))
    ours = elbo_decomposition(codes, samples=2000, seed=0)
    # Four standard errors: per-sample deviations 1.104 (MI) and .599 (TC) over sqrt(2000), plus the draw of the means.
    tolerances = (0.10, 0.055, 0.03)
    for value, truth, tolerance in zip(ours[:3], expected[:3], tolerances, strict=True):
        assert abs(value - truth) < tolerance


def test_kl_per_latent():
    # KL(N(1, 1) || N(0, 1)) = 1/2; KL(N(0, e) || N(0, 1)) = (e - 2) / 2.
    kl = gaussian.kl(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]))
    torch.testing.assert_close(kl, torch.tensor([[0.5, (math.e - 2) / 2]]))


def test_log_density_is_torchs():
    z, mean, logvar = torch.randn(3, 5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        gaussian.log_density(z, mean, logvar), torch.distributions.Normal(mean, (0.5 * logvar).exp()).log_prob(z)
    )
