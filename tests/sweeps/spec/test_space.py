"""Spaces refuse bad values, and give the points by which the rules of a field are checked."""

from __future__ import annotations

from typing import Any

import pytest

from sweeps.spec import space
from sweeps.spec.space import Choice, Grid, Int, LogInt, LogUniform, Uniform

GOOD = [
    ({"grid": [1, 2.5, "a", [3, 4]]}, Grid((1, 2.5, "a", (3, 4))), (1, 2.5, "a", (3, 4))),
    ({"choice": ["mws", "mss"]}, Choice(("mws", "mss")), ("mws", "mss")),
    ({"uniform": [0, 1]}, Uniform(0.0, 1.0), (0.0, 1.0)),
    ({"loguniform": [0.5, 16]}, LogUniform(0.5, 16.0), (0.5, 16.0)),
    ({"int": [-1, 1]}, Int(-1, 1), (-1, 1)),
    ({"logint": [1, 100]}, LogInt(1, 100), (1, 100)),
]


@pytest.mark.parametrize(("mapping", "parsed", "points"), GOOD)
def test_a_mapping_is_parsed_and_written_back(
    mapping: Any, parsed: space.Space, points: tuple[Any, ...]
) -> None:
    assert space.parse(mapping) == parsed
    assert space.parse(space.to_dict(parsed)) == parsed
    assert space.points(parsed) == points


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"grid": []}, "grid must hold at least one value"),
        ({"grid": [1, 2, 1.0]}, "grid must not repeat a value, got 1.0 more than once"),
        ({"choice": ["a", "a"]}, "choice must not repeat a value"),
        ({"grid": 3}, "grid must be given a list, got 3"),
        ({"uniform": [1]}, r"uniform must be given its two ends \[low, high\], got \[1\]"),
        ({"uniform": [4, 1]}, "uniform must have low < high, got low=4 and high=1"),
        ({"uniform": [1, 1]}, "low < high"),
        ({"uniform": ["a", 1]}, "two finite numbers, got 'a'"),
        ({"uniform": [0, float("inf")]}, "two finite numbers, got inf"),
        ({"loguniform": [0, 1]}, "loguniform must have low > 0, got low=0"),
        ({"int": [0.5, 2]}, "int must be given two whole numbers, got 0.5"),
        ({"int": [True, 2]}, "two whole numbers"),
        ({"logint": [0, 2]}, "logint must have low > 0"),
        ({"gird": [1]}, "unknown space 'gird'; did you mean 'grid'?"),
        ({"grid": [1], "choice": [2]}, "a space has one key"),
        ({}, "a space has one key"),
    ],
)
def test_a_bad_space_states_the_rule_and_the_value(mapping: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        space.parse(mapping)


def test_one_and_true_are_two_values() -> None:
    assert Grid((1, True)).values == (1, True)
