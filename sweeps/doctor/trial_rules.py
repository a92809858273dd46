"""Rules on the epochs, attempts and ends of trials."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from sweeps.doctor.evidence import Evidence
from sweeps.doctor.finding import Finding, listed
from sweeps.doctor.ledger_evidence import TrialRecord
from sweeps.doctor.repairs import CloseAttempt, ReleaseLease
from sweeps.ledger.states import EndReason, TrialState

REASONS: dict[str, frozenset[str]] = {
    TrialState.COMPLETE.value: frozenset({EndReason.COMPLETED, EndReason.REUSED}),
    TrialState.PRUNED.value: frozenset({EndReason.RUNG, EndReason.COLLAPSED}),
}
"""The end reasons of a state. All other reasons are those of a failure."""

FAILURES = frozenset(EndReason) - frozenset().union(*REASONS.values())


def epoch_gaps(evidence: Evidence) -> Iterator[Finding]:
    """Yield trials that lack epochs before their last one."""
    for trial in evidence.ledger.trials.values():
        missing = sorted(set(range(1, trial.last + 1)) - set(trial.epochs))
        if missing:
            text = f"trial {trial.number} lacks the report of epoch {listed(missing)}"
            yield Finding(f"{text}; its last epoch is {trial.last}", trial.number)


def epoch_doubles(evidence: Evidence) -> Iterator[Finding]:
    """Yield trials that have two reports of one epoch."""
    for trial in evidence.ledger.trials.values():
        counts = Counter(trial.epochs)
        doubled = [epoch for epoch, count in counts.items() if count > 1]
        if doubled:
            text = f"trial {trial.number} has more than one report of epoch {listed(doubled)}"
            yield Finding(text, trial.number)


def epochs_out_of_range(evidence: Evidence) -> Iterator[Finding]:
    """Yield trials with epochs outside 1 … epochs, or reports that are not of their epoch."""
    for trial in evidence.ledger.trials.values():
        length = trial.row["epochs"]
        outside = [epoch for epoch in trial.epochs if not 1 <= epoch <= length]
        if outside:
            text = f"trial {trial.number} of {length} epochs has a report of epoch"
            yield Finding(f"{text} {listed(outside)}", trial.number)
        step = 0
        for report in trial.reports:
            body = report["body"]
            if body is None:
                continue
            label = f"the report of epoch {report['epoch']} of trial {trial.number}"
            if body["epoch"] != report["epoch"]:
                yield Finding(f"{label} says that it is of epoch {body['epoch']}", trial.number)
            if body["step"] <= step and report["epoch"] not in outside:
                text = f"{label} is at step {body['step']}, the one before it at step {step}"
                yield Finding(text, trial.number)
            step = body["step"]


def open_attempts(evidence: Evidence) -> Iterator[Finding]:
    """Yield attempts that are open although no driver runs."""
    seen = {row["id"]: row["seen"] for row in evidence.ledger.driver_runs}
    for trial in evidence.ledger.trials.values():
        for attempt in trial.attempts:
            if attempt["outcome"] is None:
                ended = max(seen.get(attempt["life"], time.time()), attempt["started"])
                text = f"attempt {attempt['id']} of trial {trial.number} is open"
                repair = CloseAttempt(attempt["id"], ended)
                yield Finding(f"{text}, and no driver runs", trial.number, (repair,))


def stale_lease(evidence: Evidence) -> Iterator[Finding]:
    """Yield a lease whose holder gives no sign of life."""
    if evidence.lease is not None:
        text = f"{evidence.lease['holder']} holds the lease of the sweep, and gives no sign of life"
        yield Finding(text, repairs=(ReleaseLease(),))


def attempts_that_do_not_fit(evidence: Evidence) -> Iterator[Finding]:
    """Yield trials that trained without an attempt, and ended trials whose attempt goes on."""
    driver_runs = {row["id"] for row in evidence.ledger.driver_runs}
    for trial in evidence.ledger.trials.values():
        label = f"trial {trial.number}"
        if not trial.attempts and not trial.row["reused_from"] and (trial.ends or trial.reports):
            done = f"ended {trial.state}" if trial.ends else f"has {len(trial.reports)} reports"
            yield Finding(f"{label} {done} without an attempt", trial.number)
        still_open = [row["id"] for row in trial.attempts if row["outcome"] is None]
        if len(still_open) > 1:
            yield Finding(f"{label} has open attempts {listed(still_open)}", trial.number)
        elif still_open and trial.ends and evidence.driven:
            text = f"{label} ended {trial.state}, and its attempt {still_open[0]} is open"
            yield Finding(text, trial.number)
        unknown = [row["id"] for row in trial.attempts if row["life"] not in driver_runs]
        if unknown:
            text = f"attempt {listed(unknown)} of {label} is of a driver run that does not exist"
            yield Finding(text, trial.number)


def incomplete_ends(evidence: Evidence) -> Iterator[Finding]:
    """Yield complete trials without their last epoch or without their final scores."""
    for trial in evidence.ledger.trials.values():
        if trial.state != TrialState.COMPLETE:
            continue
        length = trial.row["epochs"]
        label = f"trial {trial.number} is COMPLETE"
        if trial.last < length:
            yield Finding(f"{label} with {trial.last} of {length} epochs", trial.number)
            continue
        body = trial.body(length)
        if body is None or trial.config is None:
            continue  # it cannot be parsed, which another rule says
        missing = _missing_scores(body, trial.config)
        if missing:
            yield Finding(f"{label} without {', '.join(missing)}", trial.number)


def _missing_scores(body: dict[str, Any], config: dict[str, Any]) -> list[str]:
    """Return which numbers of the whole data set lack in the last report of a trial."""
    evaluation = config.get("evaluation", {})
    if not body.get("final"):
        return ["its final scores"]
    missing = [f"final/{name}" for name in evaluation.get("final", ()) if name not in body["final"]]
    if evaluation.get("best") and not body.get("best"):
        missing.append("the scores of its best epoch")
    return missing


def ends_that_do_not_fit(evidence: Evidence) -> Iterator[Finding]:
    """Yield ends that their reports, verdicts or reasons do not give."""
    pruned_at = _prune_verdicts(evidence)
    for trial in evidence.ledger.trials.values():
        if len(trial.ends) > 1:
            yield Finding(f"trial {trial.number} has {len(trial.ends)} ends", trial.number)
        problem = _end_problem(trial, rung=pruned_at.get(trial.row["cell"]))
        if problem:
            yield Finding(f"trial {trial.number} {problem}", trial.number)


def unfinished_ends(evidence: Evidence) -> Iterator[Finding]:
    """Yield trials that should have ended: all epochs are there, or their cell is pruned."""
    pruned_at = _prune_verdicts(evidence)
    for trial in evidence.ledger.trials.values():
        if trial.ends:
            continue
        if trial.last >= trial.row["epochs"]:
            text = f"trial {trial.number} has all {trial.row['epochs']} epochs and no end"
            yield Finding(text, trial.number)
        elif trial.row["cell"] in pruned_at:
            rung = pruned_at[trial.row["cell"]] + 1
            text = f"trial {trial.number} has no end, and rung {rung} pruned its cell"
            yield Finding(text, trial.number)


def _prune_verdicts(evidence: Evidence) -> dict[int, int]:
    """Return cell -> index of the rung that pruned it."""
    rows = evidence.ledger.decisions
    return {row["cell"]: row["rung"] for row in rows if row["verdict"] == "prune"}


def _end_problem(trial: TrialRecord, *, rung: int | None) -> str:
    """Return what is wrong with the end of a trial, as a clause; "" if nothing is."""
    end = trial.end
    if end is None:
        return ""
    state, reason = end["state"], end["reason"]
    reasons = REASONS.get(state, FAILURES)
    if reason not in reasons:
        return f"ended {state} with the reason {reason!r}, which another state has"
    if reason == EndReason.REUSED and not trial.row["reused_from"]:
        return "ended as reused, and names no sweep that it was reused from"
    if reason == EndReason.RUNG and rung is None:
        return "was pruned at a rung, and no rung has pruned its cell"
    if state != TrialState.COMPLETE and trial.last >= trial.row["epochs"]:
        return f"ended {state} although it has all {trial.row['epochs']} epochs"
    if reason == EndReason.COLLAPSED:
        active = [(trial.body(epoch) or {}).get("metrics", {}) for epoch in trial.epochs[-2:]]
        if [metrics.get("active_units") for metrics in active] != [0, 0]:
            return "ended as collapsed, and its last two epochs have active units"
    return ""
