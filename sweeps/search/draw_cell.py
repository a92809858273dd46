"""Draws the next cell of a sweep, avoiding the cells that it has already."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from sweeps.cells import cell_grid, finite_points
from sweeps.cells.cell_grid import Layout
from sweeps.search.cell_outcome import CellOutcome
from sweeps.search.suggest import draw_seed, suggest
from sweeps.spec.space import Space, from_unit
from sweeps.spec.sweep_spec import SweepSpec
from vae_core.config import TrialConfig

REDRAWS = 20
"""How often a sampler may repeat earlier cells before a new cell is drawn without it."""

LISTED = 100_000
"""Points up to which a finite space is gone through for a new cell; in a larger one as many random
points are tried.
"""


class DrawnCell(NamedTuple):
    """A new cell."""

    params: dict[str, Any]  # path -> value of everything that was laid out or searched
    configs: list[TrialConfig]  # one per seed


def draw_cell(
    spec: SweepSpec,
    layouts: Sequence[Layout],
    turn: int,
    history: Sequence[CellOutcome],
    *,
    known_hashes: Collection[str],
    fingerprint: str,
) -> DrawnCell | None:
    """Return the cell of a turn of the search, None if its layout has no new cell.

    A sampler that only repeats earlier cells is asked `REDRAWS` times. Then the cell is drawn at
    random from the new ones: so a finite space gives all its cells, whatever the sampler prefers.

    Args:
        spec: the spec.
        layouts: all layouts of the spec; turns go round them.
        turn: from 0.
        history: the earlier cells of the layout of this turn.
        known_hashes: hashes of the trials that the sweep has.
        fingerprint: of the data.
    """
    layout = layouts[turn % len(layouts)]
    cells_total = len(layouts) * cell_grid.cells_per_layout(spec)

    def cell_of(searched: Mapping[str, Any]) -> DrawnCell | None:
        """Return the cell with these searched values, None if the sweep has it already."""
        params = {**layout.fixed, **searched}
        configs = [
            cell_grid.trial_config(spec, layout, params, seed, fingerprint) for seed in spec.seeds
        ]
        if any(config.hash in known_hashes for config in configs):
            return None
        return DrawnCell(params, configs)

    def points() -> Iterator[dict[str, Any]]:
        number = turn // len(layouts)
        return _random_points(layout, history, seed=spec.search.seed, number=number)

    n_points = finite_points.count(layout.searched)
    if n_points is not None and n_points <= len(known_hashes):
        # The space may be used up, and then the sampler would be asked in vain.
        cells = (cell_of(searched) for searched in points())
        if next((cell for cell in cells if cell is not None), None) is None:
            return None
    for redraw in range(REDRAWS):
        searched = suggest(
            spec.search.name,
            layout.searched,
            history,
            seed=spec.search.seed,
            layout=layout.position,
            number=turn // len(layouts) + redraw * cells_total,
            directions=[goal.mode for goal in spec.goal],
        )
        cell = cell_of(searched)
        if cell is not None:
            return cell
    cells = (cell_of(searched) for searched in points())
    return next((cell for cell in cells if cell is not None), None)


def _random_points(
    layout: Layout, history: Sequence[CellOutcome], *, seed: int, number: int
) -> Iterator[dict[str, Any]]:
    """Yield points of a layout's space in random order, without those of earlier cells.

    They depend on nothing but (search seed, layout, number, history), as suggestions do.
    """
    rng = np.random.default_rng(draw_seed(seed, layout.position, number, -2))
    earlier = {_key(layout.searched, outcome.params) for outcome in history}
    n_points = finite_points.count(layout.searched)
    if n_points is None or n_points >= 2**63:  # more than numpy can draw a whole number from
        drawn = (
            {path: from_unit(space, rng.random()) for path, space in layout.searched.items()}
            for _ in range(LISTED)
        )
    elif n_points <= LISTED:
        drawn = (finite_points.point(layout.searched, int(i)) for i in rng.permutation(n_points))
    else:
        drawn = (
            finite_points.point(layout.searched, int(rng.integers(n_points))) for _ in range(LISTED)
        )
    for searched in drawn:
        if _key(layout.searched, searched) not in earlier:
            yield searched


def _key(searched: Mapping[str, Space], params: Mapping[str, Any]) -> str:
    """Return the searched values of a cell as text, to compare them with others."""
    return json.dumps([params[path] for path in searched])
