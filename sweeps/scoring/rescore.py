"""Scores the stored codes of a sweep with further metrics, without training.

The scores become `final/*` of the same runs. Each is one row in the ledger, written in one
transaction and unique on (trial, metric). The same writer as in a driver run exports it to MLflow.
So after a kill the same command continues, and computes no score twice.
"""

from __future__ import annotations

import io
import json
import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import metrics
from metrics import Score
from sweeps.console import progress_bar
from sweeps.exports.mlflow_database import require_mlflow_database
from sweeps.failpoints import failpoint
from sweeps.ledger import provenance, tables
from sweeps.ledger.damage import naming_damage
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.ownership import held_sweep
from sweeps.ledger.progress import TrialProgress
from sweeps.ledger.replay import read_trials
from sweeps.ledger.states import TrialState
from sweeps.scoring import codes_file
from sweeps.scoring.codes_file import CodesFile, CodesFileError
from sweeps.scoring.score_codes import ScoreError, failure_text, has_weights, missing_keys
from sweeps.storage.file_checks import open_checked_files
from sweeps.storage.files import AbstractFiles
from sweeps.storage.real_urls import real_url
from sweeps.storage.workspace import TrialPaths, require_writable
from vae_core.evaluation.final_scores import flat_numbers

log = logging.getLogger(__name__)

CODES = "codes.npz"


class RescoreState(StrEnum):
    """What happened to one metric of one trial. Programs read these texts in the JSON output."""

    SCORED = "scored"  # now
    SCORED_BEFORE = "there"  # by an earlier rescore
    TRAINED = "trained"  # scored when the trial was trained
    SKIPPED = "skipped"  # the metric does not apply to this trial
    FAILED = "failed"  # the codes are missing or damaged, or the metric raised an error


class Outcome(NamedTuple):
    """What happened to one metric of one trial."""

    number: int
    trial: str  # hash
    metric: str
    state: RescoreState
    value: float | None
    why: str  # why it was skipped or failed


class Rescored(NamedTuple):
    """The outcomes of all metrics of all trials."""

    name: str
    outcomes: list[Outcome]
    exported: bool  # MLflow has all scores
    error: str  # why MLflow does not have them
    left_out: str = ""  # what MLflow never takes, and why

    @property
    def exit_code(self) -> int:
        """Return 1 if codes are missing or damaged or a metric refused them, otherwise 0.

        With 1, all other trials have their scores.
        """
        return int(any(outcome.state is RescoreState.FAILED for outcome in self.outcomes))

    def counts(self, metric: str) -> Counter[str]:
        """Return the number of trials by state of the outcome."""
        return Counter(outcome.state for outcome in self.outcomes if outcome.metric == metric)


class _Sweep(NamedTuple):
    """A sweep, its trials, and the scores that the ledger has of them."""

    name: str
    ledger: Ledger
    files: AbstractFiles
    trials: list[TrialProgress]
    final_reports: dict[int, dict[str, Any]]  # number -> body of the report with the final scores
    rescored: dict[tuple[int, str], dict[str, Any]]  # (number, metric) -> body of a rescore

    @property
    def complete(self) -> list[TrialProgress]:
        return [trial for trial in self.trials if trial.state is TrialState.COMPLETE]

    def other_seeds(self, trial: TrialProgress) -> list[TrialProgress]:
        return [other for other in self.trials if other.cell == trial.cell and other is not trial]


