"""Scores the codes that a sweep has stored with further metrics: `final/*` of the same runs, with no training.

Every score is one transaction in the ledger, unique on (trial, metric); MLflow gets it from there, by the writer that a
running sweep has too. So the same command goes on after a kill, and what is there already is not computed again.
"""

from __future__ import annotations

import io
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import metrics
from metrics import Codes, Score
from sweeps.console import progress_bar
from sweeps.driver import run
from sweeps.failpoints import failpoint
from sweeps.ledger import provenance, tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.replay import TrialProgress, read_trials
from sweeps.ledger.states import TrialState
from sweeps.scoring import codes_file
from sweeps.scoring.codes_file import CodesFile, CodesFileError
from sweeps.scoring.score_codes import ScoreError, missing
from sweeps.storage import lock
from sweeps.storage.files import AbstractFiles, open_files
from sweeps.storage.workspace import TrialPaths
from vae_core.evaluation.final_scores import flattened

CODES = "codes.npz"

State = Literal["scored", "there", "trained", "skipped", "failed"]


class Outcome(NamedTuple):
    """What became of one metric of one trial."""

    number: int
    trial: str  # hash
    metric: str
    state: State  # now; by an earlier rescore; while it was trained; not for this trial; not, for an error
    value: float | None
    why: str  # of what was skipped or failed


class Rescored(NamedTuple):
    """What became of all of them."""

    name: str
    outcomes: list[Outcome]
    exported: bool  # MLflow has everything
    error: str  # why it has not

    @property
    def exit_code(self) -> int:
        """1: codes are missing or damaged, or a metric refused them; 0: every other trial has its scores."""
        return int(any(outcome.state == "failed" for outcome in self.outcomes))

    def counts(self, metric: str) -> Counter[str]:
        """Return the number of trials by state."""
        return Counter(outcome.state for outcome in self.outcomes if outcome.metric == metric)


class _Work(NamedTuple):
    """The complete trials of a sweep, and what the ledger says of them."""

    name: str
    ledger: Ledger
    files: AbstractFiles
    trials: list[TrialProgress]  # all
    final: dict[
        int, dict[str, Any]
    ]  # number -> body of the report with the numbers of the whole set
    there: dict[tuple[int, str], dict[str, Any]]  # (number, metric) -> body of an earlier rescore

    @property
    def complete(self) -> list[TrialProgress]:
        return [trial for trial in self.trials if trial.state is TrialState.COMPLETE]


def rescore_sweep(name: str, asked: Sequence[str], workspace: Path) -> Rescored:
    """Score the stored codes of every COMPLETE trial, seeded by the `evaluation.seed` of its config.

    A metric of several models (udr) compares a trial with the other complete seeds of its cell.

    Raises:
        LookupError: no such sweep, or it has no complete trial.
        ScoreError: an unknown metric, or one whose needs the codes of no trial meet.
        drive.SweepError: the sweep runs, or is being rescored, just now.
    """
    names = list(dict.fromkeys(asked))
    _check_names(names)
    ledger = Ledger.existing(workspace)
    try:
        row = ledger.require_sweep(name)
        store = row["spec"].get("store") or {}
        with lock.one_driver(name, workspace):
            work = _read(name, ledger, open_files(workspace, store.get("files")))
            if not work.complete:
                raise LookupError(f"sweep {name!r} has no complete trial, so no codes to score")
            stored = _Stored(work.files)
            _check_needs(work, names, stored)
            from sweeps.exports.mlflow_writer import MlflowWriter

            tracker = MlflowWriter(
                name, ledger, work.files, workspace, store.get("mlflow"), provenance.software()
            )
            tracker.start()
            try:
                with progress_bar.showing(len(work.complete) * len(names)) as shown:
                    outcomes = list(_outcomes(work, names, stored, shown))
            finally:
                exported = tracker.finish(run.EXPORT_PATIENCE)
            return Rescored(name, outcomes, exported, tracker.error or "")
    finally:
        ledger.close()


def _check_names(names: Sequence[str]) -> None:
    wrong: list[str] = []
    for name in names:
        try:
            pixels = sorted(metrics.find(name).needs & {"images", "reconstructions"})
        except ValueError as error:
            wrong.append(str(error))
            continue
        if pixels:
            wrong.append(f"metric {name!r} needs {', '.join(pixels)}, and stored codes hold none")
    if wrong:
        raise ScoreError(wrong)


def _read(name: str, ledger: Ledger, files: AbstractFiles) -> _Work:
    final: dict[int, dict[str, Any]] = {}
    for report in ledger.of(tables.REPORT, name):
        body = json.loads(report["body"])
        if body.get("final"):
            final[report["trial"]] = body
    there = {
        (row["trial"], row["metric"]): json.loads(row["body"])
        for row in ledger.of(tables.RESCORE, name)
    }
    return _Work(name, ledger, files, read_trials(ledger, name), final, there)


