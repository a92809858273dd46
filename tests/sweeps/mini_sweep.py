"""A small sweep in memory: a spec to vary, and reports made without training, in microseconds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sweeps.driver.conductor import Assignment, Conductor
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.progress import TrialProgress
from sweeps.spec.load import spec_from_mapping
from sweeps.spec.sweep_spec import SweepSpec

N_DATA = 384
MINI: dict[str, Any] = {
    "name": "mini",
    "data": {
        "name": "dsprites",
        "resolution": 16,
        "stride": {"scale": 3, "orientation": 10, "pos_x": 8, "pos_y": 8},
    },
    "network": {"name": "mlp", "hidden": [16], "latents": 3},
    "train": {"epochs": 4, "batch_size": 32, "learning_rate": {"grid": [1e-2, 1e-3]}},
    "objectives": [{"name": "beta_vae", "beta": {"grid": [1, 4]}}],
    "seeds": 2,
    "pruning": {"name": "asha", "metric": "mig", "rungs": [0.5], "reduction": 2},
    "evaluation": {"images": 64, "samples": 16, "final": ["mig"]},
}

Curve = Callable[[TrialProgress, int], float]
"""curve(trial, epoch): the value of a metric."""


def spec(**changes: Any) -> SweepSpec:
    """Return the small spec; each change replaces a whole section."""
    return spec_from_mapping({**MINI, **changes})


def conductor(sweep: SweepSpec, workspace: Path, *, fingerprint: str = "f" * 64) -> Conductor:
    """Return a conductor on the ledger of a workspace, as at the start of a driver run."""
    ledger = Ledger.of_workspace(workspace)
    with ledger.transaction() as tx:
        if ledger.sweep(sweep.name) is None:
            tx.insert(
                tables.SWEEP,
                name=sweep.name,
                spec=json.dumps(sweep.to_dict()),
                created=0.0,
                software="{}",
            )
        driver_run = tx.insert(
            tables.DRIVER_RUN, sweep=sweep.name, host="here", pid=1, slots=2, started=0.0, seen=0.0
        )
    return Conductor(sweep, ledger, fingerprint=fingerprint, n_data=N_DATA, driver_run=driver_run)


def body(trial: TrialProgress, epoch: int, mig: float, active: float = 3.0) -> dict[str, Any]:
    """Return the report of an epoch, as a trial actor sends it."""
    is_last = epoch == trial.epochs
    selects_best = is_last and trial.config["evaluation"]["best"]
    return {
        "number": trial.number,
        "attempt": trial.attempt,
        "epoch": epoch,
        "step": 12 * epoch,
        "metrics": {
            "mig": mig,
            "tc": 1.0 / epoch,
            "reconstruction": 100.0 / epoch,
            "active_units": active,
        },
        "train": {"loss": 100.0 / epoch},
        "images": N_DATA,
        "seconds": {"train": 1.0, "evaluate": 0.1},
        "step_seconds": 1.1,
        "final": {"mig": mig} if is_last else None,
        "best": {"mig": mig, "epoch": 1.0} if selects_best else {},
    }


def learning_rate_decides(trial: TrialProgress, epoch: int) -> float:
    """Return a score that grows with epoch and learning rate, and a little with the seed."""
    return epoch * float(trial.config["train"]["learning_rate"]) + 1e-4 * trial.seed


def all_active(trial: TrialProgress, epoch: int) -> float:
    """Return the number of active units of a trial that never collapses."""
    del trial, epoch
    return 3.0


def play(
    sweep: Conductor,
    curve: Curve = learning_rate_decides,
    *,
    active: Curve = all_active,
    slots: int = 2,
    stop_after: int | None = None,
) -> int:
    """Train round robin on `slots` slots; return the number of reports.

    Args:
        sweep: the conductor.
        curve: the MIG of a trial at an epoch.
        active: the number of active units of a trial at an epoch.
        slots: number of trials that run at once.
        stop_after: number of reports after which training stops; None: when nothing is left.
    """
    running: list[tuple[Assignment, int]] = []
    reports = 0
    while True:
        while len(running) < slots:
            assignment = sweep.next()
            if assignment is None or assignment == "finished":
                break
            running.append((assignment, assignment.trial.epoch))
        if not running:
            return reports
        assignment, done = running.pop(0)
        trial, epoch = assignment.trial, done + 1
        reports += 1
        report = body(trial, epoch, curve(trial, epoch), active(trial, epoch))
        if sweep.record(trial.number, report):
            running.append((assignment, epoch))
        if stop_after is not None and reports >= stop_after:
            return reports
