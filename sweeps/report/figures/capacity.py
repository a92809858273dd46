"""What a growing capacity is spent on: the KL of each latent and of each factor against C, and what is decoded."""

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
"""KL (nats) below which a latent is drawn in grey: it says nothing of the image."""


class _Shown(NamedTuple):
    """A trial of the figure."""

    row: dict[str, Any]
    curve: pd.DataFrame  # by epoch, with `capacity`
    snapshots: list[tuple[int, float, Path]]  # (epoch, C, picture)


def why_not(runs: Runs) -> str:
    """Return why the figure cannot be drawn, "" if it can."""
    if np.isnan(run_columns.floats(runs.curves, "capacity")).all():
        return "no objective has a capacity"
    return "" if _chosen(runs) else "no trial with a capacity ran its whole length"


@style.drawn
def capacity_figure(runs: Runs) -> Figure:
    """Return a block per trial: KL per latent and per factor against C, and below it reconstructions at several C."""
    shown = _chosen(runs)
    heights = [2.9 + 0.98 * math.ceil(len(trial.snapshots) / 2) for trial in shown]
    drawing = style.figure(8.6, 0.8 + sum(heights))
    blocks: Any = drawing.subfigures(
        len(shown), 1, height_ratios=heights, squeeze=False
    )  # (n, 1) of SubFigure
    for block, trial in zip(blocks.ravel(), shown, strict=True):
        _draw(block, runs, trial)
    goal = cell_means.goals(runs)[0]
    chosen = f"Of each objective and strength the whole trial with the {traversals.most(goal)} {wording.name(goal.metric)}"
    points = "a point per C, at its last epoch, measured on the evaluation subset; the larger dot is the end"
    shares = "a latent's KL is shared among the factors in proportion to what it knows of them, but for what is the same "
    shares += "for all images (no factor)"
    note = f"{chosen}; {points}; {shares}."
    return style.finish(drawing, runs, "What the capacity is spent on", note)


def _chosen(runs: Runs) -> list[_Shown]:
    """Return the best whole trial of each bracket, of the better ones a few; those that code factors come first."""
    table, goal = runs.table, cell_means.goals(runs)[0]
    asking = runs.curves.loc[~np.isnan(run_columns.floats(runs.curves, "capacity"))]
    own = table.loc[
        ((table["state"] == "COMPLETE") & table["trial"].isin(asking.get("trial", []))).to_numpy()
    ]
    value = dict(zip(table["number"], run_columns.values(table, goal.metric), strict=True))
    sign = 1.0 if goal.mode == "min" else -1.0
    cost = [
        sign * value[number] if math.isfinite(value[number]) else math.inf
        for number in own["number"]
    ]
    ranked = own.iloc[np.argsort(cost, kind="stable")].drop_duplicates("bracket")
    # The best of every objective before the second of any.
    groups = sorted(
        ranked.groupby("objective", sort=False), key=lambda group: not _codes_factors(str(group[0]))
    )
    rounds = [list(rows.index) for _, rows in groups]
    kept = [at for turn in itertools.zip_longest(*rounds) for at in turn if at is not None][
        :MOST_TRIALS
    ]
    rows = cast(list[dict[str, Any]], own.loc[own.index.isin(kept)].to_dict("records"))
    order = list(table["objective"])
    rows.sort(
        key=lambda row: (
            not _codes_factors(row["objective"]),
            order.index(row["objective"]),
            row["strength"],
        )
    )
    curves = {
        trial: curve.sort_values("epoch") for trial, curve in asking.groupby("trial", sort=False)
    }
    return [
        _Shown(row, curves[row["trial"]], _snapshots(runs, row, curves[row["trial"]]))
        for row in rows
    ]


def _codes_factors(objective: str) -> bool:
    """Return whether an objective's encoder reads the factors: what this figure was made for."""
    return objective in OBJECTIVES and OBJECTIVES[objective]().wiring.reads_factors != "no"


