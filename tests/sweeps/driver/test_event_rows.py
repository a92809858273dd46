"""The rows that each event of a sweep writes, column by column, on a clock that stands still."""

import json
from types import SimpleNamespace

import pytest
from mini_sweep import body, conductor, play, spec

from sweeps.driver import cell_rules
from sweeps.driver import conductor as conductor_module
from sweeps.ledger import ledger as ledger_module
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger

ONE_CELL = {"train": {"epochs": 4, "batch_size": 32}, "objectives": [{"name": "vae"}]}


@pytest.fixture
def clock(monkeypatch):
    """A wall clock and a monotonic one; a test moves them."""
    clock = SimpleNamespace(now=100.0, mono=5.0)
    stand_in = SimpleNamespace(time=lambda: clock.now, monotonic=lambda: clock.mono)
    for module in (conductor_module, cell_rules, ledger_module):
        monkeypatch.setattr(module, "time", stand_in)
    return clock


def table(workspace, which, name="mini"):
    return Ledger.of_workspace(workspace).of(which, name)


def failed(trial, kind, message, log=""):
    return {**body(trial, 1, 0.0), "failure": kind, "message": message, "log": log}


def test_a_cell_and_its_trials(tmp_path, clock):
    sweep = conductor(spec(seeds=2), tmp_path)
    sweep.next()
    clock.now = 200.0
    for _ in range(2):
        sweep.next()
    cells = table(tmp_path, tables.CELL)
    assert [row["asked"] for row in cells] == [100.0, 200.0]
    assert [(row["number"], row["turn"], row["layout"]) for row in cells] == [(0, 0, 0), (1, 1, 1)]
    assert [json.loads(row["params"]) for row in cells] == [
        dict(cell.params) for cell in sweep.cells
    ]
    assert [(row["bracket"], row["entry"]) for row in cells] == [
        (cell.bracket.name, cell.bracket.entry) for cell in sweep.cells
    ]
    assert [json.loads(row["fields"]) for row in cells] == [
        [list(field) for field in cell.bracket.fields] for cell in sweep.cells
    ]
    assert sweep.cells[0].bracket.fields
    trials = table(tmp_path, tables.TRIAL)
    assert [row["asked"] for row in trials] == [100.0, 100.0, 200.0, 200.0]
    columns = ("number", "cell", "seed", "epochs", "reused_from")
    assert [tuple(row[name] for name in columns) for row in trials] == [
        (0, 0, 0, 4, ""),
        (1, 0, 1, 4, ""),
        (2, 1, 0, 4, ""),
        (3, 1, 1, 4, ""),
    ]
    for row, trial in zip(trials, sweep.trials, strict=True):
        assert row["hash"] == trial.hash
        assert json.loads(row["config"]) == trial.config
        assert trial.config["train"]["epochs"] == trial.epochs == 4
    assert len({trial.hash for trial in sweep.trials}) == 4


def test_an_attempt_from_its_start_to_its_completion(tmp_path, clock):
    sweep = conductor(spec(**ONE_CELL, pruning="none", seeds=1), tmp_path)
    clock.mono = 6.0
    trial = sweep.next().trial
    assert trial.since == 6.0
    open_attempt = {
        "id": trial.attempt,
        "sweep": "mini",
        "trial": 0,
        "life": 1,
        "started": 100.0,
        "ended": None,
        "outcome": None,
        "message": None,
    }
    assert table(tmp_path, tables.ATTEMPT) == [open_attempt]
    reports = [body(trial, epoch, 0.1) for epoch in (1, 2, 3, 4)]
    for report in reports:
        clock.now += 10.0
        clock.mono += 1.0
        sweep.record(0, report)
        assert trial.since == clock.mono
    assert table(tmp_path, tables.ATTEMPT) == [
        {**open_attempt, "ended": 140.0, "outcome": "complete", "message": ""}
    ]
    rows = table(tmp_path, tables.REPORT)
    assert [(row["trial"], row["epoch"], row["at"], row["seconds"]) for row in rows] == [
        (0, 1, 110.0, 1.1),
        (0, 2, 120.0, 1.1),
        (0, 3, 130.0, 1.1),
        (0, 4, 140.0, 1.1),
    ]
    assert [row["body"] for row in rows] == [json.dumps(each, sort_keys=True) for each in reports]
    assert table(tmp_path, tables.END) == [
        {
            "seq": 1,
            "sweep": "mini",
            "trial": 0,
            "state": "COMPLETE",
            "reason": "completed",
            "why": "",
            "at": 140.0,
        }
    ]
    assert trial.seconds == pytest.approx(4.4)
    assert trial.end_reason == "completed"


