"""Turns frozen dataclasses into plain mappings and back, by a literal registry.

`{"name": "beta_vae", "beta": 4.0}` <-> `BetaVAE(beta=4.0)`: the same form in a spec, the ledger,
MLflow and a checkpoint.
"""

# The values here are nested mappings of any content.
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from metrics.near_names import did_you_mean

T = TypeVar("T")


def unknown_name(kind: str, name: object, known: Iterable[str]) -> str:
    """Return the message for a name that no registry has, with the nearest known name."""
    names = list(known)
    hint = did_you_mean(str(name), names, cutoff=0.5)
    return f"unknown {kind} {str(name)!r}{hint} known: {', '.join(names)}"


def describe(instance: Any, registry: Mapping[str, type[Any]]) -> dict[str, Any]:
    """Return the mapping of an instance: its registry name, then its fields, tuples as lists."""
    name = next(key for key, cls in registry.items() if cls is type(instance))
    return {"name": name, **fields_of(instance)}


def fields_of(instance: Any) -> dict[str, Any]:
    """Return the fields of a dataclass as JSON-ready values (tuples as lists)."""
    return {
        field.name: tuples_to_lists(getattr(instance, field.name))
        for field in dataclasses.fields(instance)
    }


def build(kind: str, mapping: Mapping[str, Any], registry: Mapping[str, type[T]]) -> T:
    """Return the instance that a mapping describes.

    Raises:
        ValueError: the name is missing or unknown, a field is unknown, or the dataclass refuses a
            value.
    """
    fields = dict(mapping)
    name = fields.pop("name", None)
    if name not in registry:
        raise ValueError(unknown_name(kind, name, registry))
    return construct(f"{kind} {name}", fields, registry[name])


def construct(what: str, fields: Mapping[str, Any], cls: type[T]) -> T:
    """Return `cls(**fields)`, lists as tuples.

    Raises:
        ValueError: a field is unknown (the message has the nearest known one), or the dataclass
            refuses a value.
    """
    known = [field.name for field in dataclasses.fields(cls)]  # pyright: ignore[reportArgumentType]
    arguments: dict[str, Any] = {}
    for field, value in fields.items():
        if field not in known:
            raise ValueError(f"{what}: {unknown_name('field', field, known)}")
        # A data set checks the lists inside a mapping itself; its messages show them as given.
        arguments[field] = value if isinstance(value, Mapping) else lists_to_tuples(value)
    return cls(**arguments)


def tuples_to_lists(value: Any) -> Any:
    """Return a value with every tuple in it, also inside lists and mappings, as a list."""
    if isinstance(value, tuple | list):
        return [tuples_to_lists(item) for item in value]
    if isinstance(value, Mapping):
        return {key: tuples_to_lists(item) for key, item in value.items()}
    return value


def lists_to_tuples(value: Any) -> Any:
    """Return a value with every list in it, also inside tuples and mappings, as a tuple."""
    if isinstance(value, list | tuple):
        return tuple(lists_to_tuples(item) for item in value)
    if isinstance(value, Mapping):
        return {key: lists_to_tuples(item) for key, item in value.items()}
    return value
