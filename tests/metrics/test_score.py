import doctest

import numpy as np
import pytest
from metric_references import grid_factors, noisy_codes

import metrics
from metrics import Codes, Factors, Inputs, Metric, Score, score
from metrics.reference.built_in_codes import factor_codes
from metrics.reference.chance import Chance, p_value
from metrics.registry import METRICS

FACTORS = grid_factors(4, 5, 3)
CODES = noisy_codes(FACTORS, latents=4, seed=0)


def test_the_example_of_the_package_runs():
    results = doctest.testmod(metrics)
    assert results.attempted > 0
    assert results.failed == 0


def test_unknown_metric_names_the_nearest():
    with pytest.raises(
        ValueError, match=r"unknown metric 'mig_hist'; did you mean 'mig_hist20'\? known: mig, "
    ):
        score("mig_hist", CODES, FACTORS)


def test_unknown_variant_names_the_nearest_and_the_variants():
    with pytest.raises(
        ValueError, match=r"unknown metric 'sap.dlab'; did you mean 'sap.dlib'\? known: sap.dlib$"
    ):
        score("sap.dlab", CODES, FACTORS)


def test_a_metric_without_variants_names_none():
    with pytest.raises(ValueError, match=r"unknown metric 'rmig.x'.* known: no variants$"):
        score("rmig.x", CODES, FACTORS)


def test_unknown_option_names_the_known_ones():
    with pytest.raises(
        TypeError, match="metric 'mig_hist20' has no option 'bin'; its options: bins"
    ):
        score("mig_hist20", CODES, FACTORS, bin=10)


def test_a_metric_without_options_names_none():
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


def test_reference_is_computed_once(monkeypatch):
    calls = []

    def counted(inputs):
        calls.append(1)
        return Score(float(len(calls)))

    row = Metric(counted, frozenset({"factors"}), (0, 1), "max", "epoch", "score")
    monkeypatch.setitem(METRICS, "counted", row)
    first, second = score("counted", CODES, FACTORS), score("counted", CODES, FACTORS)
    assert len(calls) == 1 + 6 + 1  # the ceiling and five noise codes once
    assert (first.chance, first.ceiling) == (second.chance, second.ceiling)
    assert score("counted", CODES, FACTORS, reference=False).ceiling is None


def test_chance_is_the_mean_over_five_noise_codes_with_as_many_latents():
    values = []
    for seed in range(5):
        mean = np.random.default_rng(seed).standard_normal((60, 4))
        noise = Codes(mean, np.full((60, 4), 2 * np.log(0.1)))
        values.append(METRICS["mig"].function(Inputs(noise, FACTORS)).value)
    result = score("mig", CODES, FACTORS)
    assert result.chance == pytest.approx(np.mean(values))
    assert result.chance_sd == pytest.approx(np.std(values, ddof=1))


def test_chance_of_discrete_codes_is_that_of_uniform_categories():
    codes = Codes(np.zeros((60, 0)), discrete=np.arange(60)[:, None] % 3)
    values = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        rng.standard_normal((60, 0))
        noise = Codes(np.zeros((60, 0)), discrete=rng.integers(0, 3, 60)[:, None])
        values.append(METRICS["accuracy"].function(Inputs(noise, FACTORS), factor=None).value)
    assert score("accuracy", codes, FACTORS).chance == pytest.approx(np.mean(values))


def test_own_chance_is_the_mean_over_row_permutations_and_gives_a_p_value():
    values = []
    for seed in range(20):
        rows = np.random.default_rng(seed).permutation(60)
        shuffled = Factors(FACTORS.values[rows], FACTORS.names, FACTORS.sizes)
        values.append(score("mig", CODES, shuffled, reference=False).value)
    result = score("mig", CODES, FACTORS, chance="own")
    np.testing.assert_allclose(result.details["chance_scores"], values)
    assert result.chance == pytest.approx(np.mean(values))
    # The codes are better than all 20: p = 1 / 21.
    assert result.details["p_value"] == pytest.approx(1 / 21)
    assert result.identity == score("mig", CODES, FACTORS).identity


def test_a_score_that_is_nan_has_no_p_value():
    constant = Factors(np.zeros((60, 1), np.int64), ("shape",), (3,))
    result = score("mig", CODES, constant, chance="own", permutations=3)
    assert np.isnan(result.value)
    assert np.isnan(result.details["p_value"])


def test_a_chance_score_that_is_nan_counts_as_at_least_as_good():
    chance = Chance(0.1, 0.1, np.array([0.1, np.nan, 0.9]))
    assert p_value(0.5, chance, "max") == 3 / 4
    assert p_value(0.5, chance, "min") == 3 / 4


def test_an_unknown_kind_of_chance_is_refused():
    with pytest.raises(ValueError, match="chance must be 'noise' or 'own', got 'mine'"):
        score("mig", CODES, FACTORS, chance="mine")
    with pytest.raises(ValueError, match="permutations must be >= 1, got 0"):
        score("mig", CODES, FACTORS, chance="own", permutations=0)


def test_codes_that_are_the_factors_are_one_to_one():
    codes = factor_codes(FACTORS)
    for k, size in enumerate(FACTORS.sizes):
        np.testing.assert_allclose(np.unique(codes.mean[:, k]), np.linspace(-1, 1, size))


def test_discrete_codes_are_latents_of_mig():
    codes = Codes(np.zeros((60, 1)), np.zeros((60, 1)), FACTORS.values[:, :1])
    np.testing.assert_allclose(score("mig", codes, FACTORS).details["gaps"], [1, 0, 0], atol=1e-9)


def test_excluded_and_reason_come_from_the_details():
    excluded = {"shape": "one level only"}
    result = Score(np.nan, details={"excluded": excluded, "reason": "nothing varies"})
    assert result.excluded == excluded
    assert result.reason == "nothing varies"
    assert result.details == {"excluded": excluded, "reason": "nothing varies"}


def test_without_details_nothing_is_excluded_and_there_is_no_reason():
    assert Score(0.5).excluded == {}
    assert Score(0.5).reason == ""


def test_score_keeps_excluded_and_reason():
    constant = Factors(np.zeros((60, 1), np.int64), ("shape",), (3,))
    result = score("mig", Codes(CODES.mean[:, :3], CODES.logvar[:, :3]), constant)
    assert result.excluded == result.details["excluded"]
    assert list(result.excluded) == ["shape"]
    assert result.reason == result.details["reason"] != ""


def test_others_may_be_a_list():
    as_list = score("udr", CODES, others=[CODES, CODES]).value
    assert as_list == score("udr", CODES, others=(CODES, CODES)).value
