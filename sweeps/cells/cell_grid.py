"""From a spec to cells: all parameters but the seed.

A `{grid: …}` is laid out: every combination of grid values is a layout point. Under `search: grid` a layout point is
one cell; under a sampler each layout point gets `trials` cells, whose other spaces the sampler fills in. So with β laid
out and the learning rate searched, every β gets the same number of cells, and they never compete across β.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeGuard

from sweeps.spec.space import Choice, Grid, Space
from sweeps.spec.sweep_spec import SweepSpec
from vae_core.config import TrialConfig
from vae_core.data import DATASETS
from vae_core.hyperparameters import registry


class Layout(NamedTuple):
    """One combination of grid values of one objective."""

    position: int  # among all layout points of the sweep
    objective: int  # position in spec.objectives
    fixed: dict[str, Any]  # path ("train.learning_rate") -> value of a grid
    searched: dict[str, Space]  # path -> space that a sampler fills in


def all_layouts(spec: SweepSpec) -> list[Layout]:
    """Return every layout point: objectives in order, then the product of the grids.

    The product runs over network, train and objective in this order, the last field fastest, as `itertools.product`.
    """
    found: list[Layout] = []
    for position in range(len(spec.objectives)):
        spaces = {
            path: value
            for path, value in given_parameters(spec, position).items()
            if isinstance(value, Space)
        }
        grid = {path: space.values for path, space in spaces.items() if _laid_out(space, spec)}
        searched = {path: space for path, space in spaces.items() if path not in grid}
        for values in itertools.product(*grid.values()):
            fixed = dict(zip(grid, values, strict=True))
            found.append(Layout(len(found), position, fixed, searched))
    return found


def cells_per_layout(spec: SweepSpec) -> int:
    """Return the number of cells of every layout point."""
    return 1 if spec.search.name == "grid" else int(spec.search.trials or 1)


def trial_config(
    spec: SweepSpec, layout: Layout, params: Mapping[str, Any], seed: int, fingerprint: str
) -> TrialConfig:
    """Return the config of one trial: the spec's constants, the cell's parameters and a seed."""
    sections: dict[str, dict[str, Any]] = {"network": {}, "train": {}, "objective": {}}
    for path, value in {**given_parameters(spec, layout.objective), **params}.items():
        section, _, field = path.partition(".")
        sections[section][field] = value
    return TrialConfig.from_dict(
        {
            "data": registry.describe(spec.data, DATASETS),
            "evaluation": registry.plain(spec.parts(layout.objective).evaluation),
            **sections,
            "seed": seed,
            "fingerprint": fingerprint,
        }
    )


def given_parameters(spec: SweepSpec, position: int) -> dict[str, Any]:
    """Return path -> value or space of everything an objective's trials are made of, in the order of the product."""
    parts = spec.parts(position)
    sections = {"network": parts.network, "train": parts.train, "objective": parts.objective}
    return {
        f"{section}.{field}": value
        for section, fields in sections.items()
        for field, value in fields.items()
    }


def _laid_out(space: Space, spec: SweepSpec) -> TypeGuard[Grid | Choice]:
    return isinstance(space, Grid) or (spec.search.name == "grid" and isinstance(space, Choice))
