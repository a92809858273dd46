"""The sweep in one figure: mean MIG against mean total correlation.

There is one circle per strength and series.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from sweeps.report import floors, wording
from sweeps.report.figures import collapse_marks, label_placement, style
from sweeps.results import cell_means, run_columns
from sweeps.results.run_table import Runs

MOST_LABELS = 24
MOST_INSIDE = 6
"""The largest number of series in a legend inside the frame; a longer legend is beside it."""


@style.with_figure_style
def scatter_figure(
    runs: Runs, *, x: str = "tc", y: str = "mig", choice: cell_means.BracketMean = "best"
) -> Figure:
    """Return the scatter of mean y against mean x over seeds, one point per strength and series.

    Args:
        runs: the sweep.
        x: metric of the horizontal axis.
        y: metric of the vertical axis.
        choice: which trials of a bracket a point averages, see `cell_means.brackets`.
    """
    rows = points(runs, x=x, y=y, choice=choice)
    drawing = style.figure(9.6 if _legend_is_long(rows) else 7.2, 4.9)
    axes = drawing.subplots()
    draw(axes, runs, rows, x=x, y=y)
    title = f"Mean {wording.name(y)} against mean {wording.name(x)}"
    style.finish(drawing, runs, title, note(runs, rows, x=x, y=y, choice=choice))
    label_points(axes, runs, rows, x=x, y=y)
    return drawing


def points(
    runs: Runs, *, x: str = "tc", y: str = "mig", choice: cell_means.BracketMean = "best"
) -> pd.DataFrame:
    """Return the brackets that have both metrics, with the `area` of their circles in points²."""
    rows = cell_means.brackets(runs, [x, y], choice=choice)
    known = ~np.isnan(run_columns.float_column(rows, x)) & ~np.isnan(
        run_columns.float_column(rows, y)
    )
    rows = rows.loc[known].reset_index(drop=True)
    return rows.assign(area=style.areas(run_columns.float_column(rows, "strength")))


def draw(axes: Axes, runs: Runs, rows: pd.DataFrame, *, x: str = "tc", y: str = "mig") -> None:
    """Draw the circles, their error bars, a thin line through each series, and the legend."""
    colours, markers = style.colours(runs), style.markers(runs)
    for series, group in rows.groupby("series", sort=False):
        ordered = group.sort_values("strength", kind="stable")
        colour, marker = colours[str(series)], markers[str(series)]
        _draw_series(axes, ordered, x, y, name=str(series), colour=colour, marker=marker)
    crossed = rows.loc[collapse_marks.has_collapsed(rows)]
    collapse_marks.draw_crosses(
        axes,
        run_columns.float_column(crossed, x),
        run_columns.float_column(crossed, y),
        name=collapse_marks.legend_entry(rows),
    )
    axes.set_xlabel(f"mean {floors.axis(runs, x)}")
    axes.set_ylabel(f"mean {floors.axis(runs, y)}")
    axes.margins(0.1)
    if y == "mig":
        low, high = axes.get_ylim()
        axes.set_ylim(min(0.0, low), high + 0.06 * (high - min(0.0, low)))
    position: dict[str, Any] = {"loc": "best"}
    if _legend_is_long(rows):
        position = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0)}
    for handle in axes.legend(handletextpad=0.4, **position).legend_handles:
        if handle is not None:
            handle.set(sizes=[60])


def _draw_series(
    axes: Axes, rows: pd.DataFrame, x: str, y: str, *, name: str, colour: str, marker: str
) -> None:
    across, up = run_columns.float_column(rows, x), run_columns.float_column(rows, y)
    axes.plot(across, up, color=colour, linewidth=0.9, alpha=0.55, zorder=2, gid=f"line:{name}")
    axes.scatter(
        across,
        up,
        s=run_columns.float_column(rows, "area"),
        marker=marker,
        facecolor=to_rgba(colour, 0.3),
        edgecolor=colour,
        linewidth=1.2,
        zorder=3,
        label=f"{name} (n = {wording.span(_seeds(rows, x, y))} per point)",
        gid=f"means:{name}",
    )
    axes.errorbar(
        across,
        up,
        xerr=run_columns.float_column(rows, f"{x}_se"),
        yerr=run_columns.float_column(rows, f"{y}_se"),
        fmt="none",
        ecolor=colour,
        elinewidth=1.1,
        capsize=2.5,
        capthick=1.1,
        zorder=4,
    )


def label_points(
    axes: Axes, runs: Runs, rows: pd.DataFrame, *, x: str = "tc", y: str = "mig"
) -> None:
    """Write the strength beside each point, if there are few enough to read."""
    named = rows["strength"].notna().to_numpy()
    if not 0 < named.sum() <= MOST_LABELS:
        return
    colours = style.colours(runs)
    label_placement.place_labels(
        axes,
        rows.loc[named, [x, y]].to_numpy(dtype=np.float64),
        wording.strengths(rows.loc[named]),
        areas=rows.loc[named, "area"].to_numpy(dtype=np.float64),
        colours=[colours[str(series)] for series in rows.loc[named, "series"]],
        lines=_drawn_lines(rows, x, y),
    )


def _drawn_lines(rows: pd.DataFrame, x: str, y: str) -> list[np.ndarray]:
    """Return the lines and error bars of the figure, each (k, 2) in data coordinates."""
    lines: list[np.ndarray] = []
    for _, group in rows.sort_values("strength").groupby("series"):
        lines.append(group[[x, y]].to_numpy(dtype=np.float64))
    columns = [x, y, f"{x}_se", f"{y}_se"]
    for mean_x, mean_y, error_x, error_y in rows[columns].to_numpy(dtype=np.float64):
        lines.append(np.array([[mean_x - error_x, mean_y], [mean_x + error_x, mean_y]]))
        lines.append(np.array([[mean_x, mean_y - error_y], [mean_x, mean_y + error_y]]))
    return lines


def note(
    runs: Runs,
    rows: pd.DataFrame,
    *,
    x: str = "tc",
    y: str = "mig",
    choice: cell_means.BracketMean = "best",
) -> str:
    """Return, in words, what the points are and which trials are not shown."""
    goal = cell_means.goals(runs)[0]
    several = (
        choice == "best" and run_columns.float_column(rows, "complete_cells").max(initial=0) > 1
    )
    trials = "Points: means over seeds of trials that ran their whole length"
    if several:
        trials += f", of each bracket's best cell by {wording.name(goal.metric)}"
    if choice == "pooled":
        trials += ", all cells of a bracket together"
    parts = [trials]
    bars = wording.bars(rows, [x, y])
    if max(_seeds(rows, x, y), default=0) > 1:
        parts.append(f"bars: {bars}" if bars else "the seeds do not differ, hence no error bars")
    else:
        parts.append(f"one seed: bars are {bars}" if bars else "one seed, hence no error bars")
    if len(set(rows["strength"].dropna())) > 1:
        parts.append(f"area grows with {wording.strength_axis(runs)}")
    if collapse_marks.legend_entry(rows):
        parts.append(collapse_marks.NOTE)
    parts += [wording.measured_on(runs, [x, y]), wording.left_out(runs.table)]
    return "; ".join(part for part in parts if part) + "."


def _legend_is_long(rows: pd.DataFrame) -> bool:
    return len(set(rows["series"])) > MOST_INSIDE


def _seeds(rows: pd.DataFrame, x: str, y: str) -> list[int]:
    """Return the number of trials behind each point: the smaller one of the two metrics."""
    counts = np.minimum(
        run_columns.float_column(rows, f"{x}_n"), run_columns.float_column(rows, f"{y}_n")
    )
    return [int(count) for count in counts]
