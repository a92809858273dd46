"""From a spec to cells: all parameters but the seed.

A `{grid: …}` is laid out: every combination of grid values is a layout point. Under `search: grid` a layout point is
one cell; under a sampler each layout point gets `trials` cells, whose other spaces the sampler fills in. So with β laid
out and the learning rate searched, every β gets the same number of cells, and they never compete across β.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard

from sweeps.space import Choice, Grid, Space
from sweeps.spec import SweepSpec
from vae_core.config import TrialConfig
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
    shared = spec.to_dict()
    return TrialConfig.from_dict(
        {
            "data": shared["data"],
            "evaluation": shared["evaluation"],
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
    name = called(spec.objectives, layout.objective)
    by = spec.tradeoff.by
    if by is None:
        strength = OBJECTIVES[str(entry["name"])].strength
        by = () if strength is None else (strength,)
    values = {**_defaults(str(entry["name"])), **_values(spec, layout.objective), **params}
    parts = [name]
    for field in by:
        for section in ("objective", "train", "network"):
            path = f"{section}.{field}"
            if path in values:
                if path not in layout.searched:
                    parts.append(f"{field}={_short(values[path])}")
                break
    return " ".join(parts)


def called(objectives: Sequence[Mapping[str, Any]], position: int) -> str:
    """Return what to call an objective of a spec: its name, and what tells it from others of that name.

    `capacity_vae(abs)` and `capacity_vae(relu)` where choices of words tell all of them apart, else `beta_vae#1`.
    """
    name = str(objectives[position]["name"])
    same = {at: objective for at, objective in enumerate(objectives) if objective["name"] == name}
    if len(same) == 1:
        return name
    defaults = {path.partition(".")[2]: value for path, value in _defaults(name).items()}
    whole = {at: {**defaults, **objective} for at, objective in same.items()}
    words = [
        field
        for field in defaults
        if len({str(own[field]) for own in whole.values()}) > 1
        and all(isinstance(own[field], str) for own in whole.values())
    ]
    told = {at: ", ".join(own[field] for field in words) for at, own in whole.items()}
    return f"{name}({told[position]})" if len(set(told.values())) == len(told) else f"{name}#{position}"


def _values(spec: SweepSpec, position: int) -> dict[str, Any]:
    """Return path -> value or space of everything an objective's trials are made of, in the order of the product."""
    sections = {"network": spec.network, "train": spec.train, "objective": spec.objectives[position]}
    return {f"{section}.{field}": value for section, fields in sections.items() for field, value in fields.items()}


def _defaults(objective: str) -> dict[str, Any]:
    fields = getattr(OBJECTIVES[objective], "__dataclass_fields__", {})
    return {f"objective.{name}": field.default for name, field in fields.items()}


def _laid_out(space: Space, spec: SweepSpec) -> TypeGuard[Grid | Choice]:
    return isinstance(space, Grid) or (spec.search.name == "grid" and isinstance(space, Choice))


def _short(value: Any) -> str:
    """Return a value as a bracket's name has it: of a text of several lines, eight digits of its hash."""
    if value is None:
        return "null"
    if isinstance(value, str) and "\n" in value:
        return hashlib.sha256(value.encode()).hexdigest()[:8]
    return f"{value:g}" if isinstance(value, float) else str(value)
