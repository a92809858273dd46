"""From a spec to layouts and cells: all parameters but the seed.

A `{grid: …}` is laid out: every combination of the grid values of an entry is a layout. Under
`search: grid` a layout is one cell. Under a sampler each layout gets `trials` cells, and the
sampler fills in their other spaces. So if β is laid out and the learning rate is searched, every β
gets the same number of cells, and cells never compete across β.
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
    """One combination of the grid values of one entry."""

    position: int  # index among all layouts of the sweep
    objective: int  # index of the entry in spec.objectives
    fixed: dict[str, Any]  # path ("train.learning_rate") -> value of a grid
    searched: dict[str, Space]  # path -> space that a sampler fills in


def all_layouts(spec: SweepSpec) -> list[Layout]:
    """Return every layout: the entries in their order, then the product of their grids.

    The product runs over network, train and objective in this order. The last field changes
    fastest, as in `itertools.product`.
    """
    layouts: list[Layout] = []
    for entry_index in range(len(spec.objectives)):
        grids: dict[str, Grid | Choice] = {}
        searched: dict[str, Space] = {}
        for path, value in given_parameters(spec, entry_index).items():
            if not isinstance(value, Space):
                continue
            if _is_laid_out(value, spec):
                grids[path] = value
            else:
                searched[path] = value
        for values in itertools.product(*(grid.values for grid in grids.values())):
            fixed = dict(zip(grids, values, strict=True))
            layouts.append(Layout(len(layouts), entry_index, fixed, searched))
    return layouts


def cells_per_layout(spec: SweepSpec) -> int:
    """Return the number of cells of every layout."""
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
            "evaluation": registry.fields_of(spec.parts(layout.objective).evaluation),
            **sections,
            "seed": seed,
            "fingerprint": fingerprint,
        }
    )


def given_parameters(spec: SweepSpec, entry_index: int) -> dict[str, Any]:
    """Return path -> value or space of all fields that were given for an entry's trials.

    The order is that of the product in `all_layouts`.
    """
    parts = spec.parts(entry_index)
    sections = {"network": parts.network, "train": parts.train, "objective": parts.objective}
    parameters: dict[str, Any] = {}
    for section, fields in sections.items():
        for field, value in fields.items():
            parameters[f"{section}.{field}"] = value
    return parameters


def _is_laid_out(space: Space, spec: SweepSpec) -> TypeGuard[Grid | Choice]:
    return isinstance(space, Grid) or (spec.search.name == "grid" and isinstance(space, Choice))
