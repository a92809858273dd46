"""Mixtures of 1-D Gaussians of many widths on one grid, at a cost that hardly grows with their number.

A posterior N(mu, s^2) is spread over neighbouring grid points (in mu) and over the two nearest of a ladder of
widths (in s), such that its variance is kept. The density of any mixture is then a sum over widths of histogram *
Gaussian, taken in Fourier space, where three things are exact:

- the Gaussian is exp(-1/2 s^2 w^2);
- spreading in mu by cubic B-splines is divided out as sinc(w h / 2)^4 (as in particle-mesh Ewald sums, Essmann 1995);
- a histogram of width s needs a step h <= s / 2 only: above the highest frequency of that coarse grid its Gaussian
  is below 1e-8, so its short spectrum is the low part of the long one.
"""

# torch.fft and split carry no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from metrics.types import Array

_LARGEST = 1 << 14  # points; posteriors narrower than two steps of this grid are widened to two steps
_SMALLEST = 256
_PER_OCTAVE = 2  # widths on the ladder between s and 2 s


@dataclass(frozen=True)
class Grid:
    """A periodic grid and a ladder of widths.

    Args:
        low: position of the first point.
        length: period.
        size: number of points, a power of two.
        widths: (L,) increasing standard deviations.
        sizes: (L,) number of points at which each width is binned; powers of two that divide `size`.
        widened: whether some posteriors were narrower than widths[0].
    """

    low: float
    length: float
    size: int
    widths: Array
    sizes: Array
    widened: bool

    @property
    def step(self) -> float:
        return self.length / self.size

    @property
    def cells(self) -> int:
        return int(self.sizes.sum())

    @cached_property
    def kernels(self) -> list[Tensor]:
        """What turns each width's spectrum of splines into one of Gaussians: (sizes[l] / 2 + 1,) each."""
        sizes: list[int] = self.sizes.tolist()
        return [
            self._gaussian(width, size) / torch.sinc(torch.arange(size // 2 + 1, dtype=torch.float64) / size) ** 4
            for width, size in zip(self.widths, sizes, strict=True)
        ]

    def spectrum(self, histograms: Array) -> Tensor:
        """Fourier coefficients of the mixtures' densities: (V, cells) -> (V, size / 2 + 1), complex."""
        total = torch.zeros((len(histograms), self.size // 2 + 1), dtype=torch.complex128)
        parts = torch.as_tensor(histograms).split(self.sizes.tolist(), dim=1)
        for kernel, part in zip(self.kernels, parts, strict=True):
            total[:, : len(kernel)] += torch.fft.rfft(part, dim=1) * kernel
        return total / self.length

    def densities(self, spectrum: Tensor) -> Tensor:
        """The densities on the grid: (V, size / 2 + 1) -> (V, size); rounding may leave them at -1e-16."""
        return torch.fft.irfft(spectrum, n=self.size, dim=1) * self.size

    def widen(self, spectrum: Tensor) -> Tensor:
        """Add the smallest width's variance to every component."""
        return spectrum * self._gaussian(self.widths[0], self.size)

    def _gaussian(self, width: float, size: int) -> Tensor:
        frequency = torch.arange(size // 2 + 1, dtype=torch.float64) / self.length
        return torch.exp(-0.5 * (2 * math.pi * width * frequency).square())


@dataclass(frozen=True)
class Binned:
    """Posteriors of N images as weights on a grid's cells.

    Args:
        cells: number of cells.
        index: (N, E) cells that a posterior touches.
        weight: (N, E), rows sum to 1.
        width_error: nats by which interpolating between widths may change an entropy.
    """

    cells: int
    index: Array
    weight: Array
    width_error: float

    def histograms(self, level: Array) -> Array:
        """Sum of the posteriors of each level: (max level + 1, cells)."""
        rows = int(level.max()) + 1
        flat = (self.index + (level * self.cells)[:, None]).ravel()
        return np.bincount(flat, self.weight.ravel(), minlength=rows * self.cells).reshape(rows, self.cells)


def make_grid(mean: Array, std: Array) -> Grid:
    """A grid over mean +- 7 std of all rows whose step follows the narrowest posterior. Args: (N,) float64 each."""
    std = np.maximum(std, 1e-100)  # log variances below -1400 underflow
    # 7 widths: what wraps around the period is below e^-24 of a component.
    low, high = float((mean - 7 * std).min()), float((mean + 7 * std).max())
    length = high - low
    narrowest, broadest = float(std.min()), float(std.max())
    size = min(_LARGEST, max(_SMALLEST, _power_of_two(2 * length / narrowest)))
    smallest = max(narrowest, 2 * length / size)
    steps = max(0, math.ceil(_PER_OCTAVE * math.log2(max(1.0, broadest / smallest)) - 1e-9))
    widths = smallest * 2.0 ** (np.arange(steps + 1) / _PER_OCTAVE)
    sizes = np.array([min(size, max(16, _power_of_two(2 * length / width))) for width in widths])
    return Grid(low, length, size, widths, sizes, widened=narrowest < smallest * (1 - 1e-9))


def bin_posteriors(grid: Grid, mean: Array, std: Array) -> Binned:
    """Spread posteriors over the cells of a grid. Args: (N,) float64 each."""
    variance = np.square(np.maximum(std, grid.widths[0]))
    ladder = np.square(grid.widths)
    if len(ladder) == 1:
        rungs, shares, kurtosis = [np.zeros(len(mean), dtype=np.int64)], [np.ones(len(mean))], np.zeros(1)
    else:
        lower = np.clip(np.searchsorted(ladder, variance, side="right") - 1, 0, len(ladder) - 2)
        below, above = ladder[lower], ladder[lower + 1]
        share = np.clip((variance - below) / (above - below), 0.0, 1.0)  # keeps the variance
        rungs, shares = [lower, lower + 1], [1 - share, share]
        kurtosis = 3 * share * (1 - share) * np.square((above - below) / variance)
    offsets = np.concatenate([[0], np.cumsum(grid.sizes)[:-1]])
    index: list[Array] = []
    weight: list[Array] = []
    for rung, part in zip(rungs, shares, strict=True):
        size = grid.sizes[rung]
        position = (mean - grid.low) * (size / grid.length)
        left = np.floor(position)
        for shift, spline in enumerate(_cubic_spline(position - left)):
            index.append(offsets[rung] + (left.astype(np.int64) + shift - 1) % size)
            weight.append(part * spline)
    # A component of excess kurtosis k differs from its Gaussian by k^2 / 48 nats of entropy.
    width_error = float(np.square(kurtosis).mean()) / 48
    return Binned(grid.cells, np.stack(index, axis=1), np.stack(weight, axis=1), width_error)


def _cubic_spline(t: Array) -> tuple[Array, Array, Array, Array]:
    """Weights of the points -1, 0, 1, 2 for a position t in [0, 1) after point 0; they sum to 1."""
    r = 1 - t
    return r**3 / 6, (4 - 6 * t**2 + 3 * t**3) / 6, (4 - 6 * r**2 + 3 * r**3) / 6, t**3 / 6


def _power_of_two(number: float) -> int:
    """The smallest power of two >= number."""
    return 1 << max(0, math.ceil(math.log2(number)))
