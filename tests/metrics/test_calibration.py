"""The intervals of sampled metrics cover the truth as often as they say: 95 % within 1.96 errors.

Each case is a random channel from factors to codes, the score of a small sample on it, and the
value that the score estimates: the same estimator with as many samples as are needed to know it, or
an exact one. What an error leaves out (its docstring says what) is the same in both: the classifier
for votes and for areas under the ROC curve, the training rows for DCI.
"""

import dataclasses
import math

import numpy as np
import pytest

from metrics import Codes, Factors, score


def channel(seed, *, rows=1_200, sizes=(3, 4, 5)):
    """Return random codes: each latent is a blend of factors and noise, of random strengths."""
    rng = np.random.default_rng((seed, 11))
    values = np.stack([rng.integers(0, size, rows) for size in sizes], axis=1)
    levels = values / (np.array(sizes) - 1) - 0.5
    blend = rng.normal(size=(len(sizes), 4)) * (rng.random((len(sizes), 4)) < 0.5)
    noise = rng.uniform(0.1, 0.6, 4)
    mean = levels @ blend + noise * rng.standard_normal((rows, 4))
    logvar = 2 * np.log(rng.uniform(0.2, 0.6, 4)) + 0.1 * rng.standard_normal((rows, 4))
    return Codes(mean, logvar), Factors(values, ["a", "b", "c"], sizes)


def gap_by_sampling(seed, metric="mig"):
    codes, factors = channel(seed, rows=240)
    sampled = score(
        f"{metric}.monte_carlo", codes, factors, seed=seed, samples=300, reference=False
    )
    # What few rows can change is a bound of its own, in `few_rows`.
    sampling = sampled.error - sampled.details["few_rows"]
    truth = score(metric, codes, factors, reference=False).value
    return dataclasses.replace(sampled, error=sampling), truth


def gap_of_drawn_rows(seed):
    # The draw's bias is stated apart from its error, so the truth is the mean over draws.
    codes, factors = channel(seed)
    first, *others = [
        score("mig_hist20.dlib", codes, factors, seed=draw, rows=800, reference=False)
        for draw in range(60)
    ]
    draw_error = first.details["draw_error"]
    truth = np.mean([other.value for other in others])
    return dataclasses.replace(first, error=draw_error), truth


def votes(seed, **options):
    codes, factors = channel(seed)
    options = {"train_votes": 500, "group": 8, "seed": seed, "reference": False, **options}
    sampled = score("factor_vae", codes, factors, test_votes=300, **options)
    return sampled, score("factor_vae", codes, factors, test_votes=40_000, **options).value


def differences(seed):
    codes, factors = channel(seed)
    options = {"train": 300, "group": 4, "seed": seed, "reference": False}
    sampled = score("beta_vae", codes, factors, test=300, **options)
    return sampled, score("beta_vae", codes, factors, test=30_000, **options).value


def areas(seed, name="explicitness"):
    # The same training rows, and all other rows as test rows.
    codes, factors = channel(seed, rows=12_400)
    options = {"train_rows": 400, "seed": seed, "reference": False}
    sampled = score(name, codes, factors, test_rows=300, **options)
    return sampled, score(name, codes, factors, test_rows=12_000, **options).value


def single_latents(seed):
    codes, factors = channel(seed, rows=12_400)
    options = {"train_rows": 400, "seed": seed, "reference": False}
    sampled = score("sap.dlib", codes, factors, test_rows=300, **options)
    return sampled, score("sap.dlib", codes, factors, test_rows=12_000, **options).value


def importances(seed):
    codes, factors = channel(seed, rows=2_800)
    options = {"train_rows": 600, "trees": 8, "seed": seed, "reference": False}
    sampled = score("dci", codes, factors, test_rows=300, **options)
    return sampled, score("dci", codes, factors, test_rows=2_200, **options).value


def density_ratio(seed):
    # q(z) = N(0, R + s² I) with random R: TC = 1/2 (3 ln (1 + s²) - ln det). Without a network the
    # classifier is exact.
    rng = np.random.default_rng((seed, 5))
    root = rng.standard_normal((3, 3)) + 2 * np.eye(3)
    covariance = root @ root.T
    scale = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(scale, scale)
    mean = rng.multivariate_normal(np.zeros(3), correlation, 800)
    codes = Codes(mean, np.full(mean.shape, math.log(0.1)))
    sampled = score("density_ratio_tc", codes, steps=0, seed=seed)
    of_samples = correlation + 0.1 * np.eye(3)
    return sampled, 0.5 * (3 * math.log(1.1) - np.linalg.slogdet(of_samples)[1])


def other_models(seed):
    # Models of the same latents with noise of a strength that varies from model to model.
    rng = np.random.default_rng((seed, 5))
    mean = rng.standard_normal((100, 3))

    def models(count):
        return [
            Codes(mean[:, rng.permutation(3)] + rng.gamma(4, 0.1) * rng.standard_normal((100, 3)))
            for _ in range(count)
        ]

    sampled = score("udr", Codes(mean), others=models(20))
    return sampled, score("udr", Codes(mean), others=models(400)).value


CASES = {
    "mig.monte_carlo": gap_by_sampling,
    "mig_sup.monte_carlo": lambda seed: gap_by_sampling(seed, "mig_sup"),
    "mig_hist20.dlib": gap_of_drawn_rows,
    "factor_vae": votes,
    "beta_vae": differences,
    "explicitness": areas,
    "explicitness.multinomial": lambda seed: areas(seed, "explicitness.multinomial"),
    "sap.dlib": single_latents,
    "dci": importances,
    "density_ratio_tc": density_ratio,
    "udr": other_models,
}
AT_LEAST = {"sap.dlib", "dci", "density_ratio_tc"}
"""Cases with an error that is an upper bound: they may cover more."""


def coverage(case, channels):
    covered = 0
    for seed in range(channels):
        sampled, truth = CASES[case](seed)
        covered += abs(sampled.value - truth) <= 1.96 * sampled.error + 1e-12
    return covered / channels


@pytest.mark.parametrize("case", [case for case in CASES if case != "dci"])  # it takes 18 s
def test_intervals_cover_the_truth_in_a_few_channels(case):
    # Of 24, a covering of 95 % gives 18 or more with probability .9996.
    assert coverage(case, 24) >= 18 / 24


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_intervals_cover_the_truth_in_95_of_100_channels(case):
    share = coverage(case, 500)
    assert share >= 0.92
    assert share <= 0.98 or case in AT_LEAST
