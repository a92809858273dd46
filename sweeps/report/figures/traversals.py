"""Latent traversals: the stored picture of each objective's best trial."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from sweeps.report import wording
from sweeps.report.figures import style
from sweeps.results import cell_means
from sweeps.results.run_table import Runs


def pictures(runs: Runs, *, file: str = "traversal.png") -> dict[str, tuple[dict[str, Any], Path]]:
    """Return objective -> (its best whole trial by the first goal, that trial's picture), where the file exists."""
    found: dict[str, tuple[dict[str, Any], Path]] = {}
    for objective in dict.fromkeys(runs.table["objective"]):
        trial = cell_means.best_trial(runs, objective, cell_means.goals(runs)[0])
        if trial is not None and trial["artifacts"]:
            path = folder(runs, trial) / file
            if path.is_file():
                found[objective] = (trial, path)
    return found


def folder(runs: Runs, trial: Mapping[str, Any]) -> Path:
    """Return the folder of a trial's stored files; a relative one lies in the workspace, or where one stands."""
    path = runs.workspace / str(trial["artifacts"])  # an absolute folder stands for itself
    return path if path.is_dir() else Path(str(trial["artifacts"]))


@style.drawn
def traversals_figure(runs: Runs) -> Figure:
    """Return the traversals below each other, wide enough for their labels to be read; many in two or three columns."""
    found, goal = pictures(runs), cell_means.goals(runs)[0]
    images = {
        objective: np.asarray(Image.open(path).convert("RGB"))
        for objective, (_, path) in found.items()
    }
    columns = next((n for n in (1, 2) if len(images) <= 3 * n), 3)
    lines, width = math.ceil(len(images) / columns) or 1, 7.4 if columns == 1 else 4.6
    tallest = max((image.shape[0] / image.shape[1] for image in images.values()), default=0.5)
    drawing = style.figure(0.4 + columns * width, 0.7 + lines * (0.45 + width * tallest))
    grid = drawing.subplots(lines, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, (objective, image) in zip(grid, images.items(), strict=False):
        trial = found[objective][0]
        axes.imshow(image, interpolation="lanczos")
        seed = f"seed {trial['seed']}: {wording.name(goal.metric)} {wording.number(trial['value'])}"
        axes.set_title(f"{wording.cell(trial, runs)}\n{seed}", fontsize=8)
    chosen = f"Of each objective the whole trial with the {most(goal)} {wording.name(goal.metric)}: chosen, not typical"
    note = f"{chosen}; along a row one latent moves, the others stay."
    return style.finish(drawing, runs, "One latent per row", note)


def most(goal: cell_means.GoalMetric) -> str:
    """Return which end of a goal's metric is the better one, in words."""
    return "lowest" if goal.mode == "min" else "highest"
