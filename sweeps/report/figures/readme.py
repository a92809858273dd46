"""The figure at the top of a README: the scatter, and total correlation against the strength."""

from __future__ import annotations

from matplotlib.figure import Figure

from sweeps.report import wording
from sweeps.report.figures import scatter, style, tradeoff
from sweeps.results import cell_means
from sweeps.results.run_table import Runs


@style.with_figure_style
def readme_figure(runs: Runs, *, choice: cell_means.BracketMean = "best") -> Figure:
    """Return the compact figure of two panels; it needs MIG and total correlation."""
    drawing = style.figure(9.6, 3.9)
    left, right = drawing.subplots(1, 2, width_ratios=[1.25, 1])
    rows = scatter.points(runs, choice=choice)
    scatter.draw(left, runs, rows)
    left.set_title(f"MIG against total correlation per {wording.strength_axis(runs)}")
    tradeoff.draw(right, runs, "tc", choice=choice)
    right.set_title(f"Total correlation against {wording.strength_axis(runs)}")
    style.finish(drawing, runs, "", scatter.note(runs, rows, choice=choice))
    scatter.label_points(left, runs, rows)
    return drawing
