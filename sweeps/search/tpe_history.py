"""Which earlier cells TPE is given: all of them, or of a long history the best and the newest.

TPE models the good cells with one density and all others with another. It weighs a cell by its age:
of n others the oldest has weight 1/n, the newest 25 have weight 1 (linear forgetting; Bergstra et
al. 2013, "Making a Science of Model Search"). So what is lost here are old cells that are not good,
and that counted little. In return a suggestion costs the same after 1,000 cells and after 20,000;
with all 20,000 Optuna takes more than a second.

The choice depends on the history only, as a suggestion must.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sweeps.search.cell_outcome import CellOutcome, OutcomeState

MOST = 1_000
"""The most cells that TPE is given."""

BEST = 100
"""How many of them are the best ones. TPE takes the best tenth of its cells for the good ones, with
one goal at most 25.
"""

Directions = Sequence[Literal["max", "min"]]


def selected(history: Sequence[CellOutcome], directions: Directions) -> Sequence[int]:
    """Return the indices of the cells that TPE is given, in their order.

    Up to `MOST` cells these are all. Of a longer history they are the `BEST` best cells, and the
    newest of the others that did not fail.

    Args:
        history: the earlier cells of a layout.
        directions: the better end of each goal.
    """
    if len(history) <= MOST:
        return range(len(history))
    best = set(_best(history, directions))
    others: list[int] = []
    for index in range(len(history) - 1, -1, -1):
        if len(best) + len(others) == MOST:
            break
        if index not in best and history[index].state != OutcomeState.FAILED:
            others.append(index)
    return sorted([*best, *others])


def _best(history: Sequence[CellOutcome], directions: Directions) -> list[int]:
    """Return the indices of the best cells: complete ones, then pruned ones that came furthest."""
    complete = [i for i, cell in enumerate(history) if cell.state == OutcomeState.COMPLETE]
    losses = np.array([history[i].values for i in complete]).reshape(-1, len(directions))
    losses *= [-1.0 if mode == "max" else 1.0 for mode in directions]
    ranked = _by_front(losses) if len(directions) > 1 else _by_value(losses[:, 0])
    best = [complete[rank] for rank in ranked[:BEST]]
    if len(best) < BEST:
        best += _furthest(history, directions[0])[: BEST - len(best)]
    return best


def _by_value(losses: NDArray[np.float64]) -> list[int]:
    """Return the rows, the smallest loss first; of equal ones the oldest first."""
    return np.argsort(losses, kind="stable").tolist()


def _by_front(losses: NDArray[np.float64]) -> list[int]:
    """Return at least `BEST` rows, if there are as many: the Pareto front, the next front, …

    The fronts are peeled off: the row with the smallest sum of what is left is on the front, and
    all rows that it dominates are not.
    """
    ranked: list[int] = []
    left = np.arange(len(losses))
    while len(left) and len(ranked) < BEST:
        front: list[int] = []
        candidates = left
        while len(candidates):
            best = candidates[np.argmin(losses[candidates].sum(axis=1))]
            front.append(int(best))
            is_worse = np.all(losses[candidates] >= losses[best], axis=1)
            candidates = candidates[~is_worse]
        ranked += sorted(front, reverse=True)  # of a front that is cut, the newest cells
        left = np.setdiff1d(left, front)
    return ranked


def _furthest(history: Sequence[CellOutcome], mode: Literal["max", "min"]) -> list[int]:
    """Return the pruned cells in the order in which Optuna ranks them: last epoch, then value."""
    keys: list[tuple[float, float, int]] = []
    for index, cell in enumerate(history):
        if cell.state == OutcomeState.PRUNED:
            epoch, value = max(cell.intermediate.items(), default=(-1, 0.0))
            keys.append((-epoch, -value if mode == "max" else value, index))
    return [index for _, _, index in sorted(keys)]
