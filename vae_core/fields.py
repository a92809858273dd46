"""Checks the fields of frozen dataclasses against their own annotations.

`beta: Annotated[Knob, Ge(0)]` is the only place that states a bound: the dataclass refuses a bad value by it,
and a spec is validated and its JSON schema written from it.
"""

from __future__ import annotations

import dataclasses
import math
import operator
from typing import Any, get_args, get_origin, get_type_hints

# Attribute of an `annotated_types` bound (Ge, Gt, Le, Lt or Interval), its sign, its test.
_RULES = (
    ("ge", ">=", operator.ge),
    ("gt", ">", operator.gt),
    ("le", "<=", operator.le),
    ("lt", "<", operator.lt),
)


def constraints(cls: type, name: str) -> tuple[Any, ...]:
    """Return the `annotated_types` metadata of one field."""
    hint = get_type_hints(cls, include_extras=True)[name]
    return tuple(get_args(hint)[1:]) if hasattr(hint, "__metadata__") else ()


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

    Covers bounds (`annotated_types`), `Literal` choices and whole numbers; call it from `__post_init__`.
    """
    hints = get_type_hints(type(instance), include_extras=True)
    wrong: list[str] = []
    for field in dataclasses.fields(instance):
        value = getattr(instance, field.name)
        hint = hints[field.name]
        bounds = getattr(hint, "__metadata__", ())
        bare = get_args(hint)[0] if bounds else hint
        if (broken := violation(field.name, value, tuple(bounds))) is not None:
            wrong.append(broken)
        elif str(get_origin(bare)) == "typing.Literal" and value not in get_args(bare):
            known = ", ".join(map(str, get_args(bare)))
            wrong.append(f"{field.name} must be one of {known}, got {value!r}")
        elif bare is int and (isinstance(value, bool) or not isinstance(value, int)):
            wrong.append(f"{field.name} must be a whole number, got {value!r}")
    if wrong:
        raise ValueError("; ".join(wrong))
