"""What a trial keeps of its reports, and who knows the states of the trials."""

import math
import random
from collections import Counter

import pytest

from sweeps.ledger.progress import ReportedMetrics, TrialProgress, kept_metrics
from sweeps.ledger.roster import Roster
from sweeps.ledger.states import EndReason, TrialState
from tests.sweeps.mini_sweep import spec

KEPT = ("mig", "active_units")


def trial(number: int = 0) -> TrialProgress:
    reports = ReportedMetrics(KEPT)
    return TrialProgress(number, 0, seed=0, hash="h", config_json="{}", epochs=9, reports=reports)


def test_a_trial_keeps_of_every_report_what_its_sweep_reads_again():
    each = trial()
    each.add_report(1, {"mig": 0.1, "active_units": 3.0, "kl": 9.0}, 2.0)
    each.add_report(2, {"mig": math.inf, "kl": 8.0}, 3.0)
    assert each.at(1) == {"mig": 0.1, "active_units": 3.0}
    assert each.at(2) == {"mig": math.inf}
    assert each.at(3) is None
    assert (each.has(2), each.has(3)) == (True, False)
    assert (each.epoch, each.unbroken, each.seconds) == (2, 2, 5.0)


def test_a_repeated_report_replaces_the_metrics_and_adds_no_seconds():
    each = trial()
    each.add_report(1, {"mig": 0.1}, 2.0)
    each.add_report(1, {"mig": 0.2}, 2.0)
    assert (each.at(1), each.epoch, each.seconds) == ({"mig": 0.2}, 1, 2.0)


def test_reports_of_any_order_are_found_by_epoch():
    each = trial()
    epochs = [4, 1, 7, 2, 9]
    for epoch in epochs:
        each.add_report(epoch, {"mig": float(epoch)}, 1.0)
    assert {epoch: each.at(epoch) for epoch in epochs} == {e: {"mig": float(e)} for e in epochs}
    assert [each.has(epoch) for epoch in (3, 5, 8)] == [False] * 3
    assert (each.epoch, each.unbroken) == (9, 2)  # epoch 3 is missing
    assert list(each.last_reports(2)) == [7, 9]


def test_the_unbroken_epochs_of_a_trial_without_its_first_are_none():
    each = trial()
    each.add_report(2, {}, 1.0)
    assert each.unbroken == 0


def test_the_shown_metrics_are_those_of_the_last_report():
    each = trial()
    each.add_report(2, {"mig": 0.2, "tc": 2.0, "reconstruction": 20.0}, 1.0)
    each.add_report(1, {"mig": 0.1, "tc": 1.0, "reconstruction": 10.0}, 1.0)
    assert each.last_metrics == {"mig": 0.2, "tc": 2.0, "reconstruction": 20.0}
    assert each.at(1) == {"mig": 0.1}


def test_a_collapsed_trial_keeps_its_last_metrics_at_later_epochs():
    each = trial()
    each.add_report(3, {"mig": 0.0, "active_units": 0.0}, 1.0)
    assert each.at(5) is None
    each.state, each.end_reason = TrialState.PRUNED, EndReason.COLLAPSED
    assert each.at(5) == {"mig": 0.0, "active_units": 0.0}
    assert each.at(2) is None
    assert each.collapsed


def test_kept_are_the_metrics_of_goals_and_rungs_and_the_active_units():
    pruning = {"name": "asha", "metric": "elbo", "rungs": [0.5], "reduction": 2}
    sweep = spec(goal=[{"metric": "tc", "mode": "min"}, {"metric": "mig"}], pruning=pruning)
    assert kept_metrics(sweep) == ("tc", "mig", "elbo", "active_units")


def test_the_roster_knows_what_a_look_at_all_trials_would_find():
    rng = random.Random(0)
    trials = [trial(number) for number in range(30)]
    roster = Roster(trials)
    states = list(TrialState)
    for _ in range(400):
        each = rng.choice(trials)
        if not each.ended:
            each.add_report(each.epoch + 1, {}, 1.0)
            each.state = rng.choice(states)
        assert roster.counts == Counter(one.state for one in trials)
        assert roster.open_trials() == [one for one in trials if not one.ended]
        running = [one for one in trials if one.state is TrialState.RUNNING]
        assert roster.in_state(TrialState.RUNNING) == running
        assert roster.epochs_of_ended == sum(one.epoch for one in trials if one.ended)
        assert {one.number for one in roster.ended} == {one.number for one in trials if one.ended}
        assert roster.all_ended == all(one.ended for one in trials)
    assert roster.all_ended


def test_no_trial_comes_back_from_its_end():
    each = trial()
    Roster([each])
    each.state = TrialState.FAILED
    with pytest.raises(ValueError, match="trial 0 has ended"):
        each.state = TrialState.WAITING
