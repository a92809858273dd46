"""Where the heavy array work is done: on a GPU if torch sees one."""

# torch's thread settings carry no types.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch


def pick() -> torch.device:
    """The CUDA device if there is one, else the CPU."""
    return torch.device("cuda") if torch.cuda.is_available() else torch.device("cpu")


@contextmanager
def one_thread(*, when: bool = True) -> Generator[None]:
    """Let torch work on one core inside: for many small operations, whose threads would wait for each other.

    On cores that are shared with other trials that waiting costs ten times the work.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1 if when else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
