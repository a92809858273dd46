"""Differential entropies of mixtures of 1-D posteriors by quadrature."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metrics import device
from metrics.information.quadrature_blocks import Blocks, all_blocks, refine, windows
from metrics.information.quadrature_grid import Ladder, Spread, densities, make_ladder, spread
from metrics.types import Array

BINNING = 1e-5  # nats; for equal widths at random positions the error stayed below half of it
PER_KURTOSIS = 0.02  # nats; the mixtures of two to sixty widths that we tried stayed below it


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
    ladder = make_ladder(mean, std, mixtures=max(int(np.ptp(column)) + 1 for column in columns))
    parts = spread(ladder, mean, std, weight)
    if ladder.depth > 1:
        entropies = _on_several_grids(ladder, parts, columns, masses, target)
    else:
        entropies = _on_one_grid(ladder, parts, columns, masses, target)
    values, change = entropies.cpu().numpy().T
    return MixtureEntropies(values, change, BINNING + PER_KURTOSIS * parts.kurtosis, parts.widened)


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
    entropies = torch.zeros((len(masses), 2), dtype=torch.float64, device=target)
    blocks = all_blocks(ladder, first)
    for grid in range(1, ladder.depth + 1):
        finer: Blocks | None = None
        needs_finer = ladder.grids[parts.rung] >= grid
        if needs_finer.any():
            parts = parts.kept(needs_finer)
            of_parts = [column[parts.row] for column in columns]
            finer = refine(ladder, parts, of_parts, masses, blocks, grid)
        integrals = _integrals(blocks.density, windows(blocks, finer), ladder.step(grid - 1))
        mixture = torch.as_tensor(blocks.keys // blocks.per_mixture, device=target)
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
