"""Registers a sweep in the ledger, or checks that its spec has not changed."""

from __future__ import annotations

import json
import time
from typing import Any

from sweeps.errors import SweepError
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.provenance import software
from sweeps.spec.sweep_spec import SweepSpec

# Sections that decide no number and no choice of cells: a sweep may go on with others.
FREE = ("resources", "budget", "store", "checkpoint", "published")


def register_sweep(spec: SweepSpec, ledger: Ledger) -> None:
    """Write the sweep's row, or check that the spec is the one that the sweep began with."""
    row = ledger.sweep(spec.name)
    new = spec.to_dict()
    if row is None:
        with ledger.transaction() as tx:
            tx.insert(
                tables.SWEEP,
                name=spec.name,
                spec=json.dumps(new),
                created=time.time(),
                software=json.dumps(software()),
            )
        return
    changed = [line for line in differences(row["spec"], new) if not _free(line)]
    if changed:
        raise SweepError(
            f"sweep {spec.name!r} was begun with another spec:\n  "
            + "\n  ".join(
                f"{path}: was {json.dumps(old)}, is {json.dumps(value)}"
                for path, old, value in changed
            )
            + "\nuse another name, or the old values; trials that both have in common are not trained twice"
        )
    with ledger.transaction() as tx:
        tx.update(tables.SWEEP, tables.SWEEP.c.name == spec.name, spec=json.dumps(new))


def _free(change: tuple[str, Any, Any]) -> bool:
    path, old, new = change
    if path == "search.trials":
        return old is not None and new is not None and new >= old  # more cells of the same sequence
    return path.split(".")[0] in FREE


def differences(old: Any, new: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Return (path, old, new) of every leaf in which two nested mappings differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(key for key in new if key not in old)]
        return [
            line
            for key in keys
            for line in differences(
                old.get(key), new.get(key), f"{path}.{key}" if path else str(key)
            )
        ]
    return [] if old == new else [(path, old, new)]


def retry_failed(ledger: Ledger, sweep: str) -> int:
    """Take back the ends of a sweep's failed trials, and their lost attempts; returns how many."""
    failed = [row["trial"] for row in ledger.of(tables.END, sweep) if row["state"] == "FAILED"]
    with ledger.transaction() as tx:
        for trial in failed:
            tx.delete(tables.END, tables.END.c.sweep == sweep, tables.END.c.trial == trial)
            mine = (tables.ATTEMPT.c.sweep == sweep) & (tables.ATTEMPT.c.trial == trial)
            tx.update(
                tables.ATTEMPT, mine & tables.ATTEMPT.c.outcome.is_not(None), outcome="forgiven"
            )
    return len(failed)
