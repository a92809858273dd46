"""How far seeds and settings scatter a score: all complete trials of an entry.

Lines mark the score's chance level and its ceiling.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from sweeps.report import floors, wording
from sweeps.report.figures import style
from sweeps.results import cell_means, run_columns, run_series
from sweeps.results.run_table import Runs

BOX_FROM, VIOLIN_FROM = 5, 20
"""A box needs five trials for useful quartiles, a violin needs twenty to have a shape."""


@style.with_figure_style
def distribution_figure(runs: Runs, *, metric: str = "mig") -> Figure:
    """Return a row per entry of the spec: a dot per complete trial, and a box over the dots.

    From `VIOLIN_FROM` trials on, the row has a violin too. With less than `BOX_FROM` trials it has
    a line at the median in place of the box.
    """
    value = run_columns.values(runs.table, metric)
    entry_of = np.array(run_series.entries(runs))
    names = list(dict.fromkeys(entry_of.tolist()))
    drawing = style.figure(7.2, 1.7 + 0.75 * len(names))
    axes = drawing.subplots()
    labels: list[str] = []
    for row, name in enumerate(names):
        values = value[(entry_of == name) & ~np.isnan(value)]
        labels.append(f"{name}\nn = {len(values)}")
        _draw_row(axes, row, values, name=name)
    axes.set_yticks(range(len(names)), labels)
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(floors.axis(runs, metric))
    _mark_level(axes, "chance", cell_means.level(runs, metric, "chance"))
    _mark_level(axes, "ceiling", cell_means.level(runs, metric, "ceiling"))
    title = f"{wording.name(metric)} per objective"
    return style.finish(drawing, runs, title, _note(runs, metric))


def _draw_row(axes: Axes, row: int, values: np.ndarray, *, name: str) -> None:
    colour = style.COLOURS[row % len(style.COLOURS)]
    if len(values) >= VIOLIN_FROM and np.ptp(values) > 0:
        violin = axes.violinplot(
            values, [row], orientation="horizontal", widths=0.8, showextrema=False
        )
        for body in cast(list[PolyCollection], violin["bodies"]):
            body.set(facecolor=colour, alpha=0.16, edgecolor="none")
    if len(values) >= BOX_FROM:
        thin, thick = {"color": colour, "linewidth": 1.1}, {"color": colour, "linewidth": 2.2}
        axes.boxplot(
            values,
            positions=[row],
            orientation="horizontal",
            widths=0.36,
            showfliers=False,
            medianprops=thick,
            boxprops=thin,
            whiskerprops=thin,
            capprops=thin,
        )
    elif len(values):
        axes.vlines(np.median(values), row - 0.18, row + 0.18, color=colour, linewidth=2.2)
    axes.scatter(
        values,
        row + _spread(values),
        s=16,
        color=colour,
        alpha=0.6,
        linewidth=0,
        zorder=3,
        gid=f"trials:{name}",
    )


def _mark_level(axes: Axes, name: str, level: float) -> None:
    """Draw a dashed line at chance or ceiling; nothing if it was not measured."""
    if math.isnan(level):
        return
    axes.axvline(level, color=style.GREY, linewidth=1.1, linestyle=(0, (4, 3)), gid=name, zorder=1)
    axes.annotate(
        f"{name} {level:.2g}",
        (level, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="left" if name == "chance" else "right",
        fontsize=7.5,
        color=style.GREY,
    )


def _note(runs: Runs, metric: str) -> str:
    parts = [
        "Every trial that ran its whole length, all cells",
        f"median and quartiles from {BOX_FROM} trials on",
        wording.measured_on(runs, [metric]),
    ]
    out = wording.left_out(runs.table)
    if out:
        parts.append(out)
    return "; ".join(parts) + "."


def _spread(values: np.ndarray) -> np.ndarray:
    """Return heights for dots: multiples of the golden ratio modulo 1, in the order of the values.

    They are spread evenly and need no random draw.
    """
    order = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return 0.24 * ((order * 0.6180339887) % 1 - 0.5)
