"""Draws dSprites exactly: the images of Matthey et al. (2017) from their geometry, without a file.

A sprite is a polygon. It is scaled about its origin, rotated counter-clockwise and moved; its
vertices are then snapped to 1/256 pixel. A pixel is 1 if its centre lies inside the polygon.
x runs to the right, y down, the image is 64 x 64.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

NAMES = ("shape", "scale", "orientation", "pos_x", "pos_y")
SIZES = (3, 6, 40, 32, 32)
SIDE = 64
BYTES = SIDE * SIDE // 8
"""Bytes of one packed image."""

FULL_SHA256 = "3a228f4037ef3d42a42588e0e01f1078aa2df13cfa17584e88c95ed9fb5672da"
"""sha256 of the packed images of the full grid, (737280, 512) bytes in index order."""

_RADIUS = 0.15 * SIDE
_SUB = 256  # steps per pixel of the vertex grid
_SCALES: NDArray[np.float64] = np.linspace(0.5, 1.0, SIZES[1])
# The end 2 pi is included: the last angle draws what the first draws.
_ANGLES: NDArray[np.float64] = np.linspace(0.0, 2.0 * np.pi, SIZES[2])
_CENTRES: NDArray[np.float64] = 16.0 + 32.0 * np.linspace(0.0, 1.0, SIZES[3])
# _FROM_COLUMN[c]: one row of 64 pixels with ones in columns >= c; column 0 is the top bit.
_FROM_COLUMN = np.uint64(2**64 - 1) >> np.arange(SIDE, dtype=np.uint64)


def _square() -> NDArray[np.float64]:
    return _RADIUS * np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])


def _ellipse() -> NDArray[np.float64]:
    u = 2.0 * np.pi * np.arange(100) / 100
    return _RADIUS * np.stack([1.33 * np.cos(u), np.sin(u) / 1.33], axis=1)


def _heart() -> NDArray[np.float64]:
    u = 2.0 * np.pi * np.arange(150) / 150
    up = (
        13.0 * np.cos(u) - 5.0 * np.cos(2.0 * u) - 2.0 * np.cos(3.0 * u) - np.cos(4.0 * u)
    ) / 14.5 + 0.15
    return _RADIUS * np.stack([np.sin(u) ** 3, -up], axis=1)


_OUTLINES = (_square(), _ellipse(), _heart())


def render_blocks(levels: Sequence[Sequence[int]]) -> Iterator[NDArray[np.uint8]]:
    """Yield the images of a sub-grid in index order, one block per (shape, scale, orientation).

    Args:
        levels: the chosen level indices of shape, scale, orientation, pos_x and pos_y.

    Yields:
        (len(pos_x) * len(pos_y), 512) uint8, eight pixels a byte in `np.packbits` order.
    """
    shapes, scales, orientations, pos_x, pos_y = levels
    x_centres = _CENTRES[list(pos_x), None]
    y_centres = _CENTRES[list(pos_y), None]
    for shape, scale, orientation in itertools.product(shapes, scales, orientations):
        outline = _OUTLINES[shape] * _SCALES[scale]
        cos, sin = math.cos(_ANGLES[orientation]), math.sin(_ANGLES[orientation])
        x = cos * outline[:, 0] + sin * outline[:, 1] + x_centres  # x[p, v]: position p, vertex v
        y = -sin * outline[:, 0] + cos * outline[:, 1] + y_centres
        yield _fill(np.floor(_SUB * x + 0.5), np.floor(_SUB * y + 0.5))


def _fill(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return the packed even-odd fill of a polygon at P positions across and Q positions down.

    Every crossing of an edge with a row of pixel centres flips all pixels to its right. A centre on
    a left or lower edge is inside, on a right or upper edge outside.

    The result is exact: all numbers are whole and below 2**53, which float64 holds exactly. `ceil`
    of a quotient is exact too: a quotient that is not whole is farther from the next whole number
    than its rounding error.

    Args:
        x: (P, V) columns of the vertices, whole numbers of 1/256 pixel.
        y: (Q, V) rows of the vertices.

    Returns:
        (P * Q, 512) uint8, row p * Q + q.
    """
    half = _SUB // 2
    y_next = np.roll(y, -1, axis=1)
    first = np.floor((np.minimum(y, y_next) - half) / _SUB).astype(np.int64) + 1
    count = np.floor((np.maximum(y, y_next) - half) / _SUB).astype(np.int64) + 1 - first

    # One entry per crossing: position q, edge (vertex v to its next), pixel row.
    q, v = np.divmod(np.repeat(np.arange(y.size), count.ravel()), y.shape[1])
    step = np.arange(len(q)) - np.repeat(np.cumsum(count) - count.ravel(), count.ravel())
    row = first[q, v] + step
    order = np.argsort(q * SIDE + row, kind="stable")
    q, v, row = q[order], v[order], row[order]

    rise = (y_next[q, v] - y[q, v])[:, None]
    run = np.roll(x, -1, axis=1) - x
    above = (_SUB * row + half - y[q, v])[:, None]
    column = np.ceil(((x.T[v] - half) * rise + above * run.T[v]) / (_SUB * rise))  # (crossings, P)
    flips = _FROM_COLUMN[column.astype(np.intp)]

    line = q * SIDE + row
    starts = np.flatnonzero(np.diff(line, prepend=-1))
    words = np.zeros((len(y) * SIDE, len(x)), np.uint64)  # one word per row of pixels
    words[line[starts]] = np.bitwise_xor.reduceat(flips, starts, axis=0)
    images = words.T.astype(">u8", order="C")
    return images.view(np.uint8).reshape(len(x) * len(y), BYTES)
