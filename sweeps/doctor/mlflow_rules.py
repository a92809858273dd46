"""Rules on MLflow: each trial has one run, with every number, file and state of the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sweeps.doctor.evidence import Evidence
from sweeps.doctor.finding import Finding, listed
from sweeps.doctor.ledger_evidence import TrialRecord
from sweeps.doctor.repairs import CorrectLocations, RetireRun, RunExport, SendAgain
from sweeps.exports import mlflow_content
from sweeps.exports.mlflow_experiment import is_deleted
from sweeps.exports.mlflow_points import StoredPoint
from sweeps.exports.mlflow_trial import RUN_STATUS
from sweeps.ledger.states import ExportState, TrialState


def out_of_reach(evidence: Evidence) -> Iterator[Finding]:
    """Yield why MLflow cannot be read."""
    if evidence.mlflow.problem:
        yield Finding(f"MLflow cannot be read: {evidence.mlflow.problem}")


def missing_experiment(evidence: Evidence) -> Iterator[Finding]:
    """Yield a missing or deleted experiment, and a parent run that is missing or doubled."""
    mlflow = evidence.mlflow
    if mlflow.problem or not evidence.ledger.trials:
        return
    if mlflow.experiment is None:
        yield Finding("MLflow has no experiment of the sweep", repairs=(RunExport(),))
        return
    if is_deleted(mlflow.experiment):
        yield Finding("the experiment of the sweep is deleted", repairs=(RunExport(),))
    active = [run for run in mlflow.parents if not is_deleted(run.info)]
    if not active:
        state = "deleted" if mlflow.parents else "missing"
        yield Finding(f"the parent run is {state}", repairs=(RunExport(),))
    for run in active[1:]:
        why = f"the sweep has another parent run, {active[0].info.run_id}"
        yield Finding(f"run {run.info.run_id} is a second parent run", repairs=_retired(run, why))
    if active and active[0].info.status == "RUNNING":
        yield Finding("the parent run is RUNNING, and no driver runs", repairs=(RunExport(),))


def trials_without_run(evidence: Evidence) -> Iterator[Finding]:
    """Yield the trials that have no run, or whose run is deleted."""
    if evidence.mlflow.problem or evidence.mlflow.experiment is None:
        return
    for number, run in evidence.mlflow.runs.items():
        if run is None:
            repairs = (SendAgain(number), RunExport())
            yield Finding(f"trial {number} has no run", number, repairs)
        elif is_deleted(run.info):
            text = f"the run {run.info.run_id} of trial {number} is deleted"
            yield Finding(text, number, (RunExport(),))


def doubled_runs(evidence: Evidence) -> Iterator[Finding]:
    """Yield further runs of trials that have one."""
    for number, runs in evidence.mlflow.doubled.items():
        kept = evidence.mlflow.runs[number].info.run_id
        for run in runs:
            why = f"trial {number} has another run, {kept}"
            text = f"run {run.info.run_id} is a second run of trial {number} beside {kept}"
            yield Finding(text, number, _retired(run, why))


def orphan_runs(evidence: Evidence) -> Iterator[Finding]:
    """Yield runs of trials that the ledger does not have."""
    for run in evidence.mlflow.orphans:
        label = f"{run.data.tags['sweep.trial']}, hash {run.data.tags.get('config_hash', 'none')}"
        why = f"the ledger has no such trial: {label}"
        text = f"run {run.info.run_id} is of a trial that the ledger does not have ({label})"
        yield Finding(text, repairs=_retired(run, why))


def wrong_numbers(evidence: Evidence) -> Iterator[Finding]:
    """Yield runs with numbers that are not those of the ledger.

    MLflow has no way to delete one number. So the run is taken out, and a new one is written.
    """
    for number, points in evidence.mlflow.points.items():
        run = evidence.mlflow.runs[number]
        wrong: tuple[tuple[str, Sequence[StoredPoint]], ...] = (
            ("another value or time than the ledger", points.different),
            ("a second value beside that of the ledger", points.doubled),
            ("a number of an epoch that the ledger does not have", points.unknown),
        )
        for text, group in wrong:
            if group:
                why = f"it had {text}: {_shown(group)}"
                repairs = (*_retired(run, why), SendAgain(number), RunExport())
                yield Finding(
                    f"the run of trial {number} has {text}: {_shown(group)}", number, repairs
                )


def missing_numbers(evidence: Evidence) -> Iterator[Finding]:
    """Yield runs that lack numbers of the ledger, and say if the ledger notes that they have them.

    The writer sends what comes after the noted epoch; what lacks before it would lack for ever.
    """
    for number, points in evidence.mlflow.points.items():
        if not points.missing:
            continue
        export = evidence.ledger.trials[number].exports.get("mlflow")
        noted = 0 if export is None else export["epoch"]
        ahead = [point for point in points.missing if point.step <= noted]
        text = f"the run of trial {number} lacks {_shown(points.missing)}"
        if ahead:
            text += f", and the ledger notes that it has everything up to epoch {noted}"
        yield Finding(text, number, (SendAgain(number), RunExport()))


def export_rows_that_do_not_fit(evidence: Evidence) -> Iterator[Finding]:
    """Yield export rows that name another run, or an epoch or a state that the trial has not."""
    if evidence.mlflow.problem or evidence.mlflow.experiment is None:
        return
    for number, trial in evidence.ledger.trials.items():
        export, run = trial.exports.get("mlflow"), evidence.mlflow.runs.get(number)
        if export is None:
            continue
        text = f"the ledger notes of trial {number} that MLflow has"
        repairs = (SendAgain(number), RunExport())
        if export["epoch"] > trial.last:
            last = f"the trial has {trial.last}"
            yield Finding(f"{text} epoch {export['epoch']}, and {last}", number, repairs)
        if run is None or run.info.run_id != export["run"]:
            now = "there is none" if run is None else f"it is {run.info.run_id}"
            yield Finding(f"{text} it as run {export['run']}, and {now}", number, repairs)
        if export["state"] in tuple(TrialState) and export["state"] != (trial.state or "RUNNING"):
            state = trial.state or "not ended"
            yield Finding(f"{text} it as {export['state']}, and it is {state}", number, repairs)


def wrong_states(evidence: Evidence) -> Iterator[Finding]:
    """Yield runs whose status or tag `state` is not that of their trial."""
    for number, run in evidence.mlflow.runs.items():
        if run is None or is_deleted(run.info):
            continue
        state = evidence.ledger.trials[number].state or ExportState.INTERRUPTED.value
        status = {str(key): value for key, value in RUN_STATUS.items()}.get(state)
        seen = (run.info.status, run.data.tags.get("state"))
        if status is not None and seen != (status, state):
            text = f"the run of trial {number} is {seen[0]} with state {seen[1]}"
            repairs = (SendAgain(number), RunExport())
            yield Finding(f"{text}, it should be {status} with {state}", number, repairs)


def missing_parameters(evidence: Evidence) -> Iterator[Finding]:
    """Yield runs that lack parameters, or have others."""
    for number, run in evidence.mlflow.runs.items():
        trial = evidence.ledger.trials[number]
        if run is None or trial.config is None:
            continue
        expected = mlflow_content.parameters_of(trial.config)
        present = run.data.params
        missing = [key for key in expected if key not in present]
        if missing:
            text = f"the run of trial {number} lacks the parameters {', '.join(missing[:6])}"
            yield Finding(text, number, (RunExport(),))
        other = [key for key in expected if present.get(key, expected[key]) != expected[key]]
        if other:
            text = f"the run of trial {number} has other parameters than the trial"
            repairs = (*_retired(run, text), SendAgain(number), RunExport())
            yield Finding(f"{text}: {', '.join(other[:6])}", number, repairs)


def missing_run_artifacts(evidence: Evidence) -> Iterator[Finding]:
    """Yield runs of ended trials that lack files which the trial has."""
    for number, present in evidence.mlflow.artifacts.items():
        trial: TrialRecord = evidence.ledger.trials[number]
        files = evidence.files.of(trial.row["hash"], "artifacts")
        missing = sorted(set(files) - present)
        if missing:
            text = f"the run of trial {number} lacks the files {', '.join(missing[:6])}"
            yield Finding(text, number, (RunExport(),))


def misplaced_artifacts(evidence: Evidence) -> Iterator[Finding]:
    """Yield the first of the locations that point out of the workspace."""
    misplaced = evidence.mlflow.misplaced
    if misplaced:
        text = f"{len(misplaced)} locations of artifacts point elsewhere, as {misplaced[0]}"
        yield Finding(text, repairs=(CorrectLocations(),))


def _retired(run: Any, why: str) -> tuple[RetireRun]:
    return (RetireRun(run.info.run_id, why[:500]),)


def _shown(points: Sequence[StoredPoint]) -> str:
    """Return points as text: `tc, mig and 3 more at epoch 4-6`."""
    keys = list(dict.fromkeys(point.key for point in points))
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    epochs = listed(sorted({point.step for point in points}))
    return f"{', '.join(keys[:3])}{more} at epoch {epochs}"
