import numpy as np
import pytest
from metric_references import grid_factors

from metrics import Codes, Factors, score
from metrics.codes import variability

FACTORS = grid_factors(3, 4, 5, 6, 4)


def vote(mean, factors=FACTORS, **options):
    return score("factor_vae", Codes(mean), factors, reference=False, **options)


def test_codes_that_are_the_factors_win_every_vote():
    assert vote(FACTORS.values.astype(float)).value == 1.0


def test_scales_of_codes_do_not_matter():
    scaled = FACTORS.values * np.array([1e-1, 1.0, 1e3, 5.0, 1e6])
    assert vote(scaled).value == 1.0


def test_noise_is_at_chance_on_held_out_votes():
    noise = np.random.default_rng(0).standard_normal((20_000, 10))
    levels = np.random.default_rng(1).integers(0, 4, (20_000, 5))
    result = vote(noise, Factors(levels, tuple("abcde"), (4,) * 5))
    assert abs(result.value - 0.20) < 4 * 0.0057  # binomial standard error of .2 at 5,000 votes


def test_in_sample_accuracy_of_noise_is_above_chance():
    # Negative control: 800 votes that are scored by a classifier built from them give about .26.
    noise = np.random.default_rng(0).standard_normal((20_000, 10))
    levels = np.random.default_rng(1).integers(0, 4, (20_000, 5))
    result = vote(noise, Factors(levels, tuple("abcde"), (4,) * 5), train_votes=800)
    assert result.details["train_accuracy"] > 0.23


def test_dead_latent_never_wins_a_vote():
    mean = np.concatenate([np.full((len(FACTORS), 1), 7.0), FACTORS.values], axis=1)
    result = vote(mean)
    assert result.value == 1.0
    assert result.details["votes"][0].sum() == 0
    assert not result.details["active_latents"][0]


def test_no_active_latent_is_chance_with_a_reason():
    result = vote(np.zeros((len(FACTORS), 3)))
    assert result.value == 0.2
    assert result.details["reason"] == "no latent is active"


def test_duplicated_codes_still_win():
    assert vote(np.repeat(FACTORS.values.astype(float), 2, axis=1)).value == 1.0


def test_two_factors_on_one_code_lose_votes():
    level = FACTORS.values.astype(float)
    mixed = np.concatenate([level[:, :1] + 3 * level[:, 1:2], level[:, 2:]], axis=1)
    assert vote(mixed).value < 0.95


def test_in_sample_value_is_the_training_accuracy():
    noise = np.random.default_rng(0).standard_normal((len(FACTORS), 6))
    held_out, in_sample = vote(noise), vote(noise, protocol="in_sample")
    assert in_sample.value == held_out.details["train_accuracy"]
    np.testing.assert_array_equal(in_sample.details["votes"], held_out.details["votes"])


def test_in_sample_value_is_the_norm_of_the_votes():
    # |C|_inf,1 / |C|_1: the sum over latents of their largest entries, over the sum of all entries.
    result = vote(np.random.default_rng(0).standard_normal((len(FACTORS), 6)), protocol="in_sample")
    votes = result.details["votes"]
    assert result.value == votes.max(axis=1).sum() / votes.sum()


def test_raw_variances_let_a_latent_of_small_scale_win():
    # Five latents have noise of deviation .2, and one latent is noise of deviation .1 only. The
    # narrow one varies least for every fixed factor. If one latent takes all votes, it is right for
    # one factor of five (the in-sample excess of one row is < .03).
    rng = np.random.default_rng(0)
    level = FACTORS.values / (np.array(FACTORS.sizes) - 1) + 0.2 * rng.standard_normal(
        (len(FACTORS), 5)
    )
    mean = np.concatenate([level, 0.1 * rng.standard_normal((len(FACTORS), 1))], axis=1)
    lecture = {"protocol": "in_sample", "group": 1000, "train_votes": 800}
    assert vote(mean, **lecture).value > 0.99
    assert vote(mean, normalise=False, **lecture).value < 0.25


def test_stratified_votes_are_as_many_for_every_factor():
    result = vote(
        FACTORS.values.astype(float), protocol="in_sample", train_votes=800, stratified=True
    )
    np.testing.assert_array_equal(result.details["votes"], 160 * np.eye(5, dtype=int))


