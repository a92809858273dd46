"""What to try next: a pure function of the sweep's history.

Every suggestion is computed afresh from (search seed, layout, number, history), so a driver that was killed suggests
after its restart what it would have suggested without: no sampler state exists that could be lost.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.stats import qmc

from sweeps.space import Choice, Grid, Int, LogInt, LogUniform, Space, Uniform


class Told(NamedTuple):
    """One earlier cell of the same layout point, as a sampler learns of it."""

    params: Mapping[str, Any]
    state: Literal["running", "complete", "pruned", "failed"]
    values: tuple[float, ...]  # one per goal, means over seeds; () unless complete
    intermediate: Mapping[int, float]  # epoch -> mean of the pruning metric, single-objective only


def suggest(
    name: str,
    searched: Mapping[str, Space],
    history: Sequence[Told],
    *,
    seed: int,
    layout: int,
    number: int,
    directions: Sequence[Literal["max", "min"]],
) -> dict[str, Any]:
    """Return values for the searched paths of cell `number` (from 0) of a layout point.

    `random` draws from a generator keyed by (seed, layout, number); `qmc` is point `number` of the scrambled Sobol
    sequence keyed by (seed, layout); `tpe` asks Optuna's TPESampler, reseeded per ask and told the whole history.
    """
    if not searched:
        return {}
    key = _seed(seed, layout, number)
    if name == "random":
        point = np.random.default_rng(key).random(len(searched))
    elif name == "qmc":
        engine = qmc.Sobol(len(searched), scramble=True, rng=np.random.default_rng(_seed(seed, layout, -1)))
        point = engine.fast_forward(number).random(1)[0] if number else engine.random(1)[0]
    else:
        return _tpe(searched, history, key % 2**32, directions)
    return {path: from_unit(space, float(u)) for (path, space), u in zip(searched.items(), point, strict=True)}


def from_unit(space: Space, u: float) -> Any:
    """Return the value at u in [0, 1) of a space: uniform, uniform in the logarithm, or equal parts for choices."""
    if isinstance(space, Choice | Grid):
        return space.values[min(int(u * len(space.values)), len(space.values) - 1)]
    if isinstance(space, Uniform):
        return space.low + u * (space.high - space.low)
    if isinstance(space, LogUniform):
        return math.exp(math.log(space.low) + u * (math.log(space.high) - math.log(space.low)))
    if isinstance(space, Int):
        return min(space.low + int(u * (space.high - space.low + 1)), space.high)
    # LogInt: uniform in the logarithm over [low - 1/2, high + 1/2], so that both ends get their share.
    low, high = math.log(space.low - 0.5), math.log(space.high + 0.5)
    return int(np.clip(round(math.exp(low + u * (high - low))), space.low, space.high))


def _tpe(
    searched: Mapping[str, Space], history: Sequence[Told], seed: int, directions: Sequence[str]
) -> dict[str, Any]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        directions=["maximize" if mode == "max" else "minimize" for mode in directions],
        sampler=optuna.samplers.TPESampler(seed=seed),
    )
    distributions = {path: distribution(space) for path, space in searched.items()}
    for told in history:
        study.add_trial(frozen_trial(told, searched))
    trial = study.ask(distributions)
    return {path: from_optuna(space, trial.params[path]) for path, space in searched.items()}


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


def frozen_trial(told: Told, searched: Mapping[str, Space], **attributes: Any) -> Any:
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


def _seed(*parts: int) -> int:
    return int.from_bytes(hashlib.sha256(json.dumps(parts).encode()).digest()[:8], "big")
