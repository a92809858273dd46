"""How many cells a sweep can have: fewer than it asks for if its spaces run out of new ones.

A cell that another one of the sweep repeats is not trained twice. So entries that overlap, values
that mean the same trial, and a finite space with fewer points than `search.trials` give fewer
cells. The plan, `validate`, the driver and `sweeps status` all take the number from here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from sweeps.cells import cell_grid, finite_points
from sweeps.cells.cell_grid import Layout
from sweeps.spec.errors import spell
from sweeps.spec.sweep_spec import SweepSpec
from vae_core.config import TrainConfig, TrialConfig
from vae_core.hyperparameters import registry
from vae_core.networks import NETWORKS
from vae_core.objectives import OBJECTIVES

T = TypeVar("T")


class CellCount(NamedTuple):
    """The cells of a sweep."""

    asked: int  # by the grids and `search.trials`
    by_layout: tuple[int, ...]  # those that can run, of each layout

    @property
    def cells(self) -> int:
        """The number of cells that can run."""
        return sum(self.by_layout)


def count_cells(spec: SweepSpec) -> CellCount:
    """Return how many cells a sweep asks for, and how many it can have.

    If two layouts of a sampler share cells and neither runs out of them, which one draws a shared
    cell depends on the sampler; then `cells` is what one order of drawing gives.
    """
    layouts = cell_grid.all_layouts(spec)
    per_layout = cell_grid.cells_per_layout(spec)
    trial_hash = _trial_hashes(spec)
    seen: set[str] = set()
    by_layout: list[int] = []
    for layout in layouts:
        points = finite_points.count(layout.searched)
        if points is None:
            by_layout.append(per_layout)
            continue
        new = 0
        for index in range(points):
            if new == per_layout:
                break
            key = trial_hash(layout, finite_points.point(layout.searched, index))
            if key not in seen:
                seen.add(key)
                new += 1
        by_layout.append(new)
    return CellCount(per_layout * len(layouts), tuple(by_layout))


def shortage_notes(spec: SweepSpec, count: CellCount) -> Iterator[str]:
    """Yield a note for each entry that has fewer cells than are asked for."""
    layouts = cell_grid.all_layouts(spec)
    per_layout = cell_grid.cells_per_layout(spec)
    for index, entry in enumerate(spec.objectives):
        chosen = [layout for layout in layouts if layout.objective == index]
        asked = per_layout * len(chosen)
        cells = sum(count.by_layout[layout.position] for layout in chosen)
        if cells < asked:
            where = f"{spell(('objectives', index))} {entry['name']}"
            yield f"{where}: {_of_asked(cells, asked)}, because {_reason(spec, chosen, count)}"


def _of_asked(cells: int, asked: int) -> str:
    verb = "runs" if cells == 1 else "run"
    return f"{cells} of the {asked} cells that are asked for {verb}"


def _reason(spec: SweepSpec, layouts: Sequence[Layout], count: CellCount) -> str:
    """Return why the layouts of an entry have fewer cells than are asked for."""
    if spec.search.name == "grid":
        return "the others repeat cells of this sweep, which are not trained twice"
    points = finite_points.count(layouts[0].searched)
    each = f" for each of {len(layouts)} grid combinations" if len(layouts) > 1 else ""
    reason = f"search.trials is {spec.search.trials}{each}, and the values to choose from make "
    reason += f"{points} {'cell' if points == 1 else 'cells'}"
    possible = min(points or 0, spec.search.trials or 0)
    if any(count.by_layout[layout.position] < possible for layout in layouts):
        reason += "; cells that repeat others of this sweep are not trained twice"
    return reason


def _trial_hashes(spec: SweepSpec) -> Callable[[Layout, Mapping[str, Any]], str]:
    """Return a function from a layout and its searched values to the hash of the first seed's
    trial.

    It builds each distinct objective, network and training once: thousands of cells share a few.
    """
    built: dict[str, Any] = {}

    def once(kind: str, fields: Mapping[str, Any], build: Callable[[Mapping[str, Any]], T]) -> T:
        key = kind + json.dumps(fields, default=str)
        if key not in built:
            built[key] = build(fields)
        return built[key]

    def trial_hash(layout: Layout, searched: Mapping[str, Any]) -> str:
        sections: dict[str, dict[str, Any]] = {"network": {}, "train": {}, "objective": {}}
        given = cell_grid.given_parameters(spec, layout.objective)
        for path, value in {**given, **layout.fixed, **searched}.items():
            section, _, field = path.partition(".")
            sections[section][field] = value
        return TrialConfig(
            data=spec.data,
            objective=once(
                "objective",
                sections["objective"],
                lambda fields: registry.build("objective", fields, OBJECTIVES),
            ),
            network=once(
                "network",
                sections["network"],
                lambda fields: registry.build("network", fields, NETWORKS),
            ),
            train=once(
                "train",
                sections["train"],
                lambda fields: registry.construct("train", fields, TrainConfig),
            ),
            evaluation=spec.parts(layout.objective).evaluation,
            seed=spec.seeds[0],
            fingerprint="any",
        ).hash

    return trial_hash
