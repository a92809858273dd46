"""Differential entropies of mixtures of 1-D posteriors by quadrature."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metrics import device
from metrics.information.quadrature_blocks import all_blocks, refine, windows
from metrics.information.quadrature_grid import densities, make_ladder, spread
from metrics.types import Array

BINNING = 1e-5  # nats; equal widths on random positions stayed below half of it
PER_KURTOSIS = 0.02  # nats; mixtures of two to sixty widths of our choosing stayed below


class MixtureEntropies(NamedTuple):
    """Entropies of the mixtures of one latent's posteriors.

    Args:
        values: (M,) nats.
        change: (M,) what they change by on every second point.
        binning: nats by which an information may be wrong, as posteriors are binned in position and width.
        widened: (N,) bool, posteriors too narrow for the finest grid; not empty only in the extreme.
    """

    values: Array
    change: Array
    binning: float
    widened: Array


def mixture_entropies(
    mean: Array, std: Array, weight: Array, columns: list[Array]
) -> MixtureEntropies:
    """Entropies of mixtures of posteriors N(mean, std^2).

    Args:
        mean, std: (N,) float64.
        weight: (N,) >= 0, sums to 1.
        columns: for every set of mixtures (N,) the mixture that a posterior belongs to; M mixtures numbered through,
            none empty.
    """
    # Narrower than the spacing of float64 numbers around the means nothing can be told apart, nor put on a grid.
    std = np.maximum(std, 1e-14 * max(float(np.abs(mean).max()), 1e-30))
    where = device.pick()
    masses = np.concatenate([np.bincount(column - column.min(), weight) for column in columns])
    ladder = make_ladder(mean, std, mixtures=max(int(np.ptp(column)) + 1 for column in columns))
    parts = spread(ladder, mean, std, weight)
    entropies = torch.zeros((len(masses), 2), dtype=torch.float64, device=where)
    share = torch.as_tensor(masses, device=where)
    first = torch.empty(
        (len(masses) if ladder.depth > 1 else 0, ladder.size), dtype=torch.float64, device=where
    )
    for start, density in densities(ladder, parts, columns, where):
        rows = slice(start, start + len(density))
        density /= share[rows, None]
        if ladder.depth > 1:
            first[rows] = density
        else:
            entropies[rows] = _integrals(density, None, ladder.step(0))
    if ladder.depth > 1:
        blocks = all_blocks(ladder, first)
        for grid in range(1, ladder.depth + 1):
            fine = ladder.grids[parts.rung] >= grid
            finer = None
            if fine.any():
                parts = parts.kept(fine)
                finer = refine(
                    ladder, parts, [column[parts.row] for column in columns], masses, blocks, grid
                )
            integrals = _integrals(blocks.density, windows(blocks, finer), ladder.step(grid - 1))
            of = torch.as_tensor(blocks.keys // blocks.per_mixture, device=where)
            entropies.index_add_(0, of, integrals)
            if finer is None:
                break
            blocks = finer
    values, change = entropies.cpu().numpy().T
    return MixtureEntropies(values, change, BINNING + PER_KURTOSIS * parts.kurtosis, parts.widened)


def _integrals(density: Tensor, window: Tensor | None, step: float) -> Tensor:
    """Integral of -p ln p over each row, and less that on every second point: (rows, 2)."""
    p = density.clamp(min=1e-300)  # 0 ln 0 = 0
    integrand = -p * p.log()
    if window is not None:
        integrand *= window
    fine = integrand.sum(dim=1) * step
    return torch.stack([fine, fine - integrand[:, ::2].sum(dim=1) * (2 * step)], dim=1)