class _Stored:
    """The codes of trials as they were stored; those of the trials in hand are kept."""

    def __init__(self, files: AbstractFiles) -> None:
        self._files = files
        self._kept: dict[str, CodesFile] = {}

    def of(self, trial: TrialProgress) -> CodesFile:
        """Return a trial's codes; CodesFileError if they are missing or damaged."""
        if trial.hash not in self._kept:
            path = TrialPaths(trial.hash).artifact(CODES)
            try:
                content = self._files.read(path)
            except OSError as error:
                said = (
                    "is missing"
                    if isinstance(error, FileNotFoundError)
                    else f"cannot be read ({error})"
                )
                raise CodesFileError(path, [said]) from error
            self._kept[trial.hash] = codes_file.read_from(
                io.BytesIO(content), source=path, suffix=".npz"
            )
        return self._kept[trial.hash]

    def keep(self, trials: Sequence[TrialProgress]) -> None:
        """Let go of the codes of all other trials."""
        wanted = {trial.hash for trial in trials}
        self._kept = {hash_: codes for hash_, codes in self._kept.items() if hash_ in wanted}


def _check_needs(work: _Work, names: Sequence[str], stored: _Stored) -> None:
    """Refuse a metric that the codes of no objective can serve; one trial speaks for its objective."""
    lacking: dict[str, list[list[str]]] = {name: [] for name in names}
    seen: set[str] = set()
    for trial in work.complete:
        objective = trial.config["objective"]["name"]
        if objective in seen:
            continue
        try:
            found = stored.of(trial)
        except CodesFileError:
            continue  # the next trial of the objective may do; this one is told of in its turn
        seen.add(objective)
        for name in names:
            lacking[name].append(missing(metrics.find(name).needs, found))
        stored.keep([])
    wrong = [
        f"metric {name!r} needs {', '.join(per[0])}, which the codes of sweep {work.name!r} have not"
        for name, per in lacking.items()
        if per and all(per)
    ]
    if wrong:
        raise ScoreError(wrong)


def _outcomes(
    work: _Work, names: Sequence[str], stored: _Stored, shown: progress_bar.Bar
) -> Iterator[Outcome]:
    for trial in work.complete:
        mates = [other for other in work.complete if other.cell == trial.cell]
        stored.keep(mates)
        for name in names:
            shown.step(f"trial {trial.number}: {name}")
            yield _outcome(work, trial, name, stored)
            shown.done()


def _outcome(work: _Work, trial: TrialProgress, name: str, stored: _Stored) -> Outcome:
    def ended(state: State, value: float | None = None, why: str = "") -> Outcome:
        return Outcome(trial.number, trial.hash, name, state, value, why)

    before = work.there.get((trial.number, name))
    if before is not None:
        return ended("there", before["value"])
    body = work.final[trial.number]
    if name in body.get("identity", {}) or name in trial.config["evaluation"]["final"]:
        return ended("trained", body["final"].get(name))
    needs = metrics.find(name).needs
    others: list[TrialProgress] = []
    if "others" in needs:
        cell = [other for other in work.trials if other.cell == trial.cell and other is not trial]
        if not all(other.ended for other in cell):
            return ended("skipped", why="its cell has seeds that have not ended")
        others = [other for other in cell if other.state is TrialState.COMPLETE]
        if not others:
            return ended("skipped", why="its cell has no other complete seed to compare with")
    try:
        found = stored.of(trial)
        lacking = missing(needs, found)
        if lacking:
            return ended(
                "skipped",
                why=f"needs {', '.join(lacking)}, which the codes of its objective have not",
            )
        if (
            found.factors is not None
            and found.factors.weights is not None
            and not metrics.find(name).weighted
        ):
            return ended(
                "skipped", why="takes no weights, and the factors of this trial are correlated"
            )
        codes = [stored.of(other).codes for other in others]
        result = _score(name, found, codes, seed=int(trial.config["evaluation"]["seed"]))
    except CodesFileError as error:
        return ended("failed", why=str(error))
    except (
        Exception
    ) as error:  # the metric refuses these codes, or breaks on them: the other trials go on
        said = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        return ended("failed", why=f"{name}: {said}")
    _record(work, trial, name, result, body["final"])
    return ended("scored", result.value)


def _score(name: str, found: CodesFile, others: Sequence[Codes], *, seed: int) -> Score:
    return metrics.score(name, found.codes, found.factors, others=others, seed=seed)


def _record(
    work: _Work, trial: TrialProgress, name: str, result: Score, final: dict[str, float]
) -> None:
    """Write a score; a number that training has reported under the same key stays that one."""
    numbers = {key: value for key, value in flattened(name, result).items() if key not in final}
    body = {
        "value": result.value,
        "numbers": numbers,
        "identity": json.dumps(dict(result.identity), sort_keys=True),
        "excluded": dict(result.details.get("excluded", {})),
        "reason": str(result.details.get("reason", "")),
    }
    failpoint("rescore.before_record")
    with work.ledger.transaction() as tx:
        tx.insert(
            tables.RESCORE,
            sweep=work.name,
            trial=trial.number,
            metric=name,
            epoch=trial.epoch,
            at=time.time(),
            run="",
            body=json.dumps(body, sort_keys=True),
        )
    failpoint("rescore.recorded")
