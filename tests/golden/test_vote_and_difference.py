"""Votes and differences of codes with a known score, and in-sample votes on noise."""

import numpy as np
import pytest

from metrics import Codes, Factors, score

SIZES = np.array([3, 6, 40, 32, 32])  # dSprites: shape, scale, orientation, x, y
NAMES = ("shape", "scale", "orientation", "x", "y")
# The values in dSprites: shapes 1 to 3, scales .5 to 1, angles 0 to 2 pi, positions 0 to 1.
STEPS = np.array([1, 0.1, 2 * np.pi / 39, 1 / 31, 1 / 31])


@pytest.fixture(scope="module")
def dsprites():
    values = np.stack([axis.ravel() for axis in np.indices(SIZES)], axis=1)
    return Factors(values, NAMES, tuple(SIZES))


@pytest.fixture(scope="module")
def noise():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 4, (50_000, 5))
    return Codes(rng.standard_normal((50_000, 10))), Factors(values, tuple("abcde"), (4,) * 5)


def scored(name, codes, factors, **options):
    return score(name, codes, factors, reference=False, **options)


def codes_of(factors, scale=STEPS):
    return Codes(factors.values * scale)


@pytest.mark.parametrize(
    "name", ["factor_vae", "factor_vae.in_sample", "factor_vae.dlib", "factor_vae.lecture"]
)
def test_identity_code_wins_every_vote(name, dsprites):
    assert scored(name, codes_of(dsprites), dsprites).value == 1.0


@pytest.mark.parametrize("name", ["beta_vae", "beta_vae.dlib", "beta_vae.svm", "beta_vae.trento"])
def test_identity_code_scores_one_with_64_pairs(name, dsprites):
    assert scored(name, codes_of(dsprites), dsprites).value == 1.0


# One pair has less information: other factors agree by accident, the shape in a third of the pairs.
# The test errors of both numbers are sqrt(.9 x .1 / 5000) = .0042, and the fits to 10,000 examples
# spread as much. Four errors are .024.
@pytest.mark.parametrize(
    ("scale", "standardise", "value"),
    [(STEPS, False, 0.896), (2 / (SIZES - 1), False, 0.903), (STEPS, True, 0.913)],
)
def test_identity_code_has_its_known_score_with_one_pair(scale, standardise, value, dsprites):
    options = {"standardise": standardise, "min_std": 0.0, "group": 1}
    assert scored(
        "beta_vae", codes_of(dsprites, scale), dsprites, **options
    ).value == pytest.approx(value, abs=0.024)


def best_over_one_pair():
    """Return the accuracy of the best guess from the set of factors with equal levels in a pair.

    All factors have the same probability to be the shared one. If k is shared, the set is E with a
    probability proportional to prod_{j in E, j != k} 1/V_j, that is to V_k. So the best guess is
    the factor of E with most levels.
    """
    chance, total = 1 / SIZES, 0.0
    for k in range(5):
        rivals = [j for j in range(5) if SIZES[j] > SIZES[k]]
        ties = [j for j in range(5) if SIZES[j] == SIZES[k] and j != k]
        # There is at most one tie, and half of the ties are guessed correctly.
        total += np.prod(1 - chance[rivals]) * (1 - sum(chance[ties]) / 2)
    return total / 5


def test_no_classifier_beats_the_best_guess_over_one_pair(dsprites):
    # .9193: shape .7625, scale .9150, orientation 1, x and y .9598 each. A linear fit is less than
    # two hundredths below.
    assert best_over_one_pair() == pytest.approx(0.9194, abs=5e-4)
    value = scored("beta_vae", codes_of(dsprites), dsprites, group=1).value
    assert best_over_one_pair() - 0.02 < value < best_over_one_pair() + 4 * 0.0042


def test_noise_is_at_chance_on_held_out_votes_and_examples(noise):
    for name in ("factor_vae", "beta_vae", "beta_vae.svm"):
        assert abs(scored(name, *noise).value - 0.2) < 4 * 0.0057  # sqrt(.2 x .8 / 5000)


@pytest.mark.parametrize(("stratified", "value"), [(True, 0.256), (False, 0.260)])
def test_noise_is_above_chance_on_in_sample_votes(stratified, value, noise):
    # Negative control. 800 votes fall on 10 latents at random, and each latent is mapped to its
    # most frequent factor. There are about sixteen votes in a cell, with a deviation of four. The
    # largest of five cells is 1.16 deviations above the mean: 1/5 (1 + 1.16 / 4) = .258.
    # Independent of this code, 2,000 multinomial tables give .2559 stratified and .2592 otherwise.
    options = {"group": 16, "stratified": stratified}
    values = []
    for seed in range(20):
        values.append(scored("factor_vae.in_sample", *noise, seed=seed, **options).value)
    # One value has a spread of about .008: four errors of the mean of twenty are .007.
    assert np.mean(values) == pytest.approx(value, abs=0.007)


def test_more_in_sample_votes_are_less_above_chance(noise):
    # .271, .256 to .260, .216 for 500, 800 and 10,000 votes.
    def mean_over_seeds(votes):
        options = {"train_votes": votes, "group": 16}
        values = []
        for seed in range(10):
            values.append(scored("factor_vae.in_sample", *noise, seed=seed, **options).value)
        return np.mean(values)

    means = [mean_over_seeds(500), mean_over_seeds(10_000)]
    np.testing.assert_allclose(means, [0.271, 0.216], atol=0.012)


def test_constant_latent_does_not_win_the_argmin(dsprites):
    rows = np.random.default_rng(0).choice(len(dsprites), 20_000, replace=False)
    factors = Factors(dsprites.values[rows], NAMES, tuple(SIZES))
    # The mean of many .1 is not exactly .1: a constant column may have a variance of about 1e-30,
    # and a ratio of 0 or 0/0.
    mean = np.concatenate([np.full((20_000, 1), 0.1), factors.values * STEPS], axis=1)
    for options in ({}, {"min_std": 0.0}, {"normalise": False, "min_std": 0.0}):
        result = scored("factor_vae", Codes(mean), factors, **options)
        assert result.value == 1.0
        assert result.details["votes"][0].sum() == 0


def test_discrete_shape_wins_its_votes_against_continuous_latents(dsprites):
    mean = dsprites.values[:, 1:] * STEPS[1:]
    result = scored("factor_vae", Codes(mean, discrete=dsprites.values[:, :1]), dsprites)
    assert result.value == 1.0
    assert result.details["factor_of_latent"].tolist() == [1, 2, 3, 4, 0]
