"""Which reports of other sweeps a trial gets, and from which sweep: rows written by hand."""

import json

import pytest

from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.progress import ReportedMetrics, TrialProgress
from sweeps.ledger.reuse import Twin, take_reports
from sweeps.ledger.states import EndReason, TrialState

EPOCHS = 3


def trial(number=5):
    reports = ReportedMetrics(("mig",))
    return TrialProgress(
        number, 0, seed=0, hash="h", config_json="{}", epochs=EPOCHS, reports=reports
    )


@pytest.fixture
def ledger():
    return Ledger("sqlite://")


def add(ledger, sweep, number, epochs, *, asked=0.0, end=None, trial_hash="h"):
    """Write a trial of another sweep; the MIG of a report says the sweep and the epoch."""
    columns = {"cell": 0, "seed": 0, "config": "{}", "epochs": EPOCHS}
    with ledger.transaction() as tx:
        tx.insert(tables.TRIAL, sweep=sweep, number=number, hash=trial_hash, asked=asked, **columns)
        for epoch in epochs:
            body = {"metrics": {"mig": mig(sweep, epoch)}}
            tx.report(sweep, number, epoch=epoch, at=10.0 + epoch, seconds=0.5, body=body)
        if end is not None:
            tx.end(sweep, number, end, EndReason.COMPLETED, "")


def mig(sweep, epoch):
    return ord(sweep) + epoch / 10


def take(ledger, taker, sweep="new"):
    with ledger.transaction() as tx:
        return take_reports(tx, sweep, taker)


def migs(ledger, sweep="new"):
    """Return epoch -> MIG of the reports that a sweep has in the ledger."""
    return {
        row["epoch"]: json.loads(row["body"])["metrics"]["mig"]
        for row in ledger.of(tables.REPORT, sweep)
    }


def test_the_oldest_sweep_comes_first_and_a_newer_one_adds_what_it_lacks(ledger):
    add(ledger, "b", 2, [1, 2, 3], asked=20.0)
    add(ledger, "a", 4, [1, 2], asked=30.0)
    add(ledger, "c", 1, [1], asked=10.0)
    taker = trial()
    assert take(ledger, taker) == Twin("c", 1, None)  # the first one that was copied from
    expected = {1: mig("c", 1), 2: mig("b", 2), 3: mig("b", 3)}
    assert migs(ledger) == expected
    assert {epoch: taker.at(epoch)["mig"] for epoch in (1, 2, 3)} == expected
    assert taker.seconds == 1.5
    rows = ledger.of(tables.REPORT, "new")
    assert [(row["trial"], row["at"], row["seconds"]) for row in rows] == [
        (5, 11.0, 0.5),
        (5, 12.0, 0.5),
        (5, 13.0, 0.5),
    ]


def test_sweeps_of_the_same_time_come_by_name(ledger):
    add(ledger, "b", 0, [1])
    add(ledger, "a", 0, [1])
    assert take(ledger, trial()) == Twin("a", 0, None)


def test_a_complete_trial_comes_before_older_ones(ledger):
    add(ledger, "a", 0, [1, 2, 3], asked=1.0)
    add(ledger, "p", 0, [1, 2], asked=2.0, end=TrialState.PRUNED)
    add(ledger, "z", 7, [1, 2, 3], asked=3.0, end=TrialState.COMPLETE)
    assert take(ledger, trial()) == Twin("z", 7, "COMPLETE")
    assert migs(ledger) == {epoch: mig("z", epoch) for epoch in (1, 2, 3)}


def test_an_end_belongs_to_a_trial_of_a_sweep(ledger):
    # Trial 1 of sweep a and trial 0 of sweep b are complete, but their hash is another.
    add(ledger, "a", 0, [1])
    add(ledger, "a", 1, [1], end=TrialState.COMPLETE, trial_hash="other")
    add(ledger, "b", 0, [1], end=TrialState.COMPLETE, trial_hash="other")
    assert take(ledger, trial()) == Twin("a", 0, None)
    assert migs(ledger) == {1: mig("a", 1)}


def test_nothing_is_copied_across_a_gap(ledger):
    add(ledger, "a", 0, [1, 3], asked=1.0)
    taker = trial()
    assert take(ledger, taker) == Twin("a", 0, None)
    assert migs(ledger) == {1: mig("a", 1)}
    # Another sweep has the epoch between.
    add(ledger, "b", 0, [2], asked=2.0)
    assert take(ledger, taker) == Twin("b", 0, None)
    assert take(ledger, taker) == Twin("a", 0, None)
    assert migs(ledger) == {1: mig("a", 1), 2: mig("b", 2), 3: mig("a", 3)}
    assert take(ledger, taker) is None  # and nothing twice


def test_a_trial_that_has_all_its_reports_is_told_which_twin_is_complete(ledger):
    add(ledger, "a", 0, [1, 2, 3], asked=1.0)
    taker = trial()
    take(ledger, taker)
    assert take(ledger, taker) is None
    add(ledger, "z", 0, [1, 2, 3], asked=9.0, end=TrialState.COMPLETE)
    assert take(ledger, taker) == Twin("z", 0, "COMPLETE")


def test_a_complete_twin_with_a_gap_completes_nothing(ledger):
    add(ledger, "a", 0, [2, 3], end=TrialState.COMPLETE)
    taker = trial()
    assert take(ledger, taker) is None
    assert taker.unbroken == 0
    assert migs(ledger) == {}


def test_its_sweep_and_other_trials_are_no_twins(ledger):
    add(ledger, "n", 0, [1, 2, 3], end=TrialState.COMPLETE)
    add(ledger, "a", 0, [1, 2, 3], trial_hash="other")
    assert take(ledger, trial(), sweep="n") is None
    assert migs(ledger, "n") == {epoch: mig("n", epoch) for epoch in (1, 2, 3)}
