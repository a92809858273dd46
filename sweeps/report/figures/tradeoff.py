"""What the strength buys and costs: each metric against β."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sweeps.report import wording
from sweeps.report.figures import collapse_marks, style
from sweeps.results import cell_means, run_columns
from sweeps.results.run_table import Runs

METRICS = ("reconstruction", "tc", "mig")


@style.drawn
def tradeoff_figure(
    runs: Runs, *, metrics: Sequence[str] = METRICS, choice: cell_means.BracketMean = "best"
) -> Figure:
    """Return one panel per measured metric: mean ± standard error against strength, each seed a small dot.

    An objective without a strength (a plain VAE) is a horizontal line with its error as a band.
    """
    shown = [metric for metric in metrics if run_columns.source(runs.table, metric)]
    drawing = style.figure(0.6 + 3.3 * max(len(shown), 1), 3.5)
    panels = drawing.subplots(1, max(len(shown), 1), squeeze=False)[0]
    for axes, metric in zip(panels, shown, strict=False):
        draw(axes, runs, metric, choice=choice)
    by_name = dict(zip(*reversed(panels[0].get_legend_handles_labels()), strict=True))
    rows = cell_means.brackets(runs, shown, choice=choice)
    lost = (
        collapse_marks.label(rows.loc[~np.isnan(run_columns.floats(rows, shown[0]))])
        if shown
        else ""
    )
    names = [name for name in (*style.colours(runs), lost) if name in by_name]
    style.legend(drawing, [by_name[name] for name in names], names)
    spread = (
        "± standard error over seeds (dots)"
        if run_columns.floats(rows, "n").max(initial=0) > 1
        else "of one seed"
    )
    missing = [wording.name(metric) for metric in metrics if metric not in shown]
    without = f"; not measured: {', '.join(missing)}" if missing else ""
    crossed = f"; {collapse_marks.NOTE}" if lost else ""
    note = f"Means {spread}{crossed}; {wording.measured_on(runs, shown)}{without}"
    out = wording.left_out(runs.table)
    title = wording.listed([wording.name(metric) for metric in shown])
    if not np.isnan(run_columns.floats(rows, "strength")).all():
        # Of several strengths the axes have the letters: the title would run into the legend.
        title += f" against {wording.strength_axis(runs).partition(':')[0]}"
    title = title[:1].upper() + title[1:]
    return style.finish(drawing, runs, title, f"{note}; {out}." if out else f"{note}.")


def draw(axes: Axes, runs: Runs, metric: str, *, choice: cell_means.BracketMean = "best") -> None:
    """Draw one metric against strength."""
    rows = cell_means.brackets(runs, [metric], choice=choice)
    rows = rows.loc[rows[metric].notna().to_numpy()]
    per_trial = dict(zip(runs.table["number"], run_columns.values(runs.table, metric), strict=True))
    strengths = run_columns.floats(rows, "strength")
    series = list(dict.fromkeys(rows["series"]))
    colours, markers = style.colours(runs), style.markers(runs)
    name = collapse_marks.label(rows)
    for place, own in enumerate(series):
        group = rows.loc[(rows["series"] == own).to_numpy()].sort_values("strength", kind="stable")
        steps = 2.4 * (place - (len(series) - 1) / 2)
        if group["strength"].isna().all():
            _level(axes, group, metric, colour=colours[own], name=own)
            across, where = np.full(len(group), 0.5), axes.get_yaxis_transform()
        else:
            _line(
                axes,
                group,
                metric,
                steps,
                per_trial,
                colour=colours[own],
                marker=markers[own],
                name=own,
            )
            across, where = _aside(run_columns.floats(group, "strength"), steps), None
        lost = collapse_marks.marked(group)
        collapse_marks.cross(
            axes, across[lost], run_columns.floats(group, metric)[lost], name=name, transform=where
        )
    style.strength_scale(axes, strengths, wording.strength_axis(runs))
    axes.set_ylabel(wording.axis(metric))
    known = strengths[~np.isnan(strengths)]
    if len(set(known)) == 1:
        reach = 0.05 * max(abs(float(known[0])), 1.0)
        axes.set_xlim(known[0] - reach, known[0] + reach)
    if metric in ("tc", "mig") or np.isnan(strengths).all():
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))


def _line(
    axes: Axes,
    group: pd.DataFrame,
    metric: str,
    steps: float,
    per_trial: dict[int, float],
    *,
    colour: str,
    marker: str,
    name: str,
) -> None:
    strengths = run_columns.floats(group, "strength")
    across = _aside(strengths, steps)
    axes.errorbar(
        across,
        run_columns.floats(group, metric),
        yerr=run_columns.floats(group, f"{metric}_se"),
        color=colour,
        marker=marker,
        markersize=5,
        markeredgecolor="white",
        markeredgewidth=0.6,
        linewidth=1.5,
        elinewidth=1.1,
        capsize=2.5,
        zorder=4,
        label=name,
    )
    # Of two seeds the dots would lie exactly under the ends of the error bar: they stand a little aside.
    beside = _aside(strengths, steps + 1.5)
    seeds = [
        (x, per_trial[number])
        for x, members in zip(beside, group["members"], strict=True)
        for number in members
    ]
    dots = np.array(seeds, dtype=np.float64).reshape(-1, 2)
    axes.scatter(
        dots[:, 0],
        dots[:, 1],
        s=9,
        color=colour,
        alpha=0.45,
        linewidth=0,
        zorder=3,
        gid=f"seeds:{name}",
    )


def _level(axes: Axes, group: pd.DataFrame, metric: str, *, colour: str, name: str) -> None:
    value, error = float(group[metric].iloc[0]), float(group[f"{metric}_se"].iloc[0])
    axes.axhline(value, color=colour, linewidth=1.5, linestyle=(0, (5, 2)), label=name)
    if np.isfinite(error):
        axes.axhspan(value - error, value + error, color=colour, alpha=0.15, linewidth=0)


def _aside(strengths: np.ndarray, steps: float) -> np.ndarray:
    """Return the strengths moved to the right by so many hundredths of their axis, so that series stay apart."""
    known = strengths[~np.isnan(strengths)]
    low, high = float(known.min()), float(known.max())
    if low == high:
        return strengths + 0.001 * steps * max(abs(low), 1.0)
    if style.logarithmic(known):
        return strengths * (high / low) ** (steps / 100)
    return strengths + (high - low) * steps / 100
