"""What pruning did: how far each trial ran, bracket by bracket."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from sweeps.report import wording
from sweeps.report.figures import style
from sweeps.results import cell_means, run_columns
from sweeps.results.run_table import Runs

MOST_CELLS = 40
"""Cells per series that can still be read; the run table has them all."""

_FILLS = {"COMPLETE": "#4a4a4a", "PRUNED": "#f3c99f", "FAILED": "#c23b22"}


@style.drawn
def pruning_figure(runs: Runs) -> Figure:
    """Return a panel per series: a thin bar per trial as long as its epochs, cells of one bracket side by side."""
    rows = cell_means.cells(runs, ())
    series = list(dict.fromkeys(rows["series"]))
    most = max(int((rows["series"] == own).sum()) for own in series)
    drawing = style.figure(1.2 + 3.8 * len(series), 1.6 + 0.24 * most)
    panels = drawing.subplots(1, len(series), squeeze=False)[0]
    for axes, own in zip(panels, series, strict=True):
        cells = rows.loc[(rows["series"] == own).to_numpy()].sort_values("strength", kind="stable")
        _draw(axes, runs, [dict(row) for row in cells.to_dict("records")], most)
        axes.set_title(own)
    found = set(runs.table["state"])
    handles = [
        Patch(color=_fill(state), label=state.lower())
        for state in run_columns.counts(runs.table)
        if state in found
    ]
    drawing.legend(handles=handles, loc="outside upper right", ncols=len(handles))
    note = "One bar per trial (seeds of a cell touch); cells compete only inside a bracket, between two lines."
    return style.finish(drawing, runs, "How far each trial ran", note)


def _draw(axes: Axes, runs: Runs, cells: list[dict[Any, Any]], most: int) -> None:
    table = runs.table
    bracket = ""
    for row, cell in enumerate(cells):
        trials = table.loc[(table["cell"] == cell["cell"]).to_numpy()]
        height = 0.72 / len(trials)
        low = row - 0.36 + height * (np.arange(len(trials)) + 0.5)
        colours = [_fill(state) for state in trials["state"]]
        axes.barh(
            low,
            run_columns.floats(trials, "epoch"),
            height=0.85 * height,
            color=colours,
            gid=f"cell:{cell['cell']}",
        )
        if row and cell["bracket"] != bracket:
            axes.axhline(row - 0.5, color=style.FAINT, linewidth=0.8)
        bracket = cell["bracket"]
    for rung in _rungs(table.loc[table["cell"].isin([cell["cell"] for cell in cells]).to_numpy()]):
        axes.axvline(rung, color=style.GREY, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.set_yticks(range(len(cells)), [_name(cell, runs) for cell in cells], fontsize=7.5)
    axes.set_ylim(most - 0.45, -0.55)  # bars as thick in every panel
    axes.set_xlim(0, _epochs(runs) * 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epochs run")
    axes.grid(visible=False, axis="y")


def _rungs(trials: pd.DataFrame) -> list[int]:
    """Return the epochs at which the cells of some trials are judged."""
    return sorted({epoch for rungs in trials["rungs"] for epoch in json.loads(rungs)})


def _epochs(runs: Runs) -> float:
    return float(run_columns.floats(runs.table, "epochs").max(initial=1))


def _name(cell: Mapping[Any, Any], runs: Runs) -> str:
    """Return a cell's name without the objective, which is the panel's title."""
    return wording.cell(cell, runs).partition(", ")[2] or str(cell["objective"])


def _fill(state: str) -> str:
    return _FILLS.get(state, "#9db8d2")
