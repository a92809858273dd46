"""How many cells a sweep can have: fewer than it asks for if its spaces run out of new ones.

A cell that another one of the sweep repeats is not trained twice. So entries that overlap, values
that mean the same trial, and a finite space with fewer points than `search.trials` give fewer
cells. The plan, `validate`, the driver and `sweeps status` all take the number from here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sweeps.cells import cell_grid, finite_points
from sweeps.cells.built_sections import BuiltSections, Identity
from sweeps.cells.cell_grid import Layout
from sweeps.spec.errors import spell
from sweeps.spec.sweep_spec import SweepSpec

MOST_LOOKED_AT = 30_000
"""Points that are looked at for repeated cells. Cells beyond them are taken for new ones."""


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
    cell depends on the sampler; then `cells` is what one order of drawing gives. If entries overlap
    so much that more than `MOST_LOOKED_AT` points were looked at, `cells` is an upper bound.
    """
    layouts = cell_grid.all_layouts(spec)
    per_layout = cell_grid.cells_per_layout(spec)
    built = BuiltSections(spec)
    seen: set[Identity] = set()
    by_layout: list[int] = []
    looked_at = 0
    for layout in layouts:
        points = finite_points.count(layout.searched)
        if points is None:
            by_layout.append(per_layout)
            continue
        new = 0
        for index in range(points):
            if new == per_layout:
                break
            looked_at += 1
            if looked_at > MOST_LOOKED_AT:
                new = min(per_layout, points)
                break
            cell = built.of_cell(layout, finite_points.point(layout.searched, index))
            if cell.identity not in seen:
                seen.add(cell.identity)
                new += 1
        by_layout.append(new)
    return CellCount(per_layout * len(layouts), tuple(by_layout))


def shortage_notes(spec: SweepSpec, count: CellCount) -> Iterator[str]:
    """Yield a note for each entry that has fewer cells than are asked for."""
    layouts = cell_grid.all_layouts(spec)
    per_layout = cell_grid.cells_per_layout(spec)
    for index, entry in enumerate(spec.objectives):
        positions = layouts.positions(index)
        asked = per_layout * len(positions)
        by_layout = count.by_layout[positions.start : positions.stop]
        cells = sum(by_layout)
        if cells < asked:
            where = f"{spell(('objectives', index))} {entry['name']}"
            reason = _reason(spec, layouts[positions.start], by_layout)
            yield f"{where}: {_of_asked(cells, asked)}, because {reason}"


def _of_asked(cells: int, asked: int) -> str:
    verb = "runs" if cells == 1 else "run"
    return f"{cells} of the {asked} cells that are asked for {verb}"


def _reason(spec: SweepSpec, first: Layout, by_layout: Sequence[int]) -> str:
    """Return why the layouts of an entry have fewer cells than are asked for.

    Args:
        spec: the spec.
        first: the first layout of the entry; all search the same spaces.
        by_layout: the cells that can run, of each layout.
    """
    if spec.search.name == "grid":
        return "the others repeat cells of this sweep, which are not trained twice"
    points = finite_points.count(first.searched)
    each = f" for each of {len(by_layout)} grid combinations" if len(by_layout) > 1 else ""
    reason = f"search.trials is {spec.search.trials}{each}, and the values to choose from make "
    reason += f"{points} {'cell' if points == 1 else 'cells'}"
    possible = min(points or 0, spec.search.trials or 0)
    if any(cells < possible for cells in by_layout):
        reason += "; cells that repeat others of this sweep are not trained twice"
    return reason
