"""What `--repair` does: small steps, each of which may be done twice.

No step deletes or changes a report, a score or an end: they are the truth that the rest is compared
with. Runs of MLflow are deleted in a way that MLflow can take back.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from sweeps.doctor.file_contents import content_problem
from sweeps.exports import mlflow_client
from sweeps.exports.mlflow_experiment import HASH_TAG, TRIAL_TAG
from sweeps.exports.mlflow_locations import correct_locations
from sweeps.exports.mlflow_writer import EXPORT_PATIENCE, MlflowWriter
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.provenance import software
from sweeps.ledger.states import AttemptOutcome
from sweeps.storage.files import AbstractFiles
from sweeps.storage.lock import is_locked
from sweeps.storage.workspace import TrialPaths, WorkspacePaths

RETIRED_TAG = "sweeps.doctor"
"""The tag of a run that was deleted here: why."""


@dataclass
class Tools:
    """What repairs of one sweep work on."""

    sweep: str  # "" for files that belong to no sweep
    workspace: Path
    ledger: Ledger
    files: AbstractFiles
    server: str | None  # `store.mlflow`
    notes: list[str] = field(default_factory=list[str])  # what the user should know afterwards


class AbstractRepair(abc.ABC):
    """One step that mends something."""

    order: ClassVar[int]
    """Steps are done in this order: MLflow is written after the ledger, files go last."""

    @property
    @abc.abstractmethod
    def text(self) -> str:
        """What is done, as an order: `close attempt 3`."""

    @abc.abstractmethod
    def apply(self, tools: Tools) -> None:
        """Do it."""


@dataclass(frozen=True)
class CloseAttempt(AbstractRepair):
    """Closes an attempt as the next driver run would: its trial is not charged."""

    attempt: int
    ended: float  # unix seconds
    order: ClassVar[int] = 0

    @property
    def text(self) -> str:
        return f"close attempt {self.attempt} as interrupted"

    def apply(self, tools: Tools) -> None:
        attempts = tables.ATTEMPT.c
        still_open = (attempts.id == self.attempt) & attempts.outcome.is_(None)
        outcome = AttemptOutcome.INTERRUPTED
        with tools.ledger.transaction() as tx:
            tx.update(tables.ATTEMPT, still_open, outcome=outcome, ended=self.ended)


@dataclass(frozen=True)
class ReleaseLease(AbstractRepair):
    """Frees the lease of a dead driver. Repairs hold it themselves, and free it at their end."""

    order: ClassVar[int] = 0

    @property
    def text(self) -> str:
        return "free the lease of the sweep"

    def apply(self, tools: Tools) -> None:
        assert tools.ledger.lease is not None, "repairs of a sweep hold its lease"


@dataclass(frozen=True)
class SendAgain(AbstractRepair):
    """Forgets what MLflow is said to have of a trial, so that the writer sends all of it again.

    MLflow keeps one of several equal points, so what is there already is not doubled.
    """

    trial: int
    order: ClassVar[int] = 1

    @property
    def text(self) -> str:
        return f"forget how far trial {self.trial} is exported"

    def apply(self, tools: Tools) -> None:
        export, rescore = tables.EXPORT.c, tables.RESCORE.c
        of_trial = (export.sweep == tools.sweep, export.trial == self.trial)
        scores = (rescore.sweep == tools.sweep) & (rescore.trial == self.trial)
        with tools.ledger.transaction() as tx:
            tx.delete(tables.EXPORT, *of_trial, export.target == "mlflow")
            tx.update(tables.RESCORE, scores, run="")


@dataclass(frozen=True)
class ForgetExport(AbstractRepair):
    """Deletes one export row; exports are computed again from the rest of the ledger."""

    target: str
    trial: int
    order: ClassVar[int] = 1

    @property
    def text(self) -> str:
        return f"delete the row that says how far trial {self.trial} is exported to {self.target}"

    def apply(self, tools: Tools) -> None:
        export = tables.EXPORT.c
        row = (export.sweep == tools.sweep, export.trial == self.trial)
        with tools.ledger.transaction() as tx:
            tx.delete(tables.EXPORT, *row, export.target == self.target)


@dataclass(frozen=True)
class CorrectLocations(AbstractRepair):
    """Lets MLflow look for artifacts in this workspace."""

    order: ClassVar[int] = 2

    @property
    def text(self) -> str:
        return "let MLflow's runs point into this workspace"

    def apply(self, tools: Tools) -> None:
        paths = WorkspacePaths(tools.workspace.resolve())
        only = None if tools.server is None else tools.sweep
        correct_locations(paths.tracking_uri(tools.server), paths.mlflow_artifacts, sweep=only)


@dataclass(frozen=True)
class RetireRun(AbstractRepair):
    """Takes a run of MLflow out of the sweep, and deletes it so that it can be restored.

    Without its tags the writer does not take it for the run of a trial again.
    """

    run: str
    why: str
    order: ClassVar[int] = 3

    @property
    def text(self) -> str:
        return f"delete run {self.run} in MLflow (`mlflow` can restore it)"

    def apply(self, tools: Tools) -> None:
        client = mlflow_client.connect(tools.workspace, tools.server, tools.sweep)
        tags = client.get_run(self.run).data.tags
        for tag in (TRIAL_TAG, HASH_TAG):
            if tag in tags:
                client.set_tag(self.run, f"{RETIRED_TAG}.{tag}", tags[tag])
                client.delete_tag(self.run, tag)
        client.set_tag(self.run, RETIRED_TAG, self.why)
        client.delete_run(self.run)


@dataclass(frozen=True)
class RunExport(AbstractRepair):
    """Writes to MLflow what the ledger has and MLflow does not."""

    order: ClassVar[int] = 4

    @property
    def text(self) -> str:
        return "write to MLflow what it lacks"

    def apply(self, tools: Tools) -> None:
        writer = MlflowWriter(
            tools.sweep, tools.ledger, tools.files, tools.workspace, tools.server, software()
        )
        writer.start()
        if not writer.finish(EXPORT_PATIENCE):
            behind = writer.why_behind() or f"it took longer than {EXPORT_PATIENCE:g} s"
            tools.notes.append(f"MLflow still lacks something of sweep {tools.sweep!r}: {behind}")


@dataclass(frozen=True)
class RestoreArtifact(AbstractRepair):
    """Copies a file of a trial back from its run in MLflow, if it is whole there."""

    run: str
    trial_hash: str
    name: str
    order: ClassVar[int] = 2

    @property
    def text(self) -> str:
        return f"copy {self.name} of trial {self.trial_hash} back from MLflow's run {self.run}"

    def apply(self, tools: Tools) -> None:
        client = mlflow_client.connect(tools.workspace, tools.server, tools.sweep)
        content = mlflow_client.read_artifact(client, self.run, self.name)
        problem = content_problem(self.name, content)
        if problem:
            raise ValueError(f"the file of the run {problem}")
        tools.files.write(TrialPaths(self.trial_hash).artifact(self.name), content)


@dataclass(frozen=True)
class DeleteFiles(AbstractRepair):
    """Deletes files that nothing needs."""

    paths: tuple[str, ...]  # relative to the root of the stored files
    size: int  # bytes of all of them
    order: ClassVar[int] = 5

    @property
    def text(self) -> str:
        first = self.paths[0] if len(self.paths) == 1 else f"{len(self.paths)} files"
        folder = "" if len(self.paths) == 1 else f" of {'/'.join(self.paths[0].split('/')[:2])}"
        return f"delete {first}{folder} ({megabytes(self.size)})"

    def apply(self, tools: Tools) -> None:
        for path in self.paths:
            tools.files.delete(path)


@dataclass(frozen=True)
class DeleteLock(AbstractRepair):
    """Deletes the lock of a sweep that does not exist, unless a process holds it."""

    sweep: str
    order: ClassVar[int] = 5

    @property
    def text(self) -> str:
        return f"delete the lock of {self.sweep!r}"

    def apply(self, tools: Tools) -> None:
        if tools.ledger.sweep(self.sweep) is None and not is_locked(tools.workspace, self.sweep):
            WorkspacePaths(tools.workspace).lock(self.sweep).unlink(missing_ok=True)


def megabytes(size: int) -> str:
    """Return bytes as text in MB, with enough digits for small files."""
    return f"{size / 1e6:.1f} MB" if size >= 5e4 else f"{size / 1e6:.3f} MB"