def _snapshots(
    runs: Runs, trial: dict[str, Any], curve: pd.DataFrame
) -> list[tuple[int, float, Path]]:
    """Return the stored snapshots at a few C, from the first to the last; of several at one C the latest."""
    asked = dict(zip(curve["epoch"], run_columns.floats(curve, "capacity"), strict=True))
    found: dict[float, tuple[int, float, Path]] = {}
    for path in sorted(traversals.folder(runs, trial).glob("snapshot-*.png")):
        epoch = int(re.findall(r"\d+", path.name)[-1])
        if epoch in asked:
            found[asked[epoch]] = (epoch, asked[epoch], path)
    kept = list(found.values())
    places = np.linspace(0, len(kept) - 1, min(MOST_SNAPSHOTS, len(kept))).round().astype(int)
    return [kept[place] for place in places]


def _draw(block: SubFigure, runs: Runs, trial: _Shown) -> None:
    factors = [str(name) for name in trial.curve.columns if str(name).startswith("kl_factors/")]
    factors = [
        name for name in factors if not np.isnan(run_columns.floats(trial.curve, name)).all()
    ]
    latents = [
        str(name) for name in trial.curve.columns if re.fullmatch(r"kl_latents/\d+", str(name))
    ]
    lines = math.ceil(len(trial.snapshots) / 2)
    grid = block.add_gridspec(1 + lines, 2, height_ratios=[2.6, *[0.95] * lines])
    panels = [
        block.add_subplot(grid[0, at : at + 1 if factors else 2])
        for at in range(2 if factors else 1)
    ]
    _lines(panels[0], trial.curve, _by_last(trial.curve, latents), "KL per latent (nats)")
    seed = f"seed {trial.row['seed']}"
    panels[0].set_title(f"{wording.cell(trial.row, runs)}, {seed}", fontsize=8.5)
    if factors:
        _lines(panels[1], trial.curve, factors, "KL per factor (nats)")
        own = trial.curve.drop_duplicates("capacity", keep="last")
        rest = run_columns.floats(own, "kl") - sum(
            run_columns.floats(own, name) for name in factors
        )
        dashed = {"color": style.GREY, "linewidth": 1.1, "linestyle": (0, (4, 2)), "zorder": 2}
        panels[1].plot(
            run_columns.floats(own, "capacity"), rest, label="no factor", gid="no factor", **dashed
        )
        panels[1].legend(loc="upper left", fontsize=7.5, handlelength=1.6, ncols=2)
    for place, (epoch, asked, path) in enumerate(trial.snapshots):
        axes = block.add_subplot(grid[1 + place // 2, place % 2])
        axes.imshow(np.asarray(Image.open(path).convert("RGB")), interpolation="lanczos")
        axes.set_axis_off()
        axes.set_title(f"C = {wording.number(asked)} nats, epoch {epoch}", fontsize=7.5)


def _lines(axes: Axes, curve: pd.DataFrame, names: Sequence[str], label: str) -> None:
    """Draw a line per latent or factor against C; those that never leave zero are grey."""
    curve = curve.drop_duplicates("capacity", keep="last")
    across = run_columns.floats(curve, "capacity")
    colours = iter(style.COLOURS)
    for name in names:
        up = run_columns.floats(curve, name)
        colour = next(colours, style.GREY) if up[-1] > _ACTIVE else style.FAINT
        short = name.partition("/")[2]
        shown = (
            {"label": f"z{short}" if name.startswith("kl_latents/") else short}
            if colour in style.COLOURS
            else {}
        )
        options = {"color": colour, "linewidth": 1.4, "marker": ".", "markersize": 4, **shown}
        axes.plot(across, up, gid=name, zorder=3 if shown else 2, **options)
        axes.plot(across[-1:], up[-1:], marker="o", markersize=5, color=colour, zorder=4)
    axes.set_xlabel("capacity C (nats)")
    axes.set_ylabel(label)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(
            loc="upper left", fontsize=7.5, handlelength=1.2, ncols=2 if len(names) > 4 else 1
        )


def _by_last(curve: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Return names from the largest last value to the smallest."""
    last = {name: float(np.nan_to_num(run_columns.floats(curve, name)[-1])) for name in names}
    return sorted(names, key=lambda name: -last[name])
