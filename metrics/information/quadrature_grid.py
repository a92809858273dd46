"""Mixtures of 1-D Gaussians of many widths on one grid; the cost hardly grows with their number.

A posterior N(mu, s^2) is spread over neighbouring grid points (in mu) and over the two nearest of a
ladder of widths (in s), such that its variance is kept. The density of any mixture is then a sum
over widths of histogram * Gaussian, computed in Fourier space:

- The Gaussian is exp(-1/2 s^2 w^2), exactly.
- The spreading in mu by quintic B-splines is divided out as sinc(w h / 2)^6 (as in particle-mesh
  Ewald sums, Essmann 1995).
- Up to `EXACT_WIDTHS` different widths are the ladder itself, and nothing is spread in s.
- The spreading in s gives every component a fourth cumulant. It is divided out on average over each
  width's components, as 1 + cumulant w^4 / 24.
- A histogram of width s needs a step h <= s / 2 only. Above the highest frequency of that coarse
  grid its Gaussian is below 1e-8, so its short spectrum is the low part of the long one.

Posteriors too narrow for this grid are left to the finer grids of `quadrature_blocks`, which lie
only around such posteriors.
"""

# torch.fft and split carry no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metrics.types import Array

SMALLEST, LARGEST = 256, 1 << 13  # points of the grid, if one grid serves every posterior
BASE = 1 << 11  # points of the first of several grids
REFINEMENT = 4  # ratio of the steps of two successive grids
BLOCK = 128  # points of a grid that are laid together
# A grid of more blocks in one mixture (a quarter of a gigabyte) is not laid: posteriors are widened
# instead. Mixtures that have more blocks than this together are integrated one after another.
MOST_BLOCKS = 1 << 18
SUPPORT = 6  # points that one position is spread over
EXACT_WIDTHS = 64  # different widths up to which each has a histogram of its own
_PER_OCTAVE = 4  # widths on the ladder between s and 2 s
_STEPS = 2.0  # points in a width, at least
_POINTS = 1 << 17  # of densities in memory at a time: a MB
# Coefficients of 1, t, …, t^5 in the six quintic B-splines that a position t in [0, 1) touches.
_SPLINES: Array = (
    np.array(
        [
            [1, -5, 10, -10, 5, -1],
            [26, -50, 20, 20, -20, 5],
            [66, 0, -60, 0, 30, -10],
            [26, 50, 20, -20, -20, 10],
            [1, 5, 10, 10, 5, -5],
            [0, 0, 0, 0, 0, 1],
        ]
    )
    / 120
)
_CELLS = 1 << 21  # of histograms in memory at a time


@dataclass(frozen=True)
class Ladder:
    """Grids, each finer than the one before, and the widths that they carry.

    Args:
        low: position of the first point.
        length: of the range from there on; the period of the first grid.
        size: number of points of the first grid, a power of two.
        depth: number of grids.
        widths: (L,) increasing standard deviations.
        grids: (L,) which grid carries a width: 0, or for narrower ones 1, 2, …
    """

    low: float
    length: float
    size: int
    depth: int
    widths: Array
    grids: Array

    def step(self, grid: int) -> float:
        """Return the distance between the points of a grid."""
        return self.length / (self.size * REFINEMENT**grid)

    def stride(self, rung: int, *, most: int) -> int:
        """Return how many steps of its grid make one step of a width's histogram.

        It is a power of two.
        """
        points = float(self.widths[rung]) / (_STEPS * self.step(int(self.grids[rung])))
        return min(most, 1 << max(0, math.floor(math.log2(points) + 1e-9)))


class Spread(NamedTuple):
    """Posteriors divided into components of the ladder's widths.

    Args:
        position: (E,) means.
        rung: (E,) which width.
        mass: (E,) share of all mass.
        row: (E,) the posterior that a component belongs to.
        cumulant: (L,) mean fourth cumulant of the posteriors that a width's components stand for,
            in excess of a Gaussian's.
        kurtosis: mean excess kurtosis of posteriors made of two widths; 0 if there is one width.
        widened: (N,) bool, posteriors narrower than the smallest width.
    """

    position: Array
    rung: Array
    mass: Array
    row: Array
    cumulant: Array
    kurtosis: float
    widened: Array

    def kept(self, components: Array) -> Spread:
        """Return some of the components only.

        Args:
            components: (E,) bool.
        """
        return self._replace(
            position=self.position[components],
            rung=self.rung[components],
            mass=self.mass[components],
            row=self.row[components],
        )


