"""Reports per second that a driver takes, against the number of reports per transaction.

A report is answered only after it is on the disk, so a transaction costs one wait for the disk
whatever it holds. The folder must be on a real disk: a folder in memory waits for nothing.

    python benchmarks/bench_group_commit.py [FOLDER]
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sweeps.driver.conductor import Assignment, Conductor
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.spec.load import spec_from_mapping

BATCHES = (1, 2, 4, 8, 16, 32, 64)
SECONDS = 3.0
EPOCHS = 2000
SPEC: dict[str, Any] = {
    "name": "commit",
    "data": {"name": "dsprites", "resolution": 16, "stride": {"scale": 3, "orientation": 10}},
    "network": {"name": "mlp", "hidden": [16], "latents": 3},
    "train": {"epochs": EPOCHS, "batch_size": 32},
    "objectives": [{"name": "beta_vae", "beta": 4}],
    "seeds": max(BATCHES),
    "evaluation": {"images": 64, "samples": 16, "final": ["mig"]},
}


def conductor(folder: Path) -> Conductor:
    """Return a conductor on a new ledger in a folder."""
    spec = spec_from_mapping(SPEC)
    ledger = Ledger.of_workspace(folder)
    with ledger.transaction() as tx:
        row = {"name": spec.name, "spec": json.dumps(spec.to_dict()), "created": 0.0}
        tx.insert(tables.SWEEP, software="{}", **row)
        run = tx.insert(
            tables.DRIVER_RUN, sweep=spec.name, host="", pid=1, slots=64, started=0.0, seen=0.0
        )
    return Conductor(spec, ledger, fingerprint="f" * 64, n_data=384, driver_run=run)


def body(assignment: Assignment, epoch: int) -> dict[str, Any]:
    """Return a report of usual size."""
    names = ("mig", "tc", "reconstruction", "kl", "elbo", "mi", "dimwise_kl", "active_units")
    return {
        "number": assignment.trial.number,
        "attempt": assignment.trial.attempt,
        "epoch": epoch,
        "step": 12 * epoch,
        "metrics": dict.fromkeys(names, 1.0 / epoch),
        "train": dict.fromkeys(names, 1.0 / epoch),
        "images": 384,
        "seconds": {"train": 1.0, "evaluate": 0.1},
        "step_seconds": 1.1,
        "final": None,
        "best": {},
        "identity": {},
    }


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path.cwd()
    with tempfile.TemporaryDirectory(dir=folder) as name:
        sweep = conductor(Path(name))
        running = [sweep.next() for _ in range(max(BATCHES))]
        assignments = [each for each in running if isinstance(each, Assignment)]
        epoch = 0
        base = 0.0
        for batch in BATCHES:
            began = time.perf_counter()
            taken = 0
            while time.perf_counter() - began < SECONDS:
                epoch += 1
                for first in range(0, len(assignments), batch):
                    reports = [
                        (each.trial.number, body(each, epoch))
                        for each in assignments[first : first + batch]
                    ]
                    assert all(sweep.record_many(reports))
                    taken += len(reports)
            rate = taken / (time.perf_counter() - began)
            base = base or rate
            print(
                f"{batch:3d} reports per transaction: {rate:6.0f} reports/s, "
                f"{1000 * batch / rate:6.1f} ms per transaction, {rate / base:5.1f} times"
            )


if __name__ == "__main__":
    main()
