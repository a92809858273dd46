"""What runs, what stops, what is written: without Ray, by plain calls."""

import math
from collections import Counter

import pytest
from mini_sweep import body, conductor, learning_rate_decides, play, spec

from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.registration import retry_failed
from sweeps.ledger.replay import parked_trials, read_trials
from sweeps.search.cell_outcome import cell_outcome


def states(sweep):
    return Counter(trial.state for trial in sweep.trials)


def table(workspace, which, name="mini"):
    return Ledger.of_workspace(workspace).of(which, name)


def test_a_grid_sweep_ends_with_half_of_each_bracket_pruned(tmp_path):
    sweep = conductor(spec(), tmp_path)
    play(sweep)
    # 2 learning rates x 2 beta x 2 seeds; in each bracket (a beta) the first, higher learning rate
    # goes on.
    assert states(sweep) == {"COMPLETE": 4, "PRUNED": 4}
    pruned = {
        trial.config["train"]["learning_rate"] for trial in sweep.trials if trial.state == "PRUNED"
    }
    assert pruned == {1e-3}


def test_beta_is_never_pruned_against_beta(tmp_path):
    # A score that falls with beta: ASHA across beta would keep beta = 1 only.
    def falls_with_beta(trial, epoch):
        return learning_rate_decides(trial, epoch) / trial.config["objective"]["beta"]

    sweep = conductor(spec(), tmp_path)
    play(sweep, falls_with_beta)
    complete = {
        trial.config["objective"]["beta"] for trial in sweep.trials if trial.state == "COMPLETE"
    }
    assert complete == {1, 4}
    assert {cell.bracket.name for cell in sweep.cells} == {"beta_vae beta=1", "beta_vae beta=4"}


@pytest.mark.parametrize("slots", [1, 2, 3, 8])
def test_a_rung_waits_for_all_seeds_of_a_cell_and_is_judged_once(tmp_path, slots):
    sweep = conductor(spec(), tmp_path)
    play(sweep, slots=slots)
    reports = table(tmp_path, tables.REPORT)
    # The rung is epoch 2 of 4: nobody of a pruned cell trained past it, however many ran at once.
    for cell in sweep.cells:
        last = {
            trial.number: max(r["epoch"] for r in reports if r["trial"] == trial.number)
            for trial in cell.trials
        }
        assert set(last.values()) == ({4} if cell.promotions[0] else {2})
    assert len(table(tmp_path, tables.DECISION)) == len(sweep.cells)


def test_a_rung_is_judged_on_the_mean_over_seeds(tmp_path):
    # Seed 0 of the second cell is the best of all, its mean is not.
    migs = {(1e-2, 0): 0.4, (1e-2, 1): 0.4, (1e-3, 0): 0.6, (1e-3, 1): 0.1}
    one_beta = [{"name": "beta_vae", "beta": 4}]
    sweep = conductor(spec(objectives=one_beta), tmp_path)
    play(sweep, lambda trial, _: migs[trial.config["train"]["learning_rate"], trial.seed])
    assert [cell.values[0] for cell in sweep.cells] == pytest.approx([0.4, 0.35])
    assert [cell.promotions[0] for cell in sweep.cells] == [True, False]


def test_every_report_is_written_once_and_a_repeat_changes_nothing(tmp_path):
    sweep = conductor(spec(pruning="none"), tmp_path)
    trial = sweep.next().trial
    assert sweep.record(trial.number, body(trial, 1, 0.1))
    assert sweep.record(
        trial.number, body(trial, 1, 0.9)
    )  # a re-emitted report, with another number
    rows = table(tmp_path, tables.REPORT)
    assert len(rows) == 1
    assert '"mig": 0.1' in rows[0]["body"]


def test_the_last_report_completes_the_trial(tmp_path):
    sweep = conductor(spec(pruning="none"), tmp_path)
    trial = sweep.next().trial
    assert [sweep.record(trial.number, body(trial, epoch, 0.1)) for epoch in (1, 2, 3, 4)] == [
        True,
        True,
        True,
        False,
    ]
    assert trial.state == "COMPLETE"


