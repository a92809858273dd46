"""Registers a sweep in the ledger, checks that spec and data are the same, takes failures back."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from sweeps.cells.cell_count import count_cells
from sweeps.errors import SweepError
from sweeps.ledger import data_identity, tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.progress import TrialProgress
from sweeps.ledger.provenance import software
from sweeps.ledger.replay import read_trials
from sweeps.ledger.report_columns import no_reports
from sweeps.ledger.states import AttemptOutcome, TrialState
from sweeps.spec.sweep_spec import SweepSpec
from vae_core.config import REVISION, TrialConfig, stored_hash
from vae_core.data import DATASETS
from vae_core.hyperparameters import registry

CHANGEABLE = ("resources", "budget", "store", "checkpoint", "published")
"""Sections that affect neither numbers nor the choice of cells: a sweep may resume with others."""

FILE_OPTIONS = ("data.path", "data.table")
"""Options that say where data are. A sweep may resume with others if the content is the same."""


class Difference(NamedTuple):
    """One value that differs between two specs."""

    path: str  # "objectives", "train.epochs", …
    old: Any
    new: Any


def require_same_spec(spec: SweepSpec, ledger: Ledger) -> None:
    """Check that a sweep of this name, if there is one, began with this spec.

    Another path of the data passes here, because it may lead to the same content; `register_sweep`
    compares that once the data are loaded.

    Raises:
        SweepError: the sweep began with another spec; the message has a line per difference.
    """
    row = ledger.sweep(spec.name)
    if row is None:
        return
    changes = _refused_changes(row["spec"], spec.to_dict())
    if any(change.path not in FILE_OPTIONS for change in changes):
        raise SweepError(_other_spec(spec.name, changes))


def register_sweep(spec: SweepSpec, ledger: Ledger, *, fingerprint: str) -> str:
    """Write the row of a new sweep, or check spec and data against those that the sweep began with.

    Args:
        spec: the spec.
        ledger: of the workspace.
        fingerprint: of the data that were loaded.

    Returns:
        A note for the user, "" if there is none.

    Raises:
        SweepError: the sweep began with another spec, or with data of another content.
    """
    note = require_same_data(spec, ledger, fingerprint=fingerprint)
    columns = {
        "spec": json.dumps(spec.to_dict()),
        "fingerprint": fingerprint,
        "cells": count_cells(spec).cells,
    }
    with ledger.transaction() as tx:
        if ledger.sweep(spec.name) is None:
            tx.insert(
                tables.SWEEP,
                name=spec.name,
                created=time.time(),
                software=json.dumps(software()),
                **columns,
            )
        else:
            tx.update(tables.SWEEP, tables.SWEEP.c.name == spec.name, **columns)
    return note


def require_same_data(spec: SweepSpec, ledger: Ledger, *, fingerprint: str) -> str:
    """Check that a sweep of this name, if there is one, began with this spec and these data.

    Nothing is written. Arguments, result and errors are those of `register_sweep`.
    """
    require_same_spec(spec, ledger)
    row = ledger.sweep(spec.name)
    if row is None:
        return ""
    changes = _refused_changes(row["spec"], spec.to_dict())
    known = data_identity.known_fingerprints(ledger, row)
    if not known and changes:
        raise SweepError(_other_spec(spec.name, changes))
    if not known:
        return data_identity.unknown_data_note(spec.name, fingerprint)
    if list(known) != [fingerprint]:
        lines = [_line(change) for change in changes]
        raise SweepError(data_identity.refusal(spec, row, known, fingerprint, lines))
    return ""


def _refused_changes(old_spec: dict[str, Any], new_spec: dict[str, Any]) -> list[Difference]:
    """Return the differences with which a sweep may not resume."""
    old_spec = _with_default_options(old_spec)
    return [each for each in differences(old_spec, new_spec) if not _is_allowed(each)]


def _other_spec(name: str, changes: Sequence[Difference]) -> str:
    """Return the message for a spec that is not the one that the sweep began with."""
    return (
        f"sweep {name!r} was begun with another spec:\n"
        + "\n".join(_line(change) for change in changes)
        + "\nuse another name, or the old values; trials that both have in common are not "
        "trained twice"
    )


def _line(change: Difference) -> str:
    return f"  {change.path}: was {json.dumps(change.old)}, is {json.dumps(change.new)}"


def require_same_revision(spec: SweepSpec, ledger: Ledger, *, retry: bool) -> None:
    """Raise if this version would add trials to a sweep whose trials have other numbers.

    A version that changes the numbers of a trial has another `REVISION`. If it resumed the sweep,
    the seeds of one cell would be means of numbers that do not compare. A sweep with nothing left
    to run may be opened.

    Args:
        spec: the spec of the sweep.
        ledger: the ledger, with the row of the sweep.
        retry: whether failed trials get further attempts.

    Raises:
        SweepError: trials of another revision, and trials or cells are left to run.
    """
    trials = read_trials(ledger, spec.name, (), reports=no_reports())
    revisions = {_revision(trial) for trial in trials} - {REVISION}
    if not revisions:
        return
    cells_left = count_cells(spec).cells - len(ledger.of(tables.CELL, spec.name))
    n_left = sum(
        not trial.ended or (retry and trial.state is TrialState.FAILED) for trial in trials
    )
    n_left += max(0, cells_left) * len(spec.seeds)
    if n_left:
        older = " and ".join(str(revision or "unknown") for revision in sorted(revisions))
        raise SweepError(
            f"sweep {spec.name!r} was begun by a version with other numbers (revision {older} of "
            f"the numbers; this version has {REVISION}), and {n_left} of its trials are left to "
            "run: their numbers would not compare with those it has; use another name, or finish "
            "the sweep with the version that began it (`sweeps runs NAME --json` shows its commit)"
        )


def _revision(trial: TrialProgress) -> int:
    """Return the revision of the numbers of a stored trial, by its hash; 0 if it is not known."""
    stored = trial.config
    try:
        if stored_hash(stored, REVISION) == trial.hash:  # much faster than to build the config
            return REVISION
        config = TrialConfig.from_dict(stored)
    except (ValueError, TypeError, KeyError):
        return 0
    for revision in range(REVISION, 0, -1):
        if config.hash_at(revision) == trial.hash:
            return revision
    return 0


def _with_default_options(spec: dict[str, Any]) -> dict[str, Any]:
    """Return a spec with the defaults of the options of its data set that are newer than it."""
    try:
        dataset = registry.build("data set", spec["data"], DATASETS)
    except (KeyError, ValueError):  # a version since then refuses it: compare it as it is
        return spec
    return {**spec, "data": registry.describe(dataset, DATASETS)}


def _is_allowed(change: Difference) -> bool:
    """Return whether a sweep may resume with this change of its spec."""
    if change.path == "search.trials":  # more cells of the same sequence
        return change.old is not None and change.new is not None and change.new >= change.old
    return change.path.split(".")[0] in CHANGEABLE


def differences(old: Any, new: Any, path: str = "") -> list[Difference]:
    """Return every leaf in which two nested mappings differ."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return [] if old == new else [Difference(path, old, new)]
    keys = [*old, *(key for key in new if key not in old)]
    leaves: list[Difference] = []
    for key in keys:
        inner = f"{path}.{key}" if path else str(key)
        leaves += differences(old.get(key), new.get(key), inner)
    return leaves


def retry_failed(ledger: Ledger, sweep: str) -> int:
    """Take back the ends and charged attempts of failed trials; return how many trials."""
    failed = [
        row["trial"] for row in ledger.of(tables.END, sweep) if row["state"] == TrialState.FAILED
    ]
    attempts = tables.ATTEMPT.c
    with ledger.transaction() as tx:
        for trial in failed:
            tx.delete(tables.END, tables.END.c.sweep == sweep, tables.END.c.trial == trial)
            ended = (
                (attempts.sweep == sweep)
                & (attempts.trial == trial)
                & attempts.outcome.is_not(None)
            )
            tx.update(tables.ATTEMPT, ended, outcome=AttemptOutcome.FORGIVEN)
    return len(failed)
