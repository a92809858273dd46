"""What a trial keeps of its reports, and who knows the states of the trials."""

import math
import random
from array import array
from collections import Counter

import pytest

from sweeps.ledger.progress import (
    CellProgress,
    ReportedMetrics,
    TrialProgress,
    has_collapsed,
    kept_metrics,
)
from sweeps.ledger.roster import Roster
from sweeps.ledger.states import EndReason, TrialState, Verdict
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
    assert each.last_reports(2) == {7: {"mig": 7.0}, 9: {"mig": 9.0}}


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


def test_kept_are_the_metrics_of_goals_alone_without_rungs():
    assert kept_metrics(spec(goal=[{"metric": "tc", "mode": "min"}], pruning="none")) == (
        "tc",
        "active_units",
    )


def test_reports_of_the_ledger_are_read_from_bytes():
    epochs = array("i", [1, 3]).tobytes()
    values = array("d", [0.1, 1.0, 0.3, math.nan]).tobytes()
    reports = ReportedMetrics(("mig", "kl"), epochs, values, shown=(9.0, math.nan, 0.3))
    assert list(reports.epochs) == [1, 3]
    assert reports.at(1) == {"mig": 0.1, "kl": 1.0}
    # The last one has what is shown too: reconstruction, tc and mig.
    assert reports.at(3) == {"mig": 0.3, "reconstruction": 9.0}
    assert (reports.at(0), reports.at(2), reports.at(4)) == (None, None, None)
    # A report of an epoch between the two changes neither.
    assert reports.add(2, {"mig": 0.2, "kl": 2.0, "tc": 5.0}) is True
    assert reports.add(2, {"kl": 2.5, "tc": 5.0}) is False
    assert [reports.at(epoch) for epoch in (1, 2, 3)] == [
        {"mig": 0.1, "kl": 1.0},
        {"kl": 2.5},
        {"mig": 0.3, "reconstruction": 9.0},
    ]
    assert list(reports.epochs) == [1, 2, 3]
    # A later one is shown from now on.
    assert reports.add(4, {"tc": 7.0}) is True
    assert reports.at(3) == {"mig": 0.3}
    assert reports.at(4) == {"tc": 7.0}


def test_nothing_is_shown_of_reports_that_came_without():
    reports = ReportedMetrics(("mig",), array("i", [1]).tobytes(), array("d", [0.1]).tobytes())
    assert reports.at(1) == {"mig": 0.1}


def test_a_trial_before_its_first_report():
    each = trial()
    assert (each.epoch, each.unbroken, each.last_metrics, each.last_reports(2)) == (0, 0, {}, {})
    assert (each.state, each.ended, each.collapsed) == (TrialState.WAITING, False, False)
    assert each.at(1) is None


def test_a_config_is_read_from_its_json():
    each = TrialProgress(0, 0, seed=0, hash="h", config_json='{"a": [1]}', epochs=9)
    assert each.config == {"a": [1]}
    assert each.reports.metrics == ()


def test_each_change_of_the_state_is_told_with_the_one_before():
    each = trial()
    changes = []
    each.on_change = lambda one, old: changes.append((one.number, old, one.state))
    each.state = TrialState.RUNNING
    each.state = TrialState.PARKED
    assert changes == [
        (0, TrialState.WAITING, TrialState.RUNNING),
        (0, TrialState.RUNNING, TrialState.PARKED),
    ]


def test_a_trial_that_did_not_collapse_has_nothing_later_than_its_last_report():
    each = trial()
    each.add_report(2, {"mig": 0.2}, 1.0)
    each.state, each.end_reason = TrialState.PRUNED, EndReason.RUNG
    assert (each.at(2), each.at(3)) == ({"mig": 0.2}, None)
    each.end_reason = EndReason.COLLAPSED
    assert (each.at(1), each.at(2), each.at(3)) == (None, {"mig": 0.2}, {"mig": 0.2})


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [({"active_units": 0.0}, True), ({"active_units": 1.0}, False), ({}, False)],
)
def test_a_trial_has_collapsed_if_no_latent_is_active(metrics, expected):
    assert has_collapsed(metrics) is expected


def test_a_cell_has_ended_with_its_last_trial():
    trials = [trial(0), trial(1)]
    cell = CellProgress(0, 0, {}, None, None, {}, trials)
    trials[0].state = TrialState.FAILED
    assert not cell.ended
    trials[1].state = TrialState.COMPLETE
    assert cell.ended
    cell.verdicts = {0: Verdict.PROMOTE, 1: Verdict.PRUNE}
    assert cell.promotions == {0: True, 1: False}


def test_an_empty_roster_has_ended():
    roster = Roster()
    assert (roster.all_ended, roster.counts, roster.open_trials(), roster.ended) == (
        True,
        {},
        [],
        [],
    )
    assert roster.epochs_of_ended == 0


def test_trials_that_have_ended_before_are_counted_with_their_epochs():
    trials = [trial(number) for number in range(4)]
    for each, state, epoch in zip(
        trials,
        (TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED, TrialState.WAITING),
        (3, 4, 2, 1),
        strict=True,
    ):
        each.add_report(epoch, {}, 1.0)
        each.state = state
    roster = Roster(trials)
    assert roster.counts == {"COMPLETE": 2, "PRUNED": 1, "WAITING": 1}
    assert roster.epochs_of_ended == 3 + 4 + 2
    assert roster.ended == trials[:3]
    assert (roster.all_ended, roster.open_trials()) == (False, trials[3:])
    trials[3].state = TrialState.WAITING  # the same state: no change
    trials[3].state = TrialState.FAILED
    assert roster.all_ended
    with pytest.raises(ValueError, match=r"^trial 3 has ended \(FAILED\) and cannot be WAITING$"):
        trials[3].state = TrialState.WAITING


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
