"""The ceiling of a metric is the score of the best code, or it is not printed."""

import itertools

import numpy as np
import pytest
from metric_references import grid_factors

from metrics import Codes, Factors, find, names, score
from metrics.reference.built_in_codes import (
    code_of_one_factor,
    codes_of_levels,
    codes_with_squares,
    factor_codes,
)
from metrics.reference.ceiling import BUILT_IN_CODES, TOLERANCE
from metrics.registry import METRICS

_GRID = grid_factors(3, 4, 12)
FACTORS = Factors(np.repeat(_GRID.values, 8, axis=0), _GRID.names, _GRID.sizes)
NOISE = Codes(
    np.random.default_rng(0).standard_normal((len(FACTORS), 4)), np.full((len(FACTORS), 4), -4.0)
)
FAST = [
    name
    for name in names()
    if "factors" in find(name).needs
    and "discrete" not in find(name).needs
    and not name.endswith((".monte_carlo", "dci.published"))
]


@pytest.mark.parametrize("name", FAST)
def test_no_built_in_code_exceeds_a_printed_ceiling_by_more_than_the_tolerance(name):
    result = score(name, NOISE, FACTORS)
    values = [
        score(name, make(FACTORS, False), FACTORS, reference=False).value
        for make in BUILT_IN_CODES.values()
    ]
    if result.ceiling is None:
        assert result.no_ceiling
        assert max(values) < find(name).range[1] - TOLERANCE
    else:
        assert max(values) <= result.ceiling + TOLERANCE


def test_factors_with_squares_are_explicit_where_the_factors_are_not():
    # One-vs-rest classifiers of one ordered latent cannot single out a level in the middle.
    plain = score("explicitness", factor_codes(FACTORS), FACTORS)
    assert plain.value < 0.7
    squared = score("explicitness", codes_with_squares(FACTORS), FACTORS, reference=False)
    assert squared.value > 0.95
    assert plain.ceiling == pytest.approx(squared.value)
    assert plain.of_factors == plain.value


def test_a_latent_for_each_level_is_explicit():
    result = score("explicitness", codes_of_levels(FACTORS), FACTORS, reference=False)
    assert result.value > 0.999


def correlated():
    """Return 3,000 rows of two factors of 8 levels with correlation .98."""
    grid = np.array(list(itertools.product(range(8), range(8))))
    p = np.exp(-(((grid[:, 0] - grid[:, 1]) / 7) ** 2) / (2 * 0.1**2))
    rows = np.random.default_rng(0).choice(64, 3_000, p=p / p.sum())
    return Factors(grid[rows], ["x", "y"], [8, 8])


@pytest.mark.parametrize("name", ["sap", "mig", "mig_hist20", "rmig"])
def test_correlated_factors_have_no_ceiling(name):
    # One latent for both factors, and noise, scores more than one latent for each.
    factors = correlated()
    both = factors.values.sum(axis=1, keepdims=True) / 7 - 1.0
    noise = np.random.default_rng(1).standard_normal(both.shape)
    codes = Codes(np.concatenate([both, noise], axis=1), np.full((3_000, 2), -5.0))
    result = score(name, codes, factors)
    assert result.ceiling is None
    assert result.value > result.of_factors + 0.1
    assert f"the factors themselves score {result.of_factors:.3g}" in result.no_ceiling


def test_bins_limit_the_ceiling_of_a_histogram():
    # 40 equally frequent levels in 20 bins: ln 20 / ln 40 = .8121.
    factors = grid_factors(40, names=("orientation",))
    factors = Factors(np.repeat(factors.values, 4, axis=0), factors.names, factors.sizes)
    result = score("mig_hist20", Codes(np.zeros((160, 1)) + factors.values), factors)
    assert result.ceiling == pytest.approx(np.log(20) / np.log(40))


def test_a_code_of_one_factor_has_the_ceiling_of_scores_that_ask_for_no_other():
    codes = code_of_one_factor(FACTORS)
    assert score("mig_sup", codes, FACTORS, reference=False).value == pytest.approx(1, abs=1e-3)
    assert score("mig", codes, FACTORS, reference=False).value == pytest.approx(1 / 3, abs=1e-3)


def test_every_built_in_code_is_named_by_a_metric():
    used = {name for metric in METRICS.values() for name in metric.best_codes}
    assert used == set(BUILT_IN_CODES)
