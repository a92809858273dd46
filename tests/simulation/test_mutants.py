"""The simulation finds known bugs when they are planted in the product."""

from __future__ import annotations

import pytest

from .command import hunt
from .mutants import MUTANTS

QUICK = (
    "rungs_are_empty_after_a_restart",
    "points_get_the_time_of_writing",
    "hanging_trials_are_not_seen",
)
"""Known bugs that a few seeds find."""


@pytest.mark.parametrize("mutant", QUICK)
def test_a_planted_bug_is_found_soon(mutant):
    assert hunt(mutant, range(60)) is not None


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS)
def test_every_planted_bug_is_found_within_1000_seeds(mutant):
    assert hunt(mutant, range(1000)) is not None


def test_the_twelve_bugs_of_the_usual_stack_are_planted():
    assert len(MUTANTS) >= 12
