"""Differential entropies of mixtures of 1-D posteriors by quadrature."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metrics import device
from metrics.information import quadrature_grid
from metrics.information.quadrature_blocks import Blocks, all_blocks, refine, windows
from metrics.information.quadrature_grid import Ladder, Spread, densities, make_ladder, spread
from metrics.types import Array

BINNING = 1e-5  # nats; a search for bad cases of few posteriors stayed below a third of it
BLOCKS_AROUND = 5  # of a component on its grid: three, and the two at their rims
REACH = 7.0  # widths of a posterior; what lies beyond is below e^-24 of it
BEYOND_REACH = 1e-9  # nats; the part of a posterior beyond `REACH`, and its logarithm
PER_KURTOSIS = 0.02  # nats; a search among mixtures of 65 to 80 widths stayed below a seventh


class MixtureEntropies(NamedTuple):
    """Entropies of the mixtures of one latent's posteriors.

    Args:
        values: (M,) nats.
        change: (M,) how much they change on every second point.
        binning: nats by which an information may be wrong because posteriors are binned in position
            and width.
        widened: (N,) bool, posteriors too narrow for the finest grid; none but in extreme cases.
    """

    values: Array
    change: Array
    binning: float
    widened: Array


def mixture_entropies(
    mean: Array, std: Array, weight: Array, columns: list[Array]
) -> MixtureEntropies:
    """Return the entropies of mixtures of posteriors N(mean, std^2).

    Args:
        mean, std: (N,) float64.
        weight: (N,) >= 0, sums to 1.
        columns: for every set of mixtures, (N,) the mixture that a posterior belongs to. M mixtures
            are numbered through all sets, and none is empty.
    """
    # Below the spacing of float64 numbers around the means, no two posteriors can be distinguished
    # or put on a grid.
    std = np.maximum(std, 1e-14 * max(float(np.abs(mean).max()), 1e-30))
    target = device.pick()
    masses = np.concatenate([np.bincount(column - column.min(), weight) for column in columns])
    ladder = make_ladder(mean, std)
    if ladder.depth == 1:
        parts = spread(ladder, mean, std, weight)
        entropies = _on_one_grid(ladder, parts, columns, masses, target)
        values, change = entropies.cpu().numpy().T
        return MixtureEntropies(values, change, _binning(parts), parts.widened)
    apart = isolated(mean, std)
    of_isolated = _closed_form(std, weight, columns, masses, apart)
    rest = np.flatnonzero(~apart)
    if not len(rest):
        none = np.zeros(len(mean), dtype=bool)
        return MixtureEntropies(of_isolated, np.zeros(len(masses)), BEYOND_REACH, none)
    ladder = make_ladder(mean[rest], std[rest])
    parts = spread(ladder, mean[rest], std[rest], weight[rest])
    widened = np.zeros(len(mean), dtype=bool)
    widened[rest] = parts.widened
    parts = parts._replace(row=rest[parts.row], widened=widened)
    integrate = _on_several_grids if ladder.depth > 1 else _on_one_grid
    values, change = integrate(ladder, parts, columns, masses, target).cpu().numpy().T
    return MixtureEntropies(of_isolated + values, change, _binning(parts), widened)


def isolated(mean: Array, std: Array) -> Array:
    """Return which posteriors have none other within `REACH` widths of both, (N,) bool."""
    low, high = mean - REACH * std, mean + REACH * std
    order = np.argsort(low, kind="stable")
    low, high = low[order], high[order]
    alone = np.ones(len(mean), dtype=bool)
    # An earlier one may reach further than the one just before; of later ones the next is nearest.
    alone[1:] &= low[1:] > np.maximum.accumulate(high)[:-1]
    alone[:-1] &= low[1:] > high[:-1]
    result = np.zeros(len(mean), dtype=bool)
    result[order] = alone
    return result


def _closed_form(
    std: Array, weight: Array, columns: list[Array], masses: Array, apart: Array
) -> Array:
    """Return what isolated posteriors add to the entropies of the mixtures, (M,) nats.

    A posterior of share w in a mixture, with nothing else around it, adds the integral of
    -w N ln(w N), which is w (1/2 ln(2 pi e s^2) - ln w).
    """
    total = np.zeros(len(masses))
    gaussian = 0.5 * math.log(2 * math.pi * math.e) + np.log(std[apart])
    for column in columns:
        mixture = column[apart]
        share = weight[apart] / masses[mixture]
        total += np.bincount(
            mixture, share * (gaussian - np.log(np.maximum(share, 1e-300))), minlength=len(masses)
        )
    return total


def _binning(parts: Spread) -> float:
    """Return the error of an information because posteriors are binned, nats."""
    return BINNING + PER_KURTOSIS * parts.kurtosis


def _on_one_grid(
    ladder: Ladder, parts: Spread, columns: list[Array], masses: Array, target: torch.device
) -> Tensor:
    """Return the entropies of mixtures whose posteriors are all on the first grid.

    Args:
        ladder, parts: of the latent.
        columns: for every set of mixtures, (N,) the mixture of a posterior.
        masses: (M,) of the mixtures.
        target: the device.

    Returns:
        (M, 2): as of `_integrals`.
    """
    entropies = torch.zeros((len(masses), 2), dtype=torch.float64, device=target)
    share = torch.as_tensor(masses, device=target)
    for start, density in densities(ladder, parts, columns, target):
        rows = slice(start, start + len(density))
        density /= share[rows, None]
        entropies[rows] = _integrals(density, None, ladder.step(0))
    return entropies


def _on_several_grids(
    ladder: Ladder, parts: Spread, columns: list[Array], masses: Array, target: torch.device
) -> Tensor:
    """Return the entropies of mixtures with posteriors too narrow for the first grid.

    Arguments and result are those of `_on_one_grid`.
    """
    share = torch.as_tensor(masses, device=target)
    first = torch.empty((len(masses), ladder.size), dtype=torch.float64, device=target)
    for start, density in densities(ladder, parts, columns, target):
        rows = slice(start, start + len(density))
        density /= share[rows, None]
        first[rows] = density
    narrow = parts.kept(ladder.grids[parts.rung] >= 1)
    of_parts = [column[narrow.row] for column in columns]
    if BLOCKS_AROUND * len(narrow.row) * len(columns) <= quadrature_grid.MOST_BLOCKS:
        return _on_finer_grids(ladder, narrow, of_parts, masses, first)
    entropies = torch.zeros((len(masses), 2), dtype=torch.float64, device=target)
    for column, of_narrow in zip(columns, of_parts, strict=True):
        for group in _groups(of_narrow, int(column.min()), int(column.max()) + 1):
            inside = (of_narrow >= group.start) & (of_narrow < group.stop)
            entropies[group] = _on_finer_grids(
                ladder,
                narrow.kept(inside),
                [of_narrow[inside] - group.start],
                masses[group],
                first[group],
            )
    return entropies


def _groups(mixture: Array, start: int, stop: int) -> list[slice]:
    """Return ranges of the mixtures of a set that have few enough blocks together.

    Args:
        mixture: (E,) that a narrow component belongs to.
        start, stop: range of the set's mixtures.
    """
    blocks = BLOCKS_AROUND * np.bincount(mixture, minlength=stop)[start:stop]
    groups: list[slice] = []
    first, together = start, 0
    for number, count in enumerate(blocks.tolist(), start):
        if number > first and together + count > quadrature_grid.MOST_BLOCKS:
            groups.append(slice(first, number))
            first, together = number, 0
        together += count
    return [*groups, slice(first, stop)]


def _on_finer_grids(
    ladder: Ladder, parts: Spread, columns: list[Array], masses: Array, first: Tensor
) -> Tensor:
    """Return the entropies of mixtures, from their density on the first grid.

    Args:
        ladder: of the latent.
        parts: (E,) components that the first grid is too coarse for.
        columns: for every set of mixtures, (E,) the mixture of a component.
        masses: (M,) of the mixtures.
        first: (M, points) density.

    Returns:
        (M, 2): as of `_integrals`.
    """
    entropies = torch.zeros((len(masses), 2), dtype=torch.float64, device=first.device)
    blocks = all_blocks(ladder, first)
    for grid in range(1, ladder.depth + 1):
        finer: Blocks | None = None
        needed = ladder.grids[parts.rung] >= grid
        if needed.any():
            parts = parts.kept(needed)
            columns = [column[needed] for column in columns]
            finer = refine(ladder, parts, columns, masses, blocks, grid)
        integrals = _integrals(blocks.density, windows(blocks, finer), ladder.step(grid - 1))
        mixture = torch.as_tensor(blocks.keys // blocks.per_mixture, device=first.device)
        entropies.index_add_(0, mixture, integrals)
        if finer is None:
            break
        blocks = finer
    return entropies


def _integrals(density: Tensor, window: Tensor | None, step: float) -> Tensor:
    """Return integrals of -p ln p over each row, and their change on every second point: (rows, 2).

    Args:
        density: (rows, points).
        window: factor of the integrand, in the same shape, or None for 1.
        step: distance between points.
    """
    p = density.clamp(min=1e-300)  # 0 ln 0 = 0
    integrand = -p * p.log()
    if window is not None:
        integrand *= window
    fine = integrand.sum(dim=1) * step
    coarse = integrand[:, ::2].sum(dim=1) * (2 * step)
    return torch.stack([fine, fine - coarse], dim=1)
