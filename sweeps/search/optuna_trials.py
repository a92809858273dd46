"""Cells as Optuna trials, and spaces as Optuna distributions."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Mapping
from typing import Any

from sweeps.search.cell_outcome import CellOutcome, OutcomeState
from sweeps.spec.space import Choice, Grid, Int, LogInt, LogUniform, Space, Uniform


def distribution(space: Space) -> Any:
    """Return the Optuna distribution of a space.

    The values of a grid or a choice go by their JSON text, since Optuna takes scalars only.
    """
    from optuna import distributions

    if isinstance(space, Uniform):
        return distributions.FloatDistribution(space.low, space.high)
    if isinstance(space, LogUniform):
        return distributions.FloatDistribution(space.low, space.high, log=True)
    if isinstance(space, Int):
        return distributions.IntDistribution(space.low, space.high)
    if isinstance(space, LogInt):
        return distributions.IntDistribution(space.low, space.high, log=True)
    return distributions.CategoricalDistribution([json.dumps(value) for value in space.values])


def frozen_trial(
    outcome: CellOutcome,
    searched: Mapping[str, Space],
    distributions: Mapping[str, Any] | None = None,
    **attributes: Any,
) -> Any:
    """Return a cell as an Optuna trial.

    It is complete only if the cell trained its whole length. Its intermediate values are the curve
    of the pruning metric; a complete cell with several goals has none, since Optuna allows none.

    Args:
        outcome: of the cell.
        searched: path -> space of the parameters to tell Optuna.
        distributions: path -> Optuna distribution of these spaces; None makes them.
        attributes: user attributes of the trial.
    """
    from optuna.trial import TrialState, create_trial

    states = {
        OutcomeState.RUNNING: TrialState.RUNNING,
        OutcomeState.COMPLETE: TrialState.COMPLETE,
        OutcomeState.PRUNED: TrialState.PRUNED,
        OutcomeState.FAILED: TrialState.FAIL,
    }
    complete = outcome.state == OutcomeState.COMPLETE
    if distributions is None:
        distributions = {path: distribution(space) for path, space in searched.items()}
    return create_trial(
        state=states[outcome.state],
        params={path: to_optuna(space, outcome.params[path]) for path, space in searched.items()},
        distributions=dict(distributions),
        values=list(outcome.values) if complete else None,
        intermediate_values={} if len(outcome.values) > 1 else dict(outcome.intermediate),
        user_attrs=attributes,
    )


def shared(trial: Any) -> Any:
    """Return the Optuna trial, so changed that a study does not copy it in depth.

    Nothing changes a trial that was added to a study, and the copies of thousands of trials take
    longer than the suggestion.
    """
    trial.__class__ = _shared_type()
    return trial


@functools.cache
def _shared_type() -> type[Any]:
    from optuna.trial import FrozenTrial

    class SharedTrial(FrozenTrial):
        """A trial that shares its parameters with its copies."""

        def __deepcopy__(self, memo: dict[int, Any]) -> FrozenTrial:
            del memo
            return copy.copy(self)

    return SharedTrial


def to_optuna(space: Space, value: Any) -> Any:
    """Return a value of a space as Optuna stores it."""
    return json.dumps(value) if isinstance(space, Choice | Grid) else value


def from_optuna(space: Space, value: Any) -> Any:
    """Return the value that `to_optuna` was given."""
    return json.loads(value) if isinstance(space, Choice | Grid) else value