def mixed(mean, discrete, **options):
    return score("factor_vae", Codes(mean, discrete=discrete), FACTORS, reference=False, **options)


def test_discrete_latents_win_the_votes_of_their_factors():
    result = mixed(FACTORS.values[:, 2:].astype(float), FACTORS.values[:, :2])
    assert result.value == 1.0
    np.testing.assert_array_equal(result.details["factor_of_latent"], [2, 3, 4, 0, 1])


def test_discrete_codes_alone_can_be_scored():
    assert mixed(np.zeros((len(FACTORS), 0)), FACTORS.values).value == 1.0


def test_names_of_categories_do_not_matter():
    mean = FACTORS.values[:, 2:].astype(float)
    renamed = np.array([90, -7, 4, 11])[FACTORS.values[:, :2]]
    assert mixed(mean, renamed).value == mixed(mean, FACTORS.values[:, :2]).value


def test_discrete_noise_is_not_named_more_often_than_other_latents():
    # Ratios of Gini variances have the same mean as ratios of variances, 63/64, but with many
    # categories they spread less.
    rng = np.random.default_rng(0)
    result = mixed(rng.standard_normal((len(FACTORS), 4)), rng.integers(0, 2, (len(FACTORS), 1)))
    assert result.details["votes"][4].sum() < 10_000 / 5


def test_a_raw_gini_variance_would_be_the_smallest_of_all():
    # Negative control: 1/2 (1 - sum p^2) < 1/2 for any categories, while variances are near 1. If
    # it is not divided, noise of three categories takes every vote, and the score falls to chance.
    rng = np.random.default_rng(0)
    level = 3 * FACTORS.values / (np.array(FACTORS.sizes) - 1) + 0.8 * rng.standard_normal(
        (len(FACTORS), 5)
    )
    noise = rng.integers(0, 3, (len(FACTORS), 1))
    assert mixed(level, noise).details["votes"][5].sum() < 1_000
    assert mixed(level, noise, normalise=False).details["votes"][5].sum() > 9_900


def test_discrete_latent_of_one_category_never_wins():
    result = mixed(FACTORS.values.astype(float), np.full((len(FACTORS), 1), 3))
    assert result.value == 1.0
    assert result.details["excluded"] == {"latent 5": "constant"}


def test_gini_variance_is_half_the_share_of_unequal_pairs():
    sample = np.array([[0, 0, 1, 2], [1, 1, 1, 1]])
    pairs = [np.mean(row[:, None] != row) / 2 for row in sample]
    np.testing.assert_allclose(variability.gini(sample), pairs)


def test_kl_decides_which_latents_vote_in_the_protocol_of_cascade_vae():
    level = FACTORS.values / (np.array(FACTORS.sizes) - 1)
    logvar = np.full(level.shape, -4.0)
    codes = Codes(
        np.concatenate([level, level[:, :1]], axis=1),
        np.concatenate([logvar, np.zeros((len(level), 1))], 1),
    )
    result = score("factor_vae.snu", codes, FACTORS, reference=False, min_kl=0.3)
    # The copied latent has KL = mean of 1/2 level^2 = 1/2 (0 + 1/4 + 1) / 3 = .208 nats.
    assert result.details["excluded"] == {"latent 5": "its KL of 0.21 nats is not above 0.3"}
    assert result.value == 1.0


def test_kl_of_codes_without_posteriors_is_refused():
    with pytest.raises(ValueError, match=r"min_kl needs posteriors, but codes\.logvar is None"):
        score("factor_vae.snu", Codes(FACTORS.values.astype(float)), FACTORS)


def test_no_active_latent_is_zero_in_the_protocol_of_disentanglement_lib():
    result = score("factor_vae.dlib", Codes(np.zeros((len(FACTORS), 3))), FACTORS, reference=False)
    assert result.value == 0.0
    assert result.details["reason"] == "no latent is active"


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"protocol": "loo"}, "protocol must be one of"),
        ({"group": 1}, "group must be >= 2"),
        ({"train_votes": 0}, ">= 1"),
    ],
)
def test_options_outside_their_range_are_refused(option, words):
    with pytest.raises(ValueError, match=words):
        vote(FACTORS.values.astype(float), **option)
