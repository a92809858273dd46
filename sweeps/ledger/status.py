"""The state of the sweeps of a workspace, read without Ray."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sweeps.ledger import tables
from sweeps.ledger.damage import naming_damage
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.tables import Row
from sweeps.storage.lock import is_locked

EXPORTS = ("mlflow", "optuna")


def sweep_status(workspace: Path, name: str | None = None) -> list[dict[str, Any]]:
    """Return one mapping per sweep: cells, trials by state, epochs, driver, lag of the exports.

    `cells` counts those that have begun, `cells_total` those that the sweep can have (None for a
    sweep of an older version).

    Args:
        workspace: the folder.
        name: of one sweep; None for all.

    Raises:
        LookupError: the workspace has no ledger, or no sweep of this name.
        LedgerDamagedError: rows of the ledger are damaged.
    """
    ledger = Ledger.existing(workspace)
    try:
        with naming_damage(ledger):
            if name is not None:
                ledger.require_sweep(name)
            names = ledger.sweep_names() if name is None else [name]
            return [_status_of(ledger, workspace, sweep) for sweep in names]
    finally:
        ledger.close()


def _status_of(ledger: Ledger, workspace: Path, name: str) -> dict[str, Any]:
    trials = ledger.of(tables.TRIAL, name)
    ends = {row["trial"]: row["state"] for row in ledger.of(tables.END, name)}
    reports = ledger.of(tables.REPORT, name)
    driver_runs = ledger.of(tables.DRIVER_RUN, name)
    states = Counter(ends.get(row["number"], "OPEN") for row in trials)
    driver = driver_runs[-1] if driver_runs else None
    running = driver is not None and driver["outcome"] is None and is_locked(workspace, name)
    wall_seconds = sum(row["seen"] - row["started"] for row in driver_runs)
    if running and driver is not None:
        wall_seconds += time.time() - driver["seen"]
    cells = len(ledger.of(tables.CELL, name))
    cells_total = ledger.require_sweep(name)["cells"]
    finished = driver is not None and driver["outcome"] == "ended"
    has_more_cells = cells_total is not None and cells < cells_total and not finished
    if running:
        state = "RUNNING"
    elif states["OPEN"] or not trials or has_more_cells:
        state = "OPEN"
    else:
        state = "ENDED"
    driver_fields = ("host", "pid", "started", "outcome")
    return {
        "name": name,
        "state": state,
        "cells": cells,
        "cells_total": cells_total,
        "trials": dict(states),
        "reports": len(reports),
        "epochs": sum(row["epochs"] for row in trials),
        "seconds_in_step": round(sum(row["seconds"] for row in reports), 3),
        "wall_seconds": round(wall_seconds, 3),
        "slots": driver["slots"] if driver else 0,
        "driver": {key: driver[key] for key in driver_fields} if driver else None,
        "exports": {target: _lag(ledger, name, target, ends, reports) for target in EXPORTS},
    }


def _lag(
    ledger: Ledger, name: str, target: str, ends: dict[int, str], reports: Sequence[Row]
) -> dict[str, int]:
    """Return how many reports, ends and scores of stored codes an export does not have yet."""
    exported = {
        row["trial"]: row for row in ledger.of(tables.EXPORT, name) if row["target"] == target
    }
    reports_behind = 0
    rescored_behind = 0
    if target == "mlflow":  # Optuna gets ended trials only, and no scores of stored codes
        for report in reports:
            row = exported.get(report["trial"])
            reports_behind += row is None or report["epoch"] > row["epoch"]
        for rescored in ledger.of(tables.RESCORE, name):
            row = exported.get(rescored["trial"])
            rescored_behind += rescored["run"] != (None if row is None else row["run"])
    ends_behind = 0
    for trial, state in ends.items():
        ends_behind += trial not in exported or exported[trial]["state"] != state
    return {
        "reports_behind": reports_behind,
        "ends_behind": ends_behind,
        "rescored_behind": rescored_behind,
    }
