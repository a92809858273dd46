"""The state of a sweep whose driver runs on another machine."""

import platform
import time

import pytest
from mini_sweep import conductor, spec

from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.status import sweep_status


@pytest.mark.parametrize(
    ("host", "silent", "outcome", "state"),
    [
        ("elsewhere", 5.0, None, "RUNNING"),
        ("elsewhere", 600.0, None, "OPEN"),  # no sign of life
        ("elsewhere", 5.0, "SIGTERM", "OPEN"),
        (None, 5.0, None, "OPEN"),  # of this machine, and nobody holds the lock file
    ],
)
def test_a_driver_elsewhere_runs_if_it_gave_a_sign_of_life(tmp_path, host, silent, outcome, state):
    conductor(spec(), tmp_path).next()
    seen = time.time() - silent
    values = {"seen": seen, "started": seen - 9.0, "outcome": outcome}
    with Ledger.of_workspace(tmp_path).transaction() as tx:
        tx.update(
            tables.DRIVER_RUN,
            tables.DRIVER_RUN.c.sweep == "mini",
            host=host or platform.node(),
            **values,
        )
    (row,) = sweep_status(tmp_path, "mini")
    assert row["state"] == state
    assert row["wall_seconds"] == pytest.approx(9.0 + (silent if state == "RUNNING" else 0), abs=3)
