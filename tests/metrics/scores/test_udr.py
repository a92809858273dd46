import math

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.linear_model import Lasso

from metrics import Codes, score
from metrics.scores.udr import pair_score

ROWS = 4_000
RNG = np.random.default_rng(0)
MEANS = RNG.standard_normal((ROWS, 4))


def sharp(mean):
    return Codes(mean, np.full(mean.shape, -4.0))


def udr(codes, *others, name="udr", **options):
    return score(name, codes, others=others, **options)


def turned(mean):
    """Return latents that are equal mixtures of four others."""
    return mean @ (np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2)


def test_order_sign_and_scale_of_latents_do_not_matter():
    other = sharp(np.exp(-2 * MEANS[:, [2, 0, 3, 1]]))  # monotone: ranks are reversed
    alike = udr(sharp(MEANS), other)
    # Each of the three latents that do not match has |r| = .8 / sqrt(4000) = .013: 1 / 1.04.
    assert 0.94 < alike.value < 1
    np.testing.assert_array_equal(alike.details["similarity"][0].argmax(axis=1), [1, 3, 0, 2])


def test_equal_mixtures_are_similar_to_every_latent():
    # Pearson's r = 1/2 with each of four latents, so Spearman's r = (6/pi) asin(1/4) = .4826, and
    # r^2 / (4 r) = .1206. The noise in r is .013.
    value = udr(sharp(MEANS), sharp(turned(MEANS))).value
    assert value == pytest.approx(0.1206, abs=0.01)


def test_pair_score_agrees_with_a_calculation_by_hand():
    # Rows: .8^2 / 1 and .4^2 / .4; columns: .8^2 / .8 and .4^2 / .6; four latents.
    matrix = np.array([[0.8, 0.2], [0.0, 0.4]])
    assert pair_score(matrix) == pytest.approx((0.64 + 0.4 + 0.8 + 0.16 / 0.6) / 4)


def test_pair_score_divides_by_the_latents_of_both_models():
    # Duan et al. divide the sum by d_a + d_b; the mean of two means would give (1/2 + 1) / 2 = 3/4.
    assert pair_score(np.ones((1, 2))) == pytest.approx((0.5 + 1 + 1) / 3)


def test_similarity_is_that_of_scipy():
    other = turned(MEANS) + MEANS.round(1)  # with ties
    ours = udr(sharp(MEANS), sharp(other)).details["similarity"][0]
    expected = abs(spearmanr(MEANS[:, 1], other[:, 2]).statistic)
    assert ours[1, 2] == pytest.approx(expected, abs=1e-12)


def test_lasso_of_matched_latents_is_one_minus_the_penalty():
    # Coefficients of standardised, uncorrelated predictors shrink by alpha: .9^2 / .9. The others
    # are exactly 0 (the sampling error is below alpha).
    mean = math.sqrt(ROWS) * np.linalg.qr(MEANS - MEANS.mean(axis=0))[0]
    value = udr(sharp(mean), sharp(mean[:, ::-1].copy()), name="udr.lasso").value
    assert value == pytest.approx(0.9, abs=1e-6)


def test_lasso_predicts_this_model_from_the_other():
    other = turned(MEANS) + 0.5 * MEANS
    standard = [(x - x.mean(axis=0)) / x.std(axis=0) for x in (MEANS, other)]
    expected = [Lasso(alpha=0.1).fit(standard[1], target).coef_ for target in standard[0].T]
    ours = udr(sharp(MEANS), sharp(other), name="udr.lasso").details["similarity"][0]
    # Both coordinate descents stop at 1e-4.
    np.testing.assert_allclose(ours, np.abs(expected), atol=1e-3)


def test_value_is_the_median_over_other_models():
    others = [sharp(MEANS), sharp(turned(MEANS)), sharp(RNG.standard_normal((ROWS, 4)))]
    result = udr(sharp(MEANS), *others)
    pairs = result.details["pair_scores"]
    assert pairs[0] > pairs[1] > pairs[2]
    assert result.value == pairs[1]
    # With three values the weights of the order statistics are the masses of Beta(1, 1) between
    # thirds, 1/3 each: the standard deviation of the three.
    assert result.error == pytest.approx(pairs.std())


def test_one_other_model_gives_no_error():
    assert udr(sharp(MEANS), sharp(MEANS)).error is None


def test_dead_latents_of_either_model_do_not_count():
    dead = Codes(
        np.concatenate([MEANS, 0.01 * MEANS], 1),
        np.concatenate([np.full(MEANS.shape, -4.0), 0 * MEANS], 1),
    )
    result = udr(dead, dead, sharp(MEANS))
    assert result.value == pytest.approx(udr(sharp(MEANS), sharp(MEANS)).value)
    assert list(result.details["excluded"]) == ["latent 4", "latent 5", "latent 6", "latent 7"]
    assert np.isnan(result.details["similarity"][0][4:]).all()


def test_latents_without_posteriors_are_active_if_their_means_vary():
    bare = Codes(np.concatenate([MEANS, np.full((ROWS, 1), 2.0)], axis=1))
    assert udr(bare, bare).details["active_latents"].tolist() == [True] * 4 + [False]


def test_discrete_latents_are_left_out_with_the_reason():
    codes = Codes(MEANS, np.full(MEANS.shape, -4.0), np.zeros((ROWS, 1), np.int64))
    assert "order" in udr(codes, codes).details["excluded"]["latent 4"]


def test_a_model_without_active_latents_scores_zero_on_either_side():
    dead = Codes(np.zeros((ROWS, 2)), np.zeros((ROWS, 2)))
    assert udr(dead, sharp(MEANS)).details["reason"] == "no continuous latent is active"
    assert udr(sharp(MEANS), dead).value == 0.0


def test_constant_latent_far_from_the_prior_is_dead():
    # The KL of N(2, 1) is 2 nats, but no image differs from another.
    constant = Codes(np.concatenate([MEANS, np.full((ROWS, 1), 2.0)], 1), np.full((ROWS, 5), 0.0))
    result = udr(constant, constant)
    assert result.value == pytest.approx(udr(sharp(MEANS), sharp(MEANS)).value)
    assert "latent 4" in result.excluded


@pytest.mark.parametrize("option", [{"similarity": "cca"}, {"alpha": 0.0}, {"min_kl": -1.0}])
def test_options_outside_their_range_are_refused(option):
    with pytest.raises(ValueError, match="must be"):
        udr(sharp(MEANS), sharp(MEANS), **option)
