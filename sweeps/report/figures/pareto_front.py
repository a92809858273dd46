"""Pareto fronts: what no other cell beats in both of two metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sweeps.report import wording
from sweeps.report.figures import label_placement, style
from sweeps.results import cell_means, pareto, run_columns
from sweeps.results.run_table import Runs


class Plane(NamedTuple):
    """Two metrics and which end of each is better."""

    x: str
    x_better: pareto.Direction
    y: str
    y_better: pareto.Direction


MOST_LABELS = 16
PLANES = (Plane("reconstruction", "min", "mig", "max"), Plane("tc", "min", "mig", "max"))


@style.drawn
def front_figure(runs: Runs, *, planes: Sequence[Plane] = PLANES) -> Figure:
    """Return one panel per plane: every whole cell's mean, and the front through those that none beats."""
    drawing = style.figure(0.6 + 4.3 * len(planes), 4.2)
    panels = drawing.subplots(1, len(planes), squeeze=False)[0]
    rows = [members(runs, plane) for plane in planes]
    for axes, plane, own in zip(panels, planes, rows, strict=True):
        _draw(axes, runs, own, plane)
    handles, names = panels[0].get_legend_handles_labels()
    style.legend(drawing, handles, names)
    metrics = list(dict.fromkeys(name for plane in planes for name in (plane.x, plane.y)))
    out = wording.left_out(runs.table)
    points = "Points: means over seeds of cells that ran their whole length, pale where another cell beats them"
    note = f"{points}; {wording.measured_on(runs, metrics)}"
    style.finish(
        drawing, runs, "What no other cell beats", f"{note}; {out}." if out else f"{note}."
    )
    for axes, plane, own in zip(panels, planes, rows, strict=True):
        _label(axes, runs, own, plane)
    return drawing


def members(runs: Runs, plane: Plane) -> pd.DataFrame:
    """Return the cells that have both numbers, with `on_front`: beaten by none on the same distribution of factors."""
    rows = cell_means.cells(runs, [plane.x, plane.y])
    rows = rows.loc[(rows["n"] > 0).to_numpy()]
    rows = rows.loc[(rows[plane.x].notna() & rows[plane.y].notna()).to_numpy()].reset_index(
        drop=True
    )
    on_front = np.zeros(len(rows), dtype=bool)
    for _, own in rows.groupby("distribution"):
        points = own[[plane.x, plane.y]].to_numpy(dtype=np.float64)
        on_front[own.index] = pareto.nondominated(points, (plane.x_better, plane.y_better))
    return rows.assign(on_front=on_front)


def stairs(rows: pd.DataFrame, plane: Plane) -> np.ndarray:
    """Return the front's corners (k, 2): from each point on at its own height, until the next one is reached."""
    front = rows.loc[rows["on_front"].to_numpy(), [plane.x, plane.y]].to_numpy(dtype=np.float64)
    front = front[np.argsort(front[:, 0] * (1 if plane.x_better == "min" else -1), kind="stable")]
    corners = np.stack([front[1:, 0], front[:-1, 1]], axis=1)
    together = np.empty((2 * len(front) - 1 if len(front) else 0, 2))
    together[0::2], together[1::2] = front, corners
    return together


def _draw(axes: Axes, runs: Runs, rows: pd.DataFrame, plane: Plane) -> None:
    colours, on_front = style.colours(runs), rows["on_front"].to_numpy(dtype=bool)
    across, up = run_columns.floats(rows, plane.x), run_columns.floats(rows, plane.y)
    for place, (_, own) in enumerate(rows.groupby("distribution", sort=False)):
        name = "_front" if place else "front"
        axes.plot(
            *stairs(own, plane).T,
            color=style.INK,
            linewidth=1.0,
            alpha=0.6,
            label=name,
            gid="front",
            zorder=2,
        )
    for series in dict.fromkeys(rows["series"]):
        own = (rows["series"] == series).to_numpy()
        colour = colours[series]
        options = {"color": colour, "linewidth": 0.8, "edgecolor": "white"}
        behind, ahead = own & ~on_front, own & on_front
        axes.scatter(
            across[behind],
            up[behind],
            s=30,
            alpha=0.28,
            zorder=3,
            gid=f"behind:{series}",
            **options,
        )
        axes.scatter(
            across[ahead], up[ahead], s=52, zorder=4, gid=f"front:{series}", label=series, **options
        )
    axes.set_xlabel(f"mean {wording.axis(plane.x)}, {_arrow(plane.x_better)}")
    axes.set_ylabel(f"mean {wording.axis(plane.y)}, {_arrow(plane.y_better)}")
    axes.margins(0.1)


def _label(axes: Axes, runs: Runs, rows: pd.DataFrame, plane: Plane) -> None:
    named = rows.loc[(rows["on_front"] & rows["strength"].notna()).to_numpy()]
    if 0 < len(named) <= MOST_LABELS:
        colours = style.colours(runs)
        label_placement.place(
            axes,
            named[[plane.x, plane.y]].to_numpy(dtype=np.float64),
            wording.strengths(named),
            areas=np.full(len(named), 52.0),
            colours=[colours[str(series)] for series in named["series"]],
            lines=[stairs(rows, plane)],
        )


def _arrow(better: pareto.Direction) -> str:
    return "lower is better" if better == "min" else "higher is better"
