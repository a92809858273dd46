"""Rungs: the epochs at which a trial is judged, and the number of epochs to expect of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def rung_epochs(fractions: Sequence[float], epochs: int) -> dict[int, int]:
    """Return rung -> epoch at which a trial is judged, in [1, epochs - 1].

    A fraction f means epoch ceil(f · epochs): never earlier than the user asked. In a short trial a
    rung may fall on the epoch of the rung before it, or on the last epoch. It is then left out.

    Args:
        fractions: of the trial, one per rung. A rung is the index of its fraction.
        epochs: length of the trial.
    """
    rungs: dict[int, int] = {}
    for rung, fraction in enumerate(fractions):
        # 1e-9: in binary floating point 0.1 * 30 is a little more than 3.
        epoch = max(1, math.ceil(fraction * epochs - 1e-9))
        if epoch < epochs and epoch not in rungs.values():
            rungs[rung] = epoch
    return rungs


def expected_epochs(
    rungs: Mapping[int, int], verdicts: Mapping[int, bool], epochs: int, reduction: float
) -> float:
    """Return how many epochs a trial is expected to train.

    A rung without a verdict promotes a trial with probability 1/reduction.

    Args:
        rungs: rung -> epoch, as `rung_epochs` returns it.
        verdicts: rung -> whether the trial was promoted there.
        epochs: length of the trial.
        reduction: of the pruning.
    """
    expected, alive, last = 0.0, 1.0, 0
    for rung, epoch in rungs.items():
        expected += alive * (epoch - last)
        last = epoch
        alive *= float(verdicts[rung]) if rung in verdicts else 1 / reduction
    return expected + alive * (epochs - last)
