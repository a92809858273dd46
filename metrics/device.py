"""Where the heavy array work is done: on a GPU if torch sees one."""

from __future__ import annotations

import torch


def pick() -> torch.device:
    """The CUDA device if there is one, else the CPU."""
    return torch.device("cuda") if torch.cuda.is_available() else torch.device("cpu")
