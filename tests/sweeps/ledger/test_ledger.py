"""The ledger keeps what a transaction wrote, whole or not at all, once."""

import subprocess
import sys

import pytest

from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.states import EndReason, TrialState


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger.of_workspace(tmp_path)
    with ledger.transaction() as tx:
        tx.insert(tables.SWEEP, name="s", spec="{}", created=0.0, software="{}")
    yield ledger
    ledger.close()


def test_a_report_is_kept_once(ledger):
    for at in (1.0, 2.0):
        with ledger.transaction() as tx:
            new = tx.report("s", 0, epoch=1, at=at, seconds=1.0, body={"metrics": {}})
        assert new is (at == 1.0)
    assert [row["at"] for row in ledger.of(tables.REPORT, "s")] == [1.0]


def test_a_failed_transaction_leaves_nothing(ledger):
    def half():
        with ledger.transaction() as tx:
            tx.report("s", 0, epoch=1, at=1.0, seconds=1.0, body={})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert ledger.of(tables.REPORT, "s") == []


def test_two_ledgers_on_one_file_see_each_other(ledger, tmp_path):
    with ledger.transaction() as tx:
        tx.end("s", 0, TrialState.COMPLETE, EndReason.COMPLETED, "")
    other = Ledger.of_workspace(tmp_path)
    assert [row["state"] for row in other.of(tables.END, "s")] == ["COMPLETE"]


def test_what_was_committed_survives_a_kill(tmp_path):
    program = f"""
import os, signal
from pathlib import Path
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.states import EndReason, TrialState
ledger = Ledger.of_workspace(Path({str(tmp_path)!r}))
for epoch in range(1, 100):
    with ledger.transaction() as tx:
        tx.report("s", 0, epoch=epoch, at=0.0, seconds=0.0, body={{}})
        if epoch == 7:
            os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program], check=False)
    assert [row["epoch"] for row in Ledger.of_workspace(tmp_path).of(tables.REPORT, "s")] == [
        1,
        2,
        3,
        4,
        5,
        6,
    ]


def test_a_reader_may_come_while_the_ledger_is_being_made(tmp_path):
    # `sweeps status` beside a sweep that just begins: both find no tables and both make them.
    program = (
        "from pathlib import Path; from sweeps.ledger.ledger import Ledger; "
        f"Ledger.of_workspace(Path({str(tmp_path)!r}))"
    )
    together = [
        subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) for _ in range(4)
    ]
    assert [process.communicate()[1].decode()[-300:] for process in together] == [""] * 4
