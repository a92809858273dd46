import itertools
import math

import numpy as np
import pytest
from metric_references import grid_factors, noisy_codes, sharp_codes

from metrics import Codes, chain, elbo_decomposition, information_of_group
from metrics.codes.sampling import draw

CODES = noisy_codes(grid_factors(3, 4, 5), latents=5, seed=0)


def gaussian_codes(correlation, *, n=20_000, seed=0, noise=0.1):
    """Return codes with q(z) = N(0, R) as n grows.

    Means have the covariance R - noise, posteriors the variance noise.
    """
    d = len(correlation)
    rng = np.random.default_rng(seed)
    mean = rng.multivariate_normal(np.zeros(d), correlation - noise * np.eye(d), size=n)
    return Codes(mean, np.full((n, d), math.log(noise)))


def equal(d, rho):
    return np.full((d, d), rho) + (1 - rho) * np.eye(d)


@pytest.mark.parametrize("order", [None, (4, 2, 0, 1, 3)])
def test_terms_telescope_to_the_total_correlation(order):
    result = chain(CODES, samples=60, seed=3, order=order)
    assert result.terms.sum() == pytest.approx(result.tc, abs=1e-10)
    # Float32 codes: another order of summing exponents of up to 80 nats.
    assert result.tc == pytest.approx(elbo_decomposition(CODES, samples=60, seed=3).tc, abs=1e-5)


def test_terms_of_a_gaussian_are_ratios_of_determinants():
    # I(z_<i ; z_i) = -1/2 ln (det R_<=i / det R_<i). With equal correlations of .5,
    # det R_<=i = (i + 1) / 2^i, so the terms are 1/2 ln(4/3) = .143841 and
    # 1/2 ln(3/2 x 1) = .202733, together .346574.
    result = chain(gaussian_codes(equal(3, 0.5)), samples=4_000, seed=0)
    truth = [-0.5 * math.log((3 / 4) / 1), -0.5 * math.log((4 / 8) / (3 / 4))]
    assert truth == pytest.approx([0.143841, 0.202733], abs=1e-6)
    # Four standard errors; the finite mixture adds less than .01 at n = 20,000 and variance .1.
    np.testing.assert_array_less(np.abs(result.terms - truth), 4 * result.errors + 0.01)
    assert result.errors.max() < 0.02  # a larger error could hide a failure


def test_order_decides_the_terms():
    # z_3 is independent of all; z_1 and z_2 correlate by .8: .510826 nats at the second of them.
    correlation = np.array([[1, 0.8, 0], [0.8, 1, 0], [0, 0, 1.0]])
    codes = gaussian_codes(correlation, n=5_000)
    for order, truth in (((0, 1, 2), (0.510826, 0.0)), ((0, 2, 1), (0.0, 0.510826))):
        result = chain(codes, samples=2_000, seed=0, order=order)
        np.testing.assert_array_less(np.abs(result.terms - truth), 4 * result.errors + 0.01)
        assert result.order == order


def test_chain_of_separate_diagonal_points():
    # 16 points in 4 dimensions. Each coordinate determines all others: every term is ln 16.
    result = chain(sharp_codes(np.repeat(np.arange(16)[:, None], 4, axis=1)), samples=16, seed=0)
    np.testing.assert_allclose(result.terms, math.log(16), atol=1e-9)


def test_a_single_latent_has_no_terms():
    result = chain(Codes(CODES.mean[:, :1], CODES.logvar[:, :1]), samples=10, seed=0)
    assert result.terms.shape == (0,)
    assert result.tc == 0.0


@pytest.mark.parametrize("order", [(0, 1), (0, 1, 2, 3, 3), (1, 2, 3, 4, 5)])
def test_an_order_names_every_latent_once(order):
    with pytest.raises(ValueError, match="order must name each of the 5 latents once"):
        chain(CODES, samples=5, seed=0, order=order)


def test_information_of_two_is_that_of_both_minus_what_they_share():
    # I(x; [z1, z2]) = I(x; z1) + I(x; z2) - I(z1; z2), on the same samples to float error.
    double = Codes(CODES.mean.astype(np.float64), CODES.logvar.astype(np.float64))
    for pair in itertools.combinations(range(4), 2):
        group = information_of_group(double, pair, samples=50, seed=2)
        assert group.mi == pytest.approx(group.alone.sum() - group.tc, abs=1e-12)


def test_the_sum_rule_holds_between_independent_computations():
    """The shared part is from the chain of the two latents, each alone from a group of one."""
    codes = gaussian_codes(equal(2, 0.8), n=500)
    both = information_of_group(codes, (0, 1), samples=100, seed=0)
    alone = [information_of_group(codes, (j,), samples=100, seed=0).mi for j in (0, 1)]
    shared = chain(codes, samples=100, seed=0).terms[0]
    assert both.mi == pytest.approx(sum(alone) - shared, abs=1e-12)


def test_all_latents_together_have_the_mi_of_the_decomposition():
    group = information_of_group(CODES, range(5), samples=60, seed=1)
    assert group.mi == pytest.approx(elbo_decomposition(CODES, samples=60, seed=1).mi, abs=1e-12)


def test_information_of_a_gaussian_group():
    # I(x; z_S) = 1/2 ln (det T_S / noise^2). With T_S = [[1, .8], [.8, 1]] and noise .1 it is
    # 1/2 ln(.36 / .01) = 1.791759.
    group = information_of_group(gaussian_codes(equal(3, 0.8)), (2, 0), samples=4_000, seed=0)
    assert abs(group.mi - 1.791759) < 4 * group.error + 0.01
    # Four of 1/sqrt(4,000), and the sampling of the means.
    np.testing.assert_allclose(group.alone, 0.5 * math.log(10), atol=0.06)


def test_a_twin_adds_nothing():
    points = np.repeat(np.arange(8)[:, None], 2, axis=1)
    group = information_of_group(sharp_codes(points), (0, 1), samples=8, seed=0)
    np.testing.assert_allclose([group.mi, *group.alone, group.tc], math.log(8), atol=1e-9)


@pytest.mark.parametrize("latents", [(), (0, 0), (5,), (-1,)])
def test_a_group_has_different_latents_that_exist(latents):
    with pytest.raises(ValueError, match="different numbers from 0 to 4"):
        information_of_group(CODES, latents, samples=5, seed=0)


def test_the_same_seed_gives_the_same_samples():
    first, second = (draw(CODES, samples=7, seed=5).z for _ in range(2))
    np.testing.assert_array_equal(first, second)
