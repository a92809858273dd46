"""Draws the stand-ins of data sets: a few hundred images that depend on every factor.

They are for tests, and to try a spec without the original files. They have the factors of the
real sets with fewer levels; their `Data.name` ends in "-stand-in".
"""

from __future__ import annotations

import colorsys
import itertools
import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

# The bars of each digit: top, top left, top right, middle, bottom left, bottom right, bottom.
_BARS = (
    "1110111",
    "0010010",
    "1011101",
    "1011011",
    "0111010",
    "1101011",
    "1101111",
    "1010010",
    "1111111",
    "1111011",
)
# First and last pixel of each bar: (top, left, bottom, right).
_CORNERS = (
    (0, 0, 1, 9),
    (0, 0, 9, 1),
    (0, 8, 9, 9),
    (8, 0, 9, 9),
    (8, 0, 17, 1),
    (8, 8, 17, 9),
    (16, 0, 17, 9),
)


def digits(labels: Pixels, rng: np.random.Generator) -> Pixels:
    """Return (n, 28, 28) digits of seven bars, with random position and brightness."""
    images = np.zeros((len(labels), 28, 28), np.uint8)
    tops, lefts = rng.integers(3, 8, len(labels)), rng.integers(5, 13, len(labels))
    levels = rng.integers(140, 256, len(labels))
    for image, label, top, left, level in zip(images, labels, tops, lefts, levels, strict=True):
        for bar, (y0, x0, y1, x1) in zip(_BARS[int(label)], _CORNERS, strict=True):
            if bar == "1":
                image[top + y0 : top + y1 + 1, left + x0 : left + x1 + 1] = level
    return images


def rooms(sizes: Mapping[str, int]) -> Pixels:
    """Return a grid of 3D Shapes' six factors: (n, 3, 64, 64) pictures of an object in a room."""
    counts = tuple(sizes.values())
    return np.stack([_room(cell, counts) for cell in itertools.product(*map(range, counts))])


def cars(sizes: Mapping[str, int]) -> Pixels:
    """Return a grid of Cars3D's three factors: (n, 3, 64, 64) pictures of a box with a bonnet."""
    y, x = _grid()
    images: list[Pixels] = []
    for elevation, azimuth, model in itertools.product(*map(range, sizes.values())):
        angle = 2 * math.pi * azimuth / sizes["azimuth"]
        flat = 0.4 + 0.3 * elevation  # the higher the camera, the less the ground is foreshortened
        along = x * math.cos(angle) + y / flat * math.sin(angle)
        across = -x * math.sin(angle) + y / flat * math.cos(angle)
        length = 0.5 + 0.05 * model
        body = (abs(along) < length) & (abs(across) < 0.35)
        image = np.full((64, 64, 3), 255, np.uint8)
        image[body] = _rgb(model / sizes["object"])
        image[body & (along > length / 2)] = (30, 30, 30)  # the bonnet tells front from back
        images.append(image.transpose(2, 0, 1))
    return np.stack(images)


def toys(sizes: Mapping[str, int]) -> Pixels:
    """Return a grid of SmallNORB's five factors: (n, 64, 64) grey pictures of a star-shaped toy."""
    y, x = _grid()
    images: list[Pixels] = []
    cells = itertools.product(*map(range, sizes.values()))
    for category, elevation, azimuth, lighting, instance in cells:
        up = y / (0.6 + 0.2 * elevation)
        angle = np.arctan2(up, x) - 0.5 * azimuth
        radius = (0.45 + 0.08 * instance) * (1 + 0.3 * np.cos((category + 1) * angle))
        image = np.full((64, 64), 200 - 20 * lighting, np.uint8)
        image[np.hypot(x, up) < radius] = 40 + 50 * lighting
        images.append(image)
    return np.stack(images)


def _room(cell: tuple[int, ...], sizes: tuple[int, ...]) -> Pixels:
    """Return one picture of an object in a room, (3, 64, 64)."""
    floor, wall, hue, scale, shape, orientation = cell
    y, x = _grid()
    image = np.empty((64, 64, 3), np.uint8)
    image[:] = _rgb(wall / sizes[1], 0.9)
    corner = (orientation + 0.5) / sizes[5] * 2 - 1
    image[x > corner] = _rgb(wall / sizes[1], 0.6)  # the corner moves as the camera turns
    image[y > 0.2] = _rgb(floor / sizes[0])
    size = 0.3 + 0.3 * scale / sizes[3]
    across, down = abs(x) / size, abs(y - 0.2) / size
    box, ball = np.maximum(across, down) < 0.8, np.hypot(across, down) < 1
    can = (across < 0.6) & (down < 1)
    pill = np.hypot(across, np.maximum(down - 0.5, 0)) < 0.6
    image[(box, can, ball, pill)[shape % 4]] = _rgb(hue / sizes[2], 0.75)
    return image.transpose(2, 0, 1)


def _grid() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return y (down) and x of the 64 x 64 pixel centres, from -1 to 1."""
    centres = (np.arange(64) + 0.5) / 32 - 1
    y, x = np.meshgrid(centres, centres, indexing="ij")
    return y, x


def _rgb(hue: float, value: float = 1.0) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue, 1.0, value)
    return round(255 * red), round(255 * green), round(255 * blue)
