import math

import numpy as np
import pytest

from metrics import Codes, score


def test_gaussian_tc_adds_the_posterior_variance():
    # The means have correlation 1 and variance .75, the posteriors have variance .25. So the
    # correlation is .75, and TC = -1/2 ln(1 - .75^2) = .413339.
    line = math.sqrt(0.75) * np.array([[1.0, 1.0], [-1.0, -1.0]])
    result = score("gaussian_tc", Codes(line, np.full((2, 2), math.log(0.25))))
    assert result.value == pytest.approx(-0.5 * math.log(1 - 0.75**2))
    assert result.details["means"] == math.inf


def test_gaussian_tc_of_dependent_samples_is_infinite_with_a_reason():
    copies = np.random.default_rng(0).standard_normal((50, 1)) * [1.0, 3.0, -0.2]
    result = score("gaussian_tc", Codes(copies, np.full((50, 3), -300.0)))  # widths of 1e-65
    assert (result.value, result.details["means"]) == (math.inf, math.inf)
    assert "linearly dependent" in result.details["reason"]


def test_gaussian_tc_is_finite_if_only_the_means_are_dependent():
    copies = np.random.default_rng(0).standard_normal((50, 1)) * [1.0, 3.0]
    result = score("gaussian_tc", Codes(copies, np.zeros((50, 2))))
    assert math.isfinite(result.value)
    assert result.details["means"] == math.inf
    assert "reason" not in result.details


def test_gaussian_tc_overestimates_what_two_values_can_share():
    # x = +-1 and y = x + .05 eps share at most ln 2 = .693 nats. The Gaussian with their covariance
    # has -1/2 ln(1 - 1 / (1 + .0025)) = 2.997.
    x = np.repeat([[1.0], [-1.0]], 500, axis=0)
    codes = Codes(np.concatenate([x, x], axis=1), np.tile([-300.0, 2 * math.log(0.05)], (1_000, 1)))
    expected = -0.5 * math.log(1 - 1 / 1.0025)
    assert score("gaussian_tc", codes).value == pytest.approx(expected, abs=1e-9)


def test_gaussian_tc_leaves_discrete_latents_out_by_name():
    mean = np.random.default_rng(0).standard_normal((40, 2))
    codes = Codes(mean, np.zeros_like(mean), np.arange(40)[:, None] % 3)
    result = score("gaussian_tc", codes)
    assert result.value == score("gaussian_tc", Codes(mean, codes.logvar)).value
    assert result.details["excluded"] == {"latent 2": "discrete: it has no covariance"}
    none = np.zeros((40, 0))
    assert score("gaussian_tc", Codes(none, none, codes.discrete)).value == 0.0


def test_active_units_count_discrete_latents_only_in_the_mixed_variant():
    # One latent uses four categories equally often, the other uses one.
    discrete = np.stack([np.arange(8) % 4, np.zeros(8, np.int64)], axis=1)
    codes = Codes(np.array([[1.0, 0.0]] * 4 + [[-1.0, 0.0]] * 4), discrete=discrete)
    continuous, mixed = score("active_units", codes), score("active_units.mixed", codes)
    assert (continuous.value, mixed.value) == (1.0, 2.0)
    assert continuous.details["active"].tolist() == [True, False, True, False]
    np.testing.assert_allclose(continuous.details["categories"], [4.0, 1.0])  # exp H
    assert continuous.details["discrete_active"] == 1.0
    assert set(continuous.details["excluded"]) == {"latent 1", "latent 2", "latent 3"}
    assert set(mixed.details["excluded"]) == {"latent 1"}


def test_active_units_by_variance_count_means_that_vary_enough():
    mean = np.array([[0.2, 0.05, 0.0], [-0.2, -0.05, 0.0]])  # variances .04, .0025, 0
    result = score("active_units.variance", Codes(mean))
    assert result.value == 1.0
    np.testing.assert_allclose(result.details["variances"], [0.04, 0.0025, 0.0])
    assert score("active_units", Codes(mean), min_variance=1e-3).value == 2.0
    assert score("active_units", Codes(mean)).value == 2.0  # without posteriors: both that vary


def test_active_units_count_latents_by_information_at_any_scale():
    # Bounds 1/2 ln(1 + Var mu / sigma²) for Var mu / sigma² = 1, .03, .01: .347, .0148, .0050 nats.
    signal = np.sqrt([1.0, 0.03, 0.01])
    for scale in (1e-6, 1.0, 1e6):
        mean = scale * np.array([signal, -signal])
        codes = Codes(mean, np.full((2, 3), 2 * np.log(scale)))
        result = score("active_units", codes)
        assert result.value == 2.0
        np.testing.assert_allclose(
            result.details["information_bounds"], 0.5 * np.log1p(signal**2), rtol=1e-9
        )
        assert list(result.excluded) == ["latent 2"]


def test_active_units_report_the_kl_of_every_latent():
    result = score("active_units", Codes(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])))
    np.testing.assert_allclose(result.details["kl_per_latent"], [0.5, (math.e - 2) / 2])


def reconstruction(images, probabilities):
    return score(
        "reconstruction",
        Codes(np.zeros((len(images), 1))),
        images=images,
        reconstructions=probabilities,
    )


def test_reconstruction_with_probability_one_half_costs_ln_2_per_pixel():
    images = np.random.default_rng(0).integers(0, 2, (5, 1, 64, 64)).astype(np.float32)
    value = reconstruction(images, np.full_like(images, 0.5)).value
    assert value == pytest.approx(2839.1309, abs=1e-3)  # 4,096 ln 2


def test_reconstruction_of_grey_levels_is_the_cross_entropy():
    result = reconstruction(np.full((2, 1, 1, 1), 0.25), np.full((2, 1, 1, 1), 0.75))
    assert result.value == pytest.approx(-0.25 * math.log(0.75) - 0.75 * math.log(0.25))


def test_wrong_pixels_of_probability_one_have_a_finite_cost():
    value = reconstruction(np.ones((1, 1, 1, 1)), np.zeros((1, 1, 1, 1))).value
    assert value == pytest.approx(-math.log(1e-7))


@pytest.mark.parametrize("value", [1.5, np.nan, -0.1])
def test_probabilities_outside_their_range_are_refused(value):
    with pytest.raises(ValueError, match=r"reconstructions must lie in \[0, 1\]"):
        reconstruction(np.ones((2, 3)), np.full((2, 3), value))


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="shape of images"):
        reconstruction(np.ones((2, 3)), np.ones((2, 4)))
