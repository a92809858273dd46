"""A sweep of six trials dies at every commit, rename, fsync and call: it always ends the same."""

from __future__ import annotations

import functools

import pytest

from .crashes import Ending, ending
from .invariants import same

STRIDE = 23
"""In the fast tests every 23rd operation is a crash; the slow test has them all."""


@functools.cache
def undisturbed() -> Ending:
    return ending()


def check(operation: int, *, after: bool) -> None:
    expected, seen = undisturbed(), ending(operation, after=after)
    when = f"{'after' if after else 'before'} operation {operation}"
    assert not seen.broken, when
    assert seen.driver_runs == 2, when
    assert same(sorted(seen.numbers.items()), sorted(expected.numbers.items())), when
    assert seen.ends == expected.ends, when
    assert seen.verdicts == expected.verdicts, when


def test_the_sweep_without_a_crash_prunes_and_completes():
    # Reduction 2: of the cells seen so far, the best half is promoted; the first one always is.
    assert not undisturbed().broken
    assert {state for state, _ in undisturbed().ends.values()} >= {"COMPLETE", "PRUNED"}
    assert set(undisturbed().verdicts.values()) == {"go", "prune"}
    assert undisturbed().operations > 150


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_every_23rd_operation_changes_nothing(after):
    for operation in range(1 + 11 * after, undisturbed().operations + 1, STRIDE):
        check(operation, after=after)


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_every_operation_changes_nothing(after):
    for operation in range(1, undisturbed().operations + 1):
        check(operation, after=after)
