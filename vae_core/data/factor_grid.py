"""Choosing levels of a full grid of factors, by stride or by value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metrics import Factors
from vae_core.hyperparameters import registry


def choose(
    sizes: Mapping[str, int], stride: Mapping[str, int], values: Mapping[str, Sequence[int]]
) -> dict[str, tuple[int, ...]]:
    """Return the chosen levels of each factor, ascending: its values, or every stride-th level from 0.

    Args:
        sizes: number of levels of each factor.
        stride: step by factor name; 1 where absent.
        values: levels by factor name.
    """
    return {
        name: tuple(sorted(values[name]))
        if name in values
        else tuple(range(0, size, stride.get(name, 1)))
        for name, size in sizes.items()
    }


def ordered(
    sizes: Mapping[str, int], stride: Mapping[str, int], values: Mapping[str, Sequence[int]]
) -> tuple[dict[str, int], dict[str, tuple[int, ...]]]:
    """Return one form for what says the same: plain dicts in factor order, levels ascending."""
    return (
        {name: stride[name] for name in sizes if name in stride},
        {name: tuple(sorted(values[name])) for name in sizes if name in values},
    )


def table(sizes: Mapping[str, int]) -> Factors:
    """Return the factors of every cell of a grid in index order, the first factor slowest."""
    counts = tuple(sizes.values())
    values = np.indices(counts).reshape(len(counts), -1).T
    return Factors(np.ascontiguousarray(values), tuple(sizes), counts)


def mistakes(
    sizes: Mapping[str, int], stride: Mapping[str, Any], values: Mapping[str, Any]
) -> list[str]:
    """Return everything that is wrong with a stride and values, whatever the user wrote in their place."""
    wrong: list[str] = []
    for option, given, broken in (("stride", stride, _bad_step), ("values", values, _bad_levels)):
        if not isinstance(given, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            return [
                f"{option} must be a mapping by factor name ({', '.join(sizes)}), got {given!r}"
            ]
        for name, value in given.items():
            if name not in sizes:
                wrong.append(f"{option}: {registry.unknown('factor', name, sizes)}")
            elif rule := broken(value, sizes[name]):
                wrong.append(f"{option}.{name} {rule}")
    both = [name for name in sizes if name in stride and name in values]
    return wrong + [f"give stride.{name} or values.{name}, not both" for name in both]


def _bad_step(step: Any, size: int) -> str | None:
    good = _whole(step) and 1 <= step <= size
    return None if good else f"must be a whole number from 1 to {size}, got {step!r}"


def _bad_levels(levels: Sequence[Any], size: int) -> str | None:
    rule = f"must be a list of whole numbers from 0 to {size - 1}"
    if not isinstance(levels, list | tuple) or not levels:
        return f"{rule}, got {levels!r}"
    outside = [level for level in levels if not _whole(level) or not 0 <= level < size]
    if outside:
        return f"{rule}, got {', '.join(map(repr, outside))}"
    doubled = sorted({level for level in levels if levels.count(level) > 1})
    return (
        f"must name a level once, got {', '.join(map(str, doubled))} more than once"
        if doubled
        else None
    )


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
