"""Checks the fields of frozen dataclasses against their own annotations.

`beta: Annotated[Knob, Ge(0)]` is the only place that states a bound: the dataclass refuses a bad value by it,
and a spec is validated and its JSON schema written from it.
"""

# Type hints are walked as values here.
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import dataclasses
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


def constraints(cls: type, name: str) -> tuple[Any, ...]:
    """Return the `annotated_types` bounds of one field."""
    return _unfold(get_type_hints(cls, include_extras=True)[name])[1]


def violation(name: str, value: object, bounds: tuple[Any, ...]) -> str | None:
    """Return the rule that a number breaks, in words ("beta must be >= 0, got -1"), or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None  # a tensor (a fused knob), a string or None: bounds speak of numbers
    if not math.isfinite(value):
        return f"{name} must be finite, got {value}"
    for bound in bounds:
        for attribute, sign, holds in _RULES:
            limit = getattr(bound, attribute, None)
            if limit is not None and not holds(value, limit):
                return f"{name} must be {sign} {limit}, got {value}"
    return None


def check(instance: Any) -> None:
    """Raise ValueError naming every field of a dataclass instance that breaks its annotation.

    Covers bounds (`annotated_types`), `Literal` choices, whole and other numbers, and tuples of them; call it from
    `__post_init__`. A whole
    number given for a float becomes one, so that `beta=4` and `beta=4.0` are the same trial.
    """
    hints = get_type_hints(type(instance), include_extras=True)
    wrong: list[str] = []
    for field in dataclasses.fields(instance):
        value = getattr(instance, field.name)
        kinds, bounds = _unfold(hints[field.name])
        broken = _wrong_kind(field.name, value, kinds) or violation(field.name, value, bounds)
        inside = [] if value is None else _wrong_items(field.name, value, kinds)
        if broken is not None or inside:
            wrong += [broken] if broken is not None else inside
        elif float in kinds and isinstance(value, int):
            object.__setattr__(instance, field.name, float(value))  # the dataclass is frozen
    if wrong:
        raise ValueError("; ".join(wrong))


def _wrong_kind(name: str, value: object, kinds: tuple[Any, ...]) -> str | None:
    """Return what a value should have been, if its kind is one that is checked."""
    if value is None and type(None) in kinds:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    choices = [choice for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
    if choices and value not in choices:
        return f"{name} must be one of {', '.join(map(str, choices))}, got {value!r}"
    if float in kinds:
        other = tuple(kind for kind in kinds if isinstance(kind, type) and kind is not float)
        return (
            None
            if number or isinstance(value, other)
            else f"{name} must be a number, got {value!r}"
        )
    if int in kinds and not (number and isinstance(value, int)):
        return f"{name} must be a whole number, got {value!r}"
    return None


def _wrong_items(name: str, value: object, kinds: tuple[Any, ...]) -> list[str]:
    """Return what is wrong with the items of a tuple, if a tuple is what the field holds."""
    hint = next((kind for kind in kinds if get_origin(kind) is tuple), None)
    if hint is None:
        return []
    if not isinstance(value, tuple | list):
        return [f"{name} must be a list, got {value!r}"]
    items: list[object] = list(value)
    hints = list(get_args(hint))
    if hints[-1] is Ellipsis:
        hints = [hints[0]] * len(items)
    if len(items) != len(hints):
        return [f"{name} must have {len(hints)} values, got {len(items)}"]
    wrong: list[str] = []
    for at, (item, own) in enumerate(zip(items, hints, strict=True)):
        kinds, bounds = _unfold(own)
        broken = _wrong_kind(f"{name}[{at}]", item, kinds) or violation(
            f"{name}[{at}]", item, bounds
        )
        if broken is None and kinds == (str,) and not isinstance(item, str):
            broken = f"{name}[{at}] must be text, got {item!r}"
        wrong += [broken] if broken is not None else []
    return wrong


def _unfold(hint: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return the members of a (nested) union and the bounds on any of them."""
    if hasattr(hint, "__metadata__"):  # Annotated[T, bound, …]
        kinds, bounds = _unfold(get_args(hint)[0])
        return kinds, (*bounds, *get_args(hint)[1:])
    if get_origin(hint) in (Union, UnionType):
        members = [_unfold(member) for member in get_args(hint)]
        return tuple(k for kinds, _ in members for k in kinds), tuple(
            b for _, bounds in members for b in bounds
        )
    return (hint,), ()
