"""The rows of one sweep as an auditor reads them: by plain SQL, not by the product's code."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from pathlib import Path
from typing import Any

Row = dict[str, Any]

TABLES = {
    "life": "id",
    "cell": "number",
    "trial": "number",
    "attempt": "id",
    "report": "seq",
    "decision": "rowid",
    "end": "seq",
    "simulation_event": "seq",
}


class History:
    """All rows of one sweep, read from the file of a ledger."""

    def __init__(self, sweep: str, tables: dict[str, list[Row]]) -> None:
        self.sweep = sweep
        self.driver_runs = tables["life"]
        self.cells = {row["number"]: row for row in tables["cell"]}
        self.trials = {row["number"]: row for row in tables["trial"]}
        self.attempts = tables["attempt"]
        self.reports = tables["report"]
        self.decisions = {(row["cell"], row["rung"]): row for row in tables["decision"]}
        self.ends = {row["trial"]: row for row in tables["end"]}
        self.n_ends = len(tables["end"])
        self.events = tables["simulation_event"]  # in the order in which they were committed
        self.attempt_ids = {row["id"] for row in self.attempts}
        self.spec: dict[str, Any] = {}
        self.retries: list[int] = []  # that the specs of its driver runs allow
        self.by_trial: dict[int, dict[int, Row]] = defaultdict(dict)  # trial -> epoch -> report
        for row in self.reports:
            row["body"] = json.loads(row["body"])
            self.by_trial[row["trial"]][row["epoch"]] = row

    def seeds_of(self, cell: int) -> list[int]:
        """Return the numbers of the trials of a cell."""
        return [number for number, row in self.trials.items() if row["cell"] == cell]

    def most_equal_errors(self, trial: int, text: str) -> int:
        """Return how often a trial may raise the same: twice in a row, and again after another."""
        outcomes = [
            text in (row["message"] or "")
            for row in self.attempts
            if row["trial"] == trial and row["outcome"] == "error"
        ]
        runs = 1 + sum(not equal for equal in outcomes)
        return 2 * runs

    @property
    def all_ended(self) -> bool:
        """Whether every trial has an end."""
        return all(number in self.ends for number in self.trials)


def read(ledger: Path) -> dict[str, History]:
    """Return the history of every sweep of a ledger, by name."""
    connection = sqlite3.connect(ledger)
    connection.row_factory = sqlite3.Row
    by_sweep: dict[str, dict[str, list[Row]]] = {}
    specs: dict[str, Any] = {}
    try:
        for row in connection.execute("SELECT name, spec FROM sweep"):
            by_sweep[row["name"]] = {table: [] for table in TABLES}
            specs[row["name"]] = json.loads(row["spec"])
        for table, order in TABLES.items():
            for row in connection.execute(f'SELECT * FROM "{table}" ORDER BY {order}'):
                by_sweep[row["sweep"]][table].append(dict(row))
    finally:
        connection.close()
    histories: dict[str, History] = {}
    for name, tables in by_sweep.items():
        histories[name] = History(name, tables)
        histories[name].spec = specs[name]
    return histories


def last_event(ledger: Path) -> int:
    """Return the number of the last event in a ledger."""
    connection = sqlite3.connect(ledger)
    try:
        return int(connection.execute("SELECT max(seq) FROM simulation_event").fetchone()[0] or 0)
    finally:
        connection.close()
