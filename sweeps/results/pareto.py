"""Fronts: which points no other point beats, and how much of the plane they cover.

Exact and quadratic in the number of points: a sweep has hundreds, not millions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Direction = Literal["min", "max"]


def nondominated(points: ArrayLike, directions: Sequence[Direction]) -> NDArray[np.bool_]:
    """Return which points lie on the front.

    a dominates b if a is at least as good in every coordinate and better in one. Equal points do not dominate
    each other, so all copies of a front point are on it; a point with a NaN is never on it and dominates
    nothing.

    Args:
        points: (n, m), one row per point.
        directions: m times which end of that coordinate is better.

    Raises:
        ValueError: the number of directions is not the number of coordinates, or a direction is neither.
    """
    cost = _costs(points, directions)
    at_least = np.all(
        cost[:, None, :] <= cost[None, :, :], axis=2
    )  # at_least[a, b]; False where either is NaN
    better = np.any(cost[:, None, :] < cost[None, :, :], axis=2)
    known = ~np.any(np.isnan(cost), axis=1)
    return np.asarray(known & ~np.any(at_least & better, axis=0), dtype=np.bool_)


def hypervolume(points: ArrayLike, reference: ArrayLike, directions: Sequence[Direction]) -> float:
    """Return the area that the points dominate, up to the reference point, in two dimensions.

    With costs c = (c1, c2) to be made small (a coordinate to be made large changes sign) and reference r,

        H = area of the union over i of [c1_i, r1] × [c2_i, r2].

    The front sorted by rising c1 has falling c2, so the union is a staircase, and with c2_0 = r2

        H = sum_i (r1 - c1_i) (c2_{i-1} - c2_i).

    Points that are not better than the reference in both coordinates add nothing; nor does a NaN.

    Raises:
        ValueError: the points have not two coordinates.
    """
    cost, worst = _costs(points, directions), _costs([np.asarray(reference, float)], directions)[0]
    if cost.shape[1] != 2:
        raise ValueError(f"hypervolume is implemented for 2 coordinates, got {cost.shape[1]}")
    front = cost[nondominated(cost, ("min", "min")) & (cost < worst).all(axis=1)]
    front = front[np.argsort(front[:, 0], kind="stable")]
    heights = -np.diff(front[:, 1], prepend=worst[1])
    return float(((worst[0] - front[:, 0]) * heights).sum())


def _costs(points: ArrayLike, directions: Sequence[Direction]) -> NDArray[np.float64]:
    """Return the points with every coordinate to be made small."""
    array = np.asarray(points, dtype=np.float64)
    array = array.reshape(-1, len(directions)) if array.size == 0 else array
    if array.ndim != 2 or array.shape[1] != len(directions):
        raise ValueError(
            f"points need one direction per coordinate, got {array.shape} and {list(directions)}"
        )
    if wrong := set(directions) - {"min", "max"}:
        raise ValueError(f"a direction is 'min' or 'max', got {sorted(wrong)}")
    return array * np.array([1.0 if direction == "min" else -1.0 for direction in directions])