def make_ladder(mean: Array, std: Array) -> Ladder:
    """Return grids over mean +- 7 std whose steps follow the posteriors' widths everywhere.

    Args:
        mean, std: (N,) float64 each, std > 0.
    """
    # 7 widths: what wraps around the period is below e^-24 of a component.
    low, high = float((mean - 7 * std).min()), float((mean + 7 * std).max())
    narrowest = float(std.min())
    size = max(SMALLEST, _power_of_two(_STEPS * (high - low) / narrowest))
    if size <= LARGEST:
        widths = _widths(std, narrowest)
        return Ladder(low, high - low, size, 1, widths, np.zeros(len(widths), dtype=np.int64))
    # One block more at either end: the windows of finer grids reach beyond the posteriors in them.
    inner = BASE - 2 * BLOCK
    low, length = low - (high - low) * BLOCK / inner, (high - low) * BASE / inner
    depth, step = 1, length / BASE
    while narrowest < _STEPS * step:
        offset = mean[std < 1.2 * _STEPS * step] - low
        if _blocks(offset, step) > MOST_BLOCKS:
            break
        depth, step = depth + 1, step / REFINEMENT
    widths = _widths(std, max(narrowest, _STEPS * step))
    finer = np.log(np.maximum(1.0, _STEPS * length / BASE / widths)) / math.log(REFINEMENT)
    grids = np.minimum(depth - 1, np.ceil(finer - 1e-9).astype(np.int64))
    return Ladder(low, length, BASE, depth, widths, grids)


def spread(ladder: Ladder, mean: Array, std: Array, weight: Array) -> Spread:
    """Return posteriors divided into components of the ladder's widths.

    Args:
        ladder: of the latent.
        mean, std, weight: (N,) float64 each; weights sum to 1.
    """
    rows = np.arange(len(mean))
    widened = std < ladder.widths[0] * (1 - 1e-9)
    if len(ladder.widths) == 1:
        return Spread(mean, np.zeros_like(rows), weight, rows, np.zeros(1), 0.0, widened)
    variance, squares = np.square(std), np.square(ladder.widths)
    rung = np.clip(np.searchsorted(squares, variance, side="right") - 1, 0, len(squares) - 2)
    gap = (squares[1:] - squares[:-1])[rung]
    share = np.clip((variance - squares[rung]) / gap, 0.0, 1.0)  # keeps the variance
    excess = 3 * share * (1 - share) * np.square(gap)
    parts = Spread(
        np.concatenate([mean, mean]),
        np.concatenate([rung, rung + 1]),
        np.concatenate([weight * (1 - share), weight * share]),
        np.concatenate([rows, rows]),
        np.zeros(len(squares)),
        float(weight @ (excess / np.square(np.maximum(variance, squares[0])))),
        widened,
    )
    if not parts.mass.all():  # a posterior of a width of the ladder has no second part
        parts = parts.kept(parts.mass > 0)
    total = np.bincount(parts.rung, parts.mass, minlength=len(squares))
    moment = np.bincount(parts.rung, parts.mass * excess[parts.row], minlength=len(squares))
    return parts._replace(cumulant=np.divide(moment, total, out=parts.cumulant, where=total > 0))


