import numpy as np
import pytest
from metric_references import grid_factors, mixture_information, sharp_codes

from metrics import Codes, Factors
from metrics.information.matrix import (
    quadrature_information,
)
from metrics.information.plug_in import discrete_information, histogram_information


def one_latent(mean, std):
    return Codes(np.asarray(mean)[:, None], 2 * np.log(np.asarray(std))[:, None])


def one_factor(level, size=None):
    level = np.asarray(level)
    return Factors(level[:, None], ("factor",), (size or int(level.max()) + 1,))


@pytest.mark.parametrize("std", [2.0, 0.3, 0.03, 0.003])
@pytest.mark.parametrize("spread", [0.0, 0.5, 2.0])
def test_quadrature_agrees_with_a_dense_grid(std, spread):
    rng = np.random.default_rng(int(1000 * std) + int(10 * spread))
    level = np.arange(60) % 4
    mean = rng.standard_normal(60) + 0.5 * level
    # With spread 2, a factor of 55 lies between the widths.
    widths = std * np.exp(spread * rng.uniform(-1, 1, 60))
    ours = quadrature_information(one_latent(mean, widths), one_factor(level))
    exact = mixture_information(mean, widths, level)
    # 3e-4: interpolation between widths
    assert abs(ours.matrix[0, 0] - exact) < min(3e-4, ours.error[0, 0])


def test_equal_widths_leave_no_interpolation_error():
    rng = np.random.default_rng(0)
    mean, level = rng.standard_normal(80), np.arange(80) % 5
    ours = quadrature_information(one_latent(mean, np.full(80, 0.1)), one_factor(level))
    # Binning at half a width with cubic splines changes the roughest part of the densities by a
    # relative 1e-4, of changing sign.
    exact = mixture_information(mean, np.full(80, 0.1), level)
    assert abs(ours.matrix[0, 0] - exact) < min(2e-5, ours.error[0, 0])


def test_a_broad_posterior_beside_very_narrow_ones():
    mean = np.concatenate([np.linspace(-1, 1, 40), [3.0]])
    # The broad one stretches the grid to 10^9 narrow widths.
    std = np.concatenate([np.full(40, 1e-7), [5.0]])
    level = np.arange(41) % 2
    ours = quadrature_information(one_latent(mean, std), one_factor(level))
    # No two of the 41 overlap, but for the broad one, which is 1e-6 of a narrow one there: I is
    # H(v) of 21 and 20 rows.
    h = -(21 / 41 * np.log(21 / 41) + 20 / 41 * np.log(20 / 41))
    assert abs(ours.matrix[0, 0] - h) < 2e-5
    assert ours.error[0, 0] < 1e-3


def test_one_value_per_level_is_the_factors_entropy():
    factors = grid_factors(3, 6)
    ours = quadrature_information(sharp_codes(factors.values, std=0.01), factors)
    np.testing.assert_allclose(ours.matrix, np.diag(np.log([3, 6])), atol=1e-6)
    np.testing.assert_allclose(ours.entropies, np.log([3, 6]))


def test_float32_codes_are_enough():
    rng = np.random.default_rng(1)
    mean, level = rng.standard_normal(50), np.arange(50) % 5
    double = one_latent(mean, np.full(50, 0.1))
    single = Codes(double.mean.astype(np.float32), double.logvar.astype(np.float32))
    of_double = quadrature_information(double, one_factor(level)).matrix
    of_single = quadrature_information(single, one_factor(level)).matrix
    # float32 means: 1e-7 / 0.1 of a width
    np.testing.assert_allclose(of_double, of_single, atol=1e-5)


def test_levels_that_are_missing_do_not_count():
    level = np.array([0, 5, 5, 0, 0, 5])  # two of six levels are present
    ours = quadrature_information(
        one_latent(level.astype(float), np.full(6, 0.1)), one_factor(level, size=6)
    )
    np.testing.assert_allclose(ours.matrix, np.log(2), atol=1e-6)


def test_histogram_is_the_plug_in_value():
    # Two bins, two levels, counts [[2, 1], [1, 2]] / 6: I = 2/3 ln(4/3) + 1/3 ln(2/3).
    values, level = np.array([0.0, 0.1, 0.2, 0.8, 0.9, 1.0]), np.array([0, 0, 1, 0, 1, 1])
    ours = histogram_information(values[:, None], one_factor(level), bins=2)
    np.testing.assert_allclose(ours.matrix[0, 0], 2 / 3 * np.log(4 / 3) + 1 / 3 * np.log(2 / 3))


def test_histogram_of_a_constant_latent_is_zero():
    assert histogram_information(np.ones((6, 1)), one_factor([0, 1, 2, 0, 1, 2])).matrix[0, 0] == 0


def test_histogram_bias_of_noise_is_its_shuffled_information():
    # Noise against 10 levels: the truth is 0, the plug-in mean
    # (20 - 1)(10 - 1) / (2 * 4000) = .0214 (Miller 1955).
    rng = np.random.default_rng(0)
    ours = histogram_information(rng.uniform(size=(4000, 8)), one_factor(rng.integers(0, 10, 4000)))
    assert ours.shuffled is not None
    # 8 latents x 171 cells: a deviation of sqrt(2 / 1368) = 4 %
    np.testing.assert_allclose(ours.matrix.mean(), 0.0214, rtol=0.15)
    np.testing.assert_allclose(ours.shuffled.mean(), 0.0214, rtol=0.15)


def test_discrete_code_that_is_the_factor_has_its_entropy():
    factors = grid_factors(3, 2)
    ours = discrete_information(factors.values[:, :1], factors)
    np.testing.assert_allclose(ours.matrix, [[np.log(3), 0]], atol=1e-12)


@pytest.mark.parametrize("bins", [0, -3])
def test_bins_must_be_positive(bins):
    with pytest.raises(ValueError, match="bins must be >= 1"):
        histogram_information(np.zeros((2, 1)), one_factor([0, 1]), bins=bins)
