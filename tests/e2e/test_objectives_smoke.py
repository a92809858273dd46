"""Every objective trains: a user's run of the bundled smoke sweep over all of them."""

import json
import math
import subprocess
import sys

import pytest

from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.spec import load
from vae_core.objectives import OBJECTIVES

SMOKE = "objectives-smoke"


def test_the_smoke_sweep_has_every_objective():
    assert {objective["name"] for objective in load.load_spec(SMOKE).objectives} == set(OBJECTIVES)


@pytest.mark.slow
def test_each_objective_trains_and_nothing_diverges(tmp_path):
    command = [sys.executable, "-m", "sweeps", "run", SMOKE, "--workspace", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    ledger = Ledger.of_workspace(tmp_path)
    assert {row["state"] for row in ledger.of(tables.END, SMOKE)} == {"COMPLETE"}
    curves: dict[int, list[float]] = {}
    for row in ledger.of(tables.REPORT, SMOKE):
        report = json.loads(row["body"])
        numbers = [*report["metrics"].values(), *report["train"].values()]
        assert all(math.isfinite(number) for number in numbers)
        curves.setdefault(row["trial"], []).append(report["metrics"]["reconstruction"])
    assert {len(curve) for curve in curves.values()} == {8}
    assert len(curves) == 17
    names = {
        row["number"]: json.loads(row["config"])["objective"]["name"]
        for row in ledger.of(tables.TRIAL, SMOKE)
    }
    trained_on_it = {
        trial: curve
        for trial, curve in curves.items()
        if OBJECTIVES[names[trial]].neutral is not None
    }
    assert len(trained_on_it) == 16  # InfoGAN only measures the reconstruction
    # The mean image costs 129 nats; DIP-VAE I is already at 51 after the first of eight epochs.
    for curve in trained_on_it.values():
        assert curve[-1] < min(36, 0.6 * curve[0]), trained_on_it
