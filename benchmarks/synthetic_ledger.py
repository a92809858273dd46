"""Fills the ledger of a workspace with a sweep of any size, without training.

The bodies of the reports have the fields and the sizes of real ones (12 metrics, 4 terms of the
loss); the numbers are formulas and noise. 100,000 reports take about two seconds.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sweeps.cells import cell_grid, names
from sweeps.cells.cell_grid import Layout
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.search.suggest import suggest
from sweeps.spec.load import spec_from_mapping
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.storage.workspace import WorkspacePaths

N_DATA = 8_192
FINGERPRINT = "f" * 64
CREATED = 1_750_000_000.0
OPEN_TRIALS = 8  # the last trials of the sweep have not ended: they wait at half their length
SPARE = 1_000  # turns that measurements use up
LATENTS = 6
GRID_STRENGTHS = 200


def spec(sampler: str, trials: int, reports: int) -> SweepSpec:
    """Return the spec of a sweep with one seed per cell and one report per epoch.

    Args:
        sampler: `random`, `qmc` or `tpe` searches three spaces of one layout; `grid` lays out the
            cells.
        trials: that the ledger gets; the spec asks for `SPARE` more.
        reports: per trial.
    """
    asked = trials + SPARE
    mapping: dict[str, Any] = {
        "name": f"scale-{sampler}",
        "data": {"name": "dsprites", "resolution": 16},
        "network": {"name": "mlp", "hidden": [64, 64], "latents": LATENTS},
        "train": {"epochs": reports, "batch_size": 64},
        "seeds": 1,
        "goal": {"metric": "mig", "mode": "max"},
        "pruning": {"name": "asha", "metric": "mig", "rungs": [0.5], "reduction": 2},
        "evaluation": {"images": 1024, "samples": 256, "final": ["mig"]},
    }
    if sampler == "grid":
        rates = -(-asked // GRID_STRENGTHS)
        mapping["train"]["learning_rate"] = {"grid": [1e-5 * (1 + n) for n in range(rates)]}
        strengths = [1 + n / 8 for n in range(GRID_STRENGTHS)]
        mapping["objectives"] = [{"name": "beta_vae", "beta": {"grid": strengths}}]
        return spec_from_mapping(mapping)
    mapping["search"] = {"name": sampler, "trials": asked, "seed": 0}
    mapping["tradeoff"] = {"by": []}
    mapping["train"]["learning_rate"] = {"loguniform": [1e-4, 1e-2]}
    mapping["train"]["batch_size"] = {"logint": [32, 128]}
    mapping["objectives"] = [{"name": "beta_vae", "beta": {"loguniform": [0.5, 32]}}]
    return spec_from_mapping(mapping)


def fill(workspace: Path, sweep: SweepSpec, trials: int, reports: int) -> None:
    """Write a sweep with `trials` trials of `reports` reports each into a workspace."""
    Ledger.of_workspace(workspace).close()
    connection = sqlite3.connect(WorkspacePaths(workspace).ledger)
    connection.execute("PRAGMA synchronous=OFF")
    rng = np.random.default_rng(0)
    with connection:
        _insert(connection, tables.SWEEP, [_sweep_row(sweep)])
        _insert(connection, tables.DRIVER_RUN, [_driver_run_row(sweep)])
        layouts = cell_grid.all_layouts(sweep)
        for number in range(trials):
            layout = layouts[number % len(layouts)]
            params = layout.fixed | _searched(sweep, layout, number)
            is_open = number >= trials - OPEN_TRIALS
            last = reports // 2 if is_open else reports
            cell, trial = _cell_and_trial(sweep, layout, params, number)
            _insert(connection, tables.CELL, [cell])
            _insert(connection, tables.TRIAL, [trial])
            rate = float(params.get("train.learning_rate", 1e-3))
            trial_bodies = list(bodies(number, last=last, epochs=reports, rate=rate, rng=rng))
            _insert(connection, tables.REPORT, _report_rows(sweep, number, trial_bodies))
            attempt = {"sweep": sweep.name, "trial": number, "life": 1, "started": CREATED}
            outcome = "interrupted" if is_open else "complete"
            _insert(connection, tables.ATTEMPT, [attempt | {"ended": CREATED, "outcome": outcome}])
            if not is_open:
                _insert(connection, tables.DECISION, [_decision_row(sweep, number, trial_bodies)])
                end = {"sweep": sweep.name, "trial": number, "state": "COMPLETE"}
                end |= {"reason": "completed", "why": "", "at": CREATED}
                _insert(connection, tables.END, [end])
    connection.close()


def _insert(connection: sqlite3.Connection, table: Any, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    columns = ", ".join(f'"{column}"' for column in rows[0])
    marks = ", ".join("?" for _ in rows[0])
    statement = f'INSERT INTO "{table.name}" ({columns}) VALUES ({marks})'
    connection.executemany(statement, [tuple(row.values()) for row in rows])


def _sweep_row(sweep: SweepSpec) -> dict[str, Any]:
    return {
        "name": sweep.name,
        "spec": json.dumps(sweep.to_dict()),
        "created": CREATED,
        "software": json.dumps({"vae-sweeps": "0", "python": "3.11"}),
        "fingerprint": FINGERPRINT,
        "cells": None,
    }


def _driver_run_row(sweep: SweepSpec) -> dict[str, Any]:
    return {
        "sweep": sweep.name,
        "host": "here",
        "pid": 1,
        "slots": OPEN_TRIALS,
        "started": CREATED,
        "seen": CREATED + 3600,
        "outcome": "interrupted",
    }


def _searched(sweep: SweepSpec, layout: Layout, number: int) -> dict[str, Any]:
    return suggest(
        "random", layout.searched, [], seed=0, layout=0, number=number, directions=["max"]
    )


def _cell_and_trial(
    sweep: SweepSpec, layout: Layout, params: Mapping[str, Any], number: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    config = cell_grid.trial_config(sweep, layout, params, sweep.seeds[0], FINGERPRINT)
    bracket = names.bracket(sweep, layout, params)
    cell = {
        "sweep": sweep.name,
        "number": number,
        "turn": number,
        "layout": layout.position,
        "params": json.dumps(params),
        "bracket": bracket.name,
        "entry": bracket.entry,
        "fields": json.dumps([list(field) for field in bracket.fields]),
        "asked": CREATED,
    }
    trial = {
        "sweep": sweep.name,
        "number": number,
        "cell": number,
        "seed": config.seed,
        "hash": config.hash,
        "config": json.dumps(config.to_dict()),
        "epochs": sweep.parts(0).train["epochs"],
        "reused_from": "",
        "asked": CREATED,
    }
    return cell, trial


def bodies(
    number: int,
    *,
    last: int,
    epochs: int,
    rate: float = 1e-3,
    rng: np.random.Generator | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield the bodies of the reports of a trial, as an actor sends them.

    Args:
        number: of the trial.
        last: the last epoch that is reported.
        epochs: of the complete trial; its last report has the final scores.
        rate: the learning rate; the scores are best near 1e-3.
        rng: of the noise.
    """
    rng = rng or np.random.default_rng(number)
    skill = float(np.exp(-abs(np.log10(rate) + 3)))
    for epoch, z in enumerate(rng.normal(size=(last, 12)).tolist(), 1):
        learnt = 1 - 0.9**epoch
        metrics = {
            "reconstruction": 90 - 60 * skill * learnt + z[0],
            "kl": 12 * learnt + 0.1 * z[1],
            "elbo": -100 + 50 * skill * learnt + z[2],
            "mi": 6 * learnt + 0.05 * z[3],
            "mi_error": 0.01 + 0.001 * z[4],
            "tc": 2 * learnt + 0.05 * z[5],
            "tc_error": 0.01 + 0.001 * z[6],
            "dimwise_kl": 4 * learnt + 0.05 * z[7],
            "dimwise_kl_error": 0.01 + 0.001 * z[8],
            "mig": 0.3 * skill * learnt + 0.01 * z[9],
            "mig_error": 0.002 + 0.0001 * z[10],
            "active_units": float(LATENTS),
        }
        train = {"loss": 100.0 - z[11], "reconstruction": 90.0 + z[0], "kl": 12.0 + z[1]}
        body: dict[str, Any] = {
            "number": number,
            "attempt": number + 1,
            "epoch": epoch,
            "step": 128 * epoch,
            "metrics": metrics,
            "train": train | {"penalty": 10.0 + z[2]},
            "images": N_DATA * epoch,
            "seconds": {"train": 20.0 + z[3], "evaluate": 2.0 + 0.1 * z[4]},
            "step_seconds": 22.0 + z[3],
            "host": "node-17.cluster",
            "pid": 4242,
            "device": "NVIDIA H200",
            "final": None,
            "best": None,
            "identity": {},
        }
        if epoch == epochs:
            body["final"] = {key: value * 1.01 for key, value in metrics.items()}
            body["final"] |= {"mig_chance": 0.004, "mig_ceiling": 0.98}
            identity = {"estimator": "histogram", "bins": 20, "images": N_DATA, "seed": 0}
            body["identity"] = {name: json.dumps(identity) for name in ("mig", "decomposition")}
            body["best"] = {}
        yield body


def _report_rows(
    sweep: SweepSpec, number: int, bodies: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    return [
        {
            "sweep": sweep.name,
            "trial": number,
            "epoch": body["epoch"],
            "at": CREATED + 22 * body["epoch"],
            "seconds": body["step_seconds"],
            "body": json.dumps(body, sort_keys=True),
        }
        for body in bodies
    ]


def _decision_row(sweep: SweepSpec, cell: int, bodies: list[dict[str, Any]]) -> dict[str, Any]:
    value = bodies[max(len(bodies) // 2 - 1, 0)]["metrics"]["mig"]
    return {
        "sweep": sweep.name,
        "cell": cell,
        "rung": 0,
        "verdict": "go",
        "value": value,
        "why": f"{value:.6g} against a cutoff of {value:.6g} (best 1 of 2)",
        "at": CREATED,
    }
