import numpy as np
import pytest
from metric_references import grid_factors, noisy_codes

import metrics
from metrics import Codes, Factors, Metric, Score, chance_and_ceiling, score
from metrics.registry import METRICS

FACTORS = grid_factors(4, 5, 3)
CODES = noisy_codes(FACTORS, latents=4, seed=0)


def test_unknown_metric_names_the_nearest():
    with pytest.raises(
        ValueError, match=r"unknown metric 'mig_hist'; did you mean 'mig_hist20'\? known: mig, "
    ):
        score("mig_hist", CODES, FACTORS)


def test_unknown_option_names_the_known_ones():
    with pytest.raises(
        TypeError, match="metric 'mig_hist20' has no option 'bin'; its options: bins"
    ):
        score("mig_hist20", CODES, FACTORS, bin=10)


def test_a_metric_without_options_says_so():
    with pytest.raises(TypeError, match="its options: none"):
        score("gaussian_tc", CODES, samples=3)


def test_rows_must_agree():
    fewer = Factors(FACTORS.values[:10], FACTORS.names, FACTORS.sizes)
    with pytest.raises(
        ValueError, match="codes have 60 rows but factors have 10; pass the same subset to both"
    ):
        score("mig", CODES, fewer)


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match="at least one row"):
        score("active_units", Codes(np.zeros((0, 2))))


def test_options_are_part_of_the_identity():
    assert score("mig_hist20", CODES, FACTORS, bins=7).identity["bins"] == 7
    assert score("mig_hist20", CODES, FACTORS).identity["bins"] == 20


def test_reference_is_paid_for_once(monkeypatch):
    calls = []

    def counted(inputs):
        calls.append(1)
        return Score(float(len(calls)))

    row = Metric(counted, frozenset({"factors"}), (0, 1), "max", "epoch", "score")
    monkeypatch.setitem(METRICS, "counted", row)
    first, second = score("counted", CODES, FACTORS), score("counted", CODES, FACTORS)
    assert len(calls) == 1 + 6 + 1  # the ceiling and five permutations once
    assert (first.chance, first.ceiling) == (second.chance, second.ceiling)
    assert score("counted", CODES, FACTORS, reference=False).ceiling is None


def test_chance_is_the_mean_over_five_permutations():
    inputs = metrics.Inputs
    own = chance_and_ceiling.own_codes(FACTORS)
    values = []
    for seed in range(5):
        rows = np.random.default_rng(seed).permutation(60)
        shuffled = Factors(FACTORS.values[rows], FACTORS.names, FACTORS.sizes)
        values.append(METRICS["mig"].function(inputs(own, shuffled)).value)
    assert score("mig", CODES, FACTORS).chance == pytest.approx(np.mean(values))


def test_own_codes_are_one_to_one():
    own = chance_and_ceiling.own_codes(FACTORS)
    for k, size in enumerate(FACTORS.sizes):
        np.testing.assert_allclose(np.unique(own.mean[:, k]), np.linspace(-1, 1, size))


def test_discrete_codes_are_latents_of_mig():
    codes = Codes(np.zeros((60, 1)), np.zeros((60, 1)), FACTORS.values[:, :1])
    np.testing.assert_allclose(score("mig", codes, FACTORS).details["gaps"], [1, 0, 0], atol=1e-9)
