"""How the steps of a trial divide into epochs."""

from __future__ import annotations

from typing import NamedTuple


class TrialLength(NamedTuple):
    """The steps of a trial and how they divide into epochs; the last epoch may be shorter."""

    steps: int
    """Optimiser steps of the trial."""

    steps_per_epoch: int
    """Optimiser steps of a complete epoch."""

    @property
    def epochs(self) -> int:
        """The number of epochs (= reports): ⌈steps / steps_per_epoch⌉."""
        return -(-self.steps // self.steps_per_epoch)

    def steps_after(self, epoch: int) -> int:
        """Return the number of completed steps at the end of an epoch (from 1)."""
        return min(epoch * self.steps_per_epoch, self.steps)
