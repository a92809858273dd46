"""Which trials of a sweep are in which state, kept up to date as the states change.

So nobody has to look at all trials of a sweep to find the few that run.
"""

from __future__ import annotations

from collections.abc import Iterable

from sweeps.ledger.progress import TrialProgress
from sweeps.ledger.states import TrialState


class Roster:
    """The trials of a sweep by state."""

    def __init__(self, trials: Iterable[TrialProgress] = ()) -> None:
        self._by_state: dict[TrialState, dict[int, TrialProgress]] = {
            state: {} for state in TrialState if not state.ended
        }
        self._ended: dict[TrialState, int] = {}
        self.ended: list[TrialProgress] = []
        """The ended trials in the order in which they ended."""
        self.epochs_of_ended = 0
        """The sum of their last epochs."""
        for trial in trials:
            self.add(trial)

    def add(self, trial: TrialProgress) -> None:
        """Add a trial, and follow its state from now on."""
        trial.on_change = self._move
        self._enter(trial)

    @property
    def counts(self) -> dict[TrialState, int]:
        """State -> number of trials, without the states that no trial has."""
        open_counts = {state: len(trials) for state, trials in self._by_state.items()}
        return {state: n for state, n in {**open_counts, **self._ended}.items() if n}

    @property
    def all_ended(self) -> bool:
        """Whether no trial waits, runs or is parked."""
        return not any(self._by_state.values())

    def open_trials(self) -> list[TrialProgress]:
        """Return the trials that have not ended, by number."""
        trials = [trial for group in self._by_state.values() for trial in group.values()]
        return sorted(trials, key=lambda trial: trial.number)

    def in_state(self, state: TrialState) -> list[TrialProgress]:
        """Return the trials in a state that is no end, by number."""
        return sorted(self._by_state[state].values(), key=lambda trial: trial.number)

    def _move(self, trial: TrialProgress, old: TrialState) -> None:
        if old is trial.state:
            return
        if old.ended:
            raise ValueError(f"trial {trial.number} has ended ({old}) and cannot be {trial.state}")
        del self._by_state[old][trial.number]
        self._enter(trial)

    def _enter(self, trial: TrialProgress) -> None:
        state = trial.state
        if state.ended:
            self.ended.append(trial)
            self.epochs_of_ended += trial.epoch
            self._ended[state] = self._ended.get(state, 0) + 1
            return
        self._by_state[state][trial.number] = trial
