"""Grids finer than the first, laid in blocks where narrow posteriors are.

Grid g + 1 is `REFINEMENT` times finer than grid g; a block is `BLOCK` points of a grid, for one mixture. Blocks lie
around every component that needs this grid or a finer one. There the density is that of grid g, interpolated, plus the
components that grid g is too coarse for. An integral over the line is taken apart by a partition of unity,

    int f = sum_g sum_x h_g f(x) w_g(x) (1 - w_{g+1}(x)),

where w_g is 1 on the blocks around components, and falls to 0 over one more block on either side as smoothly as grid
g - 1 can carry: so the trapezoid rule stays as exact as it is on an unbounded line.
"""

# torch.fft and tensors made of arrays carry no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metrics.information.quadrature_grid import (
    BLOCK,
    REFINEMENT,
    Ladder,
    Spread,
    cubic_spline,
    kernel,
)
from metrics.types import Array

_COARSE = BLOCK // REFINEMENT  # points of the next coarser grid that a block spans
_MARGIN = 12  # coarse points on either side that an interpolated one is made of
_RISE = 3.0  # coarse steps in the standard deviation of a window's fall
_FULL, _FALLING, _RISING, _ABSENT = range(4)
_ROWS = 1 << 11  # blocks transformed at a time: some MB
_TABLE = 1 << 22  # above it keys are searched, below looked up, which is faster for many


class Blocks(NamedTuple):
    """Blocks of a grid, for all mixtures.

    Args:
        keys: (P,) increasing: mixture * per_mixture + number of the block from the left.
        per_mixture: how many blocks of this grid the whole length has.
        shape: (P,) how the window runs over a block: full, falling, rising.
        density: (P, BLOCK).
    """

    keys: Array
    per_mixture: int
    shape: Array
    density: Tensor

    def find(self, keys: Array) -> Array:
        """Where keys are among the blocks; P for those that are not laid."""
        return _find(self.keys, keys)


def all_blocks(ladder: Ladder, density: Tensor) -> Blocks:
    """The first grid, which is laid everywhere, as blocks. Args: density (mixtures, points)."""
    per_mixture = ladder.size // BLOCK
    keys = np.arange(len(density) * per_mixture)
    return Blocks(keys, per_mixture, np.full(len(keys), _FULL), density.reshape(-1, BLOCK))


