"""Turns frozen dataclasses into plain mappings and back through a literal registry.

`{"name": "beta_vae", "beta": 4.0}` <-> `BetaVAE(beta=4.0)`: the same form in a spec, the ledger, MLflow and a
checkpoint.
"""

# What is walked here is anybody's nested mapping.
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """Return the message for a name that no registry row has, with the nearest known one."""
    names = list(known)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ";"
    return f"unknown {kind} {str(name)!r}{hint} known: {', '.join(names)}"


def describe(instance: Any, registry: Mapping[str, type[Any]]) -> dict[str, Any]:
    """Return the mapping of an instance: its registry name, then its fields in order, tuples as lists."""
    name = next(key for key, cls in registry.items() if cls is type(instance))
    return {"name": name, **plain(instance)}


def plain(instance: Any) -> dict[str, Any]:
    """Return a dataclass's fields as JSON-ready values (tuples as lists)."""
    return {
        field.name: _listed(getattr(instance, field.name)) for field in dataclasses.fields(instance)
    }


def build(kind: str, mapping: Mapping[str, Any], registry: Mapping[str, type[T]]) -> T:
    """Return the instance that a mapping describes.

    Raises:
        ValueError: no or an unknown name, an unknown field, or a value that the dataclass refuses.
    """
    fields = dict(mapping)
    name = fields.pop("name", None)
    if name not in registry:
        raise ValueError(unknown(kind, name, registry))
    return construct(f"{kind} {name}", fields, registry[name])


def construct(what: str, fields: Mapping[str, Any], cls: type[T]) -> T:
    """Return `cls(**fields)`, lists as tuples; ValueError names an unknown field and the nearest one."""
    known = [field.name for field in dataclasses.fields(cls)]  # pyright: ignore[reportArgumentType]
    for field in fields:
        if field not in known:
            raise ValueError(f"{what}: {unknown('field', field, known)}")
    return cls(**{key: _tupled(value) for key, value in fields.items()})


def _listed(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_listed(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _listed(item) for key, item in value.items()}
    return value


def _tupled(value: Any) -> Any:
    return tuple(_tupled(item) for item in value) if isinstance(value, list | tuple) else value