def rescore_sweep(name: str, requested: Sequence[str], workspace: Path) -> Rescored:
    """Score the stored codes of every complete trial, and return the outcomes.

    The seed of a score is the `evaluation.seed` of the trial's config. A metric of several models
    (udr) compares a trial with the other complete seeds of its cell.

    Args:
        name: of the sweep.
        requested: names of metrics.
        workspace: of the sweep.

    Raises:
        LookupError: there is no such sweep, or it has no complete trial.
        ScoreError: a metric is unknown, or no trial has the codes that it needs.
        SweepError: another process runs or rescores the sweep; or the ledger, the workspace or
            the stored files cannot be opened, or rows of the ledger are damaged.
    """
    names = list(dict.fromkeys(requested))
    _check_names(names)
    with Ledger.opened(workspace) as ledger:
        with naming_damage(ledger):
            row = ledger.require_sweep(name)
        store = row["spec"].get("store") or {}
        require_writable(workspace)
        require_mlflow_database(workspace, store.get("mlflow"))
        files = open_checked_files(workspace, real_url(store.get("files"), "files"), write=False)
        with held_sweep(name, workspace, ledger, say=log.warning):
            with naming_damage(ledger):
                sweep = _read_sweep(name, ledger, files)
            if not sweep.complete:
                raise LookupError(f"sweep {name!r} has no complete trial, so no codes to score")
            stored = _StoredCodes(sweep.files)
            _check_needs(sweep, names, stored)
            from sweeps.exports.mlflow_writer import EXPORT_PATIENCE, MlflowWriter

            writer = MlflowWriter(
                name,
                ledger,
                sweep.files,
                workspace,
                real_url(store.get("mlflow"), "mlflow"),
                provenance.software(),
            )
            writer.start()
            try:
                with progress_bar.showing(len(sweep.complete) * len(names)) as bar:
                    outcomes = list(_outcomes(sweep, names, stored, bar))
            finally:
                exported = writer.finish(EXPORT_PATIENCE)
            return Rescored(name, outcomes, exported, writer.why_behind(), writer.left_out())


def _check_names(names: Sequence[str]) -> None:
    """Raise a ScoreError for unknown metrics, and for metrics of images: they are not stored."""
    problems: list[str] = []
    for name in names:
        try:
            pixels = sorted(metrics.find(name).needs & {"images", "reconstructions"})
        except ValueError as error:
            problems.append(str(error))
            continue
        if pixels:
            keys = ", ".join(pixels)
            problems.append(f"metric {name!r} needs {keys}, which stored codes do not have")
    if problems:
        raise ScoreError(problems)


def _read_sweep(name: str, ledger: Ledger, files: AbstractFiles) -> _Sweep:
    final_reports: dict[int, dict[str, Any]] = {}
    for report in ledger.of(tables.REPORT, name):
        body = json.loads(report["body"])
        if body.get("final"):
            final_reports[report["trial"]] = body
    rescored: dict[tuple[int, str], dict[str, Any]] = {}
    for row in ledger.of(tables.RESCORE, name):
        rescored[row["trial"], row["metric"]] = json.loads(row["body"])
    return _Sweep(name, ledger, files, read_trials(ledger, name), final_reports, rescored)


class _StoredCodes:
    """Reads the stored codes of trials, and keeps those of the trials in use."""

    def __init__(self, files: AbstractFiles) -> None:
        self._files = files
        self._kept: dict[str, CodesFile] = {}

    def read(self, trial: TrialProgress) -> CodesFile:
        """Return the codes of a trial.

        Raises:
            CodesFileError: they are missing or damaged.
        """
        if trial.hash not in self._kept:
            path = TrialPaths(trial.hash).artifact(CODES)
            try:
                content = self._files.read(path)
            except FileNotFoundError as error:
                raise CodesFileError(path, ["is missing"]) from error
            except OSError as error:
                raise CodesFileError(path, [f"cannot be read ({error})"]) from error
            self._kept[trial.hash] = codes_file.read_from(
                io.BytesIO(content), source=path, suffix=".npz"
            )
        return self._kept[trial.hash]

    def forget_all_but(self, trials: Sequence[TrialProgress]) -> None:
        """Free the memory of the codes of all other trials."""
        hashes = {trial.hash for trial in trials}
        self._kept = {hash_: codes for hash_, codes in self._kept.items() if hash_ in hashes}


def _check_needs(sweep: _Sweep, names: Sequence[str], stored: _StoredCodes) -> None:
    """Raise a ScoreError for each metric that needs more than the codes of any objective have.

    Only the first trial with readable codes of each objective is read.
    """
    missing: dict[str, list[list[str]]] = {name: [] for name in names}  # one list per objective
    seen: set[str] = set()
    for trial in sweep.complete:
        objective = trial.config["objective"]["name"]
        if objective in seen:
            continue
        try:
            file = stored.read(trial)
        except CodesFileError:
            continue  # `_outcome` reports it; the next trial of the objective is read instead
        seen.add(objective)
        for name in names:
            missing[name].append(missing_keys(metrics.find(name).needs, file))
        stored.forget_all_but([])
    problems: list[str] = []
    for name, by_objective in missing.items():
        if by_objective and all(by_objective):
            keys = ", ".join(by_objective[0])
            codes = f"the codes of sweep {sweep.name!r}"
            problems.append(f"metric {name!r} needs {keys}, which {codes} do not have")
    if problems:
        raise ScoreError(problems)


