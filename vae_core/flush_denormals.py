"""Numbers below 1.2e-38 count as zero while training: they change nothing and are slow.

The border pixels of a set are the same in every image. Their gradients, and with them the running means of Adam, shrink
without end, and an arithmetic operation on a float32 below the normal range costs a CPU tens of cycles more: measured
on dSprites, steps take 1.5 to 2 times as long from the fifth epoch on.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch


@contextmanager
def flushed() -> Generator[None]:
    """Flush denormal numbers to zero on this thread, and leave the thread as it was."""
    before = _flushing()
    torch.set_flush_denormal(True)  # False, and no effect, on a CPU that cannot
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def _flushing() -> bool:
    """Return whether this thread already flushes; PyTorch can set it and not tell it."""
    return (
        torch.full((1,), 1e-30) * 1e-10
    ).item() == 0  # 1e-40 is below the smallest normal float32, 1.2e-38
