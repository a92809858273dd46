"""A row of weight 3 counts as three equal rows."""

import numpy as np
import pytest
from metric_references import grid_factors, noisy_codes

from metrics import Codes, Factors, score

GRID = grid_factors(3, 4, 5)
COUNTS = np.random.default_rng(0).integers(0, 4, len(GRID))  # some rows have weight 0
CONTINUOUS = noisy_codes(GRID, latents=4, seed=0)
CODES = Codes(CONTINUOUS.mean, CONTINUOUS.logvar, GRID.values[:, :1] % 2)
ROWS = np.repeat(np.arange(len(GRID)), COUNTS)
REPEATED = Codes(CODES.mean[ROWS], CODES.logvar[ROWS], CODES.discrete[ROWS])
NAMES = [
    "mig",
    "mig.entropy_weighted",
    "mig_chen4",
    "mig_hist20",
    "mig_sup",
    "rmig",
    "jemmig",
    "med",
    "med.published",
]


def weighted(unit=1.0):
    return Factors(GRID.values, GRID.names, GRID.sizes, COUNTS * unit)


@pytest.mark.parametrize("unit", [1.0, 0.37])
@pytest.mark.parametrize("name", NAMES)
def test_weights_act_as_repetitions(name, unit):
    ours = score(name, CODES, weighted(unit), reference=False)
    repeated = Factors(GRID.values[ROWS], GRID.names, GRID.sizes)
    theirs = score(name, REPEATED, repeated, reference=False)
    assert ours.value == pytest.approx(theirs.value, abs=1e-10)  # sums in another order
    for key in ("mutual_information", "entropies"):
        np.testing.assert_allclose(ours.details[key], theirs.details[key], atol=1e-10)


@pytest.mark.parametrize("name", [*NAMES, "mig_hist20.dlib", "mig.monte_carlo"])
def test_a_level_with_rows_of_weight_zero_only_does_not_count(name):
    weights = np.where(GRID.values[:, 2] == 1, 1.0, 0.0)
    factors = Factors(GRID.values, GRID.names, GRID.sizes, weights)
    options = {"samples": 20} if "monte" in name else {}
    ours = score(name, CODES, factors, reference=False, **options)
    assert "factor2" in ours.details["excluded"]
    assert np.isfinite(ours.value)


def test_sampled_mixtures_are_of_the_weighted_rows():
    ours = score("mig.monte_carlo", CODES, weighted(), samples=4000, reference=False)
    exact = score("mig", CODES, weighted(), reference=False)
    assert abs(ours.value - exact.value) < 4 * ours.error + exact.error


def test_equal_weights_change_nothing():
    even = Factors(GRID.values, GRID.names, GRID.sizes, np.full(len(GRID), 3.0))
    for name in NAMES:
        weighted_value = score(name, CODES, even, reference=False).value
        value = score(name, CODES, GRID, reference=False).value
        assert weighted_value == pytest.approx(value, abs=1e-12)
