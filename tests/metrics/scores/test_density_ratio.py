import math

import numpy as np
import pytest
import torch
from known_codes import CODES as KNOWN_CODES
from metric_references import grid_factors, noisy_codes, sharp_codes

from metrics import Codes, elbo_decomposition, score
from metrics.scores.density_ratio import _quadratic, _shuffled

NOISE = 0.1


def gaussian_codes(d, rho, *, n, seed=0):
    """Return codes with samples that are exactly N(0, R), R with all correlations rho.

    The means have the covariance R - noise I.
    """
    rng = np.random.default_rng(seed)
    covariance = np.full((d, d), rho) + (1 - rho - NOISE) * np.eye(d)
    return Codes(
        rng.multivariate_normal(np.zeros(d), covariance, size=n), np.full((n, d), math.log(NOISE))
    )


def signs(n, seed=0):
    """Return codes in which z_3 is the product of z_1 and z_2, which are signs with noise.

    Any two latents are independent; all three are not.
    """
    sign = np.random.default_rng(seed).choice([-1.0, 1.0], (n, 2))
    mean = np.concatenate([sign, sign[:, :1] * sign[:, 1:]], axis=1)
    return Codes(mean, np.full_like(mean, 2 * math.log(0.2)))


def estimate(codes, **options):
    return score("density_ratio_tc", codes, **options)


# TC = -1/2 ln det R = -1/2 [(d - 1) ln(1 - rho) + ln(1 + (d - 1) rho)].
@pytest.mark.parametrize(
    ("d", "rho", "truth"), [(2, 0.5, 0.143841), (2, 0.8, 0.510826), (10, 0.3, 0.950871), (10, 0, 0)]
)
@pytest.mark.parametrize(("n", "tightest"), [(2_000, 0.16), (10_000, 0.064)])
def test_correlated_gaussians_have_their_total_correlation(d, rho, truth, n, tightest):
    result = estimate(gaussian_codes(d, rho, n=n))
    assert abs(result.value - truth) < 4 * result.error
    # Four of the largest standard deviations over seeds, .039 and .016.
    assert abs(result.value - truth) < tightest


def test_mean_of_the_best_logit_is_the_total_correlation_and_the_fitted_one_agrees():
    """For N(0, R) the best logit ln q(z) / prod q(z_j) has the mean TC = .510826.

    The fitted logit is compared with it on the same rows.
    """
    rho, rng = 0.8, np.random.default_rng(0)
    x, y = rng.standard_normal((2, 20_000))
    z = np.stack([x, rho * x + math.sqrt(1 - rho**2) * y], axis=1)
    best = (rho * z[:, 0] * z[:, 1] - rho**2 * (z**2).sum(axis=1) / 2) / (
        1 - rho**2
    ) - 0.5 * math.log(1 - rho**2)
    assert abs(best.mean() - 0.510826) < 4 * best.std() / math.sqrt(20_000)
    logit = _quadratic(z[:10_000], _shuffled(z[:10_000], np.arange(2), rng))
    fitted = logit(torch.as_tensor(z[10_000:])).numpy()
    # Six weights from 10,000 rows: the error of each logit is a few hundredths, and that of the
    # mean difference .01.
    assert abs((fitted - best[10_000:]).mean()) < 0.02
    assert np.sqrt(np.mean((fitted - best[10_000:]) ** 2)) < 0.1


def test_network_detects_dependence_that_no_pair_of_latents_has():
    # I(z_3; z_1, z_2) = ln 2; noise of .2 hides less than 1e-5 of it.
    result = estimate(signs(4_000))
    assert abs(result.details["quadratic"]) < 0.02
    # Seeds differ by .01.
    assert result.value == pytest.approx(math.log(2), abs=0.06)
    assert abs(result.value - math.log(2)) < 4 * result.error
    # A lower bound, up to the noise of its mean.
    assert result.details["donsker_varadhan"] < math.log(2) + 0.02


def test_without_training_the_network_adds_nothing():
    result = estimate(signs(1_000), steps=0)
    assert result.value == pytest.approx(result.details["quadratic"], abs=1e-12)
    assert result.details["steps"].tolist() == [0, 0]


def test_independent_latents_cannot_be_separated_from_shuffled_ones():
    result = estimate(KNOWN_CODES["noise"])
    assert result.details["accuracy"] == pytest.approx(0.5, abs=0.03)  # three of sqrt(.25 / 2,304)
    # The validation rows show no gain of a network.
    assert result.details["steps"].tolist() == [0, 0]


def test_total_correlation_of_a_finite_mixture_is_not_detected():
    # 4,000 separate points drawn from N(0, I): the TC of the mixture comes only from the finite
    # number of points, and is up to (d - 1) ln N = 25 nats. One draw from each looks like
    # independent latents.
    codes = sharp_codes(np.random.default_rng(0).standard_normal((4_000, 4)))
    assert elbo_decomposition(codes, samples=200, seed=0).tc > 10
    assert abs(estimate(codes).value) < 0.05


def test_discrete_latents_take_part():
    # The latent is the category as a sign, with noise: I = ln 2.
    category = np.random.default_rng(0).integers(0, 2, (3_000, 1))
    mean = np.concatenate([2.0 * category - 1, np.zeros((3_000, 1))], axis=1)
    codes = Codes(mean, np.tile([2 * math.log(0.2), 0.0], (3_000, 1)), category)
    result = estimate(codes)
    assert result.value == pytest.approx(math.log(2), abs=0.1)
    assert abs(estimate(Codes(codes.mean, codes.logvar)).value) < 0.03


def test_indicators_of_one_latent_are_permuted_together():
    """Otherwise a shuffled row could have no category or two, and a classifier would see it."""
    rng = np.random.default_rng(0)
    codes = Codes(
        rng.standard_normal((1_000, 1)), np.zeros((1_000, 1)), rng.integers(0, 4, (1_000, 1))
    )
    assert abs(estimate(codes).value) < 0.05


def test_constant_latents_are_left_out_and_named():
    codes = signs(500)
    sharp = np.concatenate([codes.logvar, np.full((500, 1), -300.0)], axis=1)
    result = estimate(
        Codes(np.concatenate([codes.mean, np.ones((500, 1))], axis=1), sharp), steps=0
    )
    assert result.details["excluded"] == {"latent 3": "constant"}


def test_one_latent_has_no_total_correlation():
    result = estimate(Codes(np.arange(30.0)[:, None], np.zeros((30, 1))))
    assert result.value == 0.0
    assert "fewer than two latents" in result.details["reason"]


def test_few_rows_are_refused():
    with pytest.raises(ValueError, match="at least 20 rows, got 19"):
        estimate(Codes(np.zeros((19, 2)), np.zeros((19, 2))))


def test_rows_limit_the_number_of_images():
    assert estimate(signs(500), rows=100, steps=0).details["rows"] == 100
    assert estimate(signs(500), steps=0).details["rows"] == 500


def test_value_depends_on_the_seed_and_not_on_the_number_of_threads():
    codes = noisy_codes(grid_factors(3, 4, 8, 6), latents=5, seed=0)
    first = estimate(codes, steps=100, seed=1)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        again = estimate(codes, steps=100, seed=1)
    finally:
        torch.set_num_threads(before)
    assert first.value == again.value
    assert first.value != estimate(codes, steps=100, seed=2).value
    assert torch.get_num_threads() == before