@pytest.mark.parametrize("stop_after", range(1, 26, 3))
def test_a_driver_that_died_anywhere_goes_on_to_the_same_end(tmp_path, stop_after):
    play(conductor(spec(), tmp_path), stop_after=stop_after)
    second = conductor(spec(), tmp_path)
    play(second)
    assert states(second) == {"COMPLETE": 4, "PRUNED": 4}
    keys = [(row["trial"], row["epoch"]) for row in table(tmp_path, tables.REPORT)]
    assert len(keys) == len(set(keys)) == 4 * 4 + 4 * 2
    assert all(row["outcome"] for row in table(tmp_path, tables.ATTEMPT))


def test_decisions_recomputed_from_the_ledger_are_the_recorded_ones(tmp_path):
    play(conductor(spec(), tmp_path), stop_after=14)
    second = conductor(spec(), tmp_path)
    recorded = {
        (row["cell"], row["rung"]): row["verdict"] == "go"
        for row in table(tmp_path, tables.DECISION)
    }
    folded = {
        (cell.number, rung): go for cell in second.cells for rung, go in cell.promotions.items()
    }
    assert recorded == folded
    assert recorded


def test_nan_in_the_pruning_metric_is_pruned_and_never_promoted(tmp_path):
    def nan_at_the_high_rate(trial, epoch):
        return (
            math.nan
            if trial.config["train"]["learning_rate"] == 1e-2
            else learning_rate_decides(trial, epoch)
        )

    sweep = conductor(spec(), tmp_path)
    play(sweep, nan_at_the_high_rate)
    assert {
        trial.config["train"]["learning_rate"] for trial in sweep.trials if trial.state == "PRUNED"
    } == {1e-2}


def test_a_diverged_trial_fails_alone_and_its_cell_is_judged_without_it(tmp_path):
    sweep = conductor(spec(), tmp_path)
    first, second = sweep.next().trial, sweep.next().trial
    assert first.cell == second.cell
    for epoch in (1, 2):
        sweep.record(first.number, body(first, epoch, 0.3))
    assert first.state == "PARKED"
    failure = {"failure": "diverged", "message": "loss is nan at step 7", "log": ""}
    assert not sweep.record(second.number, {**body(second, 1, 0.0), **failure})
    assert second.state == "FAILED"
    assert second.why == "diverged: loss is nan at step 7"
    assert first.state == "WAITING"  # judged on its own, it may go on


def test_an_exception_is_tried_again_but_not_the_same_one_twice(tmp_path):
    sweep = conductor(spec(seeds=1), tmp_path)
    for _ in range(2):
        trial = sweep.next().trial
        failure = {
            "failure": "error",
            "message": "Traceback …\nValueError: no",
            "log": "last words",
        }
        sweep.record(trial.number, {**body(trial, 1, 0.0), **failure})
    assert (trial.number, trial.state, trial.why) == (0, "FAILED", "error: ValueError: no")
    assert "last words" in table(tmp_path, tables.ATTEMPT)[0]["message"]


def test_a_trial_whose_process_dies_is_tried_as_often_as_retries_say(tmp_path):
    sweep = conductor(spec(seeds=1, resources={"retries": 2}), tmp_path)
    for attempt in range(3):
        trial = sweep.next().trial
        assert trial.number == 0, attempt
        sweep.lost(0, "lost", "the process died")
    assert sweep.trials[0].state == "FAILED"
    assert retry_failed(Ledger.of_workspace(tmp_path), "mini") == 1
    again = conductor(spec(seeds=1, resources={"retries": 2}), tmp_path)
    assert (again.trials[0].state, again.trials[0].charged) == ("WAITING", 0)


def test_a_straggling_report_of_a_lost_attempt_is_not_written(tmp_path):
    sweep = conductor(spec(pruning="none"), tmp_path)
    trial = sweep.next().trial
    late = body(trial, 1, 0.1)
    sweep.lost(trial.number, "lost", "the process died")
    assert not sweep.record(trial.number, late)
    assert table(tmp_path, tables.REPORT) == []


