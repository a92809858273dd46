"""Spaces: what may stand for one value of a spec, a set of values or an interval.

`{grid: [1, 2, 4]}` is always laid out. A sampler searches the other spaces. Without a sampler
(search grid) a `choice` is laid out as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from metrics.near_names import did_you_mean
from sweeps.spec import limits


@dataclass(frozen=True)
class Grid:
    """Values to lay out: each value meets every combination of the other grids."""

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _distinct("grid", self.values))


@dataclass(frozen=True)
class Choice:
    """Values without an order. A sampler picks one of them."""

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _distinct("choice", self.values))


@dataclass(frozen=True)
class Uniform:
    """A real number, uniform between two ends."""

    low: float
    high: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", _finite_number("uniform", self.low))
        object.__setattr__(self, "high", _finite_number("uniform", self.high))
        _check_ordered("uniform", self.low, self.high)


@dataclass(frozen=True)
class LogUniform:
    """A positive real number, its logarithm uniform between two ends."""

    low: float
    high: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", _finite_number("loguniform", self.low))
        object.__setattr__(self, "high", _finite_number("loguniform", self.high))
        _check_ordered("loguniform", self.low, self.high)
        _check_positive("loguniform", self.low)


@dataclass(frozen=True)
class Int:
    """A whole number, uniform between two ends, both included."""

    low: int
    high: int

    def __post_init__(self) -> None:
        _check_whole("int", self.low, self.high)
        _check_ordered("int", self.low, self.high)


@dataclass(frozen=True)
class LogInt:
    """A positive whole number, its logarithm uniform between two ends, both included."""

    low: int
    high: int

    def __post_init__(self) -> None:
        _check_whole("logint", self.low, self.high)
        _check_ordered("logint", self.low, self.high)
        _check_positive("logint", self.low)


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
        keys = ", ".join(map(str, mapping)) or "none"
        raise ValueError(f"a space has one key of {', '.join(SPACES)}, got {keys}")
    ((kind, values),) = mapping.items()
    if kind not in SPACES:
        hint = did_you_mean(kind, SPACES, cutoff=0.5)
        raise ValueError(f"unknown space {kind!r}{hint} known: {', '.join(SPACES)}")
    if not isinstance(values, list | tuple):
        raise ValueError(f"{kind} must be given a list, got {values!r}")
    if kind in FINITE:
        return FINITE[kind](tuple(values))
    if len(values) != 2:
        raise ValueError(f"{kind} must be given its two ends [low, high], got {list(values)!r}")
    return INTERVALS[kind](values[0], values[1])


def to_dict(space: Space) -> dict[str, Any]:
    """Return the mapping that `parse` reads back as this space."""
    kind = next(key for key, cls in SPACES.items() if cls is type(space))
    return {kind: [list(v) if isinstance(v, tuple) else v for v in points(space)]}


def points(space: Space) -> tuple[Any, ...]:
    """Return the values to check a space by: all of a finite space, both ends of an interval."""
    return space.values if isinstance(space, Grid | Choice) else (space.low, space.high)


def from_unit(space: Space, u: float) -> Any:
    """Return the value of a space at u in [0, 1).

    Uniform u gives: every value of a finite space with equal probability; a uniform number; or a
    number with a uniform logarithm (`loguniform`, `logint`).
    """
    if isinstance(space, Choice | Grid):
        return space.values[min(int(u * len(space.values)), len(space.values) - 1)]
    if isinstance(space, Uniform):
        return space.low + u * (space.high - space.low)
    if isinstance(space, LogUniform):
        return math.exp(math.log(space.low) + u * (math.log(space.high) - math.log(space.low)))
    if isinstance(space, Int):
        return min(space.low + int(u * (space.high - space.low + 1)), space.high)
    # LogInt: the logarithm is uniform over [low - 1/2, high + 1/2], so that rounding gives both
    # ends their full share.
    low, high = math.log(space.low - 0.5), math.log(space.high + 0.5)
    return min(max(round(math.exp(low + u * (high - low))), space.low), space.high)


def _distinct(kind: str, values: Sequence[Any]) -> tuple[Any, ...]:
    """Return the values as a tuple; raise ValueError if there is none or one is repeated."""
    if len(values) > limits.SPACE_VALUES:
        rule = f"{kind} must hold at most {limits.SPACE_VALUES} values, got {len(values)}"
        raise ValueError(f"{rule}; give fewer, or an interval as in {{uniform: [low, high]}}")
    values = tuple(_lists_to_tuples(value) for value in values)
    if not values:
        raise ValueError(f"{kind} must hold at least one value, got an empty list")
    repeated: list[Any] = []
    keys: list[tuple[bool, Any]] = []
    for value in values:
        # 1 and 1.0 are one value, 1 and true are two, although Python calls all three equal.
        key = (isinstance(value, bool), value)
        if key in keys:
            repeated.append(value)
        keys.append(key)
    if repeated:
        words = ", ".join(map(repr, repeated))
        raise ValueError(f"{kind} must not repeat a value, got {words} more than once")
    return values


def _lists_to_tuples(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_lists_to_tuples(item) for item in value)
    return value


def _finite_number(kind: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{kind} must be given two finite numbers, got {value!r}")
    return float(value)


def _check_whole(kind: str, *ends: Any) -> None:
    for value in ends:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"{kind} must be given two whole numbers, got {value!r}")


def _check_ordered(kind: str, low: float, high: float) -> None:
    if not low < high:
        raise ValueError(f"{kind} must have low < high, got low={low:g} and high={high:g}")


def _check_positive(kind: str, low: float) -> None:
    if low <= 0:
        raise ValueError(f"{kind} must have low > 0, got low={low:g}")
