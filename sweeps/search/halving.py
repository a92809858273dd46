"""ASHA on cells: asynchronous successive halving inside a bracket, judged on the mean over seeds.

Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", algorithm 2, in its
stopping form: a cell that reaches a rung is promoted if it is among the best 1/reduction of the
cells of its bracket seen at that rung so far.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from sweeps.ledger.states import Verdict


class RungVerdict(NamedTuple):
    """The verdict on a cell at a rung, and the reason in words."""

    verdict: Verdict
    why: str

    @property
    def promoted(self) -> bool:
        """Whether the cell is promoted."""
        return self.verdict is Verdict.PROMOTE


def judge(
    value: float, others: Sequence[float], *, reduction: float, mode: Literal["max", "min"]
) -> RungVerdict:
    """Return the verdict on a cell, given the values of the other cells of its bracket at the same
    rung.

    Of n cells seen (this one included) the best max(1, floor(n / reduction)) are promoted, and all
    that tie with the last of them. So the first cell to arrive is promoted. A value that is not
    finite is never promoted and not counted.

    Args:
        value: of the cell, a mean over its seeds.
        others: values of the other cells.
        reduction: the ratio of cells to promoted cells.
        mode: whether the largest or the smallest value is best.
    """
    if not math.isfinite(value):
        return RungVerdict(Verdict.PRUNE, f"the pruning metric is {value}")
    sign = 1.0 if mode == "max" else -1.0
    finite = [sign * other for other in (*others, value) if math.isfinite(other)]
    ranked = sorted(finite, reverse=True)
    promoted = max(1, math.floor(len(ranked) / reduction))
    cutoff = ranked[promoted - 1]
    verdict = Verdict.PROMOTE if sign * value >= cutoff else Verdict.PRUNE
    why = f"{value:.6g} against a cutoff of {sign * cutoff:.6g} (best {promoted} of {len(ranked)})"
    return RungVerdict(verdict, why)
