"""From a spec to cells: all parameters but the seed.

A `{grid: …}` is laid out: every combination of grid values is a layout point. Under `search: grid` a layout point is
one cell; under a sampler each layout point gets `trials` cells, whose other spaces the sampler fills in. So with β laid
out and the learning rate searched, every β gets the same number of cells, and they never compete across β.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard

from sweeps import hints
from sweeps.space import Choice, Grid, Space
from sweeps.spec import SweepSpec
from vae_core import registry
from vae_core.config import TrainConfig, TrialConfig
from vae_core.data import DATASETS
from vae_core.networks import NETWORKS
from vae_core.objectives import OBJECTIVES


class Layout(NamedTuple):
    """One combination of grid values of one objective."""

    position: int  # among all layout points of the sweep
    objective: int  # position in spec.objectives
    fixed: dict[str, Any]  # path ("train.learning_rate") -> value of a grid
    searched: dict[str, Space]  # path -> space that a sampler fills in


def layouts(spec: SweepSpec) -> list[Layout]:
    """Return every layout point: objectives in order, then the product of the grids.

    The product runs over network, train and objective in this order, the last field fastest, as `itertools.product`.
    """
    found: list[Layout] = []
    for position in range(len(spec.objectives)):
        spaces = {path: value for path, value in _values(spec, position).items() if isinstance(value, Space)}
        grid = {path: space.values for path, space in spaces.items() if _laid_out(space, spec)}
        searched = {path: space for path, space in spaces.items() if path not in grid}
        for values in itertools.product(*grid.values()):
            fixed = dict(zip(grid, values, strict=True))
            found.append(Layout(len(found), position, fixed, searched))
    return found


def cells_per_layout(spec: SweepSpec) -> int:
    """Return the number of cells of every layout point."""
    return 1 if spec.search.name == "grid" else int(spec.search.trials or 1)


def trial_config(
    spec: SweepSpec, layout: Layout, params: Mapping[str, Any], seed: int, fingerprint: str
) -> TrialConfig:
    """Return the config of one trial: the spec's constants, the cell's parameters and a seed."""
    sections: dict[str, dict[str, Any]] = {"network": {}, "train": {}, "objective": {}}
    for path, value in {**_values(spec, layout.objective), **params}.items():
        section, _, field = path.partition(".")
        sections[section][field] = value
    return TrialConfig.from_dict(
        {
            "data": registry.describe(spec.data, DATASETS),
            "evaluation": registry.plain(spec.parts(layout.objective).evaluation),
            **sections,
            "seed": seed,
            "fingerprint": fingerprint,
        }
    )


def bracket(spec: SweepSpec, layout: Layout, params: Mapping[str, Any]) -> str:
    """Return the name of the bracket inside which a cell competes: objective and the values of `tradeoff.by`.

    A parameter that a sampler searches is not part of it.
    """
    entry = spec.objectives[layout.objective]
    by = spec.tradeoff.by
    if by is None:
        strength = OBJECTIVES[str(entry["name"])].strength
        by = () if strength is None else (strength,)
    known = {path: value for path, value in _defaults(spec, layout.objective).items() if value is not None}
    values = {**known, **_values(spec, layout.objective), **params}
    parts = [called(spec, layout.objective, beside=by)]
    for field in by:
        for section in ("objective", "train", "network"):
            path = f"{section}.{field}"
            if path in values:
                if path not in layout.searched:
                    parts.append(f"{field}={_short(values[path])}")
                break
    return " ".join(parts)


def called(spec: SweepSpec, position: int, *, beside: Collection[str] = ()) -> str:
    """Return what to call an objective of a spec: its name, and what tells it from others of that name.

    `capacity_vae(abs)` and `capacity_vae(relu)` where choices of words tell all of them apart; of entries with settings
    of their own numbers tell, too: `beta_vae(latents 5)` and `beta_vae(latents 10)`. Else what each varies, as in
    `beta_tcvae(alpha)` and `beta_tcvae(beta)`, or at last their places: `beta_vae#1`.

    Args:
        spec: the spec.
        position: in `spec.objectives`.
        beside: fields that are said beside the name, so that a name with numbers need not hold them.
    """
    name = str(spec.objectives[position]["name"])
    same = [at for at, objective in enumerate(spec.objectives) if objective["name"] == name]
    if len(same) == 1:
        return name
    numbers = any(section in spec.own[at] for at in same for section in ("network", "train"))
    whole = {at: {**_defaults(spec, at), **_values(spec, at)} for at in same}
    telling = [path for path in whole[position] if _tells(path, list(whole.values()), numbers=numbers)]
    told = {at: _words(own, telling) for at, own in whole.items()}
    if len(set(told.values())) < len(told):
        varied = {at: ", ".join(key for key, v in spec.objectives[at].items() if isinstance(v, Space)) for at in same}
        apart = all(varied.values()) and len(set(varied.values())) == len(varied)
        return f"{name}({varied[position]})" if apart else f"{name}#{position}"
    said = [path for path in telling if not numbers or path.partition(".")[2] not in beside]
    words = _words(whole[position], said)
    return f"{name}({words})" if words else name


def _tells(path: str, whole: Sequence[Mapping[str, Any]], *, numbers: bool) -> bool:
    """Return whether a field tells objectives of one name apart: not what is laid out or searched in any of them."""
    if any(path not in own for own in whole) or all(own[path] == whole[0][path] for own in whole):
        return False
    if numbers:
        return not any(isinstance(own[path], Space) for own in whole)
    return path.startswith("objective.") and all(isinstance(own[path], str) for own in whole)


def _words(own: Mapping[str, Any], paths: Sequence[str]) -> str:
    """Return "adam, latents 5": a word says itself, what is not given says nothing."""
    values = {path.partition(".")[2]: own[path] for path in paths if own[path] not in (None, ())}
    words = {field: _short(hints.listed(value)) for field, value in values.items()}
    return ", ".join(
        word if isinstance(values[field], str) and word == values[field] else f"{field} {word}"
        for field, word in words.items()
    )


def _defaults(spec: SweepSpec, position: int) -> dict[str, Any]:
    """Return path -> default of the fields of an objective, its network and training."""
    parts = spec.parts(position)
    network, objective = NETWORKS[str(parts.network["name"])], OBJECTIVES[str(parts.objective["name"])]
    return {
        f"{section}.{field.name}": field.default
        for section, cls in (("network", network), ("train", TrainConfig), ("objective", objective))
        for field in dataclasses.fields(cls)  # pyright: ignore[reportArgumentType]
        if field.default is not dataclasses.MISSING
    }


def _values(spec: SweepSpec, position: int) -> dict[str, Any]:
    """Return path -> value or space of everything an objective's trials are made of, in the order of the product."""
    parts = spec.parts(position)
    sections = {"network": parts.network, "train": parts.train, "objective": parts.objective}
    return {f"{section}.{field}": value for section, fields in sections.items() for field, value in fields.items()}


def _laid_out(space: Space, spec: SweepSpec) -> TypeGuard[Grid | Choice]:
    return isinstance(space, Grid) or (spec.search.name == "grid" and isinstance(space, Choice))


def _short(value: Any) -> str:
    """Return a value as a bracket's name has it: of a text of several lines, eight digits of its hash."""
    if value is None:
        return "null"
    if isinstance(value, str) and "\n" in value:
        return hashlib.sha256(value.encode()).hexdigest()[:8]
    return f"{value:g}" if isinstance(value, float) else str(value)
