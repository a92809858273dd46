"""How a driver run ended."""

from __future__ import annotations

from typing import NamedTuple


class SweepResult(NamedTuple):
    """How a driver's life ended."""

    name: str
    states: dict[str, int]  # trials by end; OPEN: asked and not ended
    finished: bool  # every trial of the sweep has ended
    why: str  # why the sweep stopped early, "" if it did not
    exported: bool  # MLflow has everything

    @property
    def exit_code(self) -> int:
        """0: every trial COMPLETE or PRUNED; 1: any FAILED, or interrupted."""
        return 0 if self.finished and not self.states.get("FAILED") else 1
