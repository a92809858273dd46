"""Pareto fronts, checked against the definition point by point."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sweeps.results import pareto

PLANE = list(itertools.product(("min", "max"), repeat=2))


def front_by_definition(points: np.ndarray, directions: tuple[str, ...]) -> list[bool]:
    """Return which points no other point dominates."""
    signs = np.array([1 if direction == "max" else -1 for direction in directions])

    def dominates(a: np.ndarray, b: np.ndarray) -> bool:
        gains = signs * (a - b)
        return all(gains >= 0) and any(gains > 0)

    return [not any(dominates(other, point) for other in points) for point in points]


@pytest.mark.parametrize("directions", [*PLANE, ("min", "max", "min")])
@pytest.mark.parametrize("seed", range(5))
def test_the_front_agrees_with_the_definition(directions, seed):
    # Integers from a small range, so that ties and copies occur.
    points = np.random.default_rng(seed).integers(0, 6, size=(25, len(directions))).astype(float)
    assert pareto.nondominated(points, directions).tolist() == front_by_definition(
        points, directions
    )


def test_all_copies_of_a_front_point_are_on_the_front():
    assert pareto.nondominated([[1, 1], [1, 1], [2, 2]], ("min", "min")).tolist() == [
        True,
        True,
        False,
    ]


def test_a_point_with_nan_is_not_on_the_front_and_dominates_nothing():
    assert pareto.nondominated([[0, np.nan], [1, 1]], ("min", "min")).tolist() == [False, True]


def test_no_points_make_an_empty_front():
    assert pareto.nondominated(np.empty((0, 2)), ("min", "max")).shape == (0,)
    assert pareto.hypervolume(np.empty((0, 2)), (1, 1), ("min", "max")) == 0


@pytest.mark.parametrize("directions", PLANE)
@pytest.mark.parametrize("seed", range(5))
def test_the_hypervolume_is_the_number_of_unit_squares_covered(directions, seed):
    # Points and reference are integers, so the dominated area consists of unit squares.
    points = np.random.default_rng(seed).integers(0, 8, size=(6, 2))
    reference = np.array([7 if direction == "min" else 1 for direction in directions])
    is_cost = np.array(directions) == "min"
    low = np.where(is_cost, points, reference)  # corners of the rectangle of each point
    high = np.where(is_cost, reference, points)
    middles = [np.array([x + 0.5, y + 0.5]) for x, y in itertools.product(range(8), repeat=2)]
    squares = sum(bool(((low < middle) & (middle < high)).all(axis=1).any()) for middle in middles)
    assert pareto.hypervolume(points, reference, directions) == squares


def test_a_staircase_by_hand():
    # Costs (1, 3), (2, 1), reference (4, 4): 3 * (4 - 3) + 2 * (3 - 1) = 7.
    # The point (5, 0) is worse than the reference in one coordinate and adds nothing.
    assert pareto.hypervolume([[1, 3], [2, 1], [5, 0]], (4, 4), ("min", "min")) == 7


@pytest.mark.parametrize("directions", [("min",), ("min", "up")])
def test_wrong_directions_are_refused(directions):
    with pytest.raises(ValueError, match="direction"):
        pareto.nondominated([[1, 2]], directions)


def test_a_hypervolume_of_three_coordinates_is_refused():
    with pytest.raises(ValueError, match="2 coordinates, got 3"):
        pareto.hypervolume([[1, 2, 3]], (4, 4, 4), ("min", "min", "min"))
