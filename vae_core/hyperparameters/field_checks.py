"""Checks the fields of frozen dataclasses against their own annotations.

`beta: Annotated[Scalar, Ge(0)]` is the only place that states a bound. The dataclass refuses a bad
value by it, and the check of a spec and its JSON schema are derived from it.
"""

# Type hints are values here.
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import dataclasses
import functools
import math
import operator
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

# Attribute of an `annotated_types` bound (Ge, Gt, Le, Lt or Interval), its sign, its test.
_RULES = (
    ("ge", ">=", operator.ge),
    ("gt", ">", operator.gt),
    ("le", "<=", operator.le),
    ("lt", "<", operator.lt),
)

_Hints = tuple[Any, ...]


def check(instance: Any) -> None:
    """Check that every field of a dataclass instance obeys its annotation.

    It checks bounds (`annotated_types`), `Literal` choices, whole and other numbers, and tuples of
    them. Call it from `__post_init__`. A whole number given for a float becomes a float, so that
    `beta=4` and `beta=4.0` are the same trial.

    Raises:
        ValueError: some fields break their annotations; the message names all of them.
    """
    problems: list[str] = []
    for name, (kinds, bounds) in _rules_by_field(type(instance)).items():
        value = getattr(instance, name)
        problem = _value_problem(name, value, kinds, bounds)
        if problem is not None:
            field_problems = [problem]
        elif value is None:
            field_problems = []
        else:
            field_problems = _item_problems(name, value, kinds)
        problems += field_problems
        if not field_problems and float in kinds and isinstance(value, int):
            object.__setattr__(instance, name, float(value))  # the dataclass is frozen
    if problems:
        raise ValueError("; ".join(problems))


@functools.cache
def _rules_by_field(cls: type[Any]) -> dict[str, tuple[_Hints, _Hints]]:
    """Return the kinds and bounds of each field of a dataclass."""
    hints = get_type_hints(cls, include_extras=True)
    return {field.name: _unfold(hints[field.name]) for field in dataclasses.fields(cls)}


def _value_problem(name: str, value: object, kinds: _Hints, bounds: _Hints) -> str | None:
    """Return the rule of kind or bound that a value breaks, in words, or None."""
    return _kind_problem(name, value, kinds) or _bound_problem(name, value, bounds)


def _bound_problem(name: str, value: object, bounds: _Hints) -> str | None:
    """Return the bound that a number or a list breaks ("beta must be >= 0, got -1"), or None."""
    if isinstance(value, tuple | list):
        return _length_problem(name, len(value), bounds)  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None  # a tensor of a fused trial, a string or None: bounds are about numbers
    if isinstance(value, int) and value.bit_length() > 63:
        return f"{name} must fit 64 bits, got a whole number of {value.bit_length()} bits"
    if not math.isfinite(value):
        return f"{name} must be finite, got {value}"
    for bound in bounds:
        for attribute, sign, holds in _RULES:
            limit = getattr(bound, attribute, None)
            if limit is not None and not holds(value, limit):
                return f"{name} must be {sign} {limit}, got {value}"
    return None


def _length_problem(name: str, length: int, bounds: _Hints) -> str | None:
    """Return the bound on its length that a list breaks, in words, or None."""
    for bound in bounds:
        least, most = getattr(bound, "min_length", 0), getattr(bound, "max_length", None)
        if length < least:
            return f"{name} must be a list of at least {least}, got {length} items"
        if most is not None and length > most:
            return f"{name} must be a list of at most {most}, got {length} items"
    return None


def _kind_problem(name: str, value: object, kinds: _Hints) -> str | None:
    """Return the kind that a value should have, in words, or None; only some kinds are checked."""
    if value is None and type(None) in kinds:
        return None
    choices: list[object] = []
    for kind in kinds:
        if get_origin(kind) is Literal:
            choices += get_args(kind)
    if choices and value not in choices:
        return f"{name} must be one of {', '.join(map(str, choices))}, got {value!r}"
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if float in kinds:
        other_types = tuple(kind for kind in kinds if isinstance(kind, type) and kind is not float)
        if not is_number and not isinstance(value, other_types):
            return f"{name} must be a number, got {value!r}"
        return None
    if int in kinds and not (is_number and isinstance(value, int)):
        return f"{name} must be a whole number, got {value!r}"
    return None


def _item_problems(name: str, value: object, kinds: _Hints) -> list[str]:
    """Return the problems of the items of a tuple, if the field holds a tuple."""
    tuple_hint = next((kind for kind in kinds if get_origin(kind) is tuple), None)
    if tuple_hint is None:
        return []
    if not isinstance(value, tuple | list):
        return [f"{name} must be a list, got {value!r}"]
    items: list[object] = list(value)
    hints = list(get_args(tuple_hint))
    if hints[-1] is Ellipsis:
        hints = [hints[0]] * len(items)
    if len(items) != len(hints):
        return [f"{name} must have {len(hints)} values, got {len(items)}"]
    problems: list[str] = []
    for index, (item, hint) in enumerate(zip(items, hints, strict=True)):
        path = f"{name}[{index}]"
        item_kinds, bounds = _unfold(hint)
        problem = _value_problem(path, item, item_kinds, bounds)
        if problem is None and item_kinds == (str,) and not isinstance(item, str):
            problem = f"{path} must be text, got {item!r}"
        if problem is not None:
            problems.append(problem)
    return problems


def _unfold(hint: Any) -> tuple[_Hints, _Hints]:
    """Return the members of a (nested) union and the bounds on any of them."""
    if hasattr(hint, "__metadata__"):  # Annotated[T, bound, …]
        inner, *own_bounds = get_args(hint)
        kinds, bounds = _unfold(inner)
        return kinds, (*bounds, *own_bounds)
    if get_origin(hint) not in (Union, UnionType):
        return (hint,), ()
    all_kinds: list[Any] = []
    all_bounds: list[Any] = []
    for member in get_args(hint):
        kinds, bounds = _unfold(member)
        all_kinds += kinds
        all_bounds += bounds
    return tuple(all_kinds), tuple(all_bounds)