def test_a_verdict_and_the_ends_it_brings(tmp_path, clock):
    sweep = conductor(spec(objectives=[{"name": "vae"}], seeds=1), tmp_path)
    first, second = sweep.next().trial, sweep.next().trial
    for epoch in (1, 2):
        sweep.record(first.number, body(first, epoch, 0.4))
    clock.now = 150.0
    for epoch in (1, 2):
        sweep.record(second.number, body(second, epoch, 0.2))
    decision = {"sweep": "mini", "rung": 0}
    assert table(tmp_path, tables.DECISION) == [
        decision
        | {"cell": 0, "verdict": "go", "value": 0.4, "at": 100.0}
        | {"why": "0.4 against a cutoff of 0.4 (best 1 of 1)"},
        decision
        | {"cell": 1, "verdict": "prune", "value": 0.2, "at": 150.0}
        | {"why": "0.2 against a cutoff of 0.4 (best 1 of 2)"},
    ]
    (end,) = table(tmp_path, tables.END)
    assert (end["state"], end["reason"], end["at"]) == ("PRUNED", "rung", 150.0)
    assert end["why"] == second.why == "rung 1 (epoch 2)"
    assert second.end_reason == "rung"
    # The trial that was promoted was never taken from its slot.
    attempts = table(tmp_path, tables.ATTEMPT)
    assert [(row["outcome"], row["ended"]) for row in attempts] == [(None, None), ("pruned", 150.0)]


def test_a_parked_seed_whose_cell_is_judged_later(tmp_path, clock):
    # The second seed reaches the rung first; the first one has not reported at all.
    sweep = conductor(spec(**ONE_CELL), tmp_path)
    first, second = sweep.next().trial, sweep.next().trial
    clock.now = 120.0
    for epoch in (1, 2):
        sweep.record(second.number, body(second, epoch, 0.2))
    assert (first.state, second.state) == ("RUNNING", "PARKED")
    attempts = table(tmp_path, tables.ATTEMPT)
    assert [(row["trial"], row["outcome"], row["ended"]) for row in attempts] == [
        (0, None, None),
        (1, "parked", 120.0),
    ]


def test_a_failure_says_its_message_and_the_output_of_the_trial(tmp_path, clock):
    sweep = conductor(spec(**ONE_CELL, seeds=1), tmp_path)
    trial = sweep.next().trial
    clock.now = 130.0
    sweep.record(0, failed(trial, "error", "Traceback …\nValueError: no", "last words"))
    assert trial.last_error == (0, "ValueError: no")
    assert trial.charged == 1
    trial = sweep.next().trial
    sweep.record(0, failed(trial, "error", "Traceback …\nKeyError: 'x'", "  \n"))
    attempts = table(tmp_path, tables.ATTEMPT)
    assert [(row["outcome"], row["ended"], row["message"]) for row in attempts] == [
        (
            "error",
            130.0,
            "Traceback …\nValueError: no\n--- end of its output ---\nlast words",
        ),
        ("error", 130.0, "Traceback …\nKeyError: 'x'"),
    ]
    assert table(tmp_path, tables.END) == []  # another message: it is tried again


def test_the_same_error_one_epoch_later_is_tried_again(tmp_path):
    sweep = conductor(spec(**ONE_CELL, pruning="none", seeds=1, resources={"retries": 5}), tmp_path)
    trial = sweep.next().trial
    sweep.record(0, failed(trial, "error", "ValueError: no"))
    trial = sweep.next().trial
    sweep.record(0, body(trial, 1, 0.1))
    sweep.record(0, failed(trial, "error", "ValueError: no"))
    assert (trial.state, trial.last_error) == ("WAITING", (1, "ValueError: no"))
    trial = sweep.next().trial
    sweep.record(0, failed(trial, "error", "ValueError: no"))
    assert trial.state == "FAILED"
    (end,) = table(tmp_path, tables.END)
    assert (end["state"], end["reason"]) == ("FAILED", "error")


def test_a_divergence_is_not_the_last_error(tmp_path):
    sweep = conductor(spec(**ONE_CELL, seeds=1), tmp_path)
    trial = sweep.next().trial
    sweep.record(0, failed(trial, "diverged", "loss is nan at step 7"))
    assert (trial.state, trial.last_error, trial.charged) == ("FAILED", None, 0)
    (end,) = table(tmp_path, tables.END)
    assert (end["state"], end["reason"]) == ("FAILED", "diverged")
    assert end["why"] == "diverged: loss is nan at step 7"


