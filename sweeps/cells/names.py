"""Names of entries and brackets: what tells the objectives of a spec apart."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sweeps.cells.cell_grid import Layout, given_parameters
from sweeps.spec import type_hints
from sweeps.spec.space import Space
from sweeps.spec.sweep_spec import SweepSpec
from vae_core.config import TrainConfig
from vae_core.networks import NETWORKS
from vae_core.objectives import OBJECTIVES


class Bracket(NamedTuple):
    """The cells that compete with each other: those of one entry with the same values of `tradeoff.by`."""

    entry: str  # name of the entry of `objectives`
    fields: tuple[tuple[str, str], ...]  # (field of `tradeoff.by`, its value as text), in the order of `by`

    @property
    def name(self) -> str:
        """The bracket as one text: `beta_vae beta=4`."""
        return " ".join([self.entry, *(f"{field}={value}" for field, value in self.fields)])


def bracket(spec: SweepSpec, layout: Layout, params: Mapping[str, Any]) -> Bracket:
    """Return the bracket of a cell. A parameter that a sampler searches is not part of a bracket.

    Args:
        spec: the spec.
        layout: the layout of the cell.
        params: path ("objective.beta") -> value of all parameters that were laid out or searched.
    """
    entry = spec.objectives[layout.objective]
    by = spec.tradeoff.by
    if by is None:
        strength = OBJECTIVES[str(entry["name"])].strength
        by = () if strength is None else (strength,)
    known = {
        path: value
        for path, value in _default_parameters(spec, layout.objective).items()
        if value is not None
    }
    values = {**known, **given_parameters(spec, layout.objective), **params}
    fields: list[tuple[str, str]] = []
    for field in by:
        paths = [f"{section}.{field}" for section in ("objective", "train", "network")]
        path = next((path for path in paths if path in values), None)
        if path is not None and path not in layout.searched:
            fields.append((field, _short(values[path])))
    return Bracket(entry_name(spec, layout.objective, beside=by), tuple(fields))


def entry_name(spec: SweepSpec, position: int, *, beside: Collection[str] = ()) -> str:
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
    numbers = any(
        section in spec.entry_settings[at] for at in same for section in ("network", "train")
    )
    whole = {at: {**_default_parameters(spec, at), **given_parameters(spec, at)} for at in same}
    telling = [
        path for path in whole[position] if _tells(path, list(whole.values()), numbers=numbers)
    ]
    told = {at: _words(own, telling) for at, own in whole.items()}
    if len(set(told.values())) < len(told):
        varied = {
            at: ", ".join(key for key, v in spec.objectives[at].items() if isinstance(v, Space))
            for at in same
        }
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
    words = {field: _short(type_hints.tuples_to_lists(value)) for field, value in values.items()}
    return ", ".join(
        word if isinstance(values[field], str) and word == values[field] else f"{field} {word}"
        for field, word in words.items()
    )


def _default_parameters(spec: SweepSpec, position: int) -> dict[str, Any]:
    """Return path -> default of the fields of an objective, its network and training."""
    parts = spec.parts(position)
    network, objective = (
        NETWORKS[str(parts.network["name"])],
        OBJECTIVES[str(parts.objective["name"])],
    )
    return {
        f"{section}.{field.name}": field.default
        for section, cls in (("network", network), ("train", TrainConfig), ("objective", objective))
        for field in dataclasses.fields(cls)  # pyright: ignore[reportArgumentType]
        if field.default is not dataclasses.MISSING
    }


def _short(value: Any) -> str:
    """Return a value as a bracket's name has it: of a text of several lines, eight digits of its hash."""
    if value is None:
        return "null"
    if isinstance(value, str) and "\n" in value:
        return hashlib.sha256(value.encode()).hexdigest()[:8]
    return f"{value:g}" if isinstance(value, float) else str(value)
