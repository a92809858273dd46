import math

import numpy as np
import pytest
from metric_references import grid_factors

from metrics import Codes, Factors, score

FACTORS = grid_factors(5, 4, 3)
LEVELS = FACTORS.values / (np.array(FACTORS.sizes) - 1)


def irs(mean, factors=FACTORS, *, discrete=None, **options):
    return score("irs", Codes(mean, discrete=discrete), factors, reference=False, **options)


def by_loops(mean, values, quantile):
    """Return the score by its definition, latent by latent and level by level.

    The weight of a latent is its largest deviation.
    """
    scores, weights = [], []
    for z in mean.T:
        most = max(abs(x - z.mean()) for x in z)
        robust = []
        for level in values.T:
            groups = [z[level == v] for v in np.unique(level)]
            worst = [np.quantile([abs(x - g.mean()) for x in g], quantile) for g in groups]
            robust.append(1 - np.mean(worst) / most)
        scores.append(max(robust))
        weights.append(most)
    return np.average(scores, weights=weights)


@pytest.mark.parametrize("quantile", [0.5, 0.99, 1.0])
def test_value_is_the_definition(quantile):
    mean = LEVELS @ np.random.default_rng(0).standard_normal((3, 4))
    assert irs(mean, quantile=quantile).value == pytest.approx(
        by_loops(mean, FACTORS.values, quantile), abs=1e-12
    )


def test_a_function_of_one_factor_is_robust():
    result = irs(np.exp(3 * LEVELS[:, [2, 0]]))
    assert result.value == pytest.approx(1.0)
    np.testing.assert_array_equal(result.details["best_factors"], [2, 0])


def test_one_row_counts_in_the_paper_and_not_in_its_code():
    # One row of 6,000 deviates: a maximum sees it, the .99 quantile of its level does not.
    factors = Factors(np.repeat(FACTORS.values, 100, axis=0), FACTORS.names, FACTORS.sizes)
    mean = np.repeat(LEVELS[:, :1], 100, axis=0)
    mean[0] = 1.0
    assert irs(mean, factors).value > 0.99
    # Level 0 of five deviates by 1 - 1/1200; the largest deviation of all rows is about .5. So the
    # score is 1 - (1 / 5) / .5.
    assert score("irs.paper", Codes(mean), factors, reference=False).value == pytest.approx(
        0.6, abs=0.005
    )


def test_weight_of_a_latent_is_its_largest_deviation():
    noise = np.random.default_rng(0).standard_normal((len(FACTORS), 1))
    small = irs(np.concatenate([LEVELS[:, :1], 0.01 * noise], 1))
    large = irs(np.concatenate([LEVELS[:, :1], noise], 1))
    np.testing.assert_allclose(small.details["scores"], large.details["scores"])
    assert small.value > 0.97 > large.value


def test_discrete_latents_are_indicators_at_total_variation():
    # The category is the first factor, except for one row of level 0 with category 1. The shares
    # are (1/2, 1/2) under level 0 and (0, 1) under level 1, so the deviations are 1/2 and 0. Over
    # all rows the shares are (1/4, 3/4), and the largest deviation is 3/4.
    factors = grid_factors(2, 2)
    result = irs(np.zeros((4, 0)), factors, discrete=np.array([[0], [1], [1], [1]]), quantile=1.0)
    assert result.details["robustness"][0, 0] == pytest.approx(1 - (0.5 + 0) / 2 / 0.75)


def test_names_of_categories_do_not_matter():
    names = np.array([7, -1, 30, 2, 5])
    ours = irs(LEVELS[:, 2:], discrete=FACTORS.values[:, :2])
    assert ours.value == pytest.approx(1.0)
    assert irs(LEVELS[:, 2:], discrete=names[FACTORS.values[:, :2]]).value == ours.value


def test_noise_scores_a_quantile_over_a_maximum():
    # The .99 quantile of |N(0, 1)| is 2.576, and the largest of 10,000 values is near 3.9. The
    # score is not 0, so it needs a chance level.
    rng = np.random.default_rng(0)
    factors = Factors(rng.integers(0, 3, (10_000, 2)), ("a", "b"), (3, 3))
    assert irs(rng.standard_normal((10_000, 8)), factors).value == pytest.approx(
        1 - 2.576 / 3.9, abs=0.04
    )


def test_constant_latents_and_factors_are_left_out_by_name():
    values = np.concatenate([FACTORS.values, np.zeros((len(FACTORS), 1), np.int64)], axis=1)
    factors = Factors(values, (*FACTORS.names, "colour"), (*FACTORS.sizes, 1))
    result = irs(np.concatenate([LEVELS, np.full((len(LEVELS), 1), 0.1)], axis=1), factors)
    assert list(result.details["excluded"]) == ["colour", "latent 3"]
    assert result.value == pytest.approx(1.0)


def test_a_level_with_more_spread_than_all_rows_counts_as_not_robust():
    # 1,000 rows are at 0. The twenty rows of the other level are at 1, but one is at -1: deviations
    # within this level are as large as those of all rows, or larger.
    mean = np.concatenate([np.zeros(1000), np.ones(19), -np.ones(1)])[:, None]
    level = np.concatenate([np.zeros(1000), np.ones(20)]).astype(np.int64)[:, None]
    result = irs(mean, Factors(level, ("rare",), (2,)), quantile=1.0)
    assert 0 <= result.value <= 1
    assert result.details["robustness"][0, 0] == pytest.approx(1 - (0 + 1.9) / 2 / (1 + 18 / 1020))


def test_constant_latents_or_factors_give_a_reason():
    assert irs(np.ones((len(FACTORS), 2))).details["reason"] == "no latent varies"
    only = irs(LEVELS, Factors(np.zeros((len(FACTORS), 1), np.int64), ("a",), (1,)))
    assert math.isnan(only.value)
    assert "constant" in only.details["reason"]


@pytest.mark.parametrize("quantile", [0.0, 1.1])
def test_a_quantile_lies_in_its_range(quantile):
    with pytest.raises(ValueError, match=r"quantile must lie in \(0, 1\]"):
        irs(LEVELS, quantile=quantile)