def densities(
    ladder: Ladder, parts: Spread, columns: list[Array], device: torch.device
) -> Iterator[tuple[int, Tensor]]:
    """Yield densities on the first grid of the components that it carries, some mixtures at a time.

    Args:
        ladder, parts: of one latent.
        columns: for every set of mixtures, (N,) the mixture that a posterior belongs to, numbered
            through all sets.
        device: of the Fourier transforms.

    Yields:
        The number of the first of these mixtures, and (mixtures, points) densities, each of the
        mass of its mixture.
    """
    rungs = np.flatnonzero(ladder.grids == 0)
    if not len(rungs):  # all posteriors are narrow: their densities begin on finer grids
        shape = (int(columns[-1].max()) + 1, ladder.size)
        yield 0, torch.zeros(shape, dtype=torch.float64, device=device)
        return
    strides = [ladder.stride(int(rung), most=ladder.size // 16) for rung in rungs]
    kernels = [
        kernel(ladder, parts, int(rung), size=ladder.size // stride, length=ladder.length)
        for rung, stride in zip(rungs, strides, strict=True)
    ]
    kernels = [factor.to(device) for factor in kernels]
    counts = _counts(ladder, parts, rungs, ladder.size // np.array(strides))
    sizes = counts.sizes[rungs].tolist()
    step = max(1, _POINTS // ladder.size)
    for first_mixture, together in _batches(columns, most=max(1, _CELLS // counts.cells)):
        table = counts.table(together, first_mixture)
        for start in range(0, len(table), step):
            histograms = torch.as_tensor(table[start : start + step], device=device)
            spectrum = torch.zeros(
                (len(histograms), ladder.size // 2 + 1), dtype=torch.complex128, device=device
            )
            for factor, part in zip(kernels, histograms.split(sizes, dim=1), strict=True):
                spectrum[:, : len(factor)] += torch.fft.rfft(part, dim=1) * factor
            density = torch.fft.irfft(spectrum, n=ladder.size, dim=1)
            density = density * (ladder.size / ladder.length)
            yield first_mixture + start, density


def kernel(ladder: Ladder, parts: Spread, rung: int, *, size: int, length: float) -> Tensor:
    """Return what turns a width's spectrum of splines into one of Gaussians: (size / 2 + 1,)."""
    ramp = torch.arange(size // 2 + 1, dtype=torch.float64)
    frequency = ramp * (2 * math.pi / length)
    gaussian = torch.exp(-0.5 * (float(ladder.widths[rung]) * frequency).square())
    of_cumulant = 1 + float(parts.cumulant[rung]) / 24 * frequency**4
    return gaussian / (torch.sinc(ramp / size) ** SUPPORT * of_cumulant)


def splines(position: Array) -> tuple[Array, Array]:
    """Return the first of the `SUPPORT` points that a position touches, and their weights.

    These are quintic B-splines. The weights of a position sum to 1. What a spline cannot represent
    comes back as an alias. Under a Gaussian of two steps, the alias of frequency w (per step) is
    (w / (2 pi - w))^6 exp(-2 w^2) < 1.2e-5 of the peak; with cubic splines it would be 1.8e-4.

    Args:
        position: (E,) in points.

    Returns:
        The first points (E,), and weights (SUPPORT, E).
    """
    left = np.floor(position)
    powers = np.empty((SUPPORT, len(position)))
    powers[0] = 1.0
    np.subtract(position, left, out=powers[1])
    for degree in range(2, SUPPORT):
        np.multiply(powers[degree - 1], powers[1], out=powers[degree])
    return left.astype(np.int64) - (SUPPORT // 2 - 1), _SPLINES @ powers


class _Counts(NamedTuple):
    """What each component adds to the histograms of its mixture: one histogram per width.

    The histograms of one mixture stand one after another in a row of `cells` cells.
    """

    sizes: Array  # (L,) cells of the histogram of each width
    cells: int  # of one mixture
    cell_index: Array  # (SUPPORT, E) cells of a component's spline
    weight: Array  # (SUPPORT E,) what it adds there
    row: Array  # (E,) the posterior that a component belongs to

    def table(self, columns: list[Array], first_mixture: int) -> Array:
        """Return the histograms of some sets of mixtures: (mixtures, cells)."""
        mixtures = int(columns[-1].max()) + 1 - first_mixture
        table = np.zeros(mixtures * self.cells)
        for column in columns:
            lowest = int(column.min())
            flat = (self.cell_index + ((column - lowest) * self.cells)[self.row]).ravel()
            counted = np.bincount(flat, self.weight)
            start = (lowest - first_mixture) * self.cells
            table[start : start + len(counted)] = counted
        return table.reshape(mixtures, self.cells)


def _counts(ladder: Ladder, parts: Spread, rungs: Array, histogram_sizes: Array) -> _Counts:
    """Return the counts of the components that the first grid carries.

    Args:
        ladder, parts: of one latent.
        rungs: the widths that the first grid carries.
        histogram_sizes: cells of the histogram of each of them, powers of two.
    """
    sizes = np.zeros(len(ladder.widths), dtype=np.int64)
    sizes[rungs] = histogram_sizes
    starts = np.cumsum(sizes) - sizes
    if ladder.depth > 1:
        parts = parts.kept(ladder.grids[parts.rung] == 0)
    size = sizes[parts.rung]
    first, weights = splines((parts.position - ladder.low) * (size / ladder.length))
    cell = (first + np.arange(SUPPORT)[:, None]) & (size - 1)  # modulo size, a power of two
    cell_index = starts[parts.rung] + cell
    return _Counts(sizes, int(sizes.sum()), cell_index, (weights * parts.mass).ravel(), parts.row)


def _batches(columns: list[Array], *, most: int) -> Iterator[tuple[int, list[Array]]]:
    """Yield successive sets of mixtures, with the number of the first mixture in them.

    Sets come together as long as they have at most `most` mixtures.
    """
    run: list[Array] = []
    for column in columns:
        if run and int(column.max()) + 1 - int(run[0].min()) > most:
            yield int(run[0].min()), run
            run = []
        run.append(column)
    yield int(run[0].min()), run


def _blocks(offset: Array, step: float) -> int:
    """Return how many blocks the grid after one of this step needs in the mixture of all rows.

    For each posterior these are three blocks and the two at their rims, unless they are the same as
    for its neighbours.

    Args:
        offset: positions of the posteriors that need the grid.
        step: of the grid before.
    """
    laid = np.unique((offset / (BLOCK * step / REFINEMENT)).astype(np.int64))
    return int(np.minimum(np.diff(laid), 5).sum()) + 5


def _widths(std: Array, smallest: float) -> Array:
    """Return the ladder's widths, increasing from the smallest.

    These are the posteriors' widths themselves if there are few. Else there are `_PER_OCTAVE` of
    them per octave, and a posterior is spread over two: then errors of many posteriors average out,
    but those of a few would not.

    Args:
        std: (N,) > 0.
        smallest: narrower posteriors are widened to it.
    """
    # Many posteriors of few widths show it in their first rows.
    if len(np.unique(std[: EXACT_WIDTHS + 1])) <= EXACT_WIDTHS:
        widths: Array = np.unique(np.maximum(std, smallest))
        if len(widths) <= EXACT_WIDTHS:
            return widths
    octaves = math.log2(max(1.0, float(std.max()) / smallest))
    steps = max(0, math.ceil(_PER_OCTAVE * octaves - 1e-9))
    return smallest * 2.0 ** (np.arange(steps + 1) / _PER_OCTAVE)


def _power_of_two(number: float) -> int:
    """Return the smallest power of two >= number."""
    return 1 << max(0, math.ceil(math.log2(number)))
