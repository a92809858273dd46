"""The state of the sweeps of a workspace, read without Ray.

The database counts: no row of a trial or report is fetched, so a million reports take a second.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from sweeps.ledger import tables
from sweeps.ledger.damage import naming_damage
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.tables import CELL, END, EXPORT, LEFT_OUT, REPORT, RESCORE, TRIAL, Row
from sweeps.storage.lock import is_locked

EXPORTS = ("mlflow", "optuna")

ELSEWHERE_SECONDS = 60.0
"""Seconds after its last sign of life in which a driver of another machine counts as running."""

WHOLE_RUN = "run"
"""What the ledger calls a trial of which MLflow takes nothing (`LEFT_OUT.thing`)."""


def sweep_status(workspace: Path, name: str | None = None) -> list[dict[str, Any]]:
    """Return one mapping per sweep: cells, trials by state, epochs, driver, lag of the exports.

    `left_out` lists what MLflow never takes; trial -1 is the parent run.

    `cells` counts those that have begun, `cells_total` those that the sweep can have (None for a
    sweep of an older version).

    Args:
        workspace: the folder.
        name: of one sweep; None for all.

    Raises:
        LookupError: the workspace has no ledger, or no sweep of this name.
        SweepError: the ledger cannot be opened or read, or rows are damaged.
    """
    with Ledger.opened(workspace) as ledger, naming_damage(ledger):
        if name is not None:
            ledger.require_sweep(name)
        names = ledger.sweep_names() if name is None else [name]
        return [_status_of(ledger, workspace, sweep) for sweep in names]


def _status_of(ledger: Ledger, workspace: Path, name: str) -> dict[str, Any]:
    driver_runs = ledger.of(tables.DRIVER_RUN, name)
    states, epochs = _trials(ledger, name)
    reports, seconds_in_step = _reports(ledger, name)
    driver = driver_runs[-1] if driver_runs else None
    running = driver is not None and _is_running(driver, workspace, name)
    wall_seconds = sum(row["seen"] - row["started"] for row in driver_runs)
    if running and driver is not None:
        wall_seconds += max(0.0, time.time() - driver["seen"])  # a clock may have jumped
    cells = _count(ledger, sa.select(CELL.c.number).where(CELL.c.sweep == name))
    cells_total = ledger.require_sweep(name)["cells"]
    finished = driver is not None and driver["outcome"] == "ended"
    has_more_cells = cells_total is not None and cells < cells_total and not finished
    if running:
        state = "RUNNING"
    elif states.get("OPEN") or not states or has_more_cells:
        state = "OPEN"
    else:
        state = "ENDED"
    driver_fields = ("host", "pid", "started", "outcome")
    return {
        "name": name,
        "state": state,
        "cells": cells,
        "cells_total": cells_total,
        "trials": states,
        "reports": reports,
        "epochs": epochs,
        "seconds_in_step": round(seconds_in_step, 3),
        "wall_seconds": round(wall_seconds, 3),
        "slots": driver["slots"] if driver else 0,
        "driver": {key: driver[key] for key in driver_fields} if driver else None,
        "exports": {target: _lag(ledger, name, target) for target in EXPORTS},
        "left_out": [
            {key: row[key] for key in ("trial", "thing", "why")}
            for row in ledger.of(tables.LEFT_OUT, name)
        ],
    }


def _is_running(driver: Row, workspace: Path, name: str) -> bool:
    """Return whether the last driver run of a sweep still runs.

    On this machine the lock file tells; of a driver elsewhere only its signs of life are seen.
    """
    if driver["outcome"] is not None:
        return False
    if is_locked(workspace, name):
        return True
    return driver["host"] != platform.node() and time.time() - driver["seen"] < ELSEWHERE_SECONDS


def _trials(ledger: Ledger, name: str) -> tuple[dict[str, int], int]:
    """Return state -> number of trials, the first trial's state first, and the sum of epochs."""
    of_trial = (END.c.sweep == TRIAL.c.sweep) & (END.c.trial == TRIAL.c.number)
    # A literal: PostgreSQL takes two parameters for two values, also in SELECT and GROUP BY.
    state = sa.func.coalesce(END.c.state, sa.literal_column("'OPEN'"))
    query = (
        sa.select(state, sa.func.count(), sa.func.sum(TRIAL.c.epochs))
        .join(END, of_trial, isouter=True)
        .where(TRIAL.c.sweep == name)
        .group_by(state)
        .order_by(sa.func.min(TRIAL.c.number))
    )
    rows = ledger.values(query)
    return {state: count for state, count, _ in rows}, sum(int(epochs) for _, _, epochs in rows)


