"""Draws the next cell of a sweep, avoiding the cells that it has already."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sweeps.cells import cell_grid
from sweeps.cells.cell_grid import Layout
from sweeps.search.cell_outcome import CellOutcome
from sweeps.search.suggest import suggest
from sweeps.spec.sweep_spec import SweepSpec
from vae_core.config import TrialConfig

REDRAWS = 20
"""How often a sampler may repeat an earlier cell before its turn is given up: choices can run out.
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
    """Return the cell of a turn of the search, None if the sampler only repeats earlier cells.

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
        params = {**layout.fixed, **searched}
        configs = [
            cell_grid.trial_config(spec, layout, params, seed, fingerprint) for seed in spec.seeds
        ]
        if not any(config.hash in known_hashes for config in configs):
            return DrawnCell(params, configs)
    return None
