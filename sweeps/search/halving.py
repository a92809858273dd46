"""ASHA on cells: asynchronous successive halving inside a bracket, judged on the mean over seeds.

Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", algorithm 2, in its stopping form: a cell that
reaches a rung goes on if it is in the best 1/reduction of the cells of its bracket seen at that rung so far.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple


class Verdict(NamedTuple):
    """What a rung says of a cell, and why in words."""

    go: bool
    why: str


def judge(
    value: float, others: Sequence[float], *, reduction: float, mode: Literal["max", "min"]
) -> Verdict:
    """Return whether a cell with this value goes on, given the values of the bracket's other cells at the same rung.

    Of n cells seen (this one included) the best max(1, floor(n / reduction)) go on; a tie with the last of them goes on
    too. The first to arrive goes on. A value that is not finite never does, and never counts as seen.
    """
    if not math.isfinite(value):
        return Verdict(False, f"the pruning metric is {value}")
    sign = 1.0 if mode == "max" else -1.0
    seen = sorted(
        (sign * other for other in (*others, value) if math.isfinite(other)), reverse=True
    )
    places = max(1, math.floor(len(seen) / reduction))
    cutoff = seen[places - 1]
    standing = f"{value:.6g} against a cutoff of {sign * cutoff:.6g} (best {places} of {len(seen)})"
    return Verdict(sign * value >= cutoff, standing)
