"""Registers a sweep in the ledger, checks that its spec has not changed, takes failures back."""

from __future__ import annotations

import json
import time
from typing import Any, NamedTuple

from sweeps.errors import SweepError
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.provenance import software
from sweeps.ledger.states import AttemptOutcome, TrialState
from sweeps.spec.sweep_spec import SweepSpec
from vae_core.data import DATASETS
from vae_core.hyperparameters import registry

CHANGEABLE = ("resources", "budget", "store", "checkpoint", "published")
"""Sections that affect neither numbers nor the choice of cells: a sweep may resume with others."""


class Difference(NamedTuple):
    """One value that differs between two specs."""

    path: str  # "objectives", "train.epochs", …
    old: Any
    new: Any


def register_sweep(spec: SweepSpec, ledger: Ledger) -> None:
    """Write the row of a new sweep, or check the spec against the one that the sweep began with.

    Raises:
        SweepError: the sweep began with another spec; the message has a line per difference.
    """
    row = ledger.sweep(spec.name)
    new_spec = spec.to_dict()
    if row is None:
        with ledger.transaction() as tx:
            tx.insert(
                tables.SWEEP,
                name=spec.name,
                spec=json.dumps(new_spec),
                created=time.time(),
                software=json.dumps(software()),
            )
        return
    old_spec = _with_default_options(row["spec"])
    changes = [each for each in differences(old_spec, new_spec) if not _is_allowed(each)]
    if changes:
        lines = [
            f"  {change.path}: was {json.dumps(change.old)}, is {json.dumps(change.new)}"
            for change in changes
        ]
        raise SweepError(
            f"sweep {spec.name!r} was begun with another spec:\n"
            + "\n".join(lines)
            + "\nuse another name, or the old values; trials that both have in common are not "
            "trained twice"
        )
    with ledger.transaction() as tx:
        tx.update(tables.SWEEP, tables.SWEEP.c.name == spec.name, spec=json.dumps(new_spec))


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
