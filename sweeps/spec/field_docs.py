"""Describes the fields of a registry's dataclass: type, bounds, default, meaning."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from sweeps.spec import type_hints
from vae_core.hyperparameters import registry


class Field(NamedTuple):
    """One field of a dataclass that a spec can give."""

    name: str
    schema: dict[str, Any]  # JSON schema of its hint
    required: bool
    default: Any  # None if required
    meaning: str  # from the section Args of the docstring; "" if the field is not there


def fields(cls: type) -> list[Field]:
    """Return the fields of a dataclass, in order."""
    meanings = _argument_meanings(inspect.getdoc(cls) or "")
    adapters = type_hints.adapters(cls)
    return [
        Field(
            name=field.name,
            schema=adapters[field.name].json_schema(),
            required=_is_required(field),
            default=registry.tuples_to_lists(_default(field)),
            meaning=meanings.get(field.name, ""),
        )
        for field in dataclasses.fields(cls)
        if field.name in adapters
    ]


def summary(thing: object) -> str:
    """Return the first line of a docstring."""
    return (inspect.getdoc(thing) or "").partition("\n")[0]


_SIMPLE = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
}
_SIGNS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


def words(schema: Mapping[str, Any]) -> str:
    """Return in words what a JSON schema allows.

    `number >= 0`, `one of mws, mss`, `list of (whole number)`.
    """
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(words(branch) for branch in schema["anyOf"]))
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    if "const" in schema:
        return str(schema["const"])
    kind = str(schema.get("type"))
    if kind == "null":
        return "null"
    if kind == "array":
        return _list_words(schema)
    if kind == "object":
        items = schema.get("additionalProperties")
        return f"mapping to ({words(items)})" if isinstance(items, Mapping) and items else "mapping"
    limits = [f"{sign} {schema[key]:g}" for key, sign in _SIGNS.items() if key in schema]
    return f"{_SIMPLE.get(kind, 'value')} {' and '.join(limits)}".strip()


def _list_words(schema: Mapping[str, Any]) -> str:
    if "prefixItems" in schema:  # a list of fixed length
        items = schema["prefixItems"]
        kinds = dict.fromkeys(words(item) for item in items)
        return f"list of {len(items)} ({', '.join(kinds)})"
    return f"list of ({words(schema['items'])})" if schema.get("items") else "list"


def _is_required(field: dataclasses.Field[Any]) -> bool:
    has_factory = field.default_factory is not dataclasses.MISSING
    return field.default is dataclasses.MISSING and not has_factory


def _default(field: dataclasses.Field[Any]) -> Any:
    """Return the default of a field; None if there is none."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def _argument_meanings(docstring: str) -> dict[str, str]:
    """Return argument -> meaning, as the section `Args:` of a docstring says it."""
    _, _, section = docstring.partition("\nArgs:\n")
    section = re.split(r"\n(?=\S)", section)[0]
    arguments = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", section, flags=re.MULTILINE)
    return {name: re.sub(r"\s+", " ", text).rstrip(".") for name, text in arguments}
