"""What a growing capacity C is spent on: KL per latent and per factor against C.

Below the curves stand reconstructions at several C.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from PIL import Image

from sweeps.report import wording
from sweeps.report.figures import style, traversals
from sweeps.results import cell_means, run_columns
from sweeps.results.run_table import Runs
from vae_core.objectives import OBJECTIVES

MOST_TRIALS = 4
MOST_SNAPSHOTS = 4
_ACTIVE = 0.01
"""KL (nats) below which a latent or factor is drawn in grey: it carries no information."""


class _Snapshot(NamedTuple):
    """A stored picture of reconstructions."""

    epoch: int
    capacity: float  # nats
    path: Path


class _BestTrial(NamedTuple):
    """A trial of the figure."""

    row: dict[str, Any]  # of the run table
    curve: pd.DataFrame  # one row per epoch, with `capacity`
    snapshots: list[_Snapshot]


def why_not(runs: Runs) -> str:
    """Return why the figure cannot be drawn, "" if it can."""
    if np.isnan(run_columns.float_column(runs.curves, "capacity")).all():
        return "no objective has a capacity"
    return "" if _best_trials(runs) else "no trial with a capacity ran its whole length"


@style.with_figure_style
def capacity_figure(runs: Runs) -> Figure:
    """Return one block per trial: KL per latent and per factor against C, and reconstructions.

    The reconstructions below the curves are snapshots at several C. The KL is in nats per image.
    """
    trials = _best_trials(runs)
    heights = [2.9 + 0.98 * math.ceil(len(trial.snapshots) / 2) for trial in trials]
    drawing = style.figure(8.6, 0.8 + sum(heights))
    blocks: Any = drawing.subfigures(
        len(trials), 1, height_ratios=heights, squeeze=False
    )  # (n, 1) of SubFigure
    for block, trial in zip(blocks.ravel(), trials, strict=True):
        _draw(block, runs, trial)
    goal = cell_means.goals(runs)[0]
    end = f"{traversals.most(goal)} {wording.name(goal.metric)}"
    choice = f"Of each objective and strength the whole trial with the {end}"
    points = (
        "a point per C, at its last epoch, measured on the evaluation subset; "
        "the larger dot is the end"
    )
    shares = (
        "The KL of a latent is shared among the factors in proportion to its information about "
        "them, after the information about shuffled factors is subtracted; no share is above the "
        "entropy of its factor"
    )
    note = f"{choice}; {points}. {shares}."
    if any(_shuffled_factors(trial.curve) for trial in trials):
        note += (
            " Areas below dotted lines: the share that the factor of this colour would get with "
            "shuffled rows and without the subtraction."
        )
    return style.finish(drawing, runs, "What the capacity is spent on", note)


def _best_trials(runs: Runs) -> list[_BestTrial]:
    """Return the best complete trial of a few brackets, at most `MOST_TRIALS`.

    The brackets are those with the best values of the first goal, taken from each objective in
    turn. Objectives with an encoder that reads the factors come first.
    """
    table = runs.table
    curves = runs.curves.loc[~np.isnan(run_columns.float_column(runs.curves, "capacity"))]
    complete = run_columns.complete(table)
    complete = complete.loc[complete["trial"].isin(curves.get("trial", [])).to_numpy()]
    kept = _best_per_bracket(runs, complete)
    rows = cast(list[dict[str, Any]], complete.loc[complete.index.isin(kept)].to_dict("records"))
    order = list(table["objective"])
    rows.sort(
        key=lambda row: (
            not _codes_factors(row["objective"]),
            order.index(row["objective"]),
            row["strength"],
        )
    )
    curve_of = {
        trial: curve.sort_values("epoch") for trial, curve in curves.groupby("trial", sort=False)
    }
    best_trials: list[_BestTrial] = []
    for row in rows:
        curve = curve_of[row["trial"]]
        best_trials.append(_BestTrial(row, curve, _snapshots(runs, row, curve)))
    return best_trials


def _best_per_bracket(runs: Runs, complete: pd.DataFrame) -> list[int]:
    """Return the index labels of the best trial of each bracket, at most `MOST_TRIALS`.

    The best bracket of every objective comes before the second best of any.
    """
    goal = cell_means.goals(runs)[0]
    values = run_columns.values(runs.table, goal.metric)
    value_of = dict(zip(runs.table["number"], values, strict=True))
    sign = 1.0 if goal.mode == "min" else -1.0
    costs: list[float] = []
    for number in complete["number"]:
        value = value_of[number]
        costs.append(sign * value if math.isfinite(value) else math.inf)
    ranked = complete.iloc[np.argsort(costs, kind="stable")].drop_duplicates("bracket")
    groups = sorted(
        ranked.groupby("objective", sort=False), key=lambda group: not _codes_factors(str(group[0]))
    )
    labels = [list(rows.index) for _, rows in groups]
    in_turn: list[int] = []
    for turn in itertools.zip_longest(*labels):
        in_turn.extend(label for label in turn if label is not None)
    return in_turn[:MOST_TRIALS]


def _codes_factors(objective: str) -> bool:
    """Return whether the encoder of an objective reads the factors; the figure was made for it."""
    return objective in OBJECTIVES and OBJECTIVES[objective]().wiring.reads_factors != "no"


def _snapshots(runs: Runs, trial: dict[str, Any], curve: pd.DataFrame) -> list[_Snapshot]:
    """Return stored snapshots at a few C, from the first to the last.

    Where several snapshots were taken at one C, the latest is returned.
    """
    capacities = run_columns.float_column(curve, "capacity")
    capacity_at = dict(zip(curve["epoch"], capacities, strict=True))
    latest: dict[float, _Snapshot] = {}
    for path in sorted(traversals.folder(runs, trial).glob("snapshot-*.png")):
        epoch = int(re.findall(r"\d+", path.name)[-1])
        if epoch in capacity_at:
            capacity = capacity_at[epoch]
            latest[capacity] = _Snapshot(epoch, capacity, path)
    snapshots = list(latest.values())
    count = min(MOST_SNAPSHOTS, len(snapshots))
    indices = np.linspace(0, len(snapshots) - 1, count).round().astype(int)
    return [snapshots[index] for index in indices]


def _draw(block: SubFigure, runs: Runs, trial: _BestTrial) -> None:
    latents = [
        str(name) for name in trial.curve.columns if re.fullmatch(r"kl_latents/\d+", str(name))
    ]
    factors = _measured_factors(trial.curve)
    picture_rows = math.ceil(len(trial.snapshots) / 2)
    grid = block.add_gridspec(1 + picture_rows, 2, height_ratios=[2.6, *[0.95] * picture_rows])
    columns = [grid[0, 0:1], grid[0, 1:2]] if factors else [grid[0, 0:2]]
    panels = [block.add_subplot(column) for column in columns]
    _latent_lines(panels[0], trial.curve, _by_last(trial.curve, latents))
    seed = f"seed {trial.row['seed']}"
    panels[0].set_title(f"{wording.cell(trial.row, runs)}, {seed}", fontsize=8.5)
    if factors:
        _factor_lines(panels[1], trial.curve, factors)
    for index, snapshot in enumerate(trial.snapshots):
        axes = block.add_subplot(grid[1 + index // 2, index % 2])
        axes.imshow(np.asarray(Image.open(snapshot.path).convert("RGB")), interpolation="lanczos")
        axes.set_axis_off()
        title = f"C = {wording.number(snapshot.capacity)} nats, epoch {snapshot.epoch}"
        axes.set_title(title, fontsize=7.5)


def _measured_factors(curve: pd.DataFrame) -> list[str]:
    """Return the columns with the KL of a factor that hold a number."""
    return _measured(curve, "kl_factors/")


def _shuffled_factors(curve: pd.DataFrame) -> list[str]:
    """Return the columns with the KL of a shuffled factor that hold a number."""
    return _measured(curve, "kl_factors_shuffled/")


def _measured(curve: pd.DataFrame, prefix: str) -> list[str]:
    """Return the columns with a prefix that hold a number."""
    names = [str(name) for name in curve.columns if str(name).startswith(prefix)]
    return [name for name in names if not np.isnan(run_columns.float_column(curve, name)).all()]


def _latent_lines(axes: Axes, curve: pd.DataFrame, names: Sequence[str]) -> None:
    """Draw a line per latent against C; grey, and not in the legend, if it ends below `_ACTIVE`."""
    curve = curve.drop_duplicates("capacity", keep="last")
    colours = iter(style.COLOURS)
    for name in names:
        is_active = run_columns.float_column(curve, name)[-1] > _ACTIVE
        colour = next(colours, style.GREY) if is_active else style.FAINT
        in_legend = colour in style.COLOURS
        label = f"z{name.partition('/')[2]}" if in_legend else ""
        _line(axes, curve, name, colour, label, order=3 if in_legend else 2)
    _finish_panel(axes, "KL per latent (nats)")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(
            loc="upper left", fontsize=7.5, handlelength=1.2, ncols=2 if len(names) > 4 else 1
        )


def _factor_lines(axes: Axes, curve: pd.DataFrame, names: Sequence[str]) -> None:
    """Draw a line per factor against C, its share with shuffled rows as an area, and the rest."""
    curve = curve.drop_duplicates("capacity", keep="last")
    shuffled = _shuffled_factors(curve)
    colours = itertools.chain(style.COLOURS, itertools.repeat(style.GREY))
    for name, colour in zip(names, colours, strict=False):
        factor = name.partition("/")[2]
        area = f"kl_factors_shuffled/{factor}"
        if area in shuffled:
            capacities = run_columns.float_column(curve, "capacity")
            kl = run_columns.float_column(curve, area)
            axes.fill_between(capacities, kl, color=colour, alpha=0.12, linewidth=0, gid=area)
            axes.plot(capacities, kl, color=colour, linewidth=0.9, linestyle=":")
        _line(axes, curve, name, colour, factor, order=3)
    _rest(axes, curve, names)
    _finish_panel(axes, "KL of latents, shared by\nrelative information (nats)")
    axes.legend(loc="upper left", fontsize=7.5, handlelength=1.6, ncols=2)


def _line(
    axes: Axes, curve: pd.DataFrame, name: str, colour: str, label: str, *, order: int
) -> None:
    """Draw one column of a curve against C, with a larger dot at its end."""
    capacities = run_columns.float_column(curve, "capacity")
    kl = run_columns.float_column(curve, name)
    options: dict[str, Any] = {"label": label} if label else {}
    axes.plot(
        capacities,
        kl,
        color=colour,
        linewidth=1.4,
        marker=".",
        markersize=4,
        gid=name,
        zorder=order,
        **options,
    )
    axes.plot(capacities[-1:], kl[-1:], marker="o", markersize=5, color=colour, zorder=4)


def _finish_panel(axes: Axes, label: str) -> None:
    """Label the axes; let the values begin at 0 or below it."""
    axes.set_xlabel("capacity C (nats)")
    axes.set_ylabel(label)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))


def _rest(axes: Axes, curve: pd.DataFrame, factors: Sequence[str]) -> None:
    """Draw, as a dashed line, the KL that is shared with no factor."""
    rest = run_columns.float_column(curve, "kl") - sum(
        run_columns.float_column(curve, name) for name in factors
    )
    dashed = {"color": style.GREY, "linewidth": 1.1, "linestyle": (0, (4, 2)), "zorder": 2}
    capacities = run_columns.float_column(curve, "capacity")
    axes.plot(capacities, rest, label="not shared", gid="not shared", **dashed)


def _by_last(curve: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Return names from the largest last value to the smallest."""
    last = {name: float(np.nan_to_num(run_columns.float_column(curve, name)[-1])) for name in names}
    return sorted(names, key=lambda name: -last[name])
