"""What to try next: a pure function of the sweep's history.

Every suggestion is computed afresh from (search seed, layout, number, history), so a driver that was killed suggests
after its restart what it would have suggested without: no sampler state exists that could be lost.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from scipy.stats import qmc

from sweeps.search.cell_record import CellRecord
from sweeps.search.optuna_trials import distribution, from_optuna, frozen_trial
from sweeps.spec.space import Space, from_unit


def suggest(
    name: str,
    searched: Mapping[str, Space],
    history: Sequence[CellRecord],
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
        engine = qmc.Sobol(
            len(searched), scramble=True, rng=np.random.default_rng(_seed(seed, layout, -1))
        )
        point = engine.fast_forward(number).random(1)[0] if number else engine.random(1)[0]
    else:
        return _tpe(searched, history, key % 2**32, directions)
    return {
        path: from_unit(space, float(u))
        for (path, space), u in zip(searched.items(), point, strict=True)
    }


def _tpe(
    searched: Mapping[str, Space],
    history: Sequence[CellRecord],
    seed: int,
    directions: Sequence[str],
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


def _seed(*parts: int) -> int:
    return int.from_bytes(hashlib.sha256(json.dumps(parts).encode()).digest()[:8], "big")
