"""A small sweep in memory: a spec to vary, and a stand-in for training that answers in microseconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sweeps.driver.conductor import Assignment, Conductor
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.replay import TrialProgress
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


def spec(**changes: Any) -> SweepSpec:
    """Return the small spec with whole sections replaced."""
    return spec_from_mapping({**MINI, **changes})


def conductor(sweep: SweepSpec, workspace: Path) -> Conductor:
    """Return a conductor on the workspace's ledger, as a driver's life begins."""
    ledger = Ledger.of_workspace(workspace)
    with ledger.transaction() as tx:
        if ledger.sweep(sweep.name) is None:
            tx.insert(
                tables.SWEEP,
                name=sweep.name,
                spec=_json(sweep.to_dict()),
                created=0.0,
                software="{}",
            )
        life = tx.insert(
            tables.DRIVER_RUN, sweep=sweep.name, host="here", pid=1, slots=2, started=0.0, seen=0.0
        )
    return Conductor(sweep, ledger, fingerprint="f" * 64, n_data=N_DATA, driver_run=life)


def body(trial: TrialProgress, epoch: int, mig: float, active: float = 3.0) -> dict[str, Any]:
    """Return what an actor would report."""
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
        "final": {"mig": mig} if epoch == trial.epochs else None,
        "best": {"mig": mig, "epoch": 1.0}
        if epoch == trial.epochs and trial.config["evaluation"]["best"]
        else {},
    }


def learning_rate_decides(trial: TrialProgress, epoch: int) -> float:
    """A score that grows with epochs and is higher for the higher learning rate, a little with the seed."""
    return epoch * float(trial.config["train"]["learning_rate"]) + 1e-4 * trial.seed


def all_active(trial: TrialProgress, epoch: int) -> float:
    """The number of active units of a trial that never collapses."""
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
    """Train round robin on `slots` slots until nothing is left, or for so many reports; return their number."""
    running: list[tuple[Assignment, int]] = []
    reports = 0
    while True:
        while len(running) < slots:
            found = sweep.next()
            if found is None or found == "finished":
                break
            running.append((found, found.trial.epoch))
        if not running:
            return reports
        (trial, judged), epoch = running.pop(0)
        reports += 1
        report = body(trial, epoch + 1, curve(trial, epoch + 1), active(trial, epoch + 1))
        if sweep.record(trial.number, report):
            running.append((Assignment(trial, judged), epoch + 1))
        if stop_after is not None and reports >= stop_after:
            return reports


def _json(value: Any) -> str:
    import json

    return json.dumps(value)
