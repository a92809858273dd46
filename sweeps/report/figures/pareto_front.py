"""Pareto fronts: the cells that no other cell beats in both of two metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sweeps.report import floors, wording
from sweeps.report.figures import label_placement, style
from sweeps.results import cell_means, pareto, run_columns
from sweeps.results.run_table import Runs


class Plane(NamedTuple):
    """Two metrics, and for each which end is better."""

    x: str
    x_better: pareto.Direction
    y: str
    y_better: pareto.Direction


MOST_LABELS = 16
PLANES = (Plane("reconstruction", "min", "mig", "max"), Plane("tc", "min", "mig", "max"))


@style.with_figure_style
def front_figure(runs: Runs, *, planes: Sequence[Plane] = PLANES) -> Figure:
    """Return one panel per plane: the mean of every complete cell, and the front.

    The front runs through the cells that no other cell beats.
    """
    drawing = style.figure(0.6 + 4.3 * len(planes), 4.2)
    panels = drawing.subplots(1, len(planes), squeeze=False)[0]
    cells = [members(runs, plane) for plane in planes]
    for axes, plane, rows in zip(panels, planes, cells, strict=True):
        _draw(axes, runs, rows, plane)
    handles, names = panels[0].get_legend_handles_labels()
    style.legend(drawing, handles, names)
    style.finish(drawing, runs, "What no other cell beats", _note(runs, planes, cells))
    for axes, plane, rows in zip(panels, planes, cells, strict=True):
        _label(axes, runs, rows, plane)
    return drawing


def members(runs: Runs, plane: Plane) -> pd.DataFrame:
    """Return the complete cells that have both metrics, with a column `on_front`.

    A cell is on the front if no cell with the same distribution of factors beats it.
    """
    rows = cell_means.cells(runs, [plane.x, plane.y])
    rows = rows.loc[(rows["n"] > 0).to_numpy()]
    measured = (rows[plane.x].notna() & rows[plane.y].notna()).to_numpy()
    rows = rows.loc[measured].reset_index(drop=True)
    on_front = np.zeros(len(rows), dtype=bool)
    for _, group in rows.groupby("distribution"):
        points = group[[plane.x, plane.y]].to_numpy(dtype=np.float64)
        on_front[group.index] = pareto.nondominated(points, (plane.x_better, plane.y_better))
    return rows.assign(on_front=on_front)


def stairs(rows: pd.DataFrame, plane: Plane) -> np.ndarray:
    """Return the corners of the front as stairs, (2k - 1, 2) for k cells on it.

    The line starts at the cell with the best x. It runs at the height of a cell to the x of the
    next one, then vertically to that one.
    """
    front = rows.loc[rows["on_front"].to_numpy(), [plane.x, plane.y]].to_numpy(dtype=np.float64)
    front = front[np.argsort(front[:, 0] * (1 if plane.x_better == "min" else -1), kind="stable")]
    if not len(front):
        return np.empty((0, 2))
    corners = np.stack([front[1:, 0], front[:-1, 1]], axis=1)
    line = np.empty((2 * len(front) - 1, 2))
    line[0::2] = front
    line[1::2] = corners
    return line


def _draw(axes: Axes, runs: Runs, rows: pd.DataFrame, plane: Plane) -> None:
    for index, (_, group) in enumerate(rows.groupby("distribution", sort=False)):
        axes.plot(
            *stairs(group, plane).T,
            color=style.INK,
            linewidth=1.0,
            alpha=0.6,
            label="_front" if index else "front",  # one entry in the legend for all fronts
            gid="front",
            zorder=2,
        )
    colours, on_front = style.colours(runs), rows["on_front"].to_numpy(dtype=bool)
    x, y = run_columns.float_column(rows, plane.x), run_columns.float_column(rows, plane.y)
    for series in dict.fromkeys(rows["series"]):
        in_series = (rows["series"] == series).to_numpy()
        behind, ahead = in_series & ~on_front, in_series & on_front
        options = {"color": colours[series], "linewidth": 0.8, "edgecolor": "white"}
        axes.scatter(
            x[behind], y[behind], s=30, alpha=0.28, zorder=3, gid=f"behind:{series}", **options
        )
        axes.scatter(
            x[ahead], y[ahead], s=52, zorder=4, gid=f"front:{series}", label=series, **options
        )
    axes.set_xlabel(f"mean {floors.axis(runs, plane.x)}, {_arrow(plane.x_better)}")
    axes.set_ylabel(f"mean {floors.axis(runs, plane.y)}, {_arrow(plane.y_better)}")
    axes.margins(0.1)


def _label(axes: Axes, runs: Runs, rows: pd.DataFrame, plane: Plane) -> None:
    """Write the strength beside each cell on the front, if there are few enough to read."""
    named = rows.loc[(rows["on_front"] & rows["strength"].notna()).to_numpy()]
    if 0 < len(named) <= MOST_LABELS:
        colours = style.colours(runs)
        label_placement.place_labels(
            axes,
            named[[plane.x, plane.y]].to_numpy(dtype=np.float64),
            wording.strengths(named),
            areas=np.full(len(named), 52.0),
            colours=[colours[str(series)] for series in named["series"]],
            lines=[stairs(rows, plane)],
        )


def _note(runs: Runs, planes: Sequence[Plane], cells: Sequence[pd.DataFrame]) -> str:
    counts = [int(count) for rows in cells for count in rows["n"]]
    metrics: list[str] = []
    for plane in planes:
        metrics += [plane.x, plane.y]
    parts = [
        f"Points: means over seeds (n = {wording.span(counts)}) of cells that ran their whole "
        "length, pale where another cell beats them",
        wording.measured_on(runs, list(dict.fromkeys(metrics))),
    ]
    out = wording.left_out(runs.table)
    if out:
        parts.append(out)
    return "; ".join(parts) + "."


def _arrow(better: pareto.Direction) -> str:
    return "lower is better" if better == "min" else "higher is better"