def _reports(ledger: Ledger, name: str) -> tuple[int, float]:
    """Return the number of reports, and the seconds inside `step()`."""
    query = sa.select(sa.func.count(REPORT.c.seq), sa.func.sum(REPORT.c.seconds))
    ((count, seconds),) = ledger.values(query.where(REPORT.c.sweep == name))
    return count, seconds or 0.0


def _lag(ledger: Ledger, name: str, target: str) -> dict[str, int]:
    """Return how many reports, ends and scores of stored codes an export does not have yet.

    What MLflow never takes is not counted.
    """
    reports_behind = 0
    rescored_behind = 0
    refused: list[int] = []  # trials of which MLflow takes nothing
    if target == "mlflow":  # Optuna gets ended trials only, and no scores of stored codes
        refused = _refused(ledger, name)
        reports_behind = _reports_behind(ledger, name, target, refused)
        exported = _exported(RESCORE, target)
        missing = EXPORT.c.run.is_(None) | (EXPORT.c.run != RESCORE.c.run)
        query = sa.select(RESCORE.c.seq).join(EXPORT, exported, isouter=True)
        query = query.where(RESCORE.c.sweep == name, missing, RESCORE.c.trial.not_in(refused))
        rescored_behind = _count(ledger, query)
    exported = _exported(END, target)
    missing = EXPORT.c.state.is_(None) | (EXPORT.c.state != END.c.state)
    query = sa.select(END.c.seq).join(EXPORT, exported, isouter=True)
    query = query.where(END.c.sweep == name, missing, END.c.trial.not_in(refused))
    return {
        "reports_behind": reports_behind,
        "ends_behind": _count(ledger, query),
        "rescored_behind": rescored_behind,
    }


def _exported(table: sa.Table, target: str) -> sa.ColumnElement[bool]:
    """Return the condition that an export is of the trial of a row."""
    same_trial = (EXPORT.c.sweep == table.c.sweep) & (EXPORT.c.trial == table.c.trial)
    return same_trial & (EXPORT.c.target == target)


def _refused(ledger: Ledger, name: str) -> list[int]:
    """Return the numbers of the trials of which MLflow takes nothing."""
    rows = ledger.rows(LEFT_OUT, LEFT_OUT.c.sweep == name, LEFT_OUT.c.thing == WHOLE_RUN)
    return [row["trial"] for row in rows]


def _reports_behind(ledger: Ledger, name: str, target: str, refused: Sequence[int]) -> int:
    """Return how many reports an export lacks.

    Reports are counted per trial, and only those after the last exported one are looked at: an
    export that is up to date costs one look-up per trial, not per report.
    """
    of_trial = (EXPORT.c.sweep == TRIAL.c.sweep) & (EXPORT.c.trial == TRIAL.c.number)
    later = (
        sa.select(sa.func.count())
        .select_from(REPORT)
        .where(REPORT.c.sweep == TRIAL.c.sweep, REPORT.c.trial == TRIAL.c.number)
        .where(REPORT.c.epoch > sa.func.coalesce(EXPORT.c.epoch, -1))
        .correlate(TRIAL, EXPORT)
        .scalar_subquery()
    )
    query = (
        sa.select(sa.func.sum(later))
        .select_from(TRIAL)
        .join(EXPORT, of_trial & (EXPORT.c.target == target), isouter=True)
        .where(TRIAL.c.sweep == name, TRIAL.c.number.not_in(refused))
    )
    ((behind,),) = ledger.values(query)
    return int(behind or 0)


def _count(ledger: Ledger, query: sa.Select[Any]) -> int:
    """Return the number of rows of a query."""
    ((count,),) = ledger.values(sa.select(sa.func.count()).select_from(query.subquery()))
    return count
