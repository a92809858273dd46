"""A look at a SQLite file must not drop the locks of this process on it."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from sweeps.exports.mlflow_database import require_mlflow_database
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.storage.sqlite_header import is_database

OTHER_PROCESS = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=0.2)
db.execute("PRAGMA journal_mode=DELETE")  # possible only if nobody else has the file open
"""


def another_process_has_it_alone(file: Path) -> bool:
    """Return whether another process finds the file without any other connection."""
    ended = subprocess.run(
        [sys.executable, "-c", OTHER_PROCESS, str(file)], capture_output=True, check=False
    )
    return ended.returncode == 0


def test_what_is_a_database(tmp_path):
    file = tmp_path / "a file ? # %.db"
    with sqlite3.connect(file) as db:
        db.execute("CREATE TABLE t (x)")
    assert is_database(file)
    file.write_bytes(b"text, and long enough for the header of a database" * 100)
    assert not is_database(file)


def test_closing_a_descriptor_drops_the_locks(tmp_path):
    # The negative control: the rule of POSIX that `sqlite_header` exists for.
    file = tmp_path / "x.db"
    db = sqlite3.connect(file)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE t (x)")
    assert not another_process_has_it_alone(file)
    file.open("rb").close()
    assert another_process_has_it_alone(file)


@pytest.mark.parametrize("look", ["open again", "is_database", "mlflow"])
def test_a_look_at_an_open_ledger_keeps_its_locks(tmp_path, look):
    ledger = Ledger.of_workspace(tmp_path)
    file = tmp_path / "ledger.db"
    if look == "mlflow":
        file = tmp_path / "mlflow.db"
        db = sqlite3.connect(file)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE experiments (x)")
        db.commit()
    with ledger.engine.connect() as connection:
        connection.execute(tables.SWEEP.select()).all()
        assert not another_process_has_it_alone(file)
        if look == "open again":
            Ledger.of_workspace(tmp_path).close()
            Ledger.existing(tmp_path).close()
        elif look == "is_database":
            assert is_database(file)
        else:
            require_mlflow_database(tmp_path)
        assert not another_process_has_it_alone(file)
