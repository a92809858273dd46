"""Pareto fronts: which points no other point dominates, and how much of the plane they cover.

Both functions are exact and quadratic in the number of points. A sweep has hundreds of points.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Direction = Literal["min", "max"]
"""The better end of a coordinate."""


def nondominated(points: ArrayLike, directions: Sequence[Direction]) -> NDArray[np.bool_]:
    """Return which points are on the Pareto front, (n,) bool.

    Point a dominates point b if a is at least as good in every coordinate and better in one. Equal
    points do not dominate each other, so all copies of a front point are on the front. A point
    with a NaN is never on the front and dominates no point.

    Args:
        points: (n, m), one row per point.
        directions: m directions, the better end of each coordinate.

    Raises:
        ValueError: the number of directions differs from the number of coordinates, or a direction
            is neither "min" nor "max".
    """
    cost = _costs(points, directions)
    # Both are indexed [a, b]; a comparison with NaN is False.
    at_least_as_good = np.all(cost[:, None, :] <= cost[None, :, :], axis=2)
    better_in_one = np.any(cost[:, None, :] < cost[None, :, :], axis=2)
    dominated = np.any(at_least_as_good & better_in_one, axis=0)
    has_nan = np.any(np.isnan(cost), axis=1)
    return np.asarray(~has_nan & ~dominated, dtype=np.bool_)


def hypervolume(points: ArrayLike, reference: ArrayLike, directions: Sequence[Direction]) -> float:
    """Return the area that the points dominate, up to the reference point, in two dimensions.

    A coordinate whose better end is "max" changes its sign, so every coordinate becomes a cost.
    With costs c = (c1, c2) and reference point r,

        H = area of the union over i of [c1_i, r1] × [c2_i, r2].

    The front, sorted by rising c1, has falling c2. So the union is a staircase, and with c2_0 = r2

        H = sum_i (r1 - c1_i) (c2_{i-1} - c2_i).

    A point that is not better than the reference in both coordinates adds nothing. Neither does a
    point with a NaN.

    Raises:
        ValueError: the points do not have two coordinates.
    """
    cost = _costs(points, directions)
    worst = _costs([np.asarray(reference, float)], directions)[0]
    if cost.shape[1] != 2:
        raise ValueError(f"hypervolume is implemented for 2 coordinates, got {cost.shape[1]}")
    counted = nondominated(cost, ("min", "min")) & (cost < worst).all(axis=1)
    front = cost[counted]
    front = front[np.argsort(front[:, 0], kind="stable")]
    heights = -np.diff(front[:, 1], prepend=worst[1])
    return float(((worst[0] - front[:, 0]) * heights).sum())


def _costs(points: ArrayLike, directions: Sequence[Direction]) -> NDArray[np.float64]:
    """Return the points, (n, m), with the sign changed where larger is better."""
    array = np.asarray(points, dtype=np.float64)
    if array.size == 0:
        array = array.reshape(-1, len(directions))
    if array.ndim != 2 or array.shape[1] != len(directions):
        raise ValueError(
            f"points need one direction per coordinate, got {array.shape} and {list(directions)}"
        )
    unknown = set(directions) - {"min", "max"}
    if unknown:
        raise ValueError(f"a direction is 'min' or 'max', got {sorted(unknown)}")
    return array * np.array([1.0 if direction == "min" else -1.0 for direction in directions])
