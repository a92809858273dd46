"""How far seeds and settings scatter a score: all whole trials of an objective, between chance and ceiling."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from sweeps.report import wording
from sweeps.report.figures import style
from sweeps.results import cell_means, run_columns, run_series
from sweeps.results.run_table import Runs

BOX_FROM, VIOLIN_FROM = 5, 20
"""A box needs five trials to have quartiles worth drawing, a violin twenty to have a shape."""


@style.drawn
def distribution_figure(runs: Runs, *, metric: str = "mig") -> Figure:
    """Return a row per objective of the spec: every whole trial a dot, its box, and a violin where trials are many."""
    value = run_columns.values(runs.table, metric)
    entry = np.array(run_series.entries(runs))
    names = list(dict.fromkeys(entry.tolist()))
    drawing = style.figure(7.2, 1.7 + 0.75 * len(names))
    axes = drawing.subplots()
    for row, name in enumerate(names):
        own = value[(entry == name) & ~np.isnan(value)]
        colour = style.COLOURS[row % len(style.COLOURS)]
        if len(own) >= VIOLIN_FROM and np.ptp(own) > 0:
            violin = axes.violinplot(
                own, [row], orientation="horizontal", widths=0.8, showextrema=False
            )
            for body in cast(list[PolyCollection], violin["bodies"]):
                body.set(facecolor=colour, alpha=0.16, edgecolor="none")
        if len(own) >= BOX_FROM:
            thin, thick = {"color": colour, "linewidth": 1.1}, {"color": colour, "linewidth": 2.2}
            axes.boxplot(
                own,
                positions=[row],
                orientation="horizontal",
                widths=0.36,
                showfliers=False,
                medianprops=thick,
                boxprops=thin,
                whiskerprops=thin,
                capprops=thin,
            )
        elif len(own):
            axes.vlines(np.median(own), row - 0.18, row + 0.18, color=colour, linewidth=2.2)
        heights = row + _spread(own)
        axes.scatter(
            own, heights, s=16, color=colour, alpha=0.6, linewidth=0, zorder=3, gid=f"trials:{name}"
        )
    counts = [int(((entry == name) & ~np.isnan(value)).sum()) for name in names]
    axes.set_yticks(
        range(len(names)), [f"{name}\nn = {n}" for name, n in zip(names, counts, strict=True)]
    )
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(wording.axis(metric))
    for which in ("chance", "ceiling"):
        at = cell_means.level(runs, metric, which)
        if not math.isnan(at):
            axes.axvline(
                at, color=style.GREY, linewidth=1.1, linestyle=(0, (4, 3)), gid=which, zorder=1
            )
            axes.annotate(
                f"{which} {at:.2g}",
                (at, 1),
                xycoords=("data", "axes fraction"),
                xytext=(0, 3),
                textcoords="offset points",
                ha="left" if which == "chance" else "right",
                fontsize=7.5,
                color=style.GREY,
            )
    kinds = f"Every trial that ran its whole length, all cells; median and quartiles from {BOX_FROM} trials on"
    note = f"{kinds}; {wording.measured_on(runs, [metric])}"
    out = wording.left_out(runs.table)
    return style.finish(
        drawing,
        runs,
        f"{wording.name(metric)} per objective",
        f"{note}; {out}." if out else f"{note}.",
    )


def _spread(values: np.ndarray) -> np.ndarray:
    """Return heights for dots: the golden-ratio sequence, even and without draws, in the order of the values."""
    order = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return 0.24 * ((order * 0.6180339887) % 1 - 0.5)
