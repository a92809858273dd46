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

from sweeps.ledger.states import TrialState
from sweeps.report import wording
from sweeps.report.figures import style
from sweeps.results import cell_means, run_columns
from sweeps.results.run_table import Runs

MOST_CELLS = 40
"""The largest number of cells in one series that can be read; the run table has all of them."""

_COLOURS: dict[str, str] = {
    TrialState.COMPLETE: "#4a4a4a",
    TrialState.PRUNED: "#f3c99f",
    TrialState.FAILED: "#c23b22",
}
_UNFINISHED_COLOUR = "#9db8d2"


@style.with_figure_style
def pruning_figure(runs: Runs) -> Figure:
    """Return a panel per series, with a thin bar per trial as long as the epochs it ran.

    The cells of one bracket are neighbours.
    """
    rows = cell_means.cells(runs, ())
    names = list(dict.fromkeys(rows["series"]))
    most = max(int((rows["series"] == name).sum()) for name in names)
    drawing = style.figure(1.2 + 3.8 * len(names), 1.6 + 0.24 * most)
    panels = drawing.subplots(1, len(names), squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        cells = rows.loc[(rows["series"] == name).to_numpy()].sort_values("strength", kind="stable")
        _draw(axes, runs, [dict(row) for row in cells.to_dict("records")], most)
        axes.set_title(name)
    states = set(runs.table["state"])
    handles: list[Patch] = []
    for state in run_columns.counts(runs.table):
        if state in states:
            handles.append(Patch(color=_colour(state), label=state.lower()))
    drawing.legend(handles=handles, loc="outside upper right", ncols=len(handles))
    note = (
        "One bar per trial (seeds of a cell touch); "
        "cells compete only inside a bracket, between two lines."
    )
    return style.finish(drawing, runs, "How far each trial ran", note)


def _draw(axes: Axes, runs: Runs, cells: list[dict[Any, Any]], most: int) -> None:
    """Draw the cells of one series; `most` is the number of cells in the largest series."""
    table = runs.table
    bracket = ""
    for row, cell in enumerate(cells):
        trials = table.loc[(table["cell"] == cell["cell"]).to_numpy()]
        height = 0.72 / len(trials)
        axes.barh(
            row - 0.36 + height * (np.arange(len(trials)) + 0.5),
            run_columns.float_column(trials, "epoch"),
            height=0.85 * height,
            color=[_colour(state) for state in trials["state"]],
            gid=f"cell:{cell['cell']}",
        )
        if row and cell["bracket"] != bracket:
            axes.axhline(row - 0.5, color=style.FAINT, linewidth=0.8)
        bracket = cell["bracket"]
    in_panel = table["cell"].isin([cell["cell"] for cell in cells]).to_numpy()
    for rung in _rungs(table.loc[in_panel]):
        axes.axvline(rung, color=style.GREY, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.set_yticks(range(len(cells)), [_name(cell, runs) for cell in cells], fontsize=7.5)
    axes.set_ylim(most - 0.45, -0.55)  # bars are equally thick in every panel
    axes.set_xlim(0, _epochs(runs) * 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epochs run")
    axes.grid(visible=False, axis="y")


def _rungs(trials: pd.DataFrame) -> list[int]:
    """Return the rungs of some trials, in epochs."""
    epochs: set[int] = set()
    for rungs in trials["rungs"]:
        epochs.update(json.loads(rungs))
    return sorted(epochs)


def _epochs(runs: Runs) -> float:
    return float(run_columns.float_column(runs.table, "epochs").max(initial=1))


def _name(cell: Mapping[Any, Any], runs: Runs) -> str:
    """Return a cell's name without the objective, which is the panel's title."""
    return wording.cell(cell, runs).partition(", ")[2] or str(cell["objective"])


def _colour(state: str) -> str:
    return _COLOURS.get(state, _UNFINISHED_COLOUR)
