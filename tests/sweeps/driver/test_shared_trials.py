"""Sweeps that share trials: every sweep gets every epoch of each of its trials, once, judged."""

import itertools

import pytest
from mini_sweep import body, conductor, play, spec

from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger

NO_PRUNING = spec(name="free", pruning="none")
MINI = spec()


def epochs(workspace, name):
    """Return number of a trial -> its epochs, in the order of the ledger."""
    reports = Ledger.of_workspace(workspace).of(tables.REPORT, name)
    return {
        trial: [row["epoch"] for row in rows]
        for trial, rows in itertools.groupby(
            sorted(reports, key=lambda row: row["trial"]), key=lambda row: row["trial"]
        )
    }


def assert_whole(workspace, sweep):
    """Check that every trial has the epochs 1 to n, and that every rung is judged."""
    for number, reported in epochs(workspace, sweep.spec.name).items():
        assert sorted(reported) == list(range(1, len(reported) + 1)), (number, reported)
        trial = sweep.trials[number]
        if trial.state == "COMPLETE":
            assert len(reported) == trial.epochs
    for cell in sweep.cells:
        assert set(cell.verdicts) >= {0} or not cell.rungs


@pytest.mark.parametrize("stop_after", [1, 3, 5, 9, 17, 25])
def test_a_sweep_after_an_interrupted_one_lacks_no_epoch_and_is_judged(tmp_path, stop_after):
    play(conductor(NO_PRUNING, tmp_path), stop_after=stop_after)
    second = conductor(MINI, tmp_path)
    play(second)
    assert_whole(tmp_path, second)
    assert {trial.state for trial in second.trials} == {"COMPLETE", "PRUNED"}
    # And the verdicts are those of a sweep alone.
    alone = conductor(MINI, tmp_path / "alone")
    play(alone)
    assert [cell.verdicts for cell in second.cells] == [cell.verdicts for cell in alone.cells]


def test_reports_of_an_interrupted_sweep_are_not_trained_again(tmp_path):
    first = conductor(NO_PRUNING, tmp_path)
    play(first, stop_after=7)
    second = conductor(MINI, tmp_path)
    assignment = second.next()
    assert assignment.last_epoch == assignment.trial.unbroken > 0
    assert assignment.trial.reused_from == "free"


def test_two_running_sweeps_that_share_trials_end_whole(tmp_path):
    first, second = conductor(NO_PRUNING, tmp_path), conductor(MINI, tmp_path)
    for _ in range(60):
        play(first, stop_after=1, slots=1)
        play(second, stop_after=1, slots=1)
        # A driver that hands a trial out again, as after the death of its process.
        for sweep in (first, second):
            for trial in sweep.trials:
                if trial.state == "RUNNING":
                    sweep.lost(trial.number, "node", "its node died")
    play(first)
    play(second)
    for sweep in (first, second):
        assert sweep.finished
        assert_whole(tmp_path, sweep)


def test_a_trial_that_another_sweep_completes_meanwhile_is_not_trained(tmp_path):
    second = conductor(MINI, tmp_path)
    parked = second.next().trial
    second.lost(parked.number, "node", "its node died")
    play(conductor(NO_PRUNING, tmp_path))
    attempts = len(Ledger.of_workspace(tmp_path).of(tables.ATTEMPT, "mini"))
    play(second)
    assert second.finished
    assert len(Ledger.of_workspace(tmp_path).of(tables.ATTEMPT, "mini")) == attempts
    assert_whole(tmp_path, second)


def test_a_report_after_a_gap_is_refused_and_the_attempt_given_up(tmp_path):
    sweep = conductor(NO_PRUNING, tmp_path)
    trial = sweep.next().trial
    sweep.record(trial.number, body(trial, 1, 0.1))
    assert sweep.record(trial.number, body(trial, 3, 0.3)) is False
    assert epochs(tmp_path, "free") == {trial.number: [1]}
    (attempt,) = Ledger.of_workspace(tmp_path).of(tables.ATTEMPT, "free")
    assert attempt["outcome"] == "error"
    assert "it reported epoch 3 after epoch 1" in attempt["message"]
    again = sweep.next()
    assert (again.trial.number, again.last_epoch) == (trial.number, 1)


def test_a_trial_with_a_gap_of_an_older_version_is_trained_from_its_last_whole_epoch(tmp_path):
    sweep = conductor(NO_PRUNING, tmp_path)
    trial = sweep.next().trial
    for epoch in (1, 2, 3):
        sweep.record(trial.number, body(trial, epoch, 0.1))
    ledger = Ledger.of_workspace(tmp_path)
    with ledger.transaction() as tx:
        tx.delete(tables.REPORT, tables.REPORT.c.epoch == 2)
    second = conductor(NO_PRUNING, tmp_path)
    assignment = second.next()
    assert (assignment.trial.number, assignment.last_epoch) == (trial.number, 1)
    for epoch in (2, 3, 4):
        second.record(trial.number, body(assignment.trial, epoch, 0.1))
    assert assignment.trial.state == "COMPLETE"
    assert sorted(epochs(tmp_path, "free")[trial.number]) == [1, 2, 3, 4]


def test_nodes_and_processes_are_counted_apart(tmp_path):
    resources = {"retries": 1, "node_retries": 3}
    sweep = conductor(spec(pruning="none", resources=resources), tmp_path)
    trial = sweep.next().trial
    for _ in range(3):
        sweep.lost(trial.number, "node", "its node died")
        assert sweep.next().trial is trial
    sweep.lost(trial.number, "lost", "killed")
    assert trial.state == "WAITING"
    assert sweep.next().trial is trial
    # A driver that starts anew counts the same.
    second = conductor(spec(pruning="none", resources=resources), tmp_path)
    trial = second.next().trial
    assert (trial.charged, trial.node_losses) == (1, 3)
    second.lost(trial.number, "node", "its node died")
    assert trial.state == "FAILED"
    assert trial.why == "node: its node died"