@pytest.mark.parametrize("kind", ["data", "storage"])
def test_changed_data_or_a_full_disk_stops_the_sweep_and_charges_no_trial(tmp_path, clock, kind):
    sweep = conductor(spec(**ONE_CELL, seeds=2), tmp_path)
    first, second = sweep.next().trial, sweep.next().trial
    clock.now = 140.0
    assert not sweep.record(0, failed(first, kind, "the disk is full"))
    assert sweep.stopping == "the disk is full"
    assert sweep.next() == "finished"
    assert (first.state, first.charged, second.state) == ("WAITING", 0, "RUNNING")
    attempts = table(tmp_path, tables.ATTEMPT)
    assert [(row["outcome"], row["ended"], row["message"]) for row in attempts] == [
        ("interrupted", 140.0, "the disk is full"),
        (None, None, None),
    ]
    assert table(tmp_path, tables.END) == []


@pytest.mark.parametrize("kind", ["lost", "timeout", "node"])
def test_a_death_is_written_with_its_kind(tmp_path, clock, kind):
    resources = {"retries": 0, "node_retries": 0}
    sweep = conductor(spec(**ONE_CELL, seeds=1, resources=resources), tmp_path)
    sweep.next()
    clock.now = 150.0
    sweep.lost(0, kind, "first line\nit died")
    (attempt,) = table(tmp_path, tables.ATTEMPT)
    assert (attempt["outcome"], attempt["message"]) == (kind, "first line\nit died")
    (end,) = table(tmp_path, tables.END)
    assert (end["state"], end["reason"], end["why"]) == ("FAILED", kind, f"{kind}: it died")
    assert (sweep.trials[0].end_reason, sweep.trials[0].why) == (kind, f"{kind}: it died")
    sweep.lost(0, kind, "again")  # it does not run any more
    assert len(table(tmp_path, tables.END)) == len(table(tmp_path, tables.ATTEMPT)) == 1


def test_a_gap_says_which_epochs_are_missing(tmp_path):
    sweep = conductor(spec(**ONE_CELL, pruning="none", seeds=1, resources={"retries": 0}), tmp_path)
    trial = sweep.next().trial
    sweep.record(0, body(trial, 3, 0.1))
    message = (
        "it reported epoch 3 after epoch 0: the epochs between were never reported to this sweep"
    )
    (attempt,) = table(tmp_path, tables.ATTEMPT)
    assert (attempt["outcome"], attempt["message"]) == ("error", message)
    (end,) = table(tmp_path, tables.END)
    assert (end["reason"], end["why"]) == ("error", f"error: {message}")


def test_an_interrupt_closes_what_runs_and_nothing_else(tmp_path, clock):
    sweep = conductor(spec(**ONE_CELL, pruning="none", seeds=3), tmp_path)
    first, second = sweep.next().trial, sweep.next().trial
    for epoch in (1, 2, 3, 4):
        sweep.record(0, body(first, epoch, 0.1))
    clock.now = 160.0
    sweep.interrupt("SIGTERM")
    sweep.interrupt("SIGINT")
    assert sweep.stopping == "SIGTERM"  # the first reason stays
    attempts = table(tmp_path, tables.ATTEMPT)
    assert [(row["outcome"], row["ended"], row["message"]) for row in attempts] == [
        ("complete", 100.0, ""),
        ("interrupted", 160.0, ""),
    ]
    assert (first.state, second.state) == ("COMPLETE", "WAITING")


def test_a_new_driver_closes_the_attempts_of_a_dead_one(tmp_path, clock):
    play(conductor(spec(**ONE_CELL, pruning="none", seeds=2), tmp_path), stop_after=1)
    play(conductor(spec(**ONE_CELL, name="other", pruning="none", seeds=2), tmp_path), stop_after=3)
    clock.now = 170.0
    conductor(spec(**ONE_CELL, pruning="none", seeds=2), tmp_path)
    attempts = table(tmp_path, tables.ATTEMPT)
    assert [(row["outcome"], row["ended"]) for row in attempts] == [("interrupted", 170.0)] * 2
    # Attempts of another sweep are not its business.
    others = table(tmp_path, tables.ATTEMPT, "other")
    assert [row["outcome"] for row in others] == [None, None]


