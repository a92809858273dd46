"""Examines a workspace: reads the evidence, applies every rule, and repairs if asked."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from sweeps.doctor.drivers import is_driven, unreleased_lease
from sweeps.doctor.evidence import Evidence
from sweeps.doctor.file_evidence import FileEvidence, list_files
from sweeps.doctor.finding import Finding, Level, Rule
from sweeps.doctor.ledger_evidence import read_ledger
from sweeps.doctor.mlflow_evidence import MlflowEvidence, read_mlflow
from sweeps.doctor.repairs import AbstractRepair, Tools
from sweeps.doctor.rules import RULES
from sweeps.doctor.workspace_rules import DATABASE_RULE, WORKSPACE_RULES, read_workspace
from sweeps.errors import SweepError
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.ownership import held_sweep
from sweeps.storage.files import LocalFiles, open_files
from vae_core.hyperparameters.registry import unknown_name


class Diagnosis(NamedTuple):
    """A finding with the rule that it departs from."""

    sweep: str  # "" if it is about the workspace as a whole
    name: str  # of the rule
    rule: Rule
    finding: Finding


@dataclass
class Health:
    """What is wrong in a workspace."""

    sweeps: list[str] = field(default_factory=list[str])  # that were looked at
    driven: list[str] = field(default_factory=list[str])  # of them, that a driver runs now
    diagnoses: list[Diagnosis] = field(default_factory=list[Diagnosis])
    trials: int = 0
    reports: int = 0
    stored: int = 0  # bytes of the files of trials

    @property
    def healthy(self) -> bool:
        """Whether there is nothing but notes."""
        return all(each.rule.level is Level.NOTE for each in self.diagnoses)

    def repairs(self, sweep: str) -> list[AbstractRepair]:
        """Return the steps that mend a sweep, each once, in their order."""
        steps = [
            step for each in self.diagnoses if each.sweep == sweep for step in each.finding.repairs
        ]
        return sorted(dict.fromkeys(steps), key=lambda step: step.order)


@dataclass
class Repaired:
    """What a repair did."""

    done: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])  # (sweep, step)
    notes: list[str] = field(default_factory=list[str])  # what did not work, and why


def examine(workspace: Path, name: str | None = None, *, deep: bool = False) -> Health:
    """Return what is wrong in a workspace.

    Args:
        workspace: the folder.
        name: of one sweep; None for all, and for what belongs to no sweep.
        deep: whether every byte of large artifacts is read.

    Raises:
        LookupError: the workspace has no ledger, or no sweep of this name.
    """
    damaged = list(DATABASE_RULE.look(workspace))
    if damaged:
        diagnoses = [Diagnosis("", "damaged-database", DATABASE_RULE, each) for each in damaged]
        return Health(diagnoses=diagnoses)
    with _opened(workspace) as ledger:
        return _examine(ledger, workspace, name, deep=deep)


def require_no_driver(health: Health) -> None:
    """Raise SweepError if a driver runs one of the sweeps: it writes what a repair would change."""
    if health.driven:
        names = ", ".join(map(repr, health.driven))
        raise SweepError(
            f"--repair needs sweeps that no driver runs, got {names}, which is being driven; wait "
            "for its end, or name another sweep"
        )


def repair(workspace: Path, health: Health) -> Repaired:
    """Do the repairs of every finding, while no driver may start.

    Raises:
        SweepError: a driver runs one of the sweeps.
    """
    repaired = Repaired()
    for sweep in ["", *health.sweeps]:
        steps = health.repairs(sweep)
        if not steps:
            continue
        with _opened(workspace) as ledger, contextlib.ExitStack() as stack:
            if sweep:
                say = repaired.notes.append
                stack.enter_context(held_sweep(sweep, workspace, ledger, say=say))
            _apply(steps, _tools(ledger, workspace, sweep), repaired)
    return repaired


def _apply(steps: Sequence[AbstractRepair], tools: Tools, repaired: Repaired) -> None:
    """Do steps one by one; a step that fails does not keep the others from being done."""
    for step in steps:
        try:
            step.apply(tools)
        except Exception as error:  # of MLflow's server, the database or the disk
            line = str(error).strip().splitlines()
            repaired.notes.append(f"could not {step.text}: {line[0] if line else error!r}")
        else:
            repaired.done.append((tools.sweep, step.text))
    repaired.notes += tools.notes


def _tools(ledger: Ledger, workspace: Path, sweep: str) -> Tools:
    store: dict[str, Any] = {}
    if sweep:
        store = read_ledger(ledger, sweep).spec.get("store") or {}
    files = open_files(workspace, store.get("files"))
    return Tools(sweep, workspace, ledger, files, store.get("mlflow"))


@contextlib.contextmanager
def _opened(workspace: Path) -> Iterator[Ledger]:
    """Open the ledger of a workspace.

    Raises:
        LookupError: the workspace has no ledger.
        SweepError: its database does not answer.
    """
    try:
        ledger = Ledger.existing(workspace)
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise SweepError(f"the ledger of {workspace} cannot be opened: {reason}") from error
    try:
        yield ledger
    finally:
        ledger.close()


def _examine(ledger: Ledger, workspace: Path, name: str | None, *, deep: bool) -> Health:
    names = ledger.sweep_names()
    if name is not None:
        _require_known(name, names)
        names = [name]
    stores = _Stores(workspace)
    own_files = stores.listing(None)  # before the ledger is read: the row of a trial comes first
    health = Health(sweeps=names)
    open_elsewhere = _open_hashes(ledger)
    for sweep in names:
        driven = is_driven(ledger, workspace, sweep)
        if driven:
            health.driven.append(sweep)
        rows = read_ledger(ledger, sweep)
        evidence = Evidence(
            ledger=rows,
            mlflow=MlflowEvidence() if driven else read_mlflow(rows, workspace),
            files=stores.listing(rows.store("files")),
            driven=driven,
            lease=unreleased_lease(ledger, sweep),
            open_elsewhere=open_elsewhere,
            deep=deep,
        )
        health.trials += len(evidence.ledger.trials)
        health.reports += sum(len(each.reports) for each in evidence.ledger.trials.values())
        for trial in evidence.ledger.trials.values():
            health.stored += sum(evidence.files.sizes.get(trial.row["hash"], {}).values())
        for rule_name, rule in RULES.items():
            if rule.at_rest and driven:
                continue
            for finding in rule.look(evidence):
                health.diagnoses.append(Diagnosis(sweep, rule_name, rule, finding))
    if name is None:
        whole = read_workspace(ledger, workspace, own_files)
        for rule_name, rule in WORKSPACE_RULES.items():
            for finding in rule.look(whole):
                health.diagnoses.append(Diagnosis("", rule_name, rule, finding))
    return health


class _Stores:
    """The listings of the stores of files, each read once."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._listings: dict[str | None, FileEvidence] = {}

    def listing(self, uri: str | None) -> FileEvidence:
        """Return the files of a spec's `store.files`."""
        if uri not in self._listings:
            try:
                self._listings[uri] = list_files(open_files(self._workspace, uri))
            except (OSError, ValueError) as error:
                nothing = LocalFiles(self._workspace)
                self._listings[uri] = FileEvidence(nothing, problem=str(error))
        return self._listings[uri]


def _open_hashes(ledger: Ledger) -> frozenset[str]:
    """Return the hashes of the trials of all sweeps that have not ended."""
    trial, end = tables.TRIAL.c, tables.END.c
    has_end = sa.and_(end.sweep == trial.sweep, end.trial == trial.number)
    query = sa.select(trial.hash).outerjoin(tables.END, has_end).where(end.seq.is_(None))
    return frozenset(row["hash"] for row in ledger.select(query))


def _require_known(name: str, names: Sequence[str]) -> None:
    """Raise LookupError, with the nearest known name, if there is no sweep of this name."""
    if name not in names:
        raise LookupError(unknown_name("sweep", name, names))
