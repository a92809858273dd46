"""What the strength gains and what it costs: each metric against β."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Transform

from sweeps.report import floors, wording
from sweeps.report.figures import collapse_marks, style
from sweeps.results import cell_means, run_columns
from sweeps.results.run_table import Runs

METRICS = ("reconstruction", "tc", "mig")


@style.with_figure_style
def tradeoff_figure(
    runs: Runs, *, metrics: Sequence[str] = METRICS, choice: cell_means.BracketMean = "best"
) -> Figure:
    """Return one panel per measured metric: mean ± standard error against strength.

    Each seed is a small dot. A series without a strength (a plain VAE) is a horizontal line, its
    error is a band.
    """
    measured = [metric for metric in metrics if run_columns.source(runs.table, metric)]
    drawing = style.figure(0.6 + 3.3 * max(len(measured), 1), 3.5)
    panels = drawing.subplots(1, max(len(measured), 1), squeeze=False)[0]
    for axes, metric in zip(panels, measured, strict=False):
        draw(axes, runs, metric, choice=choice)
    rows = cell_means.brackets(runs, measured, choice=choice)
    crosses = ""
    if measured:
        in_first_panel = ~np.isnan(run_columns.float_column(rows, measured[0]))
        crosses = collapse_marks.legend_entry(rows.loc[in_first_panel])
    handles, labels = panels[0].get_legend_handles_labels()
    by_name = dict(zip(labels, handles, strict=True))
    names = [name for name in (*style.colours(runs), crosses) if name in by_name]
    style.legend(drawing, [by_name[name] for name in names], names)
    missing = [wording.name(metric) for metric in metrics if metric not in measured]
    note = _note(runs, rows, measured, missing, crossed=bool(crosses))
    return style.finish(drawing, runs, _title(runs, rows, measured), note)


def _title(runs: Runs, rows: pd.DataFrame, measured: Sequence[str]) -> str:
    title = wording.and_list([wording.name(metric) for metric in measured])
    if not np.isnan(run_columns.float_column(rows, "strength")).all():
        # With several strengths, write only "strength": the axes name their letters, and a longer
        # title would run into the legend.
        title += f" against {wording.strength_axis(runs).partition(':')[0]}"
    return title[:1].upper() + title[1:]


def _note(
    runs: Runs,
    rows: pd.DataFrame,
    measured: Sequence[str],
    missing: Sequence[str],
    *,
    crossed: bool,
) -> str:
    several = run_columns.float_column(rows, "n").max(initial=0) > 1
    means = "Means over seeds (dots)" if several else "Means of one seed"
    bars = wording.bars(rows, measured)
    parts = [f"{means} ± {bars}" if bars else means]
    if crossed:
        parts.append(collapse_marks.NOTE)
    parts.append(wording.measured_on(runs, measured))
    if missing:
        parts.append(f"not measured: {', '.join(missing)}")
    out = wording.left_out(runs.table)
    if out:
        parts.append(out)
    return "; ".join(parts) + "."


def draw(axes: Axes, runs: Runs, metric: str, *, choice: cell_means.BracketMean = "best") -> None:
    """Draw one metric against strength."""
    rows = cell_means.brackets(runs, [metric], choice=choice)
    rows = rows.loc[rows[metric].notna().to_numpy()]
    value_of = dict(zip(runs.table["number"], run_columns.values(runs.table, metric), strict=True))
    names = list(dict.fromkeys(rows["series"]))
    colours, markers = style.colours(runs), style.markers(runs)
    legend_entry = collapse_marks.legend_entry(rows)
    for index, name in enumerate(names):
        group = rows.loc[(rows["series"] == name).to_numpy()].sort_values("strength", kind="stable")
        colour = colours[name]
        transform: Transform | None = None
        if group["strength"].isna().all():
            _level(axes, group, metric, colour=colour, name=name)
            across, transform = np.full(len(group), 0.5), axes.get_yaxis_transform()
        else:
            shift = 2.4 * (index - (len(names) - 1) / 2)
            _line(
                axes,
                group,
                metric,
                shift,
                value_of,
                colour=colour,
                marker=markers[name],
                name=name,
            )
            across = _shifted(run_columns.float_column(group, "strength"), shift)
        collapsed = collapse_marks.has_collapsed(group)
        collapse_marks.draw_crosses(
            axes,
            across[collapsed],
            run_columns.float_column(group, metric)[collapsed],
            name=legend_entry,
            transform=transform,
        )
    _set_axes(axes, runs, metric, run_columns.float_column(rows, "strength"))


def _set_axes(axes: Axes, runs: Runs, metric: str, strengths: np.ndarray) -> None:
    """Set labels, scale and limits of a panel."""
    style.strength_scale(axes, strengths, wording.strength_axis(runs))
    axes.set_ylabel(floors.axis(runs, metric))
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
    shift: float,
    value_of: dict[int, float],
    *,
    colour: str,
    marker: str,
    name: str,
) -> None:
    """Draw the means of a series with error bars, and its seeds as dots.

    Args:
        axes: to draw on.
        group: the brackets of the series, by rising strength.
        metric: the column of the means.
        shift: to the right, see `_shifted`.
        value_of: the metric of each trial, by the trial's number.
        colour: of the series.
        marker: of the series.
        name: of the series.
    """
    strengths = run_columns.float_column(group, "strength")
    axes.errorbar(
        _shifted(strengths, shift),
        run_columns.float_column(group, metric),
        yerr=run_columns.float_column(group, f"{metric}_se"),
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
    # The dots of two seeds would lie exactly under the ends of the error bar: draw them beside it.
    beside = _shifted(strengths, shift + 1.5)
    seeds: list[tuple[float, float]] = []
    for x, members in zip(beside, group["members"], strict=True):
        seeds.extend((x, value_of[number]) for number in members)
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
    """Draw a series without a strength: a horizontal line, with its error as a band."""
    value, error = float(group[metric].iloc[0]), float(group[f"{metric}_se"].iloc[0])
    axes.axhline(value, color=colour, linewidth=1.5, linestyle=(0, (5, 2)), label=name)
    if np.isfinite(error):
        axes.axhspan(value - error, value + error, color=colour, alpha=0.15, linewidth=0)


def _shifted(strengths: np.ndarray, shift: float) -> np.ndarray:
    """Return strengths moved to the right by `shift` hundredths of their axis.

    Series at the same strength then lie beside each other.
    """
    known = strengths[~np.isnan(strengths)]
    low, high = float(known.min()), float(known.max())
    if low == high:
        return strengths + 0.001 * shift * max(abs(low), 1.0)
    if style.logarithmic(known):
        return strengths * (high / low) ** (shift / 100)
    return strengths + (high - low) * shift / 100
