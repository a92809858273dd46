"""The device of heavy array work: a GPU if torch has one, else the CPU."""

# torch's thread settings carry no types.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch


def pick() -> torch.device:
    """Return the CUDA device if there is one, else the CPU."""
    return torch.device("cuda") if torch.cuda.is_available() else torch.device("cpu")


@contextmanager
def one_thread(*, when: bool = True) -> Generator[None]:
    """Keep torch to one CPU thread inside the block.

    For many small operations: with several threads, the threads would wait for each other after
    each operation. If other trials share the cores, that waiting costs ten times the work.

    Args:
        when: False changes nothing.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1 if when else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
