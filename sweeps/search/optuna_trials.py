"""Cells as Optuna trials."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sweeps.search.cell_record import CellRecord
from sweeps.spec.space import Choice, Grid, Int, LogInt, LogUniform, Space, Uniform


def distribution(space: Space) -> Any:
    """Return Optuna's distribution of a space; choices go by their JSON text, since Optuna takes scalars only."""
    from optuna import distributions as od

    if isinstance(space, Uniform):
        return od.FloatDistribution(space.low, space.high)
    if isinstance(space, LogUniform):
        return od.FloatDistribution(space.low, space.high, log=True)
    if isinstance(space, Int):
        return od.IntDistribution(space.low, space.high)
    if isinstance(space, LogInt):
        return od.IntDistribution(space.low, space.high, log=True)
    return od.CategoricalDistribution([json.dumps(value) for value in space.values])


def frozen_trial(told: CellRecord, searched: Mapping[str, Space], **attributes: Any) -> Any:
    """Return a cell as Optuna's trial: complete only at full horizon, pruned with its curve, else failed."""
    from optuna.trial import TrialState, create_trial

    state = {
        "running": TrialState.RUNNING,
        "complete": TrialState.COMPLETE,
        "pruned": TrialState.PRUNED,
        "failed": TrialState.FAIL,
    }[told.state]
    return create_trial(
        state=state,
        params={path: to_optuna(space, told.params[path]) for path, space in searched.items()},
        distributions={path: distribution(space) for path, space in searched.items()},
        values=list(told.values) if told.state == "complete" else None,
        intermediate_values={} if len(told.values) > 1 else dict(told.intermediate),
        user_attrs=attributes,
    )


def to_optuna(space: Space, value: Any) -> Any:
    """Return a value as Optuna holds it."""
    return json.dumps(value) if isinstance(space, Choice | Grid) else value


def from_optuna(space: Space, value: Any) -> Any:
    """Return what `to_optuna` was given."""
    return json.loads(value) if isinstance(space, Choice | Grid) else value