def test_complete_trials_of_another_sweep_are_taken_over(tmp_path):
    play(conductor(spec(pruning="none"), tmp_path))
    other = conductor(spec(name="other", pruning="none"), tmp_path)
    assert play(other) == 0
    assert states(other) == {"COMPLETE": 8}
    assert {row["reused_from"] for row in table(tmp_path, tables.TRIAL, "other")} == {"mini"}
    assert [row["at"] for row in table(tmp_path, tables.REPORT, "other")] != []


def test_pruned_trials_of_another_sweep_go_on_from_where_they_stopped(tmp_path):
    play(conductor(spec(), tmp_path))
    other = conductor(spec(name="other", pruning="none"), tmp_path)
    assert play(other) == 4 * 2  # the four pruned ones train their last two epochs
    assert states(other) == {"COMPLETE": 8}


def test_a_sampler_draws_the_same_cells_whatever_was_interrupted(tmp_path):
    searched = spec(
        train={"epochs": 2, "batch_size": 32, "learning_rate": {"loguniform": [1e-4, 1e-2]}},
        search={"name": "tpe", "trials": 6, "seed": 3},
        seeds=1,
        pruning="none",
    )
    whole = conductor(searched, tmp_path / "whole")
    play(whole, slots=1)
    for stop_after in (3, 2, 9):
        play(conductor(searched, tmp_path / "cut"), slots=1, stop_after=stop_after)
    rest = conductor(searched, tmp_path / "cut")
    play(rest, slots=1)
    # One slot: a cut trial is finished before the next is asked, so the histories are the same.
    assert [cell.params for cell in rest.cells] == [cell.params for cell in whole.cells]
    assert len(rest.cells) == 6 * 2  # six for every beta that is laid out


def test_a_sampler_that_can_only_repeat_itself_gives_its_turns_up(tmp_path):
    few = spec(
        train={"epochs": 1, "batch_size": 32, "learning_rate": {"choice": [1e-2, 1e-3]}},
        objectives=[{"name": "vae"}],
        search={"name": "random", "trials": 9, "seed": 0},
        seeds=1,
        pruning="none",
    )
    sweep = conductor(few, tmp_path)
    play(sweep)
    assert len(sweep.cells) == 2
    assert sweep.finished


def test_stopping_leaves_trials_to_go_on_with(tmp_path):
    sweep = conductor(spec(pruning="none"), tmp_path)
    trial = sweep.next().trial
    sweep.stopping = "the budget is spent"
    assert not sweep.record(trial.number, body(trial, 1, 0.1))
    assert sweep.next() == "finished"
    assert not sweep.finished
    again = conductor(spec(pruning="none"), tmp_path)
    assert (again.trials[0].state, again.trials[0].epoch, again.trials[0].charged) == (
        "WAITING",
        1,
        0,
    )


def test_complete_cells_are_told_their_mean_and_pruned_ones_no_value(tmp_path):
    sweep = conductor(spec(), tmp_path)
    play(sweep)
    outcomes = {
        outcome.state: outcome
        for outcome in (cell_outcome(cell, sweep.spec) for cell in sweep.cells)
    }
    # Last epoch 4: 4 * 1e-2 and 4 * 1e-2 + 1e-4 for the two seeds.
    assert outcomes["complete"].values == pytest.approx((0.04005,))
    assert outcomes["pruned"].values == ()
    assert set(outcomes["pruned"].intermediate) == {1, 2}


# One cell of 6 epochs of 12 steps, two seeds; C grows until step 36, the end of epoch 3.
CAPACITY = {
    "train": {"epochs": 6, "batch_size": 32},
    "objectives": [{"name": "capacity_vae", "annealing": 0.5}],
    "seeds": 2,
}


def stopping(**pruning):
    return {"metric": "mig", "rungs": [], "stop_collapsed": True, **pruning}


def never_active(trial, epoch):
    return 0.0


def test_a_collapsed_trial_is_stopped_once_its_schedules_have_ended(tmp_path):
    sweep = conductor(spec(**CAPACITY, pruning=stopping()), tmp_path)
    play(sweep, active=never_active)
    assert [(trial.state, trial.epoch, trial.why) for trial in sweep.trials] == [
        ("PRUNED", 4, "collapsed (epoch 4)"),
        ("PRUNED", 4, "collapsed (epoch 4)"),
    ]
    assert {row["outcome"] for row in table(tmp_path, tables.ATTEMPT)} == {"pruned"}


