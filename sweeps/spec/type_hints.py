"""Checks one value against a type hint, and says in words what is wrong with it.

The hints of the registries' dataclasses and of the spec's own sections are the only statement of types and
bounds; pydantic reads them, this file turns what it finds into sentences.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import re
from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from torch import Tensor

from sweeps.spec.errors import Path, spell
from vae_core.hyperparameters import registry


@functools.cache
def adapters(cls: type) -> dict[str, TypeAdapter[Any]]:
    """Return a validator for every field of a dataclass."""
    hints = get_type_hints(cls, include_extras=True)
    config = ConfigDict(allow_inf_nan=False, arbitrary_types_allowed=True)
    return {
        field.name: TypeAdapter(_without_tensors(hints[field.name]), config=config)
        for field in dataclasses.fields(cls)
        if field.init
    }


def read(
    adapter: TypeAdapter[Any],
    value: Any,
    path: Path,
    found: list[tuple[Path, str]],
    *,
    known: Iterable[str] = (),
) -> Any:
    """Return a plain value as its hint wants it (lists as tuples, 1 as 1.0); mistakes go to `found`.

    Args:
        adapter: of the hint.
        value: as YAML gives it.
        path: of the value in the spec.
        found: gets the path and the sentence (`train.epochs must be >= 1, got 0`) of every mistake.
        known: keys of the mapping, to name the nearest to an unknown one.
    """
    try:
        return adapter.validate_python(_tupled(value), strict=True)
    except ValidationError as error:
        details = error.errors(include_url=False)
    groups: dict[Path, list[ErrorDetails]] = {}
    for detail in details:
        if detail["type"] in _KEYS:
            found.append(_about_key(detail, value, path, known))
        else:
            groups.setdefault(_written(detail["loc"], value), []).append(detail)
    for inner, group in groups.items():
        # A union complains once per branch: the branch that came further in is the one that was meant.
        if not any(other[: len(inner)] == inner and other != inner for other in groups):
            found.append(((*path, *inner), f"{spell((*path, *inner))} {_rule(group)}"))
    return value


_KEYS = ("extra_forbidden", "missing")
_BOUNDS = {
    "greater_than_equal": ">= {ge}",
    "greater_than": "> {gt}",
    "less_than_equal": "<= {le}",
    "less_than": "< {lt}",
    "finite_number": "finite",
    "too_short": "a list of at least {min_length}",
    "string_too_short": "text of at least {min_length} character",
    "too_long": "a list of at most {max_length}",
}
_KINDS = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "none_required": "null",
}


def _written(location: tuple[str | int, ...], value: Any) -> Path:
    """Return pydantic's location without what the user did not write: branches of a union, a list of one."""
    path: list[str | int] = []
    place: Any = value
    for part in location:
        if (isinstance(place, Mapping) and part in place) or (
            isinstance(place, list | tuple) and isinstance(part, int) and part < len(place)
        ):
            place = place[part]  # pyright: ignore[reportArgumentType, reportCallIssue]
            path.append(part)
    return tuple(path)


def _about_key(
    detail: ErrorDetails, value: Any, path: Path, known: Iterable[str]
) -> tuple[Path, str]:
    key = detail["loc"][-1]
    inside = (*path, *_written(detail["loc"][:-1], value))
    if detail["type"] == "missing":
        return inside, f"{spell((*inside, key))} is missing"
    return (*inside, key), f"{spell((*inside, key))}: {registry.unknown('key', key, known)}"


def _rule(group: list[ErrorDetails]) -> str:
    """Return the rule that a value breaks, and the value."""
    first = group[0]
    if "value_error" in {detail["type"] for detail in group}:
        return str(
            next(detail for detail in group if detail["type"] == "value_error").get("ctx", {})[
                "error"
            ]
        )
    bounds = [detail for detail in group if detail["type"] in _BOUNDS]
    if bounds:
        limits = {key: _whole(limit) for key, limit in bounds[0].get("ctx", {}).items()}
        rule = _BOUNDS[bounds[0]["type"]].format(**limits)
        return f"must be {rule}, got {shown(first['input'])}"
    kinds = list(dict.fromkeys(_kind(detail) for detail in group))
    names = [
        name
        for detail in group
        for name in re.findall(r"'([^']+)'", detail.get("ctx", {}).get("expected", ""))
    ]
    near = difflib.get_close_matches(str(first["input"]), names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"must be {' or '.join(kinds)}, got {shown(first['input'])}{hint}"


def _kind(detail: ErrorDetails) -> str:
    if detail["type"] == "literal_error":
        return (
            str(detail.get("ctx", {})["expected"])
            .replace("'", "")
            .replace(" or ", ", ")
            .join(("one of ", ""))
        )
    return _KINDS.get(detail["type"], detail["msg"])


def _without_tensors(hint: Any) -> Any:
    """Return a hint as a spec sees it: a `Knob` (float or tensor) is a number."""
    origin = get_origin(hint)
    if origin is Annotated:
        return Annotated[(_without_tensors(get_args(hint)[0]), *hint.__metadata__)]  # pyright: ignore[reportInvalidTypeForm]
    if origin in (Union, UnionType):
        return Union[tuple(_without_tensors(part) for part in get_args(hint) if part is not Tensor)]  # noqa: UP007
    return hint


def _tupled(value: Any) -> Any:
    """Return YAML's lists as tuples, the only sequences that our hints have."""
    if isinstance(value, list | tuple):
        return tuple(_tupled(item) for item in value)
    if isinstance(value, Mapping):
        return {key: _tupled(item) for key, item in value.items()}
    return value


def listed(value: Any) -> Any:
    """Return tuples as lists, as YAML and messages show them."""
    if isinstance(value, list | tuple):
        return [listed(item) for item in value]
    if isinstance(value, Mapping):
        return {key: listed(item) for key, item in value.items()}
    return value


def shown(value: Any) -> str:
    """Return a value as a message shows it."""
    return {"None": "null", "True": "true", "False": "false"}.get(text := repr(listed(value)), text)


def _whole(limit: Any) -> Any:
    return int(limit) if isinstance(limit, float) and limit.is_integer() else limit
