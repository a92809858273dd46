"""The sweep in one figure: mean MIG against mean total correlation, a circle per β and objective."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from sweeps.report import wording
from sweeps.report.figures import collapse_marks, label_placement, style
from sweeps.results import cell_means, run_columns
from sweeps.results.run_table import Runs

MOST_LABELS = 24
MOST_INSIDE = 6
"""Series whose names have room in the frame; those of more stand beside it."""


@style.drawn
def scatter_figure(
    runs: Runs, *, x: str = "tc", y: str = "mig", choice: cell_means.BracketMean = "best"
) -> Figure:
    """Return the scatter of mean y against mean x over seeds, one point per β and objective.

    Args:
        runs: the sweep.
        x: metric of the horizontal axis.
        y: metric of the vertical axis.
        choice: which trials of a bracket a point averages, see `summary.brackets`.
    """
    rows = points(runs, x=x, y=y, choice=choice)
    drawing = style.figure(9.6 if len(set(rows["series"])) > MOST_INSIDE else 7.2, 4.9)
    axes = drawing.subplots()
    draw(axes, runs, rows, x=x, y=y)
    title = f"Mean {wording.name(y)} against mean {wording.name(x)}"
    style.finish(drawing, runs, title, note(runs, rows, x=x, y=y, choice=choice))
    label(axes, runs, rows, x=x, y=y)
    return drawing


def points(
    runs: Runs, *, x: str = "tc", y: str = "mig", choice: cell_means.BracketMean = "best"
) -> pd.DataFrame:
    """Return the brackets that have both numbers, with the area of their circles."""
    rows = cell_means.brackets(runs, [x, y], choice=choice)
    known = ~np.isnan(run_columns.floats(rows, x)) & ~np.isnan(run_columns.floats(rows, y))
    rows = rows.loc[known].reset_index(drop=True)
    return rows.assign(area=style.areas(run_columns.floats(rows, "strength")))


def draw(axes: Axes, runs: Runs, rows: pd.DataFrame, *, x: str = "tc", y: str = "mig") -> None:
    """Draw circles, error bars and the thin line through each objective's strengths."""
    colours, markers = style.colours(runs), style.markers(runs)
    for series, own in rows.groupby("series", sort=False):
        own = own.sort_values("strength", kind="stable")
        colour, name = (
            colours[str(series)],
            f"{series} (n = {wording.span(_seeds(own, x, y))} per point)",
        )
        across, up = run_columns.floats(own, x), run_columns.floats(own, y)
        axes.plot(
            across, up, color=colour, linewidth=0.9, alpha=0.55, zorder=2, gid=f"line:{series}"
        )
        axes.scatter(
            across,
            up,
            s=run_columns.floats(own, "area"),
            marker=markers[str(series)],
            facecolor=to_rgba(colour, 0.3),
            edgecolor=colour,
            linewidth=1.2,
            zorder=3,
            label=name,
            gid=f"means:{series}",
        )
        bars = {
            "fmt": "none",
            "ecolor": colour,
            "elinewidth": 1.1,
            "capsize": 2.5,
            "capthick": 1.1,
            "zorder": 4,
        }
        axes.errorbar(
            across,
            up,
            xerr=run_columns.floats(own, f"{x}_se"),
            yerr=run_columns.floats(own, f"{y}_se"),
            **bars,
        )
    lost = rows.loc[collapse_marks.marked(rows)]
    collapse_marks.cross(
        axes,
        run_columns.floats(lost, x),
        run_columns.floats(lost, y),
        name=collapse_marks.label(rows),
    )
    axes.set_xlabel(f"mean {wording.axis(x)}")
    axes.set_ylabel(f"mean {wording.axis(y)}")
    axes.margins(0.1)
    if y == "mig":
        low, high = axes.get_ylim()
        axes.set_ylim(min(0.0, low), high + 0.06 * (high - min(0.0, low)))
    beside: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0)}
    place: dict[str, Any] = beside if len(set(rows["series"])) > MOST_INSIDE else {"loc": "best"}
    for handle in axes.legend(handletextpad=0.4, **place).legend_handles:
        if handle is not None:
            handle.set(sizes=[60])


def label(axes: Axes, runs: Runs, rows: pd.DataFrame, *, x: str = "tc", y: str = "mig") -> None:
    """Write each point's strength beside it, if there are few enough to read."""
    named = rows["strength"].notna().to_numpy()
    if not 0 < named.sum() <= MOST_LABELS:
        return
    colours = style.colours(runs)
    lines = [
        own[[x, y]].to_numpy(dtype=np.float64)
        for _, own in rows.sort_values("strength").groupby("series")
    ]
    for px, py, ex, ey in rows[[x, y, f"{x}_se", f"{y}_se"]].to_numpy(dtype=np.float64):
        lines += [
            np.array([[px - ex, py], [px + ex, py]]),
            np.array([[px, py - ey], [px, py + ey]]),
        ]
    label_placement.place(
        axes,
        rows.loc[named, [x, y]].to_numpy(dtype=np.float64),
        wording.strengths(rows.loc[named]),
        areas=rows.loc[named, "area"].to_numpy(dtype=np.float64),
        colours=[colours[str(series)] for series in rows.loc[named, "series"]],
        lines=lines,
    )


def note(
    runs: Runs,
    rows: pd.DataFrame,
    *,
    x: str = "tc",
    y: str = "mig",
    choice: cell_means.BracketMean = "best",
) -> str:
    """Return what the points are and what they leave out, in words."""
    goal = cell_means.goals(runs)[0]
    several = choice == "best" and run_columns.floats(rows, "complete_cells").max(initial=0) > 1
    best = f", of each bracket's best cell by {wording.name(goal.metric)}" if several else ""
    pooled = ", all cells of a bracket together" if choice == "pooled" else ""
    parts = [
        f"Points: means over seeds of trials that ran their whole length{best}{pooled}",
        "bars: standard error"
        if max(_seeds(rows, x, y), default=0) > 1
        else "one seed, hence no error bars",
        f"area grows with {wording.strength_axis(runs)}"
        if len(set(rows["strength"].dropna())) > 1
        else "",
        collapse_marks.NOTE if collapse_marks.label(rows) else "",
        wording.measured_on(runs, [x, y]),
        wording.left_out(runs.table),
    ]
    return "; ".join(part for part in parts if part) + "."


def _seeds(rows: pd.DataFrame, x: str, y: str) -> list[int]:
    """Return how many trials are behind each point."""
    return [
        int(n)
        for n in np.minimum(run_columns.floats(rows, f"{x}_n"), run_columns.floats(rows, f"{y}_n"))
    ]
