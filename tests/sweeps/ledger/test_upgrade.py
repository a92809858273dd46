"""A ledger of an older version opens, and its texts become data."""

import sqlite3
from pathlib import Path

import pytest

from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.states import EndReason
from sweeps.ledger.upgrade import ADDED, parse_bracket, parse_reason


def old_ledger(workspace: Path) -> None:
    """Write a ledger without the columns that were added later, as older versions did."""
    Ledger.of_workspace(workspace).close()
    with sqlite3.connect(workspace / "ledger.db") as database:
        for table, columns in ADDED.items():
            for column in columns:
                database.execute(f'ALTER TABLE "{table.name}" DROP COLUMN {column.name}')
        database.execute("INSERT INTO sweep VALUES ('s', '{}', 0.0, '{}')")
        database.execute(
            "INSERT INTO cell (sweep, number, turn, layout, params, bracket, asked) "
            "VALUES ('s', 0, 0, 0, '{}', 'beta_vae(latents 5) beta=4 width=null', 0.0)"
        )
        ends = [
            ("COMPLETE", ""),
            ("COMPLETE", "reused from sweep other"),
            ("PRUNED", "rung 1 (epoch 3)"),
            ("PRUNED", "collapsed (epoch 4)"),
            ("FAILED", "diverged: loss is nan"),
        ]
        for trial, (state, why) in enumerate(ends):
            database.execute(
                "INSERT INTO end (sweep, trial, state, why, at) VALUES ('s', ?, ?, ?, 0.0)",
                (trial, state, why),
            )


def test_an_old_ledger_opens_with_its_texts_as_data(tmp_path: Path) -> None:
    old_ledger(tmp_path)
    ledger = Ledger.existing(tmp_path)
    (cell,) = ledger.of(tables.CELL, "s")
    assert cell["entry"] == "beta_vae(latents 5)"
    assert cell["fields"] == '[["beta", "4"], ["width", "null"]]'
    assert [row["reason"] for row in ledger.of(tables.END, "s")] == [
        "completed",
        "reused",
        "rung",
        "collapsed",
        "diverged",
    ]
    ledger.close()


def test_opening_an_upgraded_ledger_again_changes_nothing(tmp_path: Path) -> None:
    old_ledger(tmp_path)
    Ledger.existing(tmp_path).close()
    with sqlite3.connect(tmp_path / "ledger.db") as database:
        first = list(database.iterdump())
    Ledger.existing(tmp_path).close()
    with sqlite3.connect(tmp_path / "ledger.db") as database:
        assert list(database.iterdump()) == first


@pytest.mark.parametrize(
    ("text", "entry", "fields"),
    [
        ("vae", "vae", []),
        ("beta_vae beta=4", "beta_vae", [["beta", "4"]]),
        ("b(beta) beta=1 alpha=1", "b(beta)", [["beta", "1"], ["alpha", "1"]]),
        ("c(form abs, hidden (8, 8))", "c(form abs, hidden (8, 8))", []),
    ],
)
def test_a_bracket_is_parsed(text: str, entry: str, fields: list[list[str]]) -> None:
    assert parse_bracket(text) == (entry, fields)


@pytest.mark.parametrize("kind", ["diverged", "error", "lost", "timeout"])
def test_the_kind_of_a_failure_is_parsed(kind: str) -> None:
    assert parse_reason("FAILED", f"{kind}: the last line") is EndReason(kind)


def test_a_failure_of_an_unknown_kind_is_an_error() -> None:
    assert parse_reason("FAILED", "who knows") is EndReason.ERROR
