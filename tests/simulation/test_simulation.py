"""300 simulated sweeps with faults keep every promise; the simulation itself can be trusted."""

from __future__ import annotations

import pytest

from . import end_invariants, invariants
from .command import summary
from .scenario import FAULTS, draw
from .world import Outcome, simulate

CHUNK = 50


@pytest.mark.parametrize("start", range(0, 300, CHUNK))
def test_no_seed_breaks_an_invariant(start):
    outcomes = [simulate(seed) for seed in range(start, start + CHUNK)]
    assert not any(outcome.broken for outcome in outcomes), summary(outcomes, 0.0)


@pytest.mark.slow
def test_no_seed_of_2000_breaks_an_invariant():
    outcomes = [simulate(seed) for seed in range(1000, 3000)]
    assert not any(outcome.broken for outcome in outcomes), summary(outcomes, 0.0)


def test_a_seed_gives_the_same_simulation_again():
    assert simulate(17) == simulate(17)


def test_there_are_at_least_fifteen_invariants_and_each_says_what_it_promises():
    checks = [*invariants.OF_LEDGER, *end_invariants.OF_END, invariants.slots_are_never_exceeded]
    assert len(checks) >= 15
    assert all(check.__doc__ for check in checks)


def test_every_fault_is_drawn_and_some_seeds_have_none():
    drawn = [draw(seed).faults for seed in range(100)]
    assert set().union(*drawn) == set(FAULTS)
    assert set() in drawn


def test_a_summary_says_how_to_replay_a_broken_seed():
    outcome = Outcome(
        seed=123,
        broken=["no_trial_has_a_gap: trial 0 has the epochs [1, 3]"],
        injected={"trial dies": 2},
        seconds=7200.0,
        driver_runs=1,
        reports=2,
    )
    text = summary([outcome], 1.0)
    assert "1 seeds in 1.0 s: 2.0 simulated hours" in text
    assert "python -m tests.simulation --seed 123 --trace" in text
    assert "2  trial dies" in text
