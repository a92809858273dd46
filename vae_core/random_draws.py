"""Every random draw comes from a generator keyed by (seed, purpose, epoch).

So an epoch's draws do not depend on the epochs before it, and a checkpoint at an epoch's end holds no
generator state. Generators live on the CPU: the same numbers on every device.
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
    """Return a 63-bit seed: the first bits of sha256 over the three."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{epoch}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, purpose: str, epoch: int = 0) -> torch.Generator:
    """Return a fresh CPU generator for one purpose ("weights", "order", "posterior", …) of one epoch."""
    return torch.Generator().manual_seed(key(seed, purpose, epoch))


def rows(
    count: int, generator: torch.Generator, *, p: NDArray[np.float64] | None, size: int
) -> Tensor:
    """Return the rows of a pass over `size` images (int64): the first `count` of a permutation, or `count` from p.

    From p they are drawn independently, so with replacement: u uniform in [0, 1) meets the row where the cumulative
    p first exceeds it; a row with p_n = 0 never comes.
    """
    if p is None:
        return torch.randperm(size, generator=generator)[:count]
    cumulative = torch.from_numpy(p).cumsum(0)
    u = torch.rand(count, generator=generator, dtype=torch.float64)
    return torch.searchsorted(cumulative / cumulative[-1], u, right=True)
