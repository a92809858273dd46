"""Small labels beside points, placed so that they cover no other label, no point and no line."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

DIRECTIONS = [
    (math.cos(math.pi * k / 8), math.sin(math.pi * k / 8))
    for k in (2, 6, 14, 10, 0, 8, 4, 12, *range(1, 16, 2))
]
"""Directions in which a label is tried, in this order. The corners come first, as error bars run
along the axes."""

GAPS = (2.0, 6.0, 12.0)
"""Distances from its point (in typographic points) at which a label is tried, the nearest first."""

MOST_COVERED = 0.4
"""Largest share of a label that may be covered. In a crowd of points, a label that would be covered
more is left out: no label is better than a heap of labels."""


class _Obstacles(NamedTuple):
    """What a label should not cover, in pixels."""

    centres: np.ndarray  # (n, 2) of circles
    radii: np.ndarray  # (n,)
    ink: np.ndarray  # (m, 2) points along the lines, 2 pixels apart
    frame: Bbox


def place_labels(
    axes: Axes,
    points: np.ndarray,
    labels: Sequence[str],
    *,
    areas: np.ndarray,
    colours: Sequence[str],
    lines: Sequence[np.ndarray] = (),
    size: float = 7.5,
) -> None:
    """Write a label beside each point, in the position where it covers least.

    The search is greedy, in the order of the points: of sixteen directions around the circle and
    three distances, it takes the position that covers least; of equal ones the first. A label is
    left out if even its best position is covered by more than `MOST_COVERED`. The result is
    deterministic. Call it when all else is drawn and the layout is fixed (`style.fix_layout`).

    Args:
        axes: to write on.
        points: (n, 2) in data coordinates.
        labels: n texts.
        areas: (n,) of the circles, in points², as for `scatter`.
        colours: n text colours.
        lines: (k, 2) each, in data coordinates: what else is drawn.
        size: of the font, in points.
    """
    drawing = axes.figure
    assert isinstance(drawing, Figure)
    scale = drawing.dpi / 72
    centres = axes.transData.transform(points)
    radii = np.sqrt(areas / math.pi) * scale
    ink = [_sampled(axes.transData.transform(line)) for line in lines]
    obstacles = _Obstacles(
        centres, radii, np.concatenate([np.empty((0, 2)), *ink]), axes.get_window_extent()
    )
    written: list[Bbox] = []
    for centre, radius, label, colour in zip(centres, radii, labels, colours, strict=True):
        # DejaVu Sans: a letter is about 0.65 of the font's size wide and, with its tail, 1.2 high.
        half = np.array([0.33 * len(label) * size, 0.62 * size]) * scale
        box = _best_box(centre, radius, half, scale, obstacles, written)
        if _cost(box, obstacles, written) > MOST_COVERED * box.width * box.height:
            continue
        written.append(box)
        offset = (np.array([(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2]) - centre) / scale
        note = axes.annotate(
            label,
            axes.transData.inverted().transform(centre).tolist(),
            xytext=(float(offset[0]), float(offset[1])),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=size,
            color=colour,
            zorder=6,
            path_effects=[patheffects.withStroke(linewidth=2.0, foreground="white")],
        )
        note.set_in_layout(False)


def _best_box(
    centre: np.ndarray,
    radius: float,
    half: np.ndarray,
    scale: float,
    obstacles: _Obstacles,
    written: Sequence[Bbox],
) -> Bbox:
    """Return the box of a label that covers least.

    Args:
        centre: (2,) of the point, in pixels.
        radius: of the point's circle, in pixels.
        half: (2,) half the width and half the height of the label, in pixels.
        scale: pixels per typographic point.
        obstacles: what the label should not cover.
        written: boxes of the labels so far.
    """
    boxes: list[Bbox] = []
    for gap in GAPS:
        for direction in DIRECTIONS:
            boxes.append(_box(centre, radius + gap * scale, direction, half))
    return min(boxes, key=lambda box: _cost(box, obstacles, written))


def _box(
    centre: np.ndarray, distance: float, direction: tuple[float, float], half: np.ndarray
) -> Bbox:
    """Return the box whose nearest point lies about `distance` from the centre."""
    x, y = direction
    edge = np.array(
        [
            np.sign(round(x, 6)) * min(1.0, abs(x) / 0.7),
            np.sign(round(y, 6)) * min(1.0, abs(y) / 0.7),
        ]
    )
    middle = centre + np.array(direction) * distance + half * edge
    return Bbox.from_extents(*(middle - half), *(middle + half))


def _cost(box: Bbox, obstacles: _Obstacles, written: Sequence[Bbox]) -> float:
    """Return how much a box covers, in about square pixels."""
    low, high = np.array([box.x0, box.y0]), np.array([box.x1, box.y1])
    nearest = np.clip(obstacles.centres, low, high)
    reach = np.hypot(*(nearest - obstacles.centres).T)
    circles = np.clip(obstacles.radii + 1 - reach, 0, None).sum() * box.height
    ink = 2 * 3 * ((obstacles.ink > low - 1) & (obstacles.ink < high + 1)).all(axis=1).sum()
    labels = sum(_shared(box, other) for other in written)
    outside = box.width * box.height - _shared(box, obstacles.frame)
    return float(circles + ink + 2 * labels + 3 * outside)


def _sampled(line: np.ndarray) -> np.ndarray:
    """Return points along a line, 2 pixels apart; a segment with a NaN is not drawn, so skip it."""
    samples = [np.empty((0, 2))]
    for start, end in itertools.pairwise(line):
        if np.isfinite([start, end]).all():
            steps = max(int(np.hypot(*(end - start)) / 2), 1)
            samples.append(start + (end - start) * np.linspace(0, 1, steps + 1)[:, None])
    return np.concatenate(samples)


def _shared(first: Bbox, second: Bbox) -> float:
    """Return the area that two boxes have in common."""
    both = Bbox.intersection(first, second)
    return 0.0 if both is None else both.width * both.height
