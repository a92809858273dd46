"""The earlier cells of one layout, and what samplers need of them, computed once per ended cell.

A driver keeps one for each layout, and a restarted driver builds the same from the ledger: it holds
nothing but functions of the cells.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweeps.cells import cell_grid, finite_points
from sweeps.cells.cell_grid import Layout
from sweeps.ledger.progress import CellProgress
from sweeps.search.cell_outcome import CellOutcome, cell_outcome
from sweeps.spec.sweep_spec import SweepSpec

LISTED = 100_000
"""Points up to which a finite space is gone through for a new cell; in a larger one as many random
points are tried.
"""


class LayoutHistory:
    """The earlier cells of one layout, in the order of their numbers."""

    def __init__(self, spec: SweepSpec, layout: Layout) -> None:
        self._spec = spec
        self._layout = layout
        self._cells: list[CellProgress] = []
        self._outcomes: list[CellOutcome] = []
        self._open: list[int] = []  # indices of the cells that had not ended at the last look
        self.optuna_trials: dict[int, Any] = {}
        """Index of an ended cell -> its Optuna trial, once a sampler has made it."""
        n_points = finite_points.count(layout.searched)
        self.n_points = n_points if n_points is not None and n_points <= LISTED else None
        """The number of points of the layout's space; None if they are too many to list."""
        self._taken: NDArray[np.bool_] = np.zeros(self.n_points or 0, dtype=bool)

    def add(self, cell: CellProgress) -> None:
        """Add the next cell of the layout."""
        self._open.append(len(self._cells))
        self._cells.append(cell)
        if self.n_points is not None:
            self.take(finite_points.index_of(self._layout.searched, cell.params))

    def outcomes(self) -> list[CellOutcome]:
        """Return the outcome of every cell. Of the intermediate values it has the last one."""
        still_open: list[int] = []
        for index in self._open:
            cell = self._cells[index]
            outcome = cell_outcome(cell, self._spec, last_only=True)
            if index == len(self._outcomes):
                self._outcomes.append(outcome)
            else:
                self._outcomes[index] = outcome
            if not cell.ended:
                still_open.append(index)
        self._open = still_open
        return self._outcomes

    def params(self) -> list[Mapping[str, Any]]:
        """Return the parameters of every cell."""
        return [cell.params for cell in self._cells]

    # ---- the points of a finite space

    def take(self, index: int | None) -> None:
        """Note that the cell of a point is in the sweep; None is no point of the space."""
        if index is not None:
            self._taken[index] = True

    def free_points(self, order: NDArray[np.int64]) -> list[int]:
        """Return the points of `order` that are not taken."""
        return order[~self._taken[order]].tolist()


class SearchHistory:
    """The earlier cells of a sweep, by layout, and the hashes of its trials."""

    def __init__(self, spec: SweepSpec, cells: Iterable[CellProgress]) -> None:
        self._spec = spec
        self._by_layout: dict[int, LayoutHistory] = {}
        self._layouts = cell_grid.all_layouts(spec)
        self.hashes: set[str] = set()
        for cell in cells:
            self.add(cell)

    def add(self, cell: CellProgress) -> None:
        """Add the next cell, with its trials."""
        self.hashes.update(trial.hash for trial in cell.trials)
        if self._spec.search.name != "grid":  # there a layout has one cell only
            self.of(self._layouts[cell.layout]).add(cell)

    def of(self, layout: Layout) -> LayoutHistory:
        """Return the earlier cells of a layout."""
        history = self._by_layout.get(layout.position)
        if history is None:
            history = LayoutHistory(self._spec, layout)
            if self._spec.search.name != "grid":
                self._by_layout[layout.position] = history
        return history
