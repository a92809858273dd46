"""Checks one value against a type hint, and says in words which rule the value breaks.

The hints of the registries' dataclasses and of the spec's sections are the only place where types
and bounds are written. Pydantic checks values against them; this file turns pydantic's errors into
messages.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from torch import Tensor

from metrics.near_names import nearest
from sweeps.spec.errors import VALUE_CHARACTERS, Problems, SpecPath, shortened, spell
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


def check_value(
    adapter: TypeAdapter[Any],
    value: Any,
    path: SpecPath,
    problems: Problems,
    *,
    known_keys: Iterable[str] = (),
) -> Any:
    """Return a value as its hint wants it: lists as tuples, 1 as 1.0.

    Args:
        adapter: validator of the hint.
        value: as YAML gives it. It is returned as it is if it breaks the hint.
        path: path of the value in the spec.
        problems: gets every problem of the value (`train.epochs must be >= 1, got 0`).
        known_keys: keys of the mapping, to name the nearest to an unknown one.
    """
    try:
        return adapter.validate_python(registry.lists_to_tuples(value), strict=True)
    except ValidationError as error:
        all_details = error.errors(include_url=False)
    details_by_path: dict[SpecPath, list[ErrorDetails]] = {}
    for details in all_details:
        if details["type"] in _KEY_ERRORS:
            _add_key_problem(details, value, path, problems, known_keys=known_keys)
        else:
            inner_path = _path_inside(value, details["loc"])
            details_by_path.setdefault(inner_path, []).append(details)
    for inner_path, path_details in details_by_path.items():
        # A union gives errors of every branch. The branch that came furthest into the value is the
        # one that the user meant.
        if not _is_outside_of_another(inner_path, details_by_path):
            full_path = (*path, *inner_path)
            problems.add(full_path, f"{spell(full_path)} {_broken_rule(path_details)}")
    return value


_KEY_ERRORS = ("extra_forbidden", "missing")
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


def _path_inside(value: Any, location: tuple[str | int, ...]) -> SpecPath:
    """Return the parts of pydantic's location that the user wrote.

    Pydantic's location also holds branches of a union, and the index 0 of a list that the user
    wrote as one element without a list.
    """
    path: list[str | int] = []
    inner: Any = value
    for part in location:
        if _has_part(inner, part):
            inner = inner[part]
            path.append(part)
    return tuple(path)


def _has_part(value: Any, part: str | int) -> bool:
    if isinstance(value, Mapping):
        return part in value
    return isinstance(value, list | tuple) and isinstance(part, int) and part < len(value)


def _is_outside_of_another(path: SpecPath, paths: Iterable[SpecPath]) -> bool:
    """Return whether one of several paths leads further into the value at this path."""
    return any(other != path and other[: len(path)] == path for other in paths)


def _add_key_problem(
    details: ErrorDetails,
    value: Any,
    path: SpecPath,
    problems: Problems,
    *,
    known_keys: Iterable[str],
) -> None:
    """Add the problem of a key that is missing or unknown."""
    key = details["loc"][-1]
    mapping_path = (*path, *_path_inside(value, details["loc"][:-1]))
    key_path = (*mapping_path, key)
    if details["type"] == "missing":
        message = f"{spell(key_path)} is missing; {spell(mapping_path)} needs it"
        problems.add(mapping_path, message)
    else:
        problems.add(
            key_path, f"{spell(key_path)}: {registry.unknown_name('key', key, known_keys)}"
        )


def _broken_rule(all_details: list[ErrorDetails]) -> str:
    """Return the rule that a value breaks, and the value: `must be >= 1, got 0`."""
    for details in all_details:
        if details["type"] == "value_error":  # raised by one of our own validators
            return str(details.get("ctx", {})["error"])
    value = all_details[0]["input"]
    for details in all_details:
        if details["type"] in _BOUNDS:
            return f"must be {_bound(details)}, got {value_text(value)}"
    kinds = dict.fromkeys(_kind(details) for details in all_details)
    hint = _nearest_choice(value, all_details)
    return f"must be {' or '.join(kinds)}, got {value_text(value)}{hint}"


def _bound(details: ErrorDetails) -> str:
    limits = {key: _without_decimals(limit) for key, limit in details.get("ctx", {}).items()}
    return _BOUNDS[details["type"]].format(**limits)


def _kind(details: ErrorDetails) -> str:
    if details["type"] == "literal_error":
        expected = str(details.get("ctx", {})["expected"])
        choices = expected.replace("'", "").replace(" or ", ", ")
        return f"one of {choices}"
    return _KINDS.get(details["type"], details["msg"])


def _nearest_choice(value: Any, all_details: list[ErrorDetails]) -> str:
    """Return `; did you mean 'grid'?` if the value is close to one of the allowed words, or ""."""
    choices: list[str] = []
    for details in all_details:
        choices += re.findall(r"'([^']+)'", details.get("ctx", {}).get("expected", ""))
    near = nearest(str(value), choices, cutoff=0.5)
    return f"; did you mean {near!r}?" if near else ""


def _without_tensors(hint: Any) -> Any:
    """Return a hint as a spec sees it: a hyperparameter that may be a float or a tensor is a float.

    Tensors stand for hyperparameters only where several trials train in one call.
    """
    origin = get_origin(hint)
    if origin is Annotated:
        inner = _without_tensors(get_args(hint)[0])
        return Annotated[(inner, *hint.__metadata__)]  # pyright: ignore[reportInvalidTypeForm]
    if origin in (Union, UnionType):
        branches = tuple(_without_tensors(part) for part in get_args(hint) if part is not Tensor)
        return Union[branches]  # noqa: UP007
    return hint


def value_text(value: Any) -> str:
    """Return a value as a message writes it."""
    text = repr(registry.tuples_to_lists(value))
    return {"None": "null", "True": "true", "False": "false"}.get(
        text, shortened(text, VALUE_CHARACTERS)
    )


def _without_decimals(limit: Any) -> Any:
    """Return a bound 2.0 as 2, so that a message says `>= 2`."""
    return int(limit) if isinstance(limit, float) and limit.is_integer() else limit
