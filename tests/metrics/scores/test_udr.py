import math

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.linear_model import Lasso

from metrics import Codes, score
from metrics.scores.udr import pair_score

ROWS = 4_000
RNG = np.random.default_rng(0)
FOUND = RNG.standard_normal((ROWS, 4))


def sharp(mean):
    return Codes(mean, np.full(mean.shape, -4.0))


def udr(codes, *others, name="udr", **options):
    return score(name, codes, others=others, **options)


def turned(mean):
    """Every latent an equal mixture of four."""
    return mean @ (np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2)


def test_same_latents_in_another_order_sign_and_scale_are_the_same():
    other = sharp(np.exp(-2 * FOUND[:, [2, 0, 3, 1]]))  # monotone: ranks are reversed
    alike = udr(sharp(FOUND), other)
    # Off the match |r| = .8 / sqrt(4000) = .013 each, three of them: 1 / 1.04.
    assert 0.94 < alike.value < 1
    np.testing.assert_array_equal(alike.details["similarity"][0].argmax(axis=1), [1, 3, 0, 2])


def test_equal_mixtures_share_their_similarity():
    # Pearson r = 1/2 with each of four latents, Spearman (6/pi) asin(1/4) = .4826: r^2 / (4 r) = .1206.
    assert udr(sharp(FOUND), sharp(turned(FOUND))).value == pytest.approx(
        0.1206, abs=0.01
    )  # noise .013 in r


def test_pair_score_by_hand():
    # Rows: .8^2 / 1 and .4^2 / .4; columns: .8^2 / .8 and .4^2 / .6; four latents.
    matrix = np.array([[0.8, 0.2], [0.0, 0.4]])
    assert pair_score(matrix) == pytest.approx((0.64 + 0.4 + 0.8 + 0.16 / 0.6) / 4)


def test_pair_score_divides_by_the_latents_of_both_models():
    # Duan et al. divide the sum by d_a + d_b; the mean of two means would give (1/2 + 1) / 2 = 3/4.
    assert pair_score(np.ones((1, 2))) == pytest.approx((0.5 + 1 + 1) / 3)


def test_similarity_is_that_of_scipy():
    other = turned(FOUND) + FOUND.round(1)  # with ties
    ours = udr(sharp(FOUND), sharp(other)).details["similarity"][0]
    assert ours[1, 2] == pytest.approx(
        abs(spearmanr(FOUND[:, 1], other[:, 2]).statistic), abs=1e-12
    )


def test_lasso_of_matched_latents_is_one_less_the_penalty():
    # Standardised and uncorrelated predictors shrink by alpha: .9^2 / .9, the rest exactly 0 (sampling error < alpha).
    mean = np.linalg.qr(FOUND - FOUND.mean(axis=0))[0]
    assert udr(sharp(mean), sharp(mean[:, ::-1].copy()), name="udr.lasso").value == pytest.approx(
        0.9, abs=1e-6
    )


def test_lasso_predicts_this_model_from_the_other():
    other = turned(FOUND) + 0.5 * FOUND
    standard = [(x - x.mean(axis=0)) / x.std(axis=0) for x in (FOUND, other)]
    wanted = np.abs([Lasso(alpha=0.1).fit(standard[1], target).coef_ for target in standard[0].T])
    ours = udr(sharp(FOUND), sharp(other), name="udr.lasso").details["similarity"][0]
    np.testing.assert_allclose(ours, wanted, atol=1e-3)  # two coordinate descents stopped at 1e-4


def test_value_is_the_median_over_other_models():
    others = [sharp(FOUND), sharp(turned(FOUND)), sharp(RNG.standard_normal((ROWS, 4)))]
    result = udr(sharp(FOUND), *others)
    pairs = result.details["pair_scores"]
    assert pairs[0] > pairs[1] > pairs[2]
    assert result.value == pairs[1]
    assert result.error == pytest.approx(1.2533 * pairs.std(ddof=1) / math.sqrt(3))


def test_one_other_model_has_no_spread():
    assert udr(sharp(FOUND), sharp(FOUND)).error is None


def test_dead_latents_of_either_model_do_not_count():
    dead = Codes(
        np.concatenate([FOUND, 0.01 * FOUND], 1),
        np.concatenate([np.full(FOUND.shape, -4.0), 0 * FOUND], 1),
    )
    result = udr(dead, dead, sharp(FOUND))
    assert result.value == pytest.approx(udr(sharp(FOUND), sharp(FOUND)).value)
    assert list(result.details["excluded"]) == ["latent 4", "latent 5", "latent 6", "latent 7"]
    assert np.isnan(result.details["similarity"][0][4:]).all()


def test_models_without_posteriors_are_active_where_their_means_vary():
    bare = Codes(np.concatenate([FOUND, np.full((ROWS, 1), 2.0)], axis=1))
    assert udr(bare, bare).details["active_latents"].tolist() == [True] * 4 + [False]


def test_discrete_latents_are_left_out_with_the_reason():
    codes = Codes(FOUND, np.full(FOUND.shape, -4.0), np.zeros((ROWS, 1), np.int64))
    assert "order" in udr(codes, codes).details["excluded"]["latent 4"]


def test_nothing_active_scores_zero_with_a_reason_and_a_dead_partner_zero():
    dead = Codes(np.zeros((ROWS, 2)), np.zeros((ROWS, 2)))
    assert udr(dead, sharp(FOUND)).details["reason"] == "no continuous latent is active"
    assert udr(sharp(FOUND), dead).value == 0.0


def test_latent_that_is_constant_but_far_from_the_prior_is_like_nothing():
    # KL of N(2, 1) is 2 nats, yet its ranks do not vary: similarity 0, and no NaN.
    constant = Codes(np.concatenate([FOUND, np.full((ROWS, 1), 2.0)], 1), np.full((ROWS, 5), 0.0))
    result = udr(constant, constant)
    assert result.value == pytest.approx(0.8 * udr(sharp(FOUND), sharp(FOUND)).value)


@pytest.mark.parametrize("option", [{"similarity": "cca"}, {"alpha": 0.0}, {"min_kl": -1.0}])
def test_options_outside_their_range_are_refused(option):
    with pytest.raises(ValueError, match="must be"):
        udr(sharp(FOUND), sharp(FOUND), **option)
