import math

import numpy as np
import pytest
from metric_references import grid_factors, noisy_codes
from sklearn.metrics import mutual_info_score

from metrics import Codes, Factors, score
from metrics.reference.built_in_codes import factor_codes
from metrics.scores.modularity import per_latent

FACTORS = grid_factors(3, 4, 8, 6)
CODES = noisy_codes(FACTORS, latents=5, seed=0)


def modularity(codes, factors=FACTORS, variant="", **options):
    return score(f"modularity{variant}", codes, factors, reference=False, **options)


def with_dead(codes, dead):
    zero = np.zeros((len(codes), dead))
    return Codes(
        np.concatenate([codes.mean, zero], axis=1), np.concatenate([codes.logvar, zero], axis=1)
    )


def test_five_perfect_and_five_dead_latents():
    factors = grid_factors(3, 4, 5, 3, 4)
    codes = with_dead(factor_codes(factors), 5)
    result = modularity(codes, factors)
    assert result.value == pytest.approx(1.0, abs=1e-12)
    assert result.details["counted"] == 5
    assert list(result.details["excluded"]) == [f"latent {j}" for j in range(5, 10)]


def test_negative_control_dead_latents_count_zero_in_the_published_form():
    factors = grid_factors(3, 4, 5, 3, 4)
    codes = with_dead(factor_codes(factors), 5)
    assert modularity(codes, factors, ".dlib").value == pytest.approx(0.5, abs=1e-12)
    assert modularity(factor_codes(factors), factors, ".dlib").value == pytest.approx(
        1.0, abs=1e-12
    )


def test_negative_control_the_bare_formula_is_nan_for_a_dead_latent():
    matrix = np.array([[1.0, 0.0], [0.0, 0.0]])
    with np.errstate(invalid="ignore"):
        published = 1 - (matrix.min(axis=1) / matrix.max(axis=1)) ** 2  # K = 2
    assert math.isnan(published.mean())
    assert np.nanmean(per_latent(matrix, np.zeros_like(matrix))[0]) == 1.0


def test_identity_on_10_000_draws_of_dsprites():
    rng = np.random.default_rng(0)
    sizes = (3, 6, 40, 32, 32)
    values = np.stack([rng.integers(0, size, 10_000) for size in sizes], axis=1)
    factors = Factors(values, tuple("abcde"), sizes)
    # The plug-in bias is at most 19 x 39 / 20,000 = .037 nats of 3; squared and averaged over four:
    # .99996.
    assert modularity(factor_codes(factors), factors).value == pytest.approx(0.99996, abs=2e-5)


@pytest.mark.parametrize("variant", ["", ".posterior", ".dlib"])
def test_duplicated_latents_are_as_modular_as_one(variant):
    once = factor_codes(FACTORS)
    twice = Codes(np.repeat(once.mean, 2, axis=1), np.repeat(once.logvar, 2, axis=1))
    assert modularity(twice, variant=variant).value == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("variant", ["", ".posterior"])
def test_latent_of_two_factors_has_modularity_one_half(variant):
    # One latent encodes all pairs of levels of two factors of 4 levels; there are 3 factors. So
    # I = ln 4, ln 4, 0, and m = 1 - 1 / 2.
    factors = grid_factors(4, 4, 3)
    pair = (4 * factors.values[:, :1] + factors.values[:, 1:2]).astype(float)
    codes = Codes(pair, np.full_like(pair, 2 * math.log(0.05)))
    options = {} if variant else {"bins": 16}
    result = modularity(codes, factors, variant, **options)
    assert result.value == pytest.approx(0.5, abs=1e-6)


def test_information_is_that_of_scikit_learn():
    result = modularity(Codes(CODES.mean))  # without posteriors no latent that varies is dead
    matrix = np.zeros((5, 4))
    for j, column in enumerate(CODES.mean.T.astype(float)):
        bins = np.digitize(column, np.histogram_bin_edges(column, 20)[1:-1])
        matrix[j] = [mutual_info_score(bins, level) for level in FACTORS.values.T]
    np.testing.assert_allclose(result.details["mutual_information"], matrix, atol=1e-9)
    squares = matrix**2
    expected = 1 - (squares.sum(axis=1) - squares.max(axis=1)) / (squares.max(axis=1) * 3)
    assert result.value == pytest.approx(expected.mean(), abs=1e-9)


def test_error_is_the_slope_times_the_errors_of_information():
    rng = np.random.default_rng(0)
    information, error = rng.random((6, 4)) + 0.2, 1e-6 * rng.random((6, 4))
    values, errors = per_latent(information, error)
    worst = np.zeros(6)
    for j in range(6):
        for k in range(4):
            moved = information.copy()
            moved[j, k] += error[j, k]
            worst[j] += abs(per_latent(moved, error)[0][j] - values[j])
    np.testing.assert_allclose(errors, worst, rtol=1e-4)  # first order in 1e-6


def test_discrete_latents_take_part():
    discrete = np.concatenate([FACTORS.values, 0 * FACTORS.values[:, :1]], 1)
    result = modularity(Codes(np.zeros((len(FACTORS), 0)), discrete=discrete))
    assert result.value == pytest.approx(1.0, abs=1e-12)
    assert list(result.details["excluded"]) == ["latent 4"]


def test_one_varying_factor_scores_one_with_a_reason():
    result = modularity(CODES, Factors(FACTORS.values * [1, 0, 0, 0], FACTORS.names, FACTORS.sizes))
    reason = "one factor varies: no latent can have information about another"
    assert result.value == 1.0
    assert result.details["reason"] == reason


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"estimator": "kde"}, "estimator must be"),
        ({"over": "some"}, "over must be"),
        ({"estimator": "posterior"}, "logvar"),
    ],
)
def test_unknown_options_and_missing_posteriors_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        modularity(Codes(CODES.mean), **options)