def test_a_reused_trial_says_from_where_and_keeps_its_times(tmp_path, clock):
    changes = {**ONE_CELL, "pruning": "none", "seeds": 1}
    play(conductor(spec(**changes), tmp_path))
    clock.now = 900.0
    other = conductor(spec(**changes, name="other"), tmp_path)
    assert other.next() == "finished"
    (trial,) = table(tmp_path, tables.TRIAL, "other")
    assert trial["reused_from"] == other.trials[0].reused_from == "mini"
    (end,) = table(tmp_path, tables.END, "other")
    assert (end["state"], end["reason"], end["at"]) == ("COMPLETE", "reused", 900.0)
    assert end["why"] == other.trials[0].why == "reused from sweep mini"
    assert other.trials[0].end_reason == "reused"
    columns = ("epoch", "at", "seconds", "body")
    copied, trained = (
        [tuple(row[name] for name in columns) for row in table(tmp_path, tables.REPORT, name)]
        for name in ("other", "mini")
    )
    assert copied == trained
    assert len(copied) == 4
    assert table(tmp_path, tables.ATTEMPT, "other") == []
    assert table(tmp_path, tables.TRIAL, "mini")[0]["reused_from"] == ""


def test_a_ledger_that_is_read_again_keeps_what_runs(tmp_path, clock):
    """As after an outage: the same driver run, the same attempts."""
    sweep = conductor(spec(**ONE_CELL, pruning="none", seeds=3), tmp_path)
    complete, running, lost = (sweep.next().trial for _ in range(3))
    for epoch in (1, 2, 3, 4):
        sweep.record(complete.number, body(complete, epoch, 0.1))
    sweep.lost(lost.number, "lost", "killed")
    clock.mono = 50.0
    sweep._reload()
    assert [trial.state for trial in sweep.trials] == ["COMPLETE", "RUNNING", "WAITING"]
    assert (sweep.trials[1].attempt, sweep.trials[1].since) == (running.attempt, 50.0)
    assert sweep.trials[0].seconds == pytest.approx(4.4)
    # The trial that runs is handed out once, and no cell is asked twice.
    assert sweep.next().trial is sweep.trials[2]
    assert sweep.next() is None
    assert len(sweep.cells) == 1
    assert [row["outcome"] for row in table(tmp_path, tables.ATTEMPT)] == [
        "complete",
        None,
        "lost",
        None,
    ]


def test_a_new_driver_judges_against_the_verdicts_before(tmp_path):
    two_cells = {"objectives": [{"name": "vae"}], "seeds": 1}
    sweep = conductor(spec(**two_cells), tmp_path)
    trial = sweep.next().trial
    for epoch in (1, 2, 3):
        sweep.record(trial.number, body(trial, epoch, 0.4))
    second = conductor(spec(**two_cells), tmp_path)
    assert (second.cells_total, second.cells_to_come, second.finished) == (2, 1, False)
    assert (second.stopping, second.failure) == (None, None)
    again = second.next()
    assert (again.trial.number, again.last_epoch, again.judged) == (0, 3, (2,))
    assert set(again.trial.at(3)) == {"mig", "active_units", "tc", "reconstruction"}
    assert set(again.trial.at(2)) == {"mig", "active_units"}
    other = second.next().trial
    assert (second.cells_to_come, other.number) == (0, 1)
    for epoch in (1, 2):
        second.record(other.number, body(other, epoch, 0.3))
    assert (other.state, other.why) == ("PRUNED", "rung 1 (epoch 2)")
    assert second.next() is None
    second.record(0, body(again.trial, 4, 0.4))
    assert second.finished
    assert second.next() == "finished"
    assert [row["turn"] for row in table(tmp_path, tables.CELL)] == [0, 1]


def test_a_bracket_of_an_earlier_version_is_renamed_in_one_row(tmp_path):
    several = {"train": {"epochs": 4, "batch_size": 32}, "seeds": 1, "pruning": "none"}
    for name in ("mini", "other"):
        sweep = conductor(spec(**several, name=name), tmp_path)
        for _ in range(2):
            sweep.next()
    names = [row["bracket"] for row in table(tmp_path, tables.CELL)]
    assert len(set(names)) == 2  # beta 1 and beta 4
    with sweep._ledger.transaction() as tx:
        before = {"bracket": "as it was called before", "entry": "other", "fields": "[]"}
        tx.update(tables.CELL, tables.CELL.c.number == 1, **before)
    conductor(spec(**several), tmp_path)
    assert [row["bracket"] for row in table(tmp_path, tables.CELL)] == names
    others = [row["bracket"] for row in table(tmp_path, tables.CELL, "other")]
    assert others == [names[0], "as it was called before"]


