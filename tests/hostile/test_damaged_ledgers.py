"""A ledger with a changed value is read as it is, or refused with the rows that are damaged."""

from __future__ import annotations

import random
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from mini_sweep import conductor, play, spec

from sweeps.driver.conductor import Conductor
from sweeps.errors import LedgerDamagedError, SweepError
from sweeps.ledger import tables
from sweeps.ledger.damage import damaged_rows, naming_damage
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.status import sweep_status
from sweeps.results.run_table import load_runs
from sweeps.results.table_file import table_bytes

VALUES: tuple[Any, ...] = (
    *(None, 0, -1, 3, 10**9, 2**62, -(2**63), 0.5, 1e308, float("inf")),
    *("", "x", "NULL", "{}", "[]", "null", "1", '{"metrics": 3}', "[[1, 2]]", "{", "\x00", "é"),
    *(b"", b"\xff\xfe", b"{}"),
)
TABLES = (tables.SWEEP, *tables.ORDER)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = tmp_path_factory.mktemp("healthy")
    sweep = conductor(spec(), workspace)
    play(sweep)
    sweep._ledger.close()
    return workspace


def mutate(ledger: Path, rng: random.Random) -> str:
    """Change one value of one row; return what was changed."""
    connection = sqlite3.connect(ledger)
    try:
        # Without its constraints the database takes what a damaged page or another program wrote.
        connection.execute("PRAGMA ignore_check_constraints = ON")
        table = rng.choice(TABLES)
        ids = [row[0] for row in connection.execute(f'SELECT rowid FROM "{table.name}"')]
        if not ids:
            return "nothing"
        row, column, value = rng.choice(ids), rng.choice(list(table.columns)), rng.choice(VALUES)
        change = f'UPDATE "{table.name}" SET "{column.name}" = ? WHERE rowid = ?'
        if isinstance(value, str) and rng.random() < 0.3:
            old = connection.execute(
                f'SELECT "{column.name}" FROM "{table.name}" WHERE rowid = ?', (row,)
            ).fetchone()[0]
            text = str(old)
            cut = rng.randrange(len(text) + 1)
            value = text[:cut] + value + text[cut + rng.randrange(3) :]
        try:
            connection.execute(change, (value, row))
            connection.commit()
        except sqlite3.Error:  # a constraint that holds in any case
            return "nothing"
        return f"{table.name}.{column.name} of row {row} = {value!r}"
    finally:
        connection.close()


def read_everything(workspace: Path) -> None:
    """Read a workspace as `status`, `runs`, `export` and a resumed driver do."""
    sweep_status(workspace)
    table = load_runs(workspace, "mini").table
    assert table_bytes(table)  # as `export` writes it
    assert table.to_csv(index=False).encode()
    ledger = Ledger.existing(workspace)
    try:
        with naming_damage(ledger):
            driver = ledger.rows(tables.DRIVER_RUN)[-1]["id"]
            Conductor(spec(), ledger, fingerprint="f" * 64, n_data=384, driver_run=driver)
    finally:
        ledger.close()


def run_seeds(seeds: range, healthy: Path, workspace: Path) -> dict[str, int]:
    outcomes = {"read": 0, "refused": 0}
    for seed in seeds:
        shutil.rmtree(workspace, ignore_errors=True)
        shutil.copytree(healthy, workspace)
        change = mutate(workspace / "ledger.db", random.Random(seed))
        try:
            read_everything(workspace)
            outcomes["read"] += 1
        except SweepError:
            outcomes["refused"] += 1
        except Exception as error:
            if type(error) is LookupError:  # the name of the sweep was changed
                outcomes["refused"] += 1
                continue
            pytest.fail(f"seed {seed}: {change}: {type(error).__name__}: {error}")
    return outcomes


def test_a_healthy_ledger_has_no_damaged_row(healthy: Path) -> None:
    ledger = Ledger.existing(healthy)
    assert damaged_rows(ledger) == []
    ledger.close()
    read_everything(healthy)


def test_a_changed_value_is_read_or_refused(healthy: Path, tmp_path: Path) -> None:
    outcomes = run_seeds(range(60), healthy, tmp_path / "w")
    assert outcomes["refused"] >= 6
    assert outcomes["read"] >= 6


@pytest.mark.slow
def test_two_thousand_changed_values_are_read_or_refused(healthy: Path, tmp_path: Path) -> None:
    run_seeds(range(60, 2150), healthy, tmp_path / "w")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE report SET body = '{' WHERE seq = 1", "report seq=1: body must be JSON, got '{'"),
        (
            "UPDATE trial SET cell = 99 WHERE number = 0",
            "must be the number of a cell of",
        ),
        ("UPDATE report SET seconds = 'x' WHERE seq = 2", "seconds must be a number, got 'x'"),
        (
            "UPDATE cell SET fields = '1.5' WHERE number = 0",
            "fields must be a JSON list, got",
        ),
        ("UPDATE cell SET fields = '[3]' WHERE number = 0", "does not fit the spec of the sweep"),
        (
            "UPDATE cell SET layout = 77 WHERE number = 1",
            "number=1: does not fit the spec",
        ),
        ("UPDATE report SET epoch = -1 - (1 << 62) WHERE seq = 3", "epoch must be between 0 and "),
        ("UPDATE report SET trial = 1000000000 WHERE seq = 4", "trial must be the number of a "),
        ("UPDATE \"end\" SET state = 'GONE'", "state must be one of COMPLETE, FAILED, "),
    ],
)
def test_a_damaged_row_is_named(healthy: Path, tmp_path: Path, change: str, message: str) -> None:
    workspace = tmp_path / "w"
    shutil.copytree(healthy, workspace)
    connection = sqlite3.connect(workspace / "ledger.db")
    connection.execute(change)
    connection.commit()
    connection.close()
    with pytest.raises(LedgerDamagedError) as caught:
        read_everything(workspace)
    assert message in str(caught.value)
    assert "restore ledger.db from a copy" in str(caught.value)


@pytest.mark.parametrize("seed", range(10))
def test_a_ledger_with_flipped_bytes_is_read_or_refused(
    healthy: Path, tmp_path: Path, seed: int
) -> None:
    workspace, rng = tmp_path / "w", random.Random(seed)
    shutil.copytree(healthy, workspace)
    for side in workspace.glob("ledger.db-*"):
        side.unlink()
    content = bytearray((workspace / "ledger.db").read_bytes())
    for _ in range(200):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    (workspace / "ledger.db").write_bytes(content[: rng.choice((len(content), 5000))])
    try:
        read_everything(workspace)
    except SweepError:
        pass
    except LookupError as error:
        if type(error) is not LookupError:  # a KeyError is a defect
            raise
