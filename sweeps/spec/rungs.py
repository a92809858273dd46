"""Rungs: the epochs at which a trial is judged, and the epochs that are then expected."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def rung_epochs(fractions: Sequence[float], epochs: int) -> dict[int, int]:
    """Return position in `fractions` -> epoch at which a trial of so many epochs is judged, in [1, epochs - 1].

    A fraction f stands for epoch ceil(f * epochs): never earlier than the user asked. In a short trial a rung that
    falls on the one before it, or on the end, is left out.
    """
    rungs: dict[int, int] = {}
    for position, fraction in enumerate(fractions):
        epoch = max(
            1, math.ceil(fraction * epochs - 1e-9)
        )  # 1e-9: 0.1 * 30 is a little over 3 in binary
        if epoch < epochs and epoch not in rungs.values():
            rungs[position] = epoch
    return rungs


def expected_epochs(
    rungs: Mapping[int, int], verdicts: Mapping[int, bool], epochs: int, reduction: float
) -> float:
    """Return how many epochs a trial is expected to train, if each rung not judged yet lets 1/reduction go on."""
    expected, alive, last = 0.0, 1.0, 0
    for position, epoch in rungs.items():
        expected += alive * (epoch - last)
        last = epoch
        alive *= 1 / reduction if position not in verdicts else float(verdicts[position])
    return expected + alive * (epochs - last)