def few_turns():
    """Return the spec of a search that has nine turns and can find two cells."""
    return spec(
        train={"epochs": 1, "batch_size": 32, "learning_rate": {"choice": [1e-2, 1e-3]}},
        objectives=[{"name": "vae"}],
        search={"name": "random", "trials": 9, "seed": 0},
        seeds=1,
        pruning="none",
    )


def test_the_cells_to_come_are_those_that_turns_are_left_for(tmp_path):
    sweep = conductor(few_turns(), tmp_path)
    assert (sweep.cells_asked, sweep.cells_total, sweep.cells_to_come) == (9, 2, 2)
    sweep.next()
    assert sweep.cells_to_come == 1
    assert not sweep.finished
    sweep._turn = 9  # the search gave its last turn up
    assert sweep.cells_to_come == 0
    assert not sweep.finished
    sweep.record(0, body(sweep.trials[0], 1, 0.1))
    assert sweep.finished


def test_a_process_can_be_killed_before_and_after_each_event(tmp_path, monkeypatch):
    """The tests that kill real drivers do so at these points: this is what is written there."""
    seen = []

    def failpoint(name):
        tables_now = (tables.CELL, tables.TRIAL, tables.ATTEMPT, tables.REPORT)
        seen.append((name, *(len(table(tmp_path, each)) for each in tables_now)))

    sweep = conductor(spec(**ONE_CELL, pruning="none", seeds=2), tmp_path)
    monkeypatch.setattr(conductor_module, "failpoint", failpoint)
    trial = sweep.next().trial
    sweep.record(trial.number, body(trial, 1, 0.1))
    assert seen == [
        ("driver.asked", 1, 2, 0, 0),
        ("driver.before_report", 1, 2, 1, 0),
        ("driver.reported", 1, 2, 1, 1),
    ]


def test_a_complete_trial_of_another_sweep_that_lacks_an_epoch_completes_nothing(tmp_path):
    changes = {**ONE_CELL, "pruning": "none", "seeds": 1}
    first = conductor(spec(**changes), tmp_path)
    play(first)
    with first._ledger.transaction() as tx:
        tx.delete(tables.REPORT, tables.REPORT.c.epoch == 3)
    other = conductor(spec(**changes, name="other"), tmp_path)
    assignment = other.next()
    assert (assignment.last_epoch, assignment.trial.state) == (2, "RUNNING")
    assert assignment.trial.reused_from == "mini"
    assert table(tmp_path, tables.END, "other") == []


def test_an_attempt_of_a_dead_driver_is_not_handed_out_again(tmp_path):
    # Its process may still live: a late report of it must not count.
    changes = {**ONE_CELL, "pruning": "none", "seeds": 1}
    first = conductor(spec(**changes), tmp_path)
    trial = first.next().trial
    late = body(trial, 1, 0.1)
    second = conductor(spec(**changes), tmp_path)
    assert second.trials[0].state == "WAITING"
    again = second.next().trial
    assert again.attempt == trial.attempt + 1
    assert not second.record(0, late)
    assert table(tmp_path, tables.REPORT) == []


def test_a_verdict_that_is_missing_is_made_at_the_start(tmp_path):
    # As after a change of the rungs: the reports are there, the verdict is not.
    first = conductor(spec(**ONE_CELL, seeds=1), tmp_path)
    trial = first.next().trial
    for epoch in (1, 2):
        first.record(0, body(trial, epoch, 0.4))
    (decision,) = table(tmp_path, tables.DECISION)
    with first._ledger.transaction() as tx:
        tx.delete(tables.DECISION)
    conductor(spec(**ONE_CELL, seeds=1), tmp_path)
    (again,) = table(tmp_path, tables.DECISION)
    assert again | {"at": 0.0} == decision | {"at": 0.0}


def test_a_turn_without_a_new_cell_is_given_up_and_the_next_one_is_asked(tmp_path, monkeypatch):
    sweep = conductor(few_turns(), tmp_path)
    turns = []
    monkeypatch.setattr(
        conductor_module, "draw_cell", lambda spec, layouts, turn, *_, **__: turns.append(turn)
    )
    assert sweep.next() == "finished"
    assert turns == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert sweep.finished
