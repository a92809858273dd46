"""The record of an earlier cell, as a sampler reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple


class CellRecord(NamedTuple):
    """One earlier cell of the same layout point, as a sampler learns of it."""

    params: Mapping[str, Any]
    state: Literal["running", "complete", "pruned", "failed"]
    values: tuple[float, ...]  # one per goal, means over seeds; () unless complete
    intermediate: Mapping[int, float]  # epoch -> mean of the pruning metric, single-objective only
