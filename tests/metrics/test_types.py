"""Codes, factors and rows of the registry take lists wherever a person would write one."""

import dataclasses
import pickle

import numpy as np
import pytest

from metrics import Codes, Factors, Metric, Score, score


def constant_metric(needs, *, range=(0, 1), invariant=()):
    return Metric(lambda inputs: Score(0.0), needs, range, "max", "epoch", "score", invariant)


def test_codes_take_lists_of_rows():
    codes = Codes([[0.5, 1.0], [2.0, 3.0]], [[-1.0, -2.0], [-3.0, -4.0]], [[0], [1]])
    np.testing.assert_array_equal(codes.mean, np.array([[0.5, 1.0], [2.0, 3.0]]))
    assert codes.mean.dtype == codes.logvar.dtype == np.float64
    assert codes.logvar.shape == (2, 2)
    assert codes.discrete.dtype.kind == "i"
    assert len(codes) == 2


def test_whole_numbers_in_lists_of_means_become_floats():
    codes = Codes([[0, 1], [1, 0]], [[0, 0], [0, 0]])
    assert codes.mean.dtype == codes.logvar.dtype == np.float64


def test_codes_take_tuples_and_lists_of_arrays():
    expected = np.array([[0.5, 1.0], [2.0, 3.0]])
    np.testing.assert_array_equal(Codes(((0.5, 1.0), (2.0, 3.0))).mean, expected)
    np.testing.assert_array_equal(Codes([expected[0], expected[1]]).mean, expected)


def test_arrays_are_stored_as_they_are():
    mean = np.zeros((2, 1), np.float32)
    values = np.array([[0], [1]], np.uint8)
    assert Codes(mean).mean is mean
    assert Factors(values, ("a",), (2,)).values is values


def test_integer_arrays_of_means_are_refused():
    with pytest.raises(TypeError, match=r"codes.mean must be .* of float32 or float64, got int64"):
        Codes(np.zeros((2, 1), np.int64))


@pytest.mark.parametrize(
    ("value", "kind"), [([["a"], ["b"]], "<U1"), ([[None]], "object"), ("ab", "str"), (3, "int")]
)
def test_values_that_are_no_numbers_are_refused_by_their_kind(value, kind):
    with pytest.raises(
        TypeError, match=f"codes.mean must be a numpy array or a list .* got {kind}"
    ):
        Codes(value)


def test_fractional_levels_are_refused():
    with pytest.raises(TypeError, match=r"factors.values must be .* of integers, got float64"):
        Factors([[0.5], [1.0]], ["a"], [2])


def test_rows_of_several_lengths_are_refused():
    with pytest.raises(ValueError, match=r"codes.mean must have rows of one length"):
        Codes([[0.0, 1.0], [2.0]])


def test_one_axis_is_refused():
    with pytest.raises(ValueError, match=r"codes.mean must have two axes .* got shape \(2,\)"):
        Codes([0.0, 1.0])


def test_factors_take_lists_for_every_argument():
    factors = Factors([[0, 0], [1, 2]], ["shape", "scale"], [2, 3], [1, 3])
    assert factors.names == ("shape", "scale")
    assert factors.sizes == (2, 3)
    np.testing.assert_array_equal(factors.values, [[0, 0], [1, 2]])
    np.testing.assert_array_equal(factors.weights, [1.0, 3.0])
    assert factors.weights.dtype == np.float64


def test_scores_of_lists_are_those_of_arrays_and_tuples():
    levels = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    mean, logvar = levels + 0.25, np.full((4, 2), -4.0)
    of_lists = score(
        "mig",
        Codes(mean.tolist(), logvar.tolist()),
        Factors(levels.tolist(), ["a", "b"], [2, 2]),
    )
    of_arrays = score("mig", Codes(mean, logvar), Factors(levels, ("a", "b"), (2, 2)))
    assert of_lists.value == of_arrays.value
    assert (of_lists.chance, of_lists.ceiling) == (of_arrays.chance, of_arrays.ceiling)
    assert of_lists.identity == of_arrays.identity


def test_levels_outside_their_range_are_refused():
    with pytest.raises(ValueError, match=r"'a' must lie in \[0, 2\), got levels from 1 to 2"):
        Factors([[1], [2]], ["a"], [2])


def test_columns_names_and_sizes_must_agree():
    with pytest.raises(ValueError, match="got 1 columns, 2 names and 1 sizes"):
        Factors([[0], [1]], ["a", "b"], [2])


@pytest.mark.parametrize("weights", [[1.0], [-1.0, 1.0], [0.0, 0.0], [np.nan, 1.0]])
def test_lists_that_are_no_weights_are_refused(weights):
    with pytest.raises(ValueError, match=r"factors\.weights must"):
        Factors([[0], [1]], ["a"], [2], weights)


def test_codes_and_factors_can_be_replaced_and_pickled():
    codes, factors = Codes([[0.5], [1.5]], [[0.0], [0.0]]), Factors([[0], [1]], ["a"], [2])
    assert dataclasses.replace(codes, logvar=None).logvar is None
    assert dataclasses.replace(factors, names=["b"]).names == ("b",)
    restored = pickle.loads(pickle.dumps((codes, factors)))
    np.testing.assert_array_equal(restored[0].mean, codes.mean)
    assert restored[1].sizes == (2,)


def test_codes_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Codes([[0.5]]).mean = np.zeros((1, 1))


def test_a_metric_takes_lists():
    metric = constant_metric(["mean", "factors"], range=[0, 1], invariant=["order"])
    assert metric.needs == frozenset({"mean", "factors"})
    assert metric.range == (0, 1)
    assert metric.invariant == frozenset({"order"})


def test_a_metric_refuses_a_string_of_needs():
    with pytest.raises(
        TypeError, match=r"metric.needs must be a collection of names, got .*'mean'"
    ):
        constant_metric("mean")
