import numpy as np
import pytest
from metric_references import grid_factors, sharp_codes

from metrics import Codes, score
from metrics.dci import completeness, disentanglement


@pytest.mark.parametrize(("importance", "expected"), [(np.eye(4), 1.0), (np.ones((4, 4)), 0.0)])
def test_identity_and_uniform_importance(importance, expected):
    assert disentanglement(importance) == pytest.approx(expected)
    assert completeness(importance) == pytest.approx(expected)


def test_factor_split_over_two_of_ten_codes():
    importance = np.zeros((10, 1))
    importance[:2] = 0.5
    assert completeness(importance) == pytest.approx(0.698970, abs=1e-6)  # 1 - log10 2


def test_code_shared_by_two_of_five_factors():
    importance = np.array([[1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1]], dtype=float)
    # Code 0 has 1 - log5 2 = .569323 and weight 2/5, the other three have 1 and 3/5 together.
    assert disentanglement(importance) == pytest.approx(0.4 * 0.569323 + 0.6, abs=1e-6)


def test_codes_without_importance_weigh_nothing():
    importance = np.concatenate([np.eye(3), np.zeros((2, 3))])
    assert disentanglement(importance) == 1.0
    assert completeness(importance) == 1.0


def test_nothing_important_is_zero_and_not_nan():
    assert disentanglement(np.zeros((3, 2))) == completeness(np.zeros((3, 2))) == 0.0


def test_codes_that_are_the_factors():
    factors = grid_factors(5, 4, 6, 5)
    result = score("dci", sharp_codes(factors.values), factors, reference=False)
    assert result.value == pytest.approx(1.0, abs=1e-9)
    assert result.details["accuracy"] == 1.0


def test_each_code_mixing_two_factors_disentangles_less():
    factors = grid_factors(5, 5, 8)
    level = factors.values.astype(float)
    mixed = np.stack([level[:, 0] + level[:, 1], level[:, 0] - level[:, 1], level[:, 2]], axis=1)
    result = score("dci", Codes(mixed), factors, reference=False)
    # Codes 0 and 1 serve two of three factors each: 1 - log3 2 = .369 at two thirds of the weight, so about .58.
    assert 0.5 < result.value < 0.7


def test_a_single_row_is_refused():
    factors = grid_factors(1)
    with pytest.raises(ValueError, match="at least 2 rows"):
        score("dci", Codes(np.zeros((1, 2))), factors, reference=False)
