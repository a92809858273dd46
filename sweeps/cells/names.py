"""Names of entries and brackets: what tells the entries of a spec apart."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sweeps.cells.cell_grid import Layout, given_parameters
from sweeps.spec.space import Space
from sweeps.spec.sweep_spec import SweepSpec
from vae_core.config import TrainConfig
from vae_core.hyperparameters.registry import tuples_to_lists
from vae_core.networks import NETWORKS
from vae_core.objectives import OBJECTIVES


class Bracket(NamedTuple):
    """The cells that compete: one entry, one value of each field of `tradeoff.by`."""

    entry: str  # name of the entry of `objectives`
    fields: tuple[tuple[str, str], ...]  # (field of `tradeoff.by`, value as text), in this order

    @property
    def name(self) -> str:
        """The bracket as one text: `beta_vae beta=4`."""
        return " ".join([self.entry, *(f"{field}={value}" for field, value in self.fields)])


class Brackets:
    """Names the brackets of the cells of a sweep; what the cells of an entry share is kept."""

    def __init__(self, spec: SweepSpec) -> None:
        self._spec = spec
        self._entries: dict[int, tuple[str, Sequence[str], dict[str, Any]]] = {}

    def of_cell(self, layout: Layout, params: Mapping[str, Any]) -> Bracket:
        """Return the bracket of a cell. A parameter that a sampler searches is not part of it.

        Args:
            layout: the layout of the cell.
            params: path ("objective.beta") -> value of all parameters that were laid out or
                searched.
        """
        entry, bracket_fields, values_of_entry = self._entry(layout.objective)
        values = {**values_of_entry, **params}
        fields: list[tuple[str, str]] = []
        for field in bracket_fields:
            path = _path_of(field, values)
            if path is not None and path not in layout.searched:
                fields.append((field, _value_text(values[path])))
        return Bracket(entry, tuple(fields))

    def _entry(self, index: int) -> tuple[str, Sequence[str], dict[str, Any]]:
        """Return the name of an entry, its bracket fields, and its values before the layout."""
        if index not in self._entries:
            values: dict[str, Any] = {}
            for path, default in _default_parameters(self._spec, index).items():
                if default is not None:
                    values[path] = default
            values |= given_parameters(self._spec, index)
            fields = _bracket_fields(self._spec, index)
            name = entry_name(self._spec, index, bracket_fields=fields)
            self._entries[index] = (name, fields, values)
        return self._entries[index]


def bracket(spec: SweepSpec, layout: Layout, params: Mapping[str, Any]) -> Bracket:
    """Return the bracket of one cell; see `Brackets`."""
    return Brackets(spec).of_cell(layout, params)


def _bracket_fields(spec: SweepSpec, index: int) -> Sequence[str]:
    """Return `tradeoff.by`; if it is not given, the strength of the entry's objective."""
    if spec.tradeoff.by is not None:
        return spec.tradeoff.by
    strength = OBJECTIVES[str(spec.objectives[index]["name"])].strength
    return () if strength is None else (strength,)


def _path_of(field: str, values: Mapping[str, Any]) -> str | None:
    """Return the path of a field: of the objective, else of the training, else of the network."""
    for section in ("objective", "train", "network"):
        path = f"{section}.{field}"
        if path in values:
            return path
    return None


