"""How the sweeps of a workspace stand, without Ray."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.storage.lock import is_locked

EXPORTS = ("mlflow", "optuna")


def sweep_status(workspace: Path, name: str | None = None) -> list[dict[str, Any]]:
    """Return one mapping per sweep: trials by state, epochs, driver, and how far each export lags behind the ledger.

    Raises:
        LookupError: the workspace has no ledger, or no sweep of this name.
    """
    ledger = Ledger.existing(workspace)
    try:
        names = [row["name"] for row in ledger.rows(tables.SWEEP, order=tables.SWEEP.c.created)]
        if name is not None and name not in names:
            from vae_core.hyperparameters.registry import unknown

            raise LookupError(unknown("sweep", name, names))
        return [_one(ledger, workspace, each) for each in names if name in (None, each)]
    finally:
        ledger.close()


def _one(ledger: Ledger, workspace: Path, name: str) -> dict[str, Any]:
    trials = ledger.of(tables.TRIAL, name)
    ends = {row["trial"]: row["state"] for row in ledger.of(tables.END, name)}
    reports = ledger.of(tables.REPORT, name)
    lives = ledger.of(tables.LIFE, name)
    states = Counter(ends.get(row["number"], "OPEN") for row in trials)
    driver = lives[-1] if lives else None
    alive = driver is not None and driver["outcome"] is None and is_locked(workspace, name)
    wall = sum(row["seen"] - row["started"] for row in lives)
    if alive and driver is not None:
        wall += time.time() - driver["seen"]
    return {
        "name": name,
        "state": "RUNNING" if alive else "OPEN" if states["OPEN"] or not trials else "ENDED",
        "cells": len(ledger.of(tables.CELL, name)),
        "trials": dict(states),
        "reports": len(reports),
        "epochs": sum(row["epochs"] for row in trials),
        "seconds_in_step": round(sum(row["seconds"] for row in reports), 3),
        "wall_seconds": round(wall, 3),
        "slots": driver["slots"] if driver else 0,
        "driver": {key: driver[key] for key in ("host", "pid", "started", "outcome")}
        if driver
        else None,
        "exports": {
            target: _lag(ledger, name, target, trials, ends, reports) for target in EXPORTS
        },
    }


def _lag(
    ledger: Ledger,
    name: str,
    target: str,
    trials: list[Any],
    ends: dict[int, str],
    reports: list[Any],
) -> dict[str, int]:
    """Return what an export does not have yet: reports, ends, and (MLflow) scores of stored codes."""
    done = {row["trial"]: row for row in ledger.of(tables.EXPORT, name) if row["target"] == target}
    behind = rescored = 0
    if target == "mlflow":
        behind = sum(
            row["trial"] not in done or row["epoch"] > done[row["trial"]]["epoch"]
            for row in reports
        )
        runs = {number: row["run"] for number, row in done.items()}
        rescored = sum(
            row["run"] != runs.get(row["trial"]) for row in ledger.of(tables.RESCORE, name)
        )
    missing = sum(
        number not in done or done[number]["state"] != state for number, state in ends.items()
    )
    return {"reports_behind": behind, "ends_behind": missing, "rescored_behind": rescored}
