"""Grids finer than the first, laid in blocks around narrow posteriors only.

Grid g + 1 is `REFINEMENT` times finer than grid g. A block is `BLOCK` points of a grid, for one
mixture. Blocks lie around every component that needs this grid or a finer one. There the density is
that of grid g, interpolated, plus the components that grid g is too coarse for. A partition of
unity divides an integral over the line into integrals over grids,

    int f = sum_g sum_x h_g f(x) w_g(x) (1 - w_{g+1}(x)),

where w_g is 1 on the blocks around components. It falls to 0 over one more block on either side,
as smoothly as grid g - 1 can represent, so that the trapezoid rule stays as exact as on an
unbounded line.
"""

# torch.fft and tensors made of arrays carry no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metrics.information.quadrature_grid import (
    BLOCK,
    REFINEMENT,
    SUPPORT,
    Ladder,
    Spread,
    kernel,
    splines,
)
from metrics.types import Array

_COARSE = BLOCK // REFINEMENT  # points of the next coarser grid in the range of a block
_MARGIN = 12  # coarse points on either side that an interpolated point uses
_RISE = 3.0  # standard deviation of a window's fall, in coarse steps
_FULL, _FALLING, _RISING, _ABSENT = range(4)  # shapes of the window over a block
_ROWS = 1 << 11  # blocks transformed at a time: some MB
_TABLE = 1 << 22  # with more possible keys, search for them; with fewer, a table is faster


class Blocks(NamedTuple):
    """Blocks of a grid, for all mixtures.

    Args:
        keys: (P,) increasing: mixture * per_mixture + number of the block from the left.
        per_mixture: number of blocks of this grid in the whole length.
        shape: (P,) shape of the window over a block: full, falling, rising.
        density: (P, BLOCK).
    """

    keys: Array
    per_mixture: int
    shape: Array
    density: Tensor

    def find(self, keys: Array) -> Array:
        """Return the indices of keys among the blocks; P for those that are not laid."""
        return _find(self.keys, keys)


def all_blocks(ladder: Ladder, density: Tensor) -> Blocks:
    """Return the first grid, which is laid everywhere, as blocks.

    Args:
        ladder: of the latent.
        density: (mixtures, points).
    """
    per_mixture = ladder.size // BLOCK
    keys = np.arange(len(density) * per_mixture)
    return Blocks(keys, per_mixture, np.full(len(keys), _FULL), density.reshape(-1, BLOCK))


