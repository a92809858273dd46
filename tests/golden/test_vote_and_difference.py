"""G8: the votes and differences of codes whose score is known, and what in-sample votes make of noise."""

import numpy as np
import pytest

from metrics import Codes, Factors, score

SIZES = np.array([3, 6, 40, 32, 32])  # dSprites: shape, scale, orientation, x, y
NAMES = ("shape", "scale", "orientation", "x", "y")
# The values that dSprites itself gives: shapes 1 to 3, scales .5 to 1, angles 0 to 2 pi, positions 0 to 1.
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


def plain(name, codes, factors, **options):
    return score(name, codes, factors, reference=False, **options)


def codes_of(factors, scale=STEPS):
    return Codes(factors.values * scale)


@pytest.mark.parametrize(
    "name", ["factor_vae", "factor_vae.in_sample", "factor_vae.dlib", "factor_vae.lecture"]
)
def test_identity_code_wins_every_vote(name, dsprites):
    assert plain(name, codes_of(dsprites), dsprites).value == 1.0


@pytest.mark.parametrize("name", ["beta_vae", "beta_vae.dlib", "beta_vae.svm", "beta_vae.trento"])
def test_identity_code_is_told_apart_over_64_pairs(name, dsprites):
    assert plain(name, codes_of(dsprites), dsprites).value == 1.0


# One pair tells less: other factors agree by accident, the shape in a third of pairs. With test errors of
# sqrt(.9 x .1 / 5000) = .0042 here and there, and fits to 10,000 examples that spread as much, four errors are .024.
@pytest.mark.parametrize(
    ("scale", "standardise", "value"),
    [(STEPS, False, 0.896), (2 / (SIZES - 1), False, 0.903), (STEPS, True, 0.913)],
)
def test_identity_code_over_one_pair(scale, standardise, value, dsprites):
    options = {"standardise": standardise, "min_std": 0.0, "group": 1}
    assert plain("beta_vae", codes_of(dsprites, scale), dsprites, **options).value == pytest.approx(
        value, abs=0.024
    )


def best_over_one_pair():
    """Accuracy of the best guess there is, from which factors' levels are equal in a pair.

    All factors are equally likely shared. If k is, the equal ones are E with a probability proportional to
    prod_{j in E, j != k} 1/V_j, that is to V_k: the best guess is the factor of most levels in E.
    """
    chance, total = 1 / SIZES, 0.0
    for k in range(5):
        rivals = [j for j in range(5) if SIZES[j] > SIZES[k]]
        ties = [j for j in range(5) if SIZES[j] == SIZES[k] and j != k]
        total += np.prod(1 - chance[rivals]) * (
            1 - sum(chance[ties]) / 2
        )  # at most one tie, won by half
    return total / 5


def test_no_classifier_beats_the_best_guess_over_one_pair(dsprites):
    # .9193: shape .7625, scale .9150, orientation 1, x and y .9598 each. A linear fit comes within two hundredths.
    assert best_over_one_pair() == pytest.approx(0.9194, abs=5e-4)
    value = plain("beta_vae", codes_of(dsprites), dsprites, group=1).value
    assert best_over_one_pair() - 0.02 < value < best_over_one_pair() + 4 * 0.0042


def test_noise_is_at_chance_on_held_out_votes_and_examples(noise):
    for name in ("factor_vae", "beta_vae", "beta_vae.svm"):
        assert abs(plain(name, *noise).value - 0.2) < 4 * 0.0057  # sqrt(.2 x .8 / 5000)


@pytest.mark.parametrize(("stratified", "value"), [(True, 0.256), (False, 0.260)])
def test_noise_is_above_chance_on_votes_scored_on_themselves(stratified, value, noise):
    # Negative control. 800 votes fall on 10 latents at random, and each latent takes its most frequent factor: about
    # sixteen votes in a cell, and the largest of five is 1.16 deviations of four above it, 1/5 (1 + 1.16 / 4) = .258;
    # 2,000 multinomial tables drawn apart from this code give .2559 stratified and .2592.
    options = {"group": 16, "stratified": stratified}
    values = [
        plain("factor_vae.in_sample", *noise, seed=seed, **options).value for seed in range(20)
    ]
    # One value spreads by .008 or so: four errors of the mean of twenty are .007.
    assert np.mean(values) == pytest.approx(value, abs=0.007)


def test_more_votes_scored_on_themselves_are_less_above_chance(noise):
    # .271, .256 to .260, .216 for 500, 800 and 10,000 votes.
    means = [
        np.mean(
            [
                plain("factor_vae.in_sample", *noise, train_votes=n, group=16, seed=s).value
                for s in range(10)
            ]
        )
        for n in (500, 10_000)
    ]
    np.testing.assert_allclose(means, [0.271, 0.216], atol=0.012)


def test_constant_latent_does_not_win_the_argmin(dsprites):
    rows = np.random.default_rng(0).choice(len(dsprites), 20_000, replace=False)
    factors = Factors(dsprites.values[rows], NAMES, tuple(SIZES))
    # .1 added up and divided is not .1: a constant column may have a variance of some 1e-30, and a ratio of 0 or 0/0
    mean = np.concatenate([np.full((20_000, 1), 0.1), factors.values * STEPS], axis=1)
    for options in ({}, {"min_std": 0.0}, {"normalise": False, "min_std": 0.0}):
        result = plain("factor_vae", Codes(mean), factors, **options)
        assert result.value == 1.0
        assert result.details["votes"][0].sum() == 0


def test_discrete_shape_wins_its_votes_beside_continuous_latents(dsprites):
    mean = dsprites.values[:, 1:] * STEPS[1:]
    result = plain("factor_vae", Codes(mean, discrete=dsprites.values[:, :1]), dsprites)
    assert result.value == 1.0
    assert result.details["factor_of_latent"].tolist() == [1, 2, 3, 4, 0]
