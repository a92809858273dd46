"""What may stand for one value of a spec: a set of values to lay out, or a range to search.

`{grid: [1, 2, 4]}` is laid out, always; the others are searched by a sampler (`choice` can be laid out too).
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Grid:
    """Values to lay out, each with every combination of the other grids."""

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _distinct("grid", self.values))


@dataclass(frozen=True)
class Choice:
    """Values without an order, of which a sampler picks one."""

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _distinct("choice", self.values))


@dataclass(frozen=True)
class Uniform:
    """A real number, uniform between two ends."""

    low: float
    high: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", _number("uniform", self.low))
        object.__setattr__(self, "high", _number("uniform", self.high))
        _ordered("uniform", self.low, self.high)


@dataclass(frozen=True)
class LogUniform:
    """A positive real number, its logarithm uniform between two ends."""

    low: float
    high: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", _number("loguniform", self.low))
        object.__setattr__(self, "high", _number("loguniform", self.high))
        _ordered("loguniform", self.low, self.high)
        _positive("loguniform", self.low)


@dataclass(frozen=True)
class Int:
    """A whole number, uniform between two ends, both included."""

    low: int
    high: int

    def __post_init__(self) -> None:
        _whole("int", self.low, self.high)
        _ordered("int", self.low, self.high)


@dataclass(frozen=True)
class LogInt:
    """A positive whole number, its logarithm uniform between two ends, both included."""

    low: int
    high: int

    def __post_init__(self) -> None:
        _whole("logint", self.low, self.high)
        _ordered("logint", self.low, self.high)
        _positive("logint", self.low)


Finite: TypeAlias = Grid | Choice
Interval: TypeAlias = Uniform | LogUniform | Int | LogInt
Space: TypeAlias = Finite | Interval

FINITE: dict[str, type[Finite]] = {"grid": Grid, "choice": Choice}
INTERVALS: dict[str, type[Interval]] = {
    "uniform": Uniform,
    "loguniform": LogUniform,
    "int": Int,
    "logint": LogInt,
}
SPACES: dict[str, type[Space]] = {**FINITE, **INTERVALS}


def parse(mapping: Mapping[str, Any]) -> Space:
    """Return the space of a mapping `{kind: values}` or `{kind: [low, high]}`.

    Raises:
        ValueError: more or fewer than one key, an unknown kind, or values that the kind refuses.
    """
    if len(mapping) != 1:
        raise ValueError(
            f"a space has one key of {', '.join(SPACES)}, got {', '.join(map(str, mapping)) or 'none'}"
        )
    ((kind, values),) = mapping.items()
    if kind not in SPACES:
        near = difflib.get_close_matches(kind, SPACES, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ";"
        raise ValueError(f"unknown space {kind!r}{hint} known: {', '.join(SPACES)}")
    if not isinstance(values, list | tuple):
        raise ValueError(f"{kind} must be given a list, got {values!r}")
    if kind in FINITE:
        return FINITE[kind](tuple(values))
    if len(values) != 2:
        raise ValueError(f"{kind} must be given its two ends [low, high], got {list(values)!r}")
    return INTERVALS[kind](values[0], values[1])


def to_dict(space: Space) -> dict[str, Any]:
    """Return the mapping that `parse` reads."""
    kind = next(key for key, cls in SPACES.items() if cls is type(space))
    return {kind: [list(v) if isinstance(v, tuple) else v for v in points(space)]}


def points(space: Space) -> tuple[Any, ...]:
    """Return the values to check a space by: all of a finite one, both ends of an interval."""
    return space.values if isinstance(space, Grid | Choice) else (space.low, space.high)


def from_unit(space: Space, u: float) -> Any:
    """Return the value at u in [0, 1) of a space: uniform, uniform in the logarithm, or equal parts for choices."""
    if isinstance(space, Choice | Grid):
        return space.values[min(int(u * len(space.values)), len(space.values) - 1)]
    if isinstance(space, Uniform):
        return space.low + u * (space.high - space.low)
    if isinstance(space, LogUniform):
        return math.exp(math.log(space.low) + u * (math.log(space.high) - math.log(space.low)))
    if isinstance(space, Int):
        return min(space.low + int(u * (space.high - space.low + 1)), space.high)
    # LogInt: uniform in the logarithm over [low - 1/2, high + 1/2], so that both ends get their share.
    low, high = math.log(space.low - 0.5), math.log(space.high + 0.5)
    return min(max(round(math.exp(low + u * (high - low))), space.low), space.high)


def _distinct(kind: str, values: Sequence[Any]) -> tuple[Any, ...]:
    values = tuple(_frozen(value) for value in values)
    if not values:
        raise ValueError(f"{kind} must hold at least one value, got an empty list")
    keys = [_key(value) for value in values]
    doubled = [value for at, value in enumerate(values) if keys[at] in keys[:at]]
    if doubled:
        raise ValueError(
            f"{kind} must not repeat a value, got {', '.join(map(repr, doubled))} more than once"
        )
    return values


def _key(value: Any) -> tuple[bool, Any]:
    """Return what tells values apart: 1 and 1.0 are one value, 1 and true are two."""
    return (isinstance(value, bool), value)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value


def _number(kind: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{kind} must be given two finite numbers, got {value!r}")
    return float(value)


def _whole(kind: str, *ends: Any) -> None:
    for value in ends:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"{kind} must be given two whole numbers, got {value!r}")


def _ordered(kind: str, low: float, high: float) -> None:
    if not low < high:
        raise ValueError(f"{kind} must have low < high, got low={low:g} and high={high:g}")


def _positive(kind: str, low: float) -> None:
    if low <= 0:
        raise ValueError(f"{kind} must have low > 0, got low={low:g}")
