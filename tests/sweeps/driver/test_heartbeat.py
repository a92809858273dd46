"""A heartbeat counts the seconds that passed, whatever the clock of the wall says."""

import time
from types import SimpleNamespace

import pytest
from mini_sweep import conductor, spec

from sweeps.driver import heartbeat
from sweeps.ledger import tables


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_jump_of_the_clock_is_not_counted_by_the_budget(tmp_path, monkeypatch, jump):
    sweep = conductor(spec(), tmp_path)
    ledger = sweep._ledger
    ((driver_run, started),) = [
        (row["id"], row["started"]) for row in ledger.of(tables.DRIVER_RUN, "mini")
    ]
    passed = [0.0]
    clocks = SimpleNamespace(
        monotonic=lambda: 100.0 + passed[0], time=lambda: time.time() + passed[0] + jump
    )
    monkeypatch.setattr(heartbeat, "time", clocks)
    beats = heartbeat.Heartbeat(ledger, driver_run, spent=0.0)
    passed[0] = 40.0
    beats.note()
    (row,) = ledger.of(tables.DRIVER_RUN, "mini")
    assert row["started"] == started
    assert heartbeat.seconds_spent(ledger, "mini") == pytest.approx(40.0)
