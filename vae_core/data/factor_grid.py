"""Chooses levels of a full grid of factors, by stride or by value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from metrics import Factors
from vae_core.hyperparameters import registry


def choose(
    sizes: Mapping[str, int], stride: Mapping[str, int], values: Mapping[str, Sequence[int]]
) -> dict[str, tuple[int, ...]]:
    """Return the chosen levels of each factor, ascending: its values, or every n-th level from 0.

    Args:
        sizes: number of levels of each factor.
        stride: n by factor name; 1 where absent.
        values: levels by factor name.
    """
    chosen: dict[str, tuple[int, ...]] = {}
    for name, size in sizes.items():
        if name in values:
            chosen[name] = tuple(sorted(values[name]))
        else:
            chosen[name] = tuple(range(0, size, stride.get(name, 1)))
    return chosen


def ordered(
    sizes: Mapping[str, int], stride: Mapping[str, int], values: Mapping[str, Sequence[int]]
) -> tuple[dict[str, int], dict[str, tuple[int, ...]]]:
    """Return stride and values as dicts in factor order, with ascending levels.

    Options that differ in order alone become equal.
    """
    return (
        {name: stride[name] for name in sizes if name in stride},
        {name: tuple(sorted(values[name])) for name in sizes if name in values},
    )


def table(sizes: Mapping[str, int]) -> Factors:
    """Return the factors of every cell of a grid in index order, the first factor slowest."""
    counts = tuple(sizes.values())
    values = np.indices(counts).reshape(len(counts), -1).T
    return Factors(np.ascontiguousarray(values), tuple(sizes), counts)


def problems(
    sizes: Mapping[str, int], stride: Mapping[str, Any], values: Mapping[str, Any]
) -> list[str]:
    """Return the problems with a stride and values; a user may have written anything for them."""
    for option, choice in (("stride", stride), ("values", values)):
        if not isinstance(choice, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            names = ", ".join(sizes)
            return [f"{option} must be a mapping by factor name ({names}), got {choice!r}"]
    return [
        *_choice_problems("stride", stride, sizes, _step_problem),
        *_choice_problems("values", values, sizes, _levels_problem),
        *(
            f"give stride.{name} or values.{name}, not both"
            for name in sizes
            if name in stride and name in values
        ),
    ]


def _choice_problems(
    option: str,
    choice: Mapping[str, Any],
    sizes: Mapping[str, int],
    problem_with: Callable[[Any, int], str | None],
) -> list[str]:
    """Return the problems with one of the two options; `problem_with` checks a value of it."""
    messages: list[str] = []
    for name, value in choice.items():
        if name not in sizes:
            messages.append(f"{option}: {registry.unknown_name('factor', name, sizes)}")
            continue
        problem = problem_with(value, sizes[name])
        if problem is not None:
            messages.append(f"{option}.{name} {problem}")
    return messages


def _step_problem(step: Any, size: int) -> str | None:
    if _is_whole(step) and 1 <= step <= size:
        return None
    return f"must be a whole number from 1 to {size}, got {step!r}"


def _levels_problem(levels: Sequence[Any], size: int) -> str | None:
    rule = f"must be a list of whole numbers from 0 to {size - 1}"
    if not isinstance(levels, list | tuple) or not levels:
        return f"{rule}, got {levels!r}"
    outside = [level for level in levels if not _is_whole(level) or not 0 <= level < size]
    if outside:
        return f"{rule}, got {', '.join(map(repr, outside))}"
    repeated = sorted(level for level, times in Counter(levels).items() if times > 1)
    if repeated:
        return f"must name a level once, got {', '.join(map(str, repeated))} more than once"
    return None


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
