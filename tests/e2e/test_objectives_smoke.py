"""Every objective trains: the bundled smoke sweep over all of them, as a user runs it."""

import json
import math
import subprocess
import sys

import pytest

from sweeps import ledger as tables
from sweeps import spec
from sweeps.ledger import Ledger
from vae_core.objectives import OBJECTIVES


def test_the_smoke_sweep_has_every_objective():
    assert {objective["name"] for objective in spec.load("objectives-smoke").objectives} == set(OBJECTIVES)


@pytest.mark.slow
def test_each_objective_trains_and_nothing_diverges(tmp_path):
    command = [sys.executable, "-m", "sweeps", "run", "objectives-smoke", "--workspace", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    ledger = Ledger.of_workspace(tmp_path)
    assert {row["state"] for row in ledger.of(tables.END, "objectives-smoke")} == {"COMPLETE"}
    curves: dict[int, list[float]] = {}
    for row in ledger.of(tables.REPORT, "objectives-smoke"):
        body = json.loads(row["body"])
        assert all(math.isfinite(value) for value in (*body["metrics"].values(), *body["train"].values()))
        curves.setdefault(row["trial"], []).append(body["metrics"]["reconstruction"])
    # The mean image costs 129 nats; DIP-VAE I is already at 51 after the first of eight epochs.
    assert all(len(curve) == 8 and curve[-1] < min(36, 0.6 * curve[0]) for curve in curves.values()), curves
    assert len(curves) == 16