def refine(
    ladder: Ladder, parts: Spread, columns: list[Array], masses: Array, coarse: Blocks, grid: int
) -> Blocks:
    """Return the blocks of a grid.

    Their density is the interpolated one plus what the coarser grids could not represent.

    Args:
        ladder: of the latent.
        parts: components of this grid and of finer ones.
        columns: for every set of mixtures, (E,) the mixture of a component, numbered through all
            sets.
        masses: (M,) of the mixtures.
        coarse: blocks of grid - 1.
        grid: number of the grid, >= 1.
    """
    device = coarse.density.device
    step, per_mixture = ladder.step(grid), coarse.per_mixture * REFINEMENT
    offset = (parts.position - ladder.low) / step
    block = (offset / BLOCK).astype(np.int64)
    offset -= block * BLOCK
    possible_keys = len(masses) * per_mixture
    component_keys = [column * per_mixture + block for column in columns]
    keys, shape = _lay(np.concatenate([_distinct(each, possible_keys) for each in component_keys]))
    around = np.stack([_find(keys, keys - 1), np.arange(len(keys)), _find(keys, keys + 1)])
    indices = _indices(keys, component_keys, possible_keys)
    share = masses[keys // per_mixture]
    histograms: list[tuple[Array, Tensor]] = []
    for rung in map(int, np.flatnonzero(ladder.grids == grid)):
        rows = np.flatnonzero(parts.rung == rung)
        if not len(rows):
            continue
        stride = ladder.stride(rung, most=REFINEMENT)
        of_rows = [each[rows] for each in indices]
        position, mass = offset[rows] / stride, parts.mass[rows]
        table = _histogram(position, mass, of_rows, around, BLOCK // stride)
        table[:-1] /= share[:, None]
        factor = kernel(ladder, parts, rung, size=2 * BLOCK // stride, length=2 * BLOCK * step)
        histograms.append((table, factor.to(device)))
    density = torch.empty((len(keys), BLOCK), dtype=torch.float64, device=device)
    for start in range(0, len(keys), _ROWS):
        rows = slice(start, start + _ROWS)
        density[rows] = _interpolated(coarse, keys[rows], per_mixture)
        density[rows] += _narrow(histograms, around[:, rows], density.device) / step
    return Blocks(keys, per_mixture, shape, density)


def windows(blocks: Blocks, finer: Blocks | None) -> Tensor:
    """Return w_g (1 - w_{g+1}) on the points of the blocks of grid g: (P, BLOCK)."""
    window = _profiles(np.arange(BLOCK) / REFINEMENT)[blocks.shape]
    if finer is not None:
        children = (blocks.keys[:, None] * REFINEMENT + np.arange(REFINEMENT)).ravel()
        shape = np.append(finer.shape, _ABSENT)[finer.find(children)]
        finer_window = _profiles(np.arange(_COARSE))[shape].reshape(window.shape)
        window = window * (1 - finer_window)
    return torch.as_tensor(window, device=blocks.density.device)


def _lay(component_keys: Array) -> tuple[Array, Array]:
    """Return keys and shapes of the blocks to lay.

    A block on either side of a component's block is full too. It holds what a component reaches,
    which is 8 of its widths and less than 64 points; or it holds the windows of finer grids around
    the component and the points that these are interpolated from, which end within 110 points.

    Args:
        component_keys: keys of the blocks that components lie in.
    """
    full = np.unique(np.concatenate([component_keys - 1, component_keys, component_keys + 1]))
    rim = np.setdiff1d(np.concatenate([full - 1, full + 1]), full)
    left, right = np.isin(rim - 1, full), np.isin(rim + 1, full)
    rim_shapes = np.where(left, _FALLING, _RISING)
    rim_shapes = np.where(left & right, _FULL, rim_shapes)
    keys = np.concatenate([full, rim])
    shapes = np.concatenate([np.full(len(full), _FULL), rim_shapes])
    order = np.argsort(keys)
    return keys[order], shapes[order]


def _histogram(
    position: Array, mass: Array, indices: list[Array], around: Array, cells: int
) -> Array:
    """Return splines of components on the cells of their blocks: (P + 1, cells).

    The last row is that of absent blocks.

    Args:
        position: (E,) in cells from the beginning of the component's block.
        mass: (E,).
        indices: for every set of mixtures, (E,) the index of the component's block.
        around: (3, P) the blocks to the left of every block, itself, and to the right.
        cells: per block.
    """
    size = (around.shape[1] + 1) * cells
    first, weights = splines(position)
    cell = first + np.arange(SUPPORT)[:, None]
    side = cell // cells  # -1, 0 or 1
    weight, within = (weights * mass).ravel(), cell - side * cells
    table = np.zeros(size)
    for index in indices:
        flat = (around[side + 1, index] * cells + within).ravel()
        table += np.bincount(flat, weight, minlength=size)
    return table.reshape(-1, cells)


def _narrow(histograms: list[tuple[Array, Tensor]], around: Array, device: torch.device) -> Tensor:
    """Return the density of the histograms on some blocks, times the step: (P, BLOCK)."""
    before, block, after = around
    spectrum = torch.zeros((len(block), BLOCK + 1), dtype=torch.complex128, device=device)
    for table, factor in histograms:
        half = table.shape[1] // 2
        # Add half a block of either neighbour: anything further away does not reach the block.
        padded = np.concatenate([table[before, half:], table[block], table[after, :half]], axis=1)
        transformed = torch.fft.rfft(torch.as_tensor(padded, device=device), dim=1)
        spectrum[:, : len(factor)] += transformed * factor
    return torch.fft.irfft(spectrum, n=2 * BLOCK, dim=1)[:, BLOCK // 2 : -(BLOCK // 2)]


def _interpolated(coarse: Blocks, keys: Array, per_mixture: int) -> Tensor:
    """Return densities of the coarser grid on the points of finer blocks: (P, BLOCK)."""
    mixture, block = np.divmod(keys, per_mixture)
    points = block[:, None] * _COARSE + np.arange(-_MARGIN, _COARSE + _MARGIN)
    coarse_keys = mixture[:, None] * coarse.per_mixture + points // BLOCK
    indices = coarse.find(coarse_keys.ravel())
    flat = torch.as_tensor(indices * BLOCK + (points % BLOCK).ravel(), device=coarse.density.device)
    density = coarse.density.ravel()[flat].reshape(len(keys), -1)
    return density @ torch.as_tensor(_interpolation(), device=density.device)


def _interpolation() -> Array:
    """Return the matrix from coarse points to the points of a block: (2 margins + coarse, BLOCK).

    The coarse points are those in the range of the block and in a margin on either side.

    It is a sinc cut off by a Gaussian. Densities of Gaussians of two steps or more have almost
    nothing above half the highest frequency. For these, the Gaussian's width balances what it blurs
    against what it cuts off (Qian 2003).
    """
    distance = np.arange(BLOCK) / REFINEMENT - np.arange(-_MARGIN, _COARSE + _MARGIN)[:, None]
    weight = np.sinc(distance) * np.exp(-np.square(distance) * math.pi / (4 * _MARGIN))
    weight[np.abs(distance) > _MARGIN] = 0
    return weight / weight.sum(axis=0)


def _profiles(coarse_points: Array) -> Array:
    """Return the values of a window over a block, by shape: (4, points)."""
    falling = torch.special.ndtr(torch.as_tensor((_COARSE / 2 - coarse_points) / _RISE)).numpy()
    return np.stack([np.ones_like(falling), falling, 1 - falling, np.zeros_like(falling)])


def _distinct(keys: Array, size: int) -> Array:
    """Return the keys that occur, once each and in order; keys lie in [0, size)."""
    if size > _TABLE:
        return np.unique(keys)
    occurs = np.zeros(size, dtype=bool)
    occurs[keys] = True
    return np.flatnonzero(occurs)


def _indices(keys: Array, wanted: list[Array], size: int) -> list[Array]:
    """Return the indices of wanted keys among `keys`, which has all of them.

    Keys lie in [0, size).
    """
    if size > _TABLE:
        return [np.searchsorted(keys, each) for each in wanted]
    index = np.zeros(size, dtype=np.int64)
    index[keys] = np.arange(len(keys))
    return [index[each] for each in wanted]


def _find(keys: Array, wanted: Array) -> Array:
    """Return the indices of wanted keys among `keys`; len(keys) for those that are not there."""
    indices = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[indices] == wanted, indices, len(keys))
