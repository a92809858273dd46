"""Latent traversals: the stored picture of each objective's best trial."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from sweeps.report import wording
from sweeps.report.figures import style
from sweeps.results import cell_means
from sweeps.results.run_table import Runs


class BestPicture(NamedTuple):
    """A best trial, as a row of the run table, and its stored picture."""

    trial: dict[str, Any]
    path: Path


def best_pictures(runs: Runs, *, file: str = "traversal.png") -> dict[str, BestPicture]:
    """Return the best complete trial of each objective, by the first goal, and its picture.

    Objectives without such a trial or without the file are left out.
    """
    pictures: dict[str, BestPicture] = {}
    for objective in dict.fromkeys(runs.table["objective"]):
        trial = cell_means.best_trial(runs, objective, cell_means.goals(runs)[0])
        if trial is not None and trial["artifacts"]:
            path = folder(runs, trial) / file
            if path.is_file():
                pictures[objective] = BestPicture(trial, path)
    return pictures


def folder(runs: Runs, trial: Mapping[str, Any]) -> Path:
    """Return the folder of a trial's artifacts.

    A relative folder is in the workspace if it exists there, else in the current directory.
    """
    path = runs.workspace / str(trial["artifacts"])  # an absolute folder replaces the workspace
    return path if path.is_dir() else Path(str(trial["artifacts"]))


@style.with_figure_style
def traversals_figure(runs: Runs) -> Figure:
    """Return the traversals below each other, wide enough to read their labels.

    More than three pictures are laid out in two columns, more than six in three.
    """
    pictures, goal = best_pictures(runs), cell_means.goals(runs)[0]
    images: list[NDArray[np.uint8]] = []
    unreadable: list[str] = []
    for objective, picture in list(pictures.items()):
        try:
            images.append(np.asarray(Image.open(picture.path).convert("RGB")))
        except Exception as error:  # a decoder may raise anything for a damaged file
            unreadable.append(f"{wording.cell(picture.trial, runs)} ({type(error).__name__})")
            del pictures[objective]
    columns = _columns(len(images))
    lines = math.ceil(len(images) / columns) or 1
    width = 7.4 if columns == 1 else 4.6
    tallest = max((image.shape[0] / image.shape[1] for image in images), default=0.5)
    drawing = style.figure(0.4 + columns * width, 0.7 + lines * (0.45 + width * tallest))
    grid = drawing.subplots(lines, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, picture, image in zip(grid, pictures.values(), images, strict=False):
        trial = picture.trial
        axes.imshow(image, interpolation="lanczos")
        seed = f"seed {trial['seed']}: {wording.name(goal.metric)} {wording.number(trial['value'])}"
        axes.set_title(f"{wording.cell(trial, runs)}\n{seed}", fontsize=8)
    end = f"{most(goal)} {wording.name(goal.metric)}"
    choice = f"Of each objective the whole trial with the {end}: chosen, not typical"
    note = f"{choice}; along a row one latent moves, the others stay."
    if unreadable:
        note += f" Left out, because their pictures cannot be read: {'; '.join(unreadable)}."
    return style.finish(drawing, runs, "One latent per row", note)


def _columns(count: int) -> int:
    """Return the number of columns for a number of pictures, at most 3."""
    if count <= 3:
        return 1
    return 2 if count <= 6 else 3


def most(goal: cell_means.GoalMetric) -> str:
    """Return, in words, which end of a goal's metric is the better one."""
    return "lowest" if goal.mode == "min" else "highest"
