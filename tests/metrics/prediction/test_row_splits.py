import numpy as np
import pytest

from metrics.prediction.row_splits import held_out, standardised


@pytest.mark.parametrize("rows", [2, 7, 100, 1000])
def test_no_row_is_trained_and_tested_on(rows):
    train, test = held_out("sap", rows, train_rows=60, test_rows=30, rng=np.random.default_rng(0))
    assert len(train) >= 1
    assert len(test) >= 1
    assert not set(train) & set(test)


def test_a_small_number_of_rows_is_divided_in_proportion():
    rng = np.random.default_rng(0)
    train, test = held_out("sap", 90, train_rows=10_000, test_rows=5_000, rng=rng)
    assert (len(train), len(test)) == (60, 30)


def test_standard_units_come_from_training_rows():
    train, test = np.array([[0.0], [2.0]]), np.array([[4.0]])
    x, x_test = standardised(train, test)
    np.testing.assert_allclose(x[:, 0], [-1, 1])
    np.testing.assert_allclose(x_test, 3.0)


def test_a_column_that_varies_by_rounding_is_constant():
    column = np.full((1000, 1), 0.1, np.float32).astype(float)
    column[0] += 1e-9  # below the step of float32 numbers at .1, 7e-9
    assert not standardised(column, column)[0].any()
