"""From a spec to layouts and cells: all parameters but the seed.

A `{grid: …}` is laid out: every combination of the grid values of an entry is a layout. Under
`search: grid` a layout is one cell. Under a sampler each layout gets `trials` cells, and the
sampler fills in their other spaces. So if β is laid out and the learning rate is searched, every β
gets the same number of cells, and cells never compete across β.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard, overload

from sweeps.cells import finite_points
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


class Layouts(Sequence[Layout]):
    """Every layout of a sweep: the entries in their order, then the product of their grids.

    The product runs over network, train and objective in this order. The last field changes
    fastest, as in `itertools.product`. A layout is made when it is asked for, and the number of
    layouts is a product of sizes: no list of them exists.
    """

    def __init__(self, spec: SweepSpec) -> None:
        self._grids: list[dict[str, Grid | Choice]] = []  # of each entry
        self._searched: list[dict[str, Space]] = []
        self._starts = [0]  # position of the first layout of each entry, then the number of all
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
            self._grids.append(grids)
            self._searched.append(searched)
            self._starts.append(self._starts[-1] + finite_points.count(grids))

    def __len__(self) -> int:
        return self._starts[-1]

    @overload
    def __getitem__(self, index: int) -> Layout: ...
    @overload
    def __getitem__(self, index: slice) -> list[Layout]: ...
    def __getitem__(self, index: int | slice) -> Layout | list[Layout]:
        """Return the layout at a position, or those of a slice."""
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(f"layout index out of range: {index} of {len(self)}")
        entry = bisect.bisect_right(self._starts, position) - 1
        fixed = finite_points.point(self._grids[entry], position - self._starts[entry])
        return Layout(position, entry, fixed, self._searched[entry])

    def searched(self, entry_index: int) -> dict[str, Space]:
        """Return path -> space that a sampler fills in, of one entry."""
        return self._searched[entry_index]

    def positions(self, entry_index: int) -> range:
        """Return the positions of the layouts of one entry."""
        return range(self._starts[entry_index], self._starts[entry_index + 1])


def all_layouts(spec: SweepSpec) -> Layouts:
    """Return every layout of a sweep."""
    return Layouts(spec)


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

    The order is that of the product in `Layouts`.
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
