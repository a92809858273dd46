"""The chance level of every metric is what codes without information score."""

import numpy as np
import pytest
from metric_references import grid_factors
from scipy import stats

from metrics import Codes, Factors, find, names, score
from metrics.registry import METRICS

_GRID = grid_factors(3, 4, 6, 5)
FACTORS = Factors(np.repeat(_GRID.values, 3, axis=0), _GRID.names, _GRID.sizes)
ROWS, LATENTS, SEEDS = len(FACTORS), 5, 4

# Monte Carlo and the published trees take minutes; their definitions are those of other rows.
FAST = [
    name
    for name in names()
    if "factors" in find(name).needs and not name.endswith((".monte_carlo", "dci.published"))
]
CHEAP = {
    "dci": {"trees": 5},
    "factor_vae": {"train_votes": 2_000, "test_votes": 2_000},
    "beta_vae": {"train": 1_000, "test": 1_000},
    "sap": {"train_rows": 500, "test_rows": 500},
}

# What changes the score of noise, with the largest difference to the printed chance on these codes.
# docs/metrics.md says so for each; `score --chance own` gives the chance of the codes themselves.
DEPENDS_ON_SHAPE = {
    # A quantile over a maximum: .36 for normal means, near 0 for uniform ones.
    "irs": 0.4,
    "irs.paper": 0.3,
    # Entropies in bins of one width.
    "jemmig": 0.2,
    # Sharp posteriors of few rows have information about everything, in unequal shares.
    "mig": 0.03,
    "mig.entropy_weighted": 0.03,
    "mig_chen4": 0.03,
    "mig_sup": 0.06,
    "rmig": 0.03,
    "med": 0.1,
}


def noise(shape, seed):
    """Return codes that do not depend on the image."""
    rng = np.random.default_rng((seed, 7))
    std = 0.1
    if shape == "uniform":
        mean = rng.uniform(-1.7, 1.7, (ROWS, LATENTS))
    elif shape == "heavy tails":
        mean = rng.laplace(size=(ROWS, LATENTS))
    elif shape == "two peaks":
        mean = np.sign(rng.standard_normal((ROWS, LATENTS)))
        mean += 0.2 * rng.standard_normal((ROWS, LATENTS))
    elif shape == "wide posteriors":
        mean, std = rng.standard_normal((ROWS, LATENTS)), 0.5
    elif shape == "permuted":
        # Good codes of other images: one noisy latent per factor, and one latent of noise.
        values = FACTORS.values[rng.permutation(ROWS)] / np.array(FACTORS.sizes)
        mean = rng.standard_normal((ROWS, LATENTS))
        mean[:, :4] = 3 * values + 0.2 * mean[:, :4]
    else:
        mean = rng.standard_normal((ROWS, LATENTS))
    return Codes(mean, np.full(mean.shape, 2 * np.log(std)), rng.integers(0, 3, (ROWS, 1)))


@pytest.mark.parametrize("name", FAST)
def test_codes_without_information_score_chance(name):
    metric, options = find(name), CHEAP.get(name.partition(".")[0], {})
    for shape in (
        "normal",
        "uniform",
        "heavy tails",
        "two peaks",
        "wide posteriors",
        "permuted",
    ):
        results = [
            score(name, noise(shape, seed), FACTORS, seed=seed, reference=not seed, **options)
            for seed in range(SEEDS)
        ]
        values = np.array([result.value for result in results])
        chance, sd = results[0].chance, results[0].chance_sd
        # Two means of independent scores, with few degrees of freedom: five standard errors.
        error = np.hypot(values.std(ddof=1) / np.sqrt(SEEDS), sd / np.sqrt(metric.chance_draws))
        allowed = 5 * error + 0.003
        if shape != "normal":
            allowed = max(allowed, DEPENDS_ON_SHAPE.get(name, 0.0))
        assert abs(values.mean() - chance) <= allowed, (shape, values.mean(), chance, error)


@pytest.mark.parametrize("name", ["irs", "jemmig"])
def test_chance_of_normal_noise_is_not_that_of_a_permuted_grid(name):
    # The negative control: permuting the rows of codes that are the factors gives another number,
    # because such codes take a few values only. Irs of a permuted grid is 0.
    from metrics.reference.built_in_codes import factor_codes

    rows = np.random.default_rng(0).permutation(ROWS)
    permuted = Factors(FACTORS.values[rows], FACTORS.names, FACTORS.sizes)
    of_grid = score(name, factor_codes(permuted), FACTORS)
    assert abs(of_grid.value - of_grid.chance) > 0.1


# Metrics fast enough for thousands of scores. Modularity and accuracy take few values on few rows.
PERMUTED = [
    "mig",
    "mig_hist20",
    "mig_sup",
    "rmig",
    "jemmig",
    "med",
    "sap",
    "modularity",
    "irs",
]


@pytest.mark.parametrize("name", PERMUTED)
def test_p_values_of_noise_are_uniform(name):
    # 19 permutations: without information, the rank of the score among 20 is uniform.
    factors = grid_factors(3, 4, 4)
    ranks = []
    for seed in range(100):
        rng = np.random.default_rng((seed, 3))
        mean = rng.laplace(size=(len(factors), 3)) * np.array([0.5, 1.0, 2.0])
        codes = Codes(mean, np.full(mean.shape, 2 * np.log(0.3)))
        result = score(name, codes, factors, seed=seed, chance="own", permutations=19)
        p = result.details["p_value"]
        assert p == pytest.approx(
            (1 + (result.details["chance_scores"] >= result.value).sum()) / 20
        )
        ranks.append(p - rng.random() / 20)  # spread over the step below p
    assert stats.kstest(ranks, "uniform").pvalue > 0.001
    # Exact at any level: P(p <= .05) = .05; of 100, at most 13 with probability .9995.
    assert (np.array(ranks) <= 0.05).sum() <= 13


def test_a_code_with_information_has_the_smallest_p_value():
    codes = Codes(_GRID.values.astype(float), np.full(_GRID.values.shape, -4.0))
    result = score("mig", codes, _GRID, chance="own", permutations=9)
    assert result.details["p_value"] == pytest.approx(0.1)


def test_every_metric_with_factors_has_its_chance_tested():
    assert {name.partition(".")[0] for name in FAST} == {
        name for name, metric in METRICS.items() if "factors" in metric.needs
    }
