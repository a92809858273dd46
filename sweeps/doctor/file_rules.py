"""Rules on the files of trials: artifacts are there and whole, checkpoints can be resumed from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sweeps.doctor.evidence import Evidence
from sweeps.doctor.file_contents import checkpoint_problem, problem_of_artifact
from sweeps.doctor.file_evidence import TRIALS, is_aside
from sweeps.doctor.finding import Finding
from sweeps.doctor.ledger_evidence import TrialRecord
from sweeps.doctor.repairs import DeleteFiles, RestoreArtifact, megabytes
from sweeps.ledger.states import EndReason, TrialState

ARTIFACTS = ("codes.npz", "weights.pt", "traversal.png", "traversal.gif", "reconstructions.png")
"""The files that every complete trial has."""

SMALL = 4_000_000
"""Bytes up to which an artifact of this machine is read whole without `--deep`."""


def files_out_of_reach(evidence: Evidence) -> Iterator[Finding]:
    """Yield why the files cannot be listed."""
    if evidence.files.problem:
        yield Finding(f"the files of trials cannot be listed: {evidence.files.problem}")


def missing_artifacts(evidence: Evidence) -> Iterator[Finding]:
    """Yield complete trials that lack files."""
    if evidence.files.problem:
        return
    for trial in evidence.ledger.trials.values():
        if trial.state != TrialState.COMPLETE or trial.row["reused_from"]:
            continue  # the files of a reused trial are those of the other sweep
        present = evidence.files.of(trial.row["hash"], "artifacts")
        expected: list[str] = [*ARTIFACTS]
        if trial.config is not None and (trial.config.get("evaluation") or {}).get("best"):
            expected.append("weights-best.pt")
        missing = [name for name in expected if name not in present]
        if missing:
            text = f"trial {trial.number} lacks {', '.join(missing)} in {_folder(trial)}/artifacts"
            yield Finding(text, trial.number, _restored(evidence, trial, missing))


def damaged_artifacts(evidence: Evidence) -> Iterator[Finding]:
    """Yield files that cannot be read."""
    for trial in evidence.ledger.trials.values():
        for name, size in evidence.files.of(trial.row["hash"], "artifacts").items():
            path = f"{_folder(trial)}/artifacts/{name}"
            if size and not evidence.deep and (size > SMALL or not evidence.files.is_local):
                continue
            problem = problem_of_artifact(evidence.files.files, path, size)
            if problem:
                repairs = _restored(evidence, trial, [name])
                yield Finding(f"{path} of trial {trial.number} {problem}", trial.number, repairs)


def _restored(
    evidence: Evidence, trial: TrialRecord, names: Sequence[str]
) -> tuple[RestoreArtifact, ...]:
    """Return what copies files back from the run of a trial, for those that the run has."""
    run = evidence.mlflow.runs.get(trial.number)
    if run is None:
        return ()
    present = evidence.mlflow.artifacts.get(trial.number, set())
    trial_hash = trial.row["hash"]
    return tuple(
        RestoreArtifact(run.info.run_id, trial_hash, name) for name in names if name in present
    )


def damaged_checkpoints(evidence: Evidence) -> Iterator[Finding]:
    """Yield checkpoints whose checksum is wrong. One with a good older one can go."""
    for trial in evidence.ledger.trials.values():
        sizes = evidence.files.of(trial.row["hash"], "checkpoints")
        if trial.ends and not evidence.deep and sum(sizes.values()) > SMALL:
            continue
        good_before = False
        for name in sorted(sizes):
            path = f"{_folder(trial)}/checkpoints/{name}"
            problem = checkpoint_problem(evidence.files.files, path)
            if not problem:
                good_before = True
                continue
            text = f"{path} of trial {trial.number} {problem}"
            repair = DeleteFiles((path,), sizes[name])
            if good_before:
                yield Finding(f"{text}; an older one is good", trial.number, (repair,))
            else:
                yield Finding(f"{text}, and no older one is good", trial.number)


def checkpoints_of_complete_trials(evidence: Evidence) -> Iterator[Finding]:
    """Yield the checkpoints of complete trials, unless another sweep still trains the trial."""
    for trial in evidence.ledger.trials.values():
        sizes = evidence.files.of(trial.row["hash"], "checkpoints")
        needed = trial.row["hash"] in evidence.open_elsewhere
        if trial.state != TrialState.COMPLETE or not sizes or needed:
            continue
        if trial.end is not None and trial.end["reason"] == EndReason.REUSED:
            continue  # they are those of the sweep that trained it
        paths = tuple(f"{_folder(trial)}/checkpoints/{name}" for name in sorted(sizes))
        size = sum(sizes.values())
        text = f"trial {trial.number} is complete and has {len(paths)} checkpoints"
        yield Finding(f"{text} ({megabytes(size)})", trial.number, (DeleteFiles(paths, size),))


def files_aside(evidence: Evidence) -> Iterator[Finding]:
    """Yield the files aside that writes left which were cut off."""
    for trial in evidence.ledger.trials.values():
        sizes = evidence.files.sizes.get(trial.row["hash"], {})
        paths = tuple(path for path in sorted(sizes) if is_aside(path))
        if paths:
            size = sum(sizes[path] for path in paths)
            text = f"trial {trial.number} has {len(paths)} temporary files ({megabytes(size)})"
            yield Finding(f"{text}: {paths[0]}", trial.number, (DeleteFiles(paths, size),))


def _folder(trial: TrialRecord) -> str:
    return f"{TRIALS}/{trial.row['hash']}"