@pytest.mark.parametrize("epochs", [(1, 2, 3), (3,), (5,), (3, 5)])
def test_a_collapse_during_the_warm_up_or_for_one_epoch_stops_nobody(tmp_path, epochs):
    sweep = conductor(spec(**CAPACITY, pruning=stopping()), tmp_path)
    play(sweep, active=lambda trial, epoch: 0.0 if epoch in epochs else 2.0)
    assert states(sweep) == {"COMPLETE": 2}


@pytest.mark.parametrize("epochs", [(6,), (5, 6)])
def test_a_collapse_at_the_last_epoch_is_a_complete_trial(tmp_path, epochs):
    sweep = conductor(spec(**CAPACITY, pruning=stopping()), tmp_path)
    play(sweep, active=lambda trial, epoch: 0.0 if epoch in epochs else 2.0)
    assert states(sweep) == {"COMPLETE": 2}
    assert all(trial.collapsed for trial in sweep.trials)


def test_without_stop_collapsed_a_collapse_stops_nobody(tmp_path):
    sweep = conductor(spec(**CAPACITY, pruning="none"), tmp_path)
    play(sweep, active=never_active)
    assert states(sweep) == {"COMPLETE": 2}


@pytest.mark.parametrize("stop_after", range(1, 12, 2))
def test_a_driver_that_died_stops_the_same_collapsed_trials(tmp_path, stop_after):
    changes = {**CAPACITY, "seeds": 3, "pruning": stopping(rungs=[0.5])}

    def second_collapses(trial, epoch):
        return 0.0 if trial.seed == 1 else 3.0

    play(conductor(spec(**changes), tmp_path), active=second_collapses, stop_after=stop_after)
    second = conductor(spec(**changes), tmp_path)
    play(second, active=second_collapses)
    assert [(trial.state, trial.epoch) for trial in second.trials] == [
        ("COMPLETE", 6),
        ("PRUNED", 4),
        ("COMPLETE", 6),
    ]


def two_rates(**pruning):
    """Two cells of one bracket; a plain beta-VAE has no schedule, so epoch 2 may stop a trial
    already.
    """
    return spec(
        train={"epochs": 5, "batch_size": 32, "learning_rate": {"grid": [1e-2, 1e-3]}},
        objectives=[{"name": "beta_vae", "beta": 4}],
        pruning=stopping(**pruning),
    )


def test_a_stopped_seed_counts_at_a_rung_with_its_last_value(tmp_path):
    # The second cell: seed 0 is stopped in epoch 2 at MIG 0.0, seed 1 has 0.6. Their mean 0.3 is
    # below the first cell's 0.4; seed 1 alone would have passed.
    migs = {(1e-2, 0): 0.4, (1e-2, 1): 0.4, (1e-3, 0): 0.0, (1e-3, 1): 0.6}

    def key(trial):
        return trial.config["train"]["learning_rate"], trial.seed

    sweep = conductor(two_rates(rungs=[0.6]), tmp_path)
    play(
        sweep,
        lambda trial, _: migs[key(trial)],
        active=lambda trial, _: 0.0 if key(trial) == (1e-3, 0) else 3.0,
    )
    assert [cell.values[0] for cell in sweep.cells] == pytest.approx([0.4, 0.3])
    assert [(trial.state, trial.why) for trial in sweep.trials] == [
        ("COMPLETE", ""),
        ("COMPLETE", ""),
        ("PRUNED", "collapsed (epoch 2)"),
        ("PRUNED", "rung 1 (epoch 3)"),
    ]


def test_a_cell_that_collapsed_whole_is_judged_as_the_low_value_it_is(tmp_path):
    sweep = conductor(two_rates(rungs=[0.6, 0.8]), tmp_path)
    play(
        sweep,
        active=lambda trial, _: 0.0 if trial.config["train"]["learning_rate"] == 1e-3 else 3.0,
    )
    # Pruned at the first rung, it is not seen at the second, as any pruned cell.
    assert [cell.promotions for cell in sweep.cells] == [{0: True, 1: True}, {0: False}]
    assert {trial.why for trial in sweep.cells[1].trials} == {"collapsed (epoch 2)"}