def entry_name(spec: SweepSpec, index: int, *, bracket_fields: Collection[str] = ()) -> str:
    """Return the name of an entry: its objective, and what tells it from entries of that objective.

    1. The only entry of its objective has the objective's name: `vae`.
    2. Else the name holds the fields that differ, if their values tell all these entries apart.
       Words are enough where no entry has settings of its own: `capacity_vae(abs)`,
       `capacity_vae(relu)`. Where an entry has, numbers count too: `beta_vae(latents 5)`,
       `beta_vae(latents 10)`.
    3. Else the name holds the fields that have a space: `beta_tcvae(alpha)`, `beta_tcvae(beta)`.
    4. If these do not tell the entries apart either, the name holds the index: `beta_vae#1`.

    Args:
        spec: the spec.
        index: of the entry in `spec.objectives`.
        bracket_fields: fields that the bracket adds to the name; a name with numbers omits them.
    """
    objective = str(spec.objectives[index]["name"])
    same_objective = [
        other for other, entry in enumerate(spec.objectives) if entry["name"] == objective
    ]
    if len(same_objective) == 1:
        return objective

    parameters = {
        other: {**_default_parameters(spec, other), **given_parameters(spec, other)}
        for other in same_objective
    }
    all_parameters = list(parameters.values())
    numbers = any(_has_entry_settings(spec, other) for other in same_objective)
    differing = [
        path for path in parameters[index] if _differs(path, all_parameters, numbers=numbers)
    ]
    if _all_distinct([_parameters_text(entry, differing) for entry in all_parameters]):
        if numbers:
            differing = [path for path in differing if _field(path) not in bracket_fields]
        text = _parameters_text(parameters[index], differing)
        return f"{objective}({text})" if text else objective

    space_fields = {other: _space_fields(spec, other) for other in same_objective}
    if all(space_fields.values()) and _all_distinct(list(space_fields.values())):
        return f"{objective}({space_fields[index]})"
    return f"{objective}#{index}"


def _has_entry_settings(spec: SweepSpec, index: int) -> bool:
    """Return whether an entry has settings of its own for the network or the training."""
    return "network" in spec.entry_settings[index] or "train" in spec.entry_settings[index]


def _differs(path: str, entries: Sequence[Mapping[str, Any]], *, numbers: bool) -> bool:
    """Return whether a parameter may tell entries apart: all have it, and not all the same value.

    Args:
        path: of the parameter.
        entries: path -> value or space, of each entry.
        numbers: True: any parameter without a space counts. False: words of the objective only.
    """
    if any(path not in entry for entry in entries):
        return False
    values = [entry[path] for entry in entries]
    if all(value == values[0] for value in values):
        return False
    if numbers:
        return not any(isinstance(value, Space) for value in values)
    return path.startswith("objective.") and all(isinstance(value, str) for value in values)


def _parameters_text(parameters: Mapping[str, Any], paths: Sequence[str]) -> str:
    """Return some parameters as text: `adam, latents 5`. A word stands without its field.

    None and the empty tuple mean "not given" and are left out.
    """
    values: dict[str, Any] = {}
    for path in paths:
        value = parameters[path]
        if value is not None and value != ():
            values[_field(path)] = value
    texts: list[str] = []
    for field, value in values.items():
        text = _value_text(tuples_to_lists(value))
        is_word = isinstance(value, str) and text == value
        texts.append(text if is_word else f"{field} {text}")
    return ", ".join(texts)


def _space_fields(spec: SweepSpec, index: int) -> str:
    """Return the fields of an entry that have a space: `beta, gamma`."""
    entry = spec.objectives[index]
    return ", ".join(field for field, value in entry.items() if isinstance(value, Space))


def _all_distinct(texts: Sequence[str]) -> bool:
    return len(set(texts)) == len(texts)


def _field(path: str) -> str:
    """Return the field of a path: `latents` of `network.latents`."""
    return path.partition(".")[2]


def _default_parameters(spec: SweepSpec, index: int) -> dict[str, Any]:
    """Return path -> default of the fields of an entry's network, training and objective."""
    parts = spec.parts(index)
    classes = {
        "network": NETWORKS[str(parts.network["name"])],
        "train": TrainConfig,
        "objective": OBJECTIVES[str(parts.objective["name"])],
    }
    defaults: dict[str, Any] = {}
    for section, cls in classes.items():
        for field in dataclasses.fields(cls):  # pyright: ignore[reportArgumentType]
            if field.default is not dataclasses.MISSING:
                defaults[f"{section}.{field.name}"] = field.default
    return defaults


def _value_text(value: Any) -> str:
    """Return a value as a name holds it; of a text of several lines, eight digits of its hash."""
    if value is None:
        return "null"
    if isinstance(value, str) and "\n" in value:
        return hashlib.sha256(value.encode()).hexdigest()[:8]
    return f"{value:g}" if isinstance(value, float) else str(value)
