"""What there is to say about the fields of a registry's dataclass: type, bounds, default, meaning."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from sweeps.spec import type_hints


class Field(NamedTuple):
    """One field of a dataclass that a spec can give."""

    name: str
    schema: dict[str, Any]  # JSON schema of its hint
    required: bool
    default: Any  # None if required
    meaning: str  # from the docstring's Args, "" if it says nothing


def fields(cls: type) -> list[Field]:
    """Return the fields of a dataclass, in order."""
    meanings = _arguments(inspect.getdoc(cls) or "")
    adapters = type_hints.adapters(cls)
    described: list[Field] = []
    for field in dataclasses.fields(cls):
        if field.name not in adapters:
            continue
        made = field.default_factory is not dataclasses.MISSING
        required = field.default is dataclasses.MISSING and not made
        default = field.default_factory() if made else field.default  # pyright: ignore[reportCallIssue]
        schema = adapters[field.name].json_schema()
        meaning = meanings.get(field.name, "")
        described.append(
            Field(
                field.name,
                schema,
                required,
                None if required else type_hints.listed(default),
                meaning,
            )
        )
    return described


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
    """Return in words what a JSON schema allows: `number >= 0`, `one of mws, mss`, `list of (whole number)`."""
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
        if "prefixItems" in schema:
            each = schema["prefixItems"]
            return f"list of {len(each)} ({', '.join(dict.fromkeys(map(words, each)))})"
        return f"list of ({words(schema['items'])})" if schema.get("items") else "list"
    if kind == "object":
        items = schema.get("additionalProperties")
        return f"mapping to ({words(items)})" if isinstance(items, Mapping) and items else "mapping"
    limits = " and ".join(
        f"{sign} {schema[key]:g}" for key, sign in _SIGNS.items() if key in schema
    )
    return f"{_SIMPLE.get(kind, 'value')} {limits}".strip()


def _arguments(docstring: str) -> dict[str, str]:
    """Return the meaning of every argument in a docstring's `Args:` section."""
    _, _, section = docstring.partition("\nArgs:\n")
    section = re.split(r"\n(?=\S)", section)[0]
    found = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", section, flags=re.MULTILINE)
    return {name: re.sub(r"\s+", " ", text).rstrip(".") for name, text in found}
