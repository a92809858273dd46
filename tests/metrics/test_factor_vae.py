import numpy as np
from metric_references import grid_factors

from metrics import Codes, Factors, score

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
    # Negative control: 800 votes scored on themselves give about .26.
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
