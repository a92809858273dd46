"""Small labels beside points, moved about until they cover neither each other nor the points and lines."""

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
"""Where a label is tried, in this order: the corners first, as error bars run along the axes."""

GAPS = (2.0, 6.0, 12.0)
"""How far from its point a label may be, points; the nearest one that covers nothing."""

MOST_COVERED = 0.4
"""Share of a label that may be covered: in a thick crowd of points no label is better than a heap of them."""


class _Obstacles(NamedTuple):
    """What a label should not cover, pixels."""

    centres: np.ndarray  # (n, 2) of circles
    radii: np.ndarray  # (n,)
    ink: np.ndarray  # (m, 2) points along the lines, 2 pixels apart
    frame: Bbox


def place(
    axes: Axes,
    points: np.ndarray,
    labels: Sequence[str],
    *,
    areas: np.ndarray,
    colours: Sequence[str],
    lines: Sequence[np.ndarray] = (),
    size: float = 7.5,
) -> None:
    """Write a label beside each point, where it covers least; none where even that place is taken.

    Greedy, in the order given: of sixteen directions around the circle and three distances the one that covers least;
    ties go to the first. Deterministic. Call it on a settled figure (`style.settle`), all else drawn.

    Args:
        axes: to write on.
        points: (n, 2) in data coordinates.
        labels: n texts.
        areas: (n,) of the circles, points², as given to `scatter`.
        colours: n text colours.
        lines: (k, 2) each, in data coordinates: what else is drawn.
        size: of the font, points.
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
        boxes = [
            _box(centre, radius + gap * scale, way, half) for gap in GAPS for way in DIRECTIONS
        ]
        box = min(boxes, key=lambda box: _cost(box, obstacles, written))
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


def _box(centre: np.ndarray, away: float, way: tuple[float, float], half: np.ndarray) -> Bbox:
    """Return the box whose nearest point lies about `away` from the centre, in the direction given."""
    x, y = way
    edge = np.array(
        [
            np.sign(round(x, 6)) * min(1.0, abs(x) / 0.7),
            np.sign(round(y, 6)) * min(1.0, abs(y) / 0.7),
        ]
    )
    middle = centre + np.array(way) * away + half * edge
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
    """Return points along a line, 2 pixels apart; a stretch with a NaN is not drawn and gives none."""
    found = [np.empty((0, 2))]
    for a, b in itertools.pairwise(line):
        if np.isfinite([a, b]).all():
            steps = max(int(np.hypot(*(b - a)) / 2), 1)
            found.append(a + (b - a) * np.linspace(0, 1, steps + 1)[:, None])
    return np.concatenate(found)


def _shared(a: Bbox, b: Bbox) -> float:
    both = Bbox.intersection(a, b)
    return 0.0 if both is None else both.width * both.height
