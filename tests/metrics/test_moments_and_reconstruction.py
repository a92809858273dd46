import math

import numpy as np
import pytest

from metrics import Codes, score


def test_gaussian_tc_adds_the_posterior_variance():
    # Means with correlation 1 and variance .75, posteriors .25: correlation .75, TC = -1/2 ln(1 - .75^2) = .413339.
    line = math.sqrt(0.75) * np.array([[1.0, 1.0], [-1.0, -1.0]])
    result = score("gaussian_tc", Codes(line, np.full((2, 2), math.log(0.25))))
    assert result.value == pytest.approx(-0.5 * math.log(1 - 0.75**2))
    assert result.details["means"] == math.inf


def test_active_units_counts_means_that_vary():
    mean = np.array([[0.2, 0.05, 0.0], [-0.2, -0.05, 0.0]])  # variances .04, .0025, 0
    result = score("active_units", Codes(mean))
    assert result.value == 1.0
    np.testing.assert_allclose(result.details["variances"], [0.04, 0.0025, 0.0])
    assert score("active_units", Codes(mean), threshold=1e-3).value == 2.0


def test_active_units_give_the_kl_of_every_latent():
    result = score("active_units", Codes(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])))
    np.testing.assert_allclose(result.details["kl_per_latent"], [0.5, (math.e - 2) / 2])


def reconstruction(images, probabilities):
    return score("reconstruction", Codes(np.zeros((len(images), 1))), images=images, reconstructions=probabilities)


def test_reconstruction_of_even_odds_costs_a_bit_per_pixel():
    images = np.random.default_rng(0).integers(0, 2, (5, 1, 64, 64)).astype(np.float32)
    # 4,096 ln 2 = 2839.1309
    assert reconstruction(images, np.full_like(images, 0.5)).value == pytest.approx(2839.1309, abs=1e-3)


def test_reconstruction_of_grey_levels_is_the_cross_entropy():
    result = reconstruction(np.full((2, 1, 1, 1), 0.25), np.full((2, 1, 1, 1), 0.75))
    assert result.value == pytest.approx(-0.25 * math.log(0.75) - 0.75 * math.log(0.25))


def test_certain_and_wrong_is_expensive_but_finite():
    value = reconstruction(np.ones((1, 1, 1, 1)), np.zeros((1, 1, 1, 1))).value
    assert value == pytest.approx(-math.log(1e-7))


@pytest.mark.parametrize("wrong", [np.full((2, 3), 1.5), np.full((2, 3), np.nan), np.full((2, 3), -0.1)])
def test_probabilities_must_be_probabilities(wrong):
    with pytest.raises(ValueError, match=r"reconstructions must lie in \[0, 1\]"):
        reconstruction(np.ones((2, 3)), wrong)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="shape of images"):
        reconstruction(np.ones((2, 3)), np.ones((2, 4)))