def _outcomes(
    sweep: _Sweep, names: Sequence[str], stored: _StoredCodes, bar: progress_bar.Bar
) -> Iterator[Outcome]:
    for trial in sweep.complete:
        stored.forget_all_but([other for other in sweep.complete if other.cell == trial.cell])
        for name in names:
            bar.step(f"trial {trial.number}: {name}")
            yield _outcome(sweep, trial, name, stored)
            bar.done()


def _outcome(sweep: _Sweep, trial: TrialProgress, name: str, stored: _StoredCodes) -> Outcome:
    """Return the outcome of a metric of a trial; score it if it has no score yet."""

    def outcome(state: RescoreState, value: float | None = None, why: str = "") -> Outcome:
        return Outcome(trial.number, trial.hash, name, state, value, why)

    earlier = sweep.rescored.get((trial.number, name))
    if earlier is not None:
        return outcome(RescoreState.SCORED_BEFORE, earlier["value"])
    report = sweep.final_reports[trial.number]
    if name in report.get("identity", {}) or name in trial.config["evaluation"]["final"]:
        return outcome(RescoreState.TRAINED, report["final"].get(name))
    reason = _why_no_seeds(sweep, trial, name)
    if reason:
        return outcome(RescoreState.SKIPPED, why=reason)
    try:
        file = stored.read(trial)
        reason = _why_unsuitable(name, file)
        if reason:
            return outcome(RescoreState.SKIPPED, why=reason)
        result = _score(sweep, trial, name, stored)
    except CodesFileError as error:
        return outcome(RescoreState.FAILED, why=str(error))
    except Exception as error:  # a metric that fails on one trial must not stop the other trials
        return outcome(RescoreState.FAILED, why=f"{name}: {failure_text(error)}")
    _record(sweep, trial, name, result, report["final"])
    return outcome(RescoreState.SCORED, result.value)


def _why_no_seeds(sweep: _Sweep, trial: TrialProgress, name: str) -> str:
    """Return why a metric of several models has no seeds to compare, "" if it has or needs none."""
    if "others" not in metrics.find(name).needs:
        return ""
    others = sweep.other_seeds(trial)
    if not all(other.ended for other in others):
        return "its cell has seeds that have not ended"
    if not any(other.state is TrialState.COMPLETE for other in others):
        return "its cell has no other complete seed to compare with"
    return ""


def _why_unsuitable(name: str, file: CodesFile) -> str:
    """Return why the codes of a trial do not suit a metric, "" if they do."""
    metric = metrics.find(name)
    missing = missing_keys(metric.needs, file)
    if missing:
        return f"needs {', '.join(missing)}, which the codes of its objective do not have"
    if has_weights(file) and not metric.weighted:
        return "takes no weights, and the factors of this trial are correlated"
    return ""


def _score(sweep: _Sweep, trial: TrialProgress, name: str, stored: _StoredCodes) -> Score:
    file = stored.read(trial)
    others: list[TrialProgress] = []
    if "others" in metrics.find(name).needs:
        others = [other for other in sweep.other_seeds(trial) if other.state is TrialState.COMPLETE]
    codes = [stored.read(other).codes for other in others]
    seed = int(trial.config["evaluation"]["seed"])
    return metrics.score(name, file.codes, file.factors, others=codes, seed=seed)


def _record(
    sweep: _Sweep, trial: TrialProgress, name: str, result: Score, final: dict[str, float]
) -> None:
    """Write a score to the ledger.

    A number that training reported under the same key is kept: `final` has the numbers of training.
    """
    numbers = {key: value for key, value in flat_numbers(name, result).items() if key not in final}
    body = {
        "value": result.value,
        "numbers": numbers,
        "identity": json.dumps(dict(result.identity), sort_keys=True),
        "excluded": dict(result.details.get("excluded", {})),
        "reason": str(result.details.get("reason", "")),
    }
    failpoint("rescore.before_record")
    with sweep.ledger.transaction() as tx:
        tx.insert(
            tables.RESCORE,
            sweep=sweep.name,
            trial=trial.number,
            metric=name,
            epoch=trial.epoch,
            at=time.time(),
            run="",
            body=json.dumps(body, sort_keys=True),
        )
    failpoint("rescore.recorded")
