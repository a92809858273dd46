"""Suggests the parameters of the next cell: a pure function of the history of a sweep.

Every suggestion is computed from (search seed, layout, number, history) alone. So a driver that was
killed suggests after its restart what it would have suggested without: there is no sampler state
that could be lost.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, Literal

import numpy as np
from scipy.stats import qmc

from sweeps.search import tpe_history
from sweeps.search.cell_outcome import CellOutcome, OutcomeState
from sweeps.search.optuna_trials import distribution, from_optuna, frozen_trial, shared
from sweeps.spec.space import Space, from_unit

READS_HISTORY = ("tpe",)
"""The samplers whose suggestions depend on the earlier cells."""


def suggest(
    name: str,
    searched: Mapping[str, Space],
    history: Sequence[CellOutcome],
    *,
    seed: int,
    layout: int,
    number: int,
    directions: Sequence[Literal["max", "min"]],
    optuna_trials: MutableMapping[int, Any] | None = None,
) -> dict[str, Any]:
    """Return path -> value of the searched parameters of one cell.

    `random` draws from a generator keyed by (seed, layout, number). `qmc` takes point `number` of
    the scrambled Sobol sequence keyed by (seed, layout). `tpe` asks Optuna's TPESampler, seeded
    anew per cell and given the history; of a long one the cells of `tpe_history.selected`.

    Args:
        name: of the sampler.
        searched: path -> space.
        history: the earlier cells of the same layout.
        seed: of the search.
        layout: index of the layout.
        number: of the cell within its layout, from 0.
        directions: the better end of each goal.
        optuna_trials: index of an ended cell in the history -> its Optuna trial, as far as an
            earlier call with the same cells has made it; those of this call are added.
    """
    if not searched:
        return {}
    key = draw_seed(seed, layout, number)
    if name == "random":
        point = np.random.default_rng(key).random(len(searched))
    elif name == "qmc":
        rng = np.random.default_rng(draw_seed(seed, layout, -1))
        engine = qmc.Sobol(len(searched), scramble=True, rng=rng)
        if number:
            engine.fast_forward(number)
        point = engine.random(1)[0]
    else:
        made = {} if optuna_trials is None else optuna_trials
        return _suggest_by_tpe(searched, history, key % 2**32, directions, made)
    return {
        path: from_unit(space, float(u))
        for (path, space), u in zip(searched.items(), point, strict=True)
    }


def _suggest_by_tpe(
    searched: Mapping[str, Space],
    history: Sequence[CellOutcome],
    seed: int,
    directions: Sequence[Literal["max", "min"]],
    optuna_trials: MutableMapping[int, Any],
) -> dict[str, Any]:
    """Return the suggestion of a TPESampler that is given the history."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        directions=["maximize" if mode == "max" else "minimize" for mode in directions],
        sampler=optuna.samplers.TPESampler(seed=seed),
    )
    distributions = {path: distribution(space) for path, space in searched.items()}
    for index in tpe_history.selected(history, directions):
        outcome = history[index]
        trial = optuna_trials.get(index)
        if trial is None:
            trial = shared(frozen_trial(outcome, searched, distributions))
            if outcome.state != OutcomeState.RUNNING:
                optuna_trials[index] = trial
        study.add_trial(trial)
    asked = study.ask(distributions)
    return {path: from_optuna(space, asked.params[path]) for path, space in searched.items()}


def draw_seed(*parts: int) -> int:
    """Return a seed of 64 bits from whole numbers."""
    return int.from_bytes(hashlib.sha256(json.dumps(parts).encode()).digest()[:8], "big")
