"""Every random draw comes from a generator that is keyed by (seed, purpose, epoch).

So the draws of an epoch do not depend on the epochs before it, and a checkpoint at the end of an
epoch holds no generator state. Generators live on the CPU: the same numbers on every device.
"""

# torch's own hints are partial (`from_numpy`).
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def key(seed: int, purpose: str, epoch: int = 0) -> int:
    """Return a 63-bit seed: the first bits of sha256 over the three arguments."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{epoch}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, purpose: str, epoch: int = 0) -> torch.Generator:
    """Return a fresh CPU generator for one purpose ("weights", "order", …) of one epoch."""
    return torch.Generator().manual_seed(key(seed, purpose, epoch))


def rows(
    count: int, generator: torch.Generator, *, p: NDArray[np.float64] | None, size: int
) -> Tensor:
    """Return `count` row indices (int64) of a data set of `size` images.

    Without `p` they are the first `count` of a permutation, so no row repeats. With `p` (N,), a
    distribution over the rows, they are drawn independently, so with replacement: for u uniform in
    [0, 1) the row is the first where the cumulative p exceeds u. A row with p_n = 0 is never drawn.
    """
    if p is None:
        return torch.randperm(size, generator=generator)[:count]
    cumulative = torch.from_numpy(p).cumsum(0)
    u = torch.rand(count, generator=generator, dtype=torch.float64)
    return torch.searchsorted(cumulative / cumulative[-1], u, right=True)
