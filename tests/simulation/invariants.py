"""What must be true of every simulation: one function per promise.

A function of `OF_LEDGER` takes the history of one sweep. A function of `OF_END` (`end_invariants`)
takes the whole simulation after its last event. Each yields a sentence per breach.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from . import training
from .history import History
from .replay import Replay, replayed

if TYPE_CHECKING:
    from .driver import Driver

CHARGED = ("lost", "timeout", "error")
"""Outcomes of attempts that count against `resources.retries`."""


def same(a: Any, b: Any) -> bool:
    """Return whether two JSON-ready values are equal; NaN equals NaN."""
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


# ---- of a ledger, at any moment


def every_report_is_there_once(history: History) -> Iterator[str]:
    """Each (trial, epoch) has at most one report, and none was ever changed or deleted."""
    counts = Counter((row["trial"], row["epoch"]) for row in history.reports)
    for (trial, epoch), count in counts.items():
        if count > 1:
            yield f"trial {trial} has {count} reports of epoch {epoch}"
    for event in history.events:
        if event["kind"] in ("report changed", "report deleted"):
            yield f"{event['kind']}: trial {event['number']} epoch {event['detail']}"


def no_trial_has_a_gap(history: History) -> Iterator[str]:
    """The epochs of a trial are 1, 2, …, n, and were written in this order."""
    order: dict[int, list[int]] = defaultdict(list)
    for row in history.reports:
        order[row["trial"]].append(row["epoch"])
    for trial, epochs in order.items():
        if epochs != list(range(1, len(epochs) + 1)):
            yield f"trial {trial} has the epochs {epochs}"


def numbers_are_those_of_an_undisturbed_trial(history: History) -> Iterator[str]:
    """Every number of every report is that of the curve without faults."""
    for row in history.reports:
        trial = history.trials[row["trial"]]
        expected = training.curve(trial["hash"], row["epoch"], trial["epochs"])
        for key, value in expected.items():
            if not same(row["body"][key], value):
                yield f"trial {row['trial']} epoch {row['epoch']}: {key} is {row['body'][key]}"


def an_ended_trial_gets_no_attempt(history: History) -> Iterator[str]:
    """No attempt and no report comes after the end of a trial, and it has one end."""
    ended: set[int] = set()
    for event in history.events:
        kind, trial = event["kind"], event["number"]
        if kind == "end" and trial in ended:
            yield f"trial {trial} ended twice"
        if kind == "end":
            ended.add(trial)
        if kind == "end deleted":
            ended.discard(trial)
        if kind in ("attempt", "report") and trial in ended:
            yield f"trial {trial} gets a {kind} ({event['detail']}) after its end"


def attempts_are_closed_once_and_never_overlap(history: History) -> Iterator[str]:
    """A trial has one open attempt at most; each attempt is closed once."""
    open_attempts: dict[int, str] = {}
    for event in history.events:
        kind, trial = event["kind"], event["number"]
        if kind == "closed again":
            row = next(row for row in history.attempts if str(row["id"]) == event["detail"])
            if row["outcome"] != "forgiven":
                yield f"attempt {event['detail']} of trial {trial} was closed twice"
        if kind == "closed" and open_attempts.pop(trial, None) != event["detail"]:
            yield f"attempt {event['detail']} of trial {trial} was closed, and it was not open"
        if kind == "attempt":
            if trial in open_attempts:
                yield f"trial {trial} has two open attempts"
            open_attempts[trial] = event["detail"]
        if kind == "report":
            attempt = history.by_trial[trial][int(event["detail"])]["body"]["attempt"]
            if attempt in history.attempt_ids and open_attempts.get(trial) != str(attempt):
                yield f"trial {trial} has a report of attempt {attempt}, which was not open"


def charged_attempts_stay_within_retries(history: History) -> Iterator[str]:
    """A trial ends as failed with its last allowed attempt, and not before."""
    counts: Counter[int] = Counter()
    for row in history.attempts:
        counts[row["trial"]] += row["outcome"] in CHARGED
    allowed = [retries + 1 for retries in history.retries]
    for trial, count in counts.items():
        end = history.ends.get(trial)
        if count > max(allowed):
            yield f"trial {trial} has {count} charged attempts; {max(allowed)} are allowed"
        failed = end is not None and end["reason"] in ("lost", "timeout")
        if failed and count < min(allowed):
            yield f"trial {trial} failed after {count} charged attempts; it has {min(allowed)}"


def verdicts_are_those_of_plain_asha(history: History) -> Iterator[str]:
    """Every verdict equals that of an independent replay, and every cell that is due has one."""
    replay = replayed(history)
    yield from replay.problems
    for key, row in history.decisions.items():
        expected = replay.verdicts.get(key)
        if expected is None:
            continue  # a problem of the replay already
        if (row["verdict"] == "go") != expected.promoted:
            yield f"cell {key[0]} rung {key[1]}: {row['verdict']} is wrong ({row['why']})"
        stored = math.nan if row["value"] is None else row["value"]
        both_nan = math.isnan(stored) and not math.isfinite(expected.value)
        if not both_nan and not math.isclose(stored, expected.value, rel_tol=1e-12):
            yield f"cell {key[0]} rung {key[1]}: value {stored}, expected {expected.value}"
    yield from _missing_verdicts(history, replay)


def _missing_verdicts(history: History, replay: Replay) -> Iterator[str]:
    """Yield the cells whose seeds have all reached a rung that has not judged them."""
    if replay.pruning is None:
        return
    for cell in replay.cells:
        members = [n for n in history.seeds_of(cell) if replay.ended.get(n) != "FAILED"]
        for rung in range(len(replay.pruning["rungs"])):
            if not members:
                break
            epoch = replay.epoch_of_rung(rung, history.trials[members[0]]["epochs"])
            mean = replay.mean(members, epoch, replay.pruning["metric"])
            verdict = history.decisions.get((cell, rung))
            if verdict is None:
                if mean is not None:
                    yield f"all seeds of cell {cell} are at rung {rung}, and it has no verdict"
                break
            if verdict["verdict"] != "go":
                break


def nothing_that_is_not_finite_is_promoted(history: History) -> Iterator[str]:
    """A cell whose mean is NaN or infinite is pruned."""
    for (cell, rung), row in history.decisions.items():
        if row["verdict"] == "go" and (row["value"] is None or not math.isfinite(row["value"])):
            yield f"cell {cell} was promoted at rung {rung} with the value {row['value']}"


def ends_agree_with_reports(history: History) -> Iterator[str]:
    """A trial is complete if and only if its last epoch is reported; the others stopped before."""
    for trial, row in history.trials.items():
        end = history.ends.get(trial)
        epochs = history.by_trial[trial]
        last = max(epochs, default=0)
        if last >= row["epochs"] and (end is None or end["state"] != "COMPLETE"):
            yield f"trial {trial} has all epochs, and its end is {end and end['state']}"
        if end is None:
            continue
        if end["state"] == "COMPLETE" and last != row["epochs"]:
            yield f"trial {trial} is complete at epoch {last} of {row['epochs']}"
        if end["reason"] == "rung":
            verdicts = [v for (cell, _), v in history.decisions.items() if cell == row["cell"]]
            if not any(verdict["verdict"] == "prune" for verdict in verdicts):
                yield f"trial {trial} is pruned, and no rung pruned its cell"
        if end["reason"] == "collapsed":
            active = [epochs[e]["body"]["metrics"]["active_units"] for e in (last - 1, last)]
            if active != [0.0, 0.0]:
                yield f"trial {trial} ended as collapsed with {active} active units"
        if end["reason"] == "diverged" and training.nature(row["hash"]).diverges_at != last + 1:
            yield f"trial {trial} ended as diverged after epoch {last}"


def no_two_trials_of_a_sweep_are_equal(history: History) -> Iterator[str]:
    """A sampler never repeats a cell: trials have distinct hashes, turns are used once."""
    hashes = Counter(row["hash"] for row in history.trials.values())
    yield from (f"{count} trials have the hash {key}" for key, count in hashes.items() if count > 1)
    turns = Counter(row["turn"] for row in history.cells.values())
    yield from (f"turn {turn} gave {count} cells" for turn, count in turns.items() if count > 1)
    if list(history.cells) != list(range(len(history.cells))):
        yield f"the cells are {list(history.cells)}"


def an_older_driver_writes_nothing(history: History) -> Iterator[str]:
    """After the first attempt of a driver run, no older one begins attempts or reports."""
    driver_of = {row["id"]: row["life"] for row in history.attempts}
    newest = 0
    for event in history.events:
        if event["kind"] == "attempt":
            driver_run = driver_of[int(event["detail"])]
        elif event["kind"] == "report":
            report = history.by_trial[event["number"]][int(event["detail"])]
            driver_run = driver_of.get(report["body"]["attempt"], newest)
        else:
            continue
        if driver_run < newest:
            yield f"driver run {driver_run} wrote a {event['kind']} after {newest} had begun"
        newest = max(newest, driver_run)


def repeated_errors_end_a_trial(history: History) -> Iterator[str]:
    """A trial that raises the same at the same epoch is tried twice, not more often."""
    for trial, row in history.trials.items():
        raises_at = training.nature(row["hash"]).raises_at
        if not raises_at:
            continue
        text = "no solution"
        n = sum(text in (a["message"] or "") for a in history.attempts if a["trial"] == trial)
        forgiven = any(a["outcome"] == "forgiven" for a in history.attempts if a["trial"] == trial)
        if n > history.most_equal_errors(trial, text) and not forgiven:
            yield f"trial {trial} raised the same error {n} times"


def attempts_end_after_they_begin(history: History) -> Iterator[str]:
    """Every closed attempt has a time of its end."""
    for row in history.attempts:
        if row["outcome"] is not None and row["ended"] is None:
            yield f"attempt {row['id']} is closed without a time"


OF_LEDGER: tuple[Callable[[History], Iterator[str]], ...] = (
    every_report_is_there_once,
    no_trial_has_a_gap,
    numbers_are_those_of_an_undisturbed_trial,
    an_ended_trial_gets_no_attempt,
    attempts_are_closed_once_and_never_overlap,
    charged_attempts_stay_within_retries,
    verdicts_are_those_of_plain_asha,
    nothing_that_is_not_finite_is_promoted,
    ends_agree_with_reports,
    no_two_trials_of_a_sweep_are_equal,
    an_older_driver_writes_nothing,
    repeated_errors_end_a_trial,
    attempts_end_after_they_begin,
)


# ---- after every event


def slots_are_never_exceeded(driver: Driver) -> Iterator[str]:
    """No more trials run than there are slots."""
    slots = driver.world.scenario.slots
    running = sum(trial.state == "RUNNING" for trial in driver.conductor.trials)
    if running > slots or len(driver.desk.running) > slots:
        yield f"{driver.name} runs {running} trials on {slots} slots"
