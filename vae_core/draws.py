"""Every random draw comes from a generator keyed by (seed, purpose, epoch).

So an epoch's draws do not depend on the epochs before it, and a checkpoint at an epoch's end holds no
generator state. Generators live on the CPU: the same numbers on every device.
"""

from __future__ import annotations

import hashlib

import torch


def key(seed: int, purpose: str, epoch: int = 0) -> int:
    """Return a 63-bit seed: the first bits of sha256 over the three."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{epoch}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, purpose: str, epoch: int = 0) -> torch.Generator:
    """Return a fresh CPU generator for one purpose ("weights", "order", "posterior", …) of one epoch."""
    return torch.Generator().manual_seed(key(seed, purpose, epoch))
