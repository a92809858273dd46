"""How a driver run ended."""

from __future__ import annotations

from typing import NamedTuple

from sweeps.ledger.states import TrialState


class SweepResult(NamedTuple):
    """How a driver run ended."""

    name: str
    states: dict[str, int]  # number of trials by end; OPEN counts those that have not ended
    finished: bool  # whether every trial of the sweep has ended
    why: str  # why the driver run stopped early, "" if it did not
    exported: bool  # whether MLflow has everything
    cells: int = 0  # that the sweep has so far
    cells_total: int = 0  # that it can have
    cells_asked: int = 0  # by the grids and `search.trials`; its spaces may have fewer

    @property
    def exit_code(self) -> int:
        """0 if every trial is COMPLETE or PRUNED; 1 if one is FAILED or the run was interrupted."""
        is_good = self.finished and not self.why and not self.states.get(TrialState.FAILED)
        return 0 if is_good else 1