def refine(
    ladder: Ladder, parts: Spread, columns: list[Array], masses: Array, coarse: Blocks, grid: int
) -> Blocks:
    """Lay the blocks of a grid: the interpolated density and what the coarser grids could not carry.

    Args:
        ladder: of the latent.
        parts: components of this grid and of finer ones.
        columns: for every set of mixtures, (E,) the mixture of a component, numbered on from set to set.
        masses: (M,) of the mixtures.
        coarse: blocks of grid - 1.
        grid: number of the grid, >= 1.
    """
    step, per_mixture = ladder.step(grid), coarse.per_mixture * REFINEMENT
    offset = (parts.position - ladder.low) / step
    block = (offset / BLOCK).astype(np.int64)
    offset -= block * BLOCK
    own = [column * per_mixture + block for column in columns]
    keys, shape = _lay(np.concatenate([_distinct(each, len(masses) * per_mixture) for each in own]))
    around = np.stack([_find(keys, keys - 1), np.arange(len(keys)), _find(keys, keys + 1)])
    at = _places(keys, own, len(masses) * per_mixture)
    share = masses[keys // per_mixture]
    histograms: list[tuple[Array, Tensor]] = []
    for rung in map(int, np.flatnonzero(ladder.grids == grid)):
        rows = np.flatnonzero(parts.rung == rung)
        if len(rows):
            stride = ladder.stride(rung, most=REFINEMENT)
            table = _histogram(
                offset[rows] / stride,
                parts.mass[rows],
                [a[rows] for a in at],
                around,
                BLOCK // stride,
            )
            table[:-1] /= share[:, None]
            factor = kernel(ladder, parts, rung, size=2 * BLOCK // stride, length=2 * BLOCK * step)
            histograms.append((table, factor.to(coarse.density.device)))
    density = torch.empty((len(keys), BLOCK), dtype=torch.float64, device=coarse.density.device)
    for start in range(0, len(keys), _ROWS):
        rows = slice(start, start + _ROWS)
        density[rows] = _interpolated(coarse, keys[rows], per_mixture)
        density[rows] += _narrow(histograms, around[:, rows], density.device) / step
    return Blocks(keys, per_mixture, shape, density)


def windows(blocks: Blocks, finer: Blocks | None) -> Tensor:
    """w_g (1 - w_{g+1}) on the points of the blocks of grid g: (P, BLOCK)."""
    own = _profiles(np.arange(BLOCK) / REFINEMENT)[blocks.shape]
    if finer is not None:
        children = (blocks.keys[:, None] * REFINEMENT + np.arange(REFINEMENT)).ravel()
        shape = np.append(finer.shape, _ABSENT)[finer.find(children)]
        own = own * (1 - _profiles(np.arange(_COARSE))[shape].reshape(own.shape))
    return torch.as_tensor(own, device=blocks.density.device)


def _lay(found: Array) -> tuple[Array, Array]:
    """Keys and shapes of the blocks to lay, given those that components lie in.

    A block on either side is full too: it holds what a component reaches, which is 8 of its widths and less than 64
    points, or the windows of finer grids around it and what these are interpolated from, which end within 110 points.
    """
    full = np.unique(np.concatenate([found - 1, found, found + 1]))
    rim = np.setdiff1d(np.concatenate([full - 1, full + 1]), full)
    left, right = np.isin(rim - 1, full), np.isin(rim + 1, full)
    shapes = np.where(left & right, _FULL, np.where(left, _FALLING, _RISING))
    keys = np.concatenate([full, rim])
    order = np.argsort(keys)
    return keys[order], np.concatenate([np.full(len(full), _FULL), shapes])[order]


def _histogram(position: Array, mass: Array, at: list[Array], around: Array, cells: int) -> Array:
    """Splines of components on the cells of their blocks: (P + 1, cells); the last row is of absent blocks.

    Args:
        position: (E,) in cells from the beginning of the component's block.
        mass: (E,).
        at: for every set of mixtures (E,) the component's block.
        around: (3, P) the blocks to the left of every block, itself, and to the right.
        cells: per block.
    """
    size = (around.shape[1] + 1) * cells
    first, splines = cubic_spline(position)
    cell = first + np.arange(4)[:, None]
    side = cell // cells  # -1, 0 or 1
    weight, within = (splines * mass).ravel(), cell - side * cells
    table = np.zeros(size)
    for place in at:
        table += np.bincount(
            (around[side + 1, place] * cells + within).ravel(), weight, minlength=size
        )
    return table.reshape(-1, cells)


def _narrow(histograms: list[tuple[Array, Tensor]], around: Array, device: torch.device) -> Tensor:
    """Density, times the step, of what the histograms hold on some blocks: (P, BLOCK)."""
    before, own, after = around
    spectrum = torch.zeros((len(own), BLOCK + 1), dtype=torch.complex128, device=device)
    for table, factor in histograms:
        half = table.shape[1] // 2
        # Half a block of either neighbour around each: what is further away does not reach it.
        padded = np.concatenate([table[before, half:], table[own], table[after, :half]], axis=1)
        spectrum[:, : len(factor)] += (
            torch.fft.rfft(torch.as_tensor(padded, device=device), dim=1) * factor
        )
    return torch.fft.irfft(spectrum, n=2 * BLOCK, dim=1)[:, BLOCK // 2 : -(BLOCK // 2)]


def _interpolated(coarse: Blocks, keys: Array, per_mixture: int) -> Tensor:
    """Densities of the coarser grid on the points of finer blocks: (P, BLOCK)."""
    mixture, block = np.divmod(keys, per_mixture)
    points = block[:, None] * _COARSE + np.arange(-_MARGIN, _COARSE + _MARGIN)
    at = coarse.find((mixture[:, None] * coarse.per_mixture + points // BLOCK).ravel())
    flat = torch.as_tensor(at * BLOCK + (points % BLOCK).ravel(), device=coarse.density.device)
    found = coarse.density.ravel()[flat].reshape(len(keys), -1)
    return found @ torch.as_tensor(_interpolation(), device=found.device)


def _interpolation() -> Array:
    """From the coarse points under a block and beside it to the block's own: (2 margins + coarse, BLOCK).

    Sinc, cut off by a Gaussian. Densities of Gaussians of two steps or more have almost nothing above half the highest
    frequency; for these the Gaussian's width balances what it blurs against what it cuts off (Qian 2003).
    """
    distance = np.arange(BLOCK) / REFINEMENT - np.arange(-_MARGIN, _COARSE + _MARGIN)[:, None]
    weight = np.sinc(distance) * np.exp(-np.square(distance) * math.pi / (4 * _MARGIN))
    weight[np.abs(distance) > _MARGIN] = 0
    return weight / weight.sum(axis=0)


def _profiles(coarse_points: Array) -> Array:
    """The courses of a window over a block, by shape: (4, points)."""
    falling = torch.special.ndtr(torch.as_tensor((_COARSE / 2 - coarse_points) / _RISE)).numpy()
    return np.stack([np.ones_like(falling), falling, 1 - falling, np.zeros_like(falling)])


def _distinct(keys: Array, size: int) -> Array:
    """The keys there are, once each and in order; keys lie in [0, size)."""
    if size > _TABLE:
        return np.unique(keys)
    there = np.zeros(size, dtype=bool)
    there[keys] = True
    return np.flatnonzero(there)


def _places(keys: Array, wanted: list[Array], size: int) -> list[Array]:
    """Where keys are that are there; keys lie in [0, size)."""
    if size > _TABLE:
        return [np.searchsorted(keys, each) for each in wanted]
    place = np.zeros(size, dtype=np.int64)
    place[keys] = np.arange(len(keys))
    return [place[each] for each in wanted]


def _find(keys: Array, wanted: Array) -> Array:
    """Where keys are; the number of keys for those that are not there."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, at, len(keys))
