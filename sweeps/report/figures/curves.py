"""Learning curves: every trial, epoch by epoch, coloured by β; where pruning ended one, a hollow marker."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sweeps.report import wording
from sweeps.report.figures import style
from sweeps.results import run_columns, run_series
from sweeps.results.run_table import Runs

METRICS = ("reconstruction", "tc", "mig")
MOST_COLUMNS = 6


@style.drawn
def curves_figure(runs: Runs, *, metrics: Sequence[str] = METRICS) -> Figure:
    """Return a row per metric and a column per objective of the spec, one line per trial; many in several blocks."""
    shown = [
        metric for metric in metrics if not np.isnan(run_columns.floats(runs.curves, metric)).all()
    ]
    entry = np.array(run_series.entries(runs))
    objectives = list(dict.fromkeys(entry.tolist()))
    blocks = math.ceil(len(objectives) / MOST_COLUMNS) or 1
    lines, columns = max(len(shown), 1), max(math.ceil(len(objectives) / blocks), 1)
    width = 1.6 + (3.4 if columns < 4 else 2.4) * columns
    drawing = style.figure(max(width, 6.4), 1.0 + 2.0 * lines * blocks)
    grid = drawing.subplots(lines * blocks, columns, squeeze=False, sharex=True, sharey="row")
    colours = style.shades(run_columns.floats(runs.table, "strength"))
    curves = {
        str(trial): own.sort_values("epoch")
        for trial, own in runs.curves.groupby("trial", sort=False)
    }
    for place in range(blocks * columns):
        block, column = divmod(place, columns)
        for row, metric in enumerate(shown):
            axes = grid[block * lines + row, column]
            if place >= len(objectives):
                axes.set_axis_off()
                continue
            own = runs.table.loc[entry == objectives[place]]
            _draw(axes, own, curves, metric, colours)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set_title(objectives[place] if row == 0 else "")
            axes.set_xlabel("epoch" if row == len(shown) - 1 else "")
            axes.set_ylabel(wording.axis(metric).replace(" (", "\n(") if column == 0 else "")
    for row in range(len(shown)):  # one scale per metric, also from block to block
        same = [grid[block * lines + row, 0] for block in range(blocks)]
        limits = [axes.get_ylim() for axes in same]
        for axes in same:
            axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
    _key(drawing, runs, grid, colours)
    note = "One line per trial, measured on the evaluation subset every epoch."
    title = f"{wording.listed([wording.name(metric) for metric in shown])} by epoch"
    return style.finish(drawing, runs, title[:1].upper() + title[1:], note)


def _draw(
    axes: Axes,
    rows: pd.DataFrame,
    lines: dict[str, pd.DataFrame],
    metric: str,
    colours: dict[float, str],
) -> None:
    ends: dict[str, list[tuple[float, float, str]]] = {"PRUNED": [], "FAILED": []}
    for trial, strength, state in zip(rows["trial"], rows["strength"], rows["state"], strict=True):
        if trial not in lines:
            continue
        epoch = run_columns.floats(lines[trial], "epoch")
        value = run_columns.floats(lines[trial], metric)
        colour = colours.get(float(strength), style.GREY)
        axes.plot(epoch, value, color=colour, linewidth=1.2, alpha=0.85, gid=f"trial:{trial}")
        known = np.flatnonzero(~np.isnan(value))
        if state in ends and len(known):
            ends[state].append((float(epoch[known[-1]]), float(value[known[-1]]), colour))
    for state, marker in (("PRUNED", "o"), ("FAILED", "X")):
        if ends[state]:
            x, y, edge = zip(*ends[state], strict=True)
            face = "none" if state == "PRUNED" else list(edge)
            axes.scatter(
                x,
                y,
                s=24,
                marker=marker,
                facecolors=face,
                edgecolors=list(edge),
                linewidths=1.1,
                zorder=4,
                gid=state,
            )


def _key(drawing: Figure, runs: Runs, grid: np.ndarray, colours: dict[float, str]) -> None:
    """Write which colour is which strength (a bar if there are more than eight) and what the end markers mean."""
    names = run_series.strength_names(runs)
    letter = wording.symbol(names[0]) if len(names) == 1 else "strength"
    found = set(runs.table["state"])
    handles = [
        Line2D([], [], color=colour, label=f"{letter} {wording.plain(value)}")
        for value, colour in colours.items()
    ]
    if len(colours) > 8:
        low, high = min(colours), max(colours)
        colour_map = ListedColormap(list(colours.values()))
        norm = LogNorm(low, high) if low > 0 else Normalize(low, high)
        drawing.colorbar(
            ScalarMappable(norm, colour_map), ax=grid, label=letter, shrink=0.5, aspect=30
        )
        handles = []
    if np.isnan(run_columns.floats(runs.table, "strength")).any():
        handles.append(Line2D([], [], color=style.GREY, label="no strength"))
    hollow = {"linestyle": "", "markeredgecolor": style.GREY, "markersize": 5}
    if "PRUNED" in found:
        handles.append(Line2D([], [], marker="o", markerfacecolor="none", label="pruned", **hollow))
    if "FAILED" in found:
        handles.append(
            Line2D([], [], marker="X", markerfacecolor=style.GREY, label="failed", **hollow)
        )
    if handles:
        drawing.legend(handles=handles, loc="outside right upper")