def test_a_sampler_learns_of_a_stopped_seed_too(tmp_path):
    sweep = conductor(two_rates(), tmp_path)
    play(sweep, lambda trial, _: 0.4 * trial.seed, active=lambda trial, _: 3.0 * trial.seed)
    # Seed 0 stopped at MIG 0.0, seed 1 complete at 0.4: the cell's value is 0.2.
    assert [cell_outcome(cell, sweep.spec).values for cell in sweep.cells] == [
        pytest.approx((0.2,))
    ] * 2
    assert set(cell_outcome(sweep.cells[0], sweep.spec).intermediate) == {1, 2, 3, 4, 5}


def test_a_trial_that_stopped_elsewhere_stops_here_without_training(tmp_path):
    play(conductor(spec(**CAPACITY, pruning=stopping()), tmp_path), active=never_active)
    other = conductor(spec(**CAPACITY, name="other", pruning=stopping()), tmp_path)
    assert play(other) == 0
    assert states(other) == {"PRUNED": 2}
    free = conductor(spec(**CAPACITY, name="free", pruning="none"), tmp_path)
    assert play(free, active=never_active) == 2 * 2  # and goes on from there where nothing stops it
    assert states(free) == {"COMPLETE": 2}


@pytest.mark.parametrize(
    ("annealing", "rungs"),
    [
        (0.5, {1: 3, 2: 5}),  # settled at step 36: a rung at the settled step is judged
        (0.51, {2: 5}),  # settled at step 37, after epoch 3
        (60, {2: 5}),  # in steps, the end of epoch 5
        (1.0, {}),  # nothing is judged
        (1000, {}),
        (0.0, {0: 2, 1: 3, 2: 5}),
    ],
)
def test_no_rung_before_a_schedules_end(tmp_path, annealing, rungs):
    objectives = [{"name": "capacity_vae", "annealing": annealing}]
    pruning = {"metric": "mig", "rungs": [0.3, 0.5, 0.8]}
    sweep = conductor(spec(**{**CAPACITY, "objectives": objectives}, pruning=pruning), tmp_path)
    play(sweep)
    assert sweep.cells[0].rungs == rungs
    assert set(sweep.cells[0].verdicts) == set(rungs)
    assert states(sweep) == {"COMPLETE": 2}
    again = conductor(spec(**{**CAPACITY, "objectives": objectives}, pruning=pruning), tmp_path)
    assert again.cells[0].rungs == rungs


def test_a_trial_at_a_rung_that_does_not_judge_it_is_not_parked(tmp_path):
    sweep = conductor(spec(**CAPACITY, pruning={"metric": "mig", "rungs": [0.3, 0.5]}), tmp_path)
    trial = sweep.next().trial
    for epoch in (1, 2):
        assert sweep.record(trial.number, body(trial, epoch, 0.1))
    ledger = Ledger.of_workspace(tmp_path)
    assert parked_trials(ledger, "mini", read_trials(ledger, "mini")) == set()
    assert not sweep.record(trial.number, body(trial, 3, 0.1))
    assert trial.state == "PARKED"
    assert parked_trials(ledger, "mini", read_trials(ledger, "mini")) == {trial.number}


def test_cells_of_an_earlier_version_meet_those_of_this_one_in_one_bracket(tmp_path):
    """Brackets are what cells are called now, whatever they were called when they were asked."""
    sweep = conductor(spec(), tmp_path)
    play(sweep, stop_after=1)
    with sweep._ledger.transaction() as tx:
        tx.update(tables.CELL, tables.CELL.c.number == 0, bracket="beta_vae#0 beta=1")
    again = conductor(spec(), tmp_path)
    assert again.cells[0].bracket.name == "beta_vae beta=1"
    assert again._ledger.of(tables.CELL, "mini")[0]["bracket"] == "beta_vae beta=1"
