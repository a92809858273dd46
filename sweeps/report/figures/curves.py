"""Learning curves of every trial by epoch, coloured by strength.

A hollow marker is where a trial was pruned, a cross is where it failed.
"""

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

from sweeps.ledger.states import TrialState
from sweeps.report import floors, wording
from sweeps.report.figures import style
from sweeps.results import run_columns, run_series
from sweeps.results.run_table import Runs

METRICS = ("reconstruction", "tc", "mig")
MOST_COLUMNS = 6
MOST_COLOURS = 8
"""Strengths in the legend; more are shown as a colour bar."""


@style.with_figure_style
def curves_figure(runs: Runs, *, metrics: Sequence[str] = METRICS) -> Figure:
    """Return a row of panels per metric and a column per entry of the spec, one line per trial.

    More than `MOST_COLUMNS` entries are laid out in several blocks below each other.
    """
    measured = [
        metric
        for metric in metrics
        if not np.isnan(run_columns.float_column(runs.curves, metric)).all()
    ]
    entry_of = np.array(run_series.entries(runs))
    entries = list(dict.fromkeys(entry_of.tolist()))
    blocks = math.ceil(len(entries) / MOST_COLUMNS) or 1
    lines, columns = max(len(measured), 1), max(math.ceil(len(entries) / blocks), 1)
    width = 1.6 + (3.4 if columns < 4 else 2.4) * columns
    drawing = style.figure(max(width, 6.4), 1.0 + 2.0 * lines * blocks)
    grid = drawing.subplots(lines * blocks, columns, squeeze=False, sharex=True, sharey="row")
    colours = style.shades(run_columns.float_column(runs.table, "strength"))
    curves = {
        str(trial): curve.sort_values("epoch")
        for trial, curve in runs.curves.groupby("trial", sort=False)
    }
    for index in range(blocks * columns):
        block, column = divmod(index, columns)
        for row, metric in enumerate(measured):
            axes = grid[block * lines + row, column]
            if index >= len(entries):
                axes.set_axis_off()
                continue
            trials = runs.table.loc[entry_of == entries[index]]
            _draw(axes, trials, curves, metric, colours)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set_title(entries[index] if row == 0 else "")
            axes.set_xlabel("epoch" if row == len(measured) - 1 else "")
            label = floors.axis(runs, metric, "epoch").replace(" (", "\n(")
            axes.set_ylabel(label if column == 0 else "")
    for row in range(len(measured)):
        _share_scale([grid[block * lines + row, 0] for block in range(blocks)])
    _legend(drawing, runs, grid, colours)
    note = "One line per trial, measured on the evaluation subset every epoch."
    title = f"{wording.and_list([wording.name(metric) for metric in measured])} by epoch"
    return style.finish(drawing, runs, title[:1].upper() + title[1:], note)


def _share_scale(panels: Sequence[Axes]) -> None:
    """Give the rows of panels of one metric the same vertical scale in all blocks."""
    limits = [axes.get_ylim() for axes in panels]
    low = min(bottom for bottom, _ in limits)
    high = max(top for _, top in limits)
    for axes in panels:
        axes.set_ylim(low, high)


def _draw(
    axes: Axes,
    rows: pd.DataFrame,
    curves: dict[str, pd.DataFrame],
    metric: str,
    colours: dict[float, str],
) -> None:
    pruned: list[tuple[float, float, str]] = []  # (epoch, value, colour) of the last point
    failed: list[tuple[float, float, str]] = []
    ends = {TrialState.PRUNED: pruned, TrialState.FAILED: failed}
    for trial, strength, state in zip(rows["trial"], rows["strength"], rows["state"], strict=True):
        if trial not in curves:
            continue
        epoch = run_columns.float_column(curves[trial], "epoch")
        value = run_columns.float_column(curves[trial], metric)
        colour = colours.get(float(strength), style.GREY)
        axes.plot(epoch, value, color=colour, linewidth=1.2, alpha=0.85, gid=f"trial:{trial}")
        known = np.flatnonzero(~np.isnan(value))
        if state in ends and len(known):
            last = known[-1]
            ends[state].append((float(epoch[last]), float(value[last]), colour))
    _end_markers(axes, pruned, state=TrialState.PRUNED, marker="o", filled=False)
    _end_markers(axes, failed, state=TrialState.FAILED, marker="X", filled=True)


def _end_markers(
    axes: Axes,
    ends: Sequence[tuple[float, float, str]],
    *,
    state: TrialState,
    marker: str,
    filled: bool,
) -> None:
    if not ends:
        return
    epochs, values, colours = zip(*ends, strict=True)
    axes.scatter(
        epochs,
        values,
        s=24,
        marker=marker,
        facecolors=list(colours) if filled else "none",
        edgecolors=list(colours),
        linewidths=1.1,
        zorder=4,
        gid=str(state),
    )


def _legend(drawing: Figure, runs: Runs, grid: np.ndarray, colours: dict[float, str]) -> None:
    """Write which colour is which strength, and what the markers at the ends mean.

    More than `MOST_COLOURS` strengths are shown as a colour bar.
    """
    names = run_series.strength_names(runs)
    letter = wording.symbol(names[0]) if len(names) == 1 else "strength"
    states = set(runs.table["state"])
    handles: list[Line2D] = []
    if len(colours) > MOST_COLOURS:
        _colour_bar(drawing, grid, colours, label=letter)
    else:
        for strength, colour in colours.items():
            label = f"{letter} {wording.value_text(strength)}"
            handles.append(Line2D([], [], color=colour, label=label))
    if np.isnan(run_columns.float_column(runs.table, "strength")).any():
        handles.append(Line2D([], [], color=style.GREY, label="no strength"))
    marker = {"linestyle": "", "markeredgecolor": style.GREY, "markersize": 5}
    if TrialState.PRUNED in states:
        handles.append(Line2D([], [], marker="o", markerfacecolor="none", label="pruned", **marker))
    if TrialState.FAILED in states:
        handles.append(
            Line2D([], [], marker="X", markerfacecolor=style.GREY, label="failed", **marker)
        )
    if handles:
        drawing.legend(handles=handles, loc="outside right upper")


def _colour_bar(
    drawing: Figure, grid: np.ndarray, colours: dict[float, str], *, label: str
) -> None:
    low, high = min(colours), max(colours)
    colour_map = ListedColormap(list(colours.values()))
    norm = LogNorm(low, high) if low > 0 else Normalize(low, high)
    drawing.colorbar(ScalarMappable(norm, colour_map), ax=grid, label=label, shrink=0.5, aspect=30)
