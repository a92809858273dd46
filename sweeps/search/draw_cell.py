"""Draws the next cell of a sweep, avoiding the cells that it has already."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from sweeps.cells import cell_grid, finite_points
from sweeps.cells.cell_grid import Layout
from sweeps.search.layout_history import LISTED, LayoutHistory
from sweeps.search.suggest import READS_HISTORY, draw_seed, suggest
from sweeps.spec.space import Space, from_unit
from sweeps.spec.sweep_spec import SweepSpec
from vae_core.config import TrialConfig

REDRAWS = 20
"""How often a sampler may repeat earlier cells before a new cell is drawn without it."""


class DrawnCell(NamedTuple):
    """A new cell."""

    params: dict[str, Any]  # path -> value of everything that was laid out or searched
    configs: list[TrialConfig]  # one per seed


def draw_cell(
    spec: SweepSpec,
    layouts: Sequence[Layout],
    turn: int,
    history: LayoutHistory,
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
        history: the earlier cells of the layout of this turn; the points that prove to be taken are
            noted in it.
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

    def random_cell() -> DrawnCell | None:
        """Return a random new cell, None if there is none."""
        number = turn // len(layouts)
        rng = np.random.default_rng(draw_seed(spec.search.seed, layout.position, number, -2))
        if history.n_points is None:
            cells = (cell_of(searched) for searched in _random_points(layout, history, rng))
            return next((cell for cell in cells if cell is not None), None)
        for index in history.free_points(rng.permutation(history.n_points)):
            cell = cell_of(finite_points.point(layout.searched, index))
            if cell is not None:
                return cell
            history.take(index)  # another layout has this cell
        return None

    may_be_used_up = history.n_points is not None and history.n_points <= len(known_hashes)
    if may_be_used_up and random_cell() is None:  # else the sampler would be asked in vain
        return None
    outcomes = history.outcomes() if spec.search.name in READS_HISTORY else []
    for redraw in range(REDRAWS):
        searched = suggest(
            spec.search.name,
            layout.searched,
            outcomes,
            seed=spec.search.seed,
            layout=layout.position,
            number=turn // len(layouts) + redraw * cells_total,
            directions=[goal.mode for goal in spec.goal],
            optuna_trials=history.optuna_trials,
        )
        cell = cell_of(searched)
        if cell is not None:
            return cell
    return random_cell()


def _random_points(
    layout: Layout, history: LayoutHistory, rng: np.random.Generator
) -> Iterator[dict[str, Any]]:
    """Yield random points of a space with too many points to list, without those of earlier
    cells.
    """
    earlier = {_key(layout.searched, params) for params in history.params()}
    n_points = finite_points.count(layout.searched)
    for _ in range(LISTED):
        if n_points is None or n_points >= 2**63:  # numpy draws no larger whole number
            searched = {
                path: from_unit(space, rng.random()) for path, space in layout.searched.items()
            }
        else:
            searched = finite_points.point(layout.searched, int(rng.integers(n_points)))
        if _key(layout.searched, searched) not in earlier:
            yield searched


def _key(searched: Mapping[str, Space], params: Mapping[str, Any]) -> str:
    """Return the searched values of a cell as text, to compare them with others."""
    return json.dumps([params[path] for path in searched])
