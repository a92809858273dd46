"""What the ledger has of one sweep, read without trust: a row that cannot be parsed is noted.

Nothing here calls `read_trials` or `read_cells`: those raise on the very rows that are looked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

import sqlalchemy as sa

from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.states import (
    ENDS,
    AttemptOutcome,
    EndReason,
    ExportState,
    TrialState,
    Verdict,
)
from sweeps.ledger.tables import Row


class Unreadable(NamedTuple):
    """A row whose content breaks its form."""

    table: str
    row: str  # which one, for people: "trial 3, epoch 2"
    why: str
    export: tuple[str, int] | None = None  # target and trial, if it is a row of an export


@dataclass
class TrialRecord:
    """One trial with every row of it. A JSON column is parsed, None where that failed."""

    row: dict[str, Any]
    attempts: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    reports: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])  # by epoch
    ends: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    rescores: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    exports: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])

    @property
    def number(self) -> int:
        """The number of the trial."""
        return self.row["number"]

    @property
    def config(self) -> dict[str, Any] | None:
        """Its config, None if it cannot be parsed."""
        return self.row["config"]

    @property
    def end(self) -> dict[str, Any] | None:
        """Its end, None if it has not ended."""
        return self.ends[0] if self.ends else None

    @property
    def state(self) -> str:
        """The state of its end, "" if it has not ended."""
        return self.ends[0]["state"] if self.ends else ""

    @property
    def epochs(self) -> list[int]:
        """The reported epochs, in order; an epoch that is stored twice is here twice."""
        return [report["epoch"] for report in self.reports]

    @property
    def last(self) -> int:
        """The last reported epoch, 0 if there is none."""
        return max(self.epochs, default=0)

    def body(self, epoch: int) -> dict[str, Any] | None:
        """Return the body of the report of an epoch, None if there is none that can be parsed."""
        return next((row["body"] for row in self.reports if row["epoch"] == epoch), None)


@dataclass
class LedgerEvidence:
    """Every row of one sweep."""

    sweep: dict[str, Any]
    spec: dict[str, Any]  # {} if it cannot be parsed
    driver_runs: list[dict[str, Any]]
    cells: list[dict[str, Any]]
    decisions: list[dict[str, Any]]
    trials: dict[int, TrialRecord]
    orphans: dict[str, list[dict[str, Any]]]  # table -> rows of trials or cells that do not exist
    unreadable: list[Unreadable]

    @property
    def name(self) -> str:
        """The name of the sweep."""
        return self.sweep["name"]

    def store(self, option: str) -> str | None:
        """Return an option of the spec's section `store`."""
        return (self.spec.get("store") or {}).get(option)


def read_ledger(ledger: Ledger, name: str) -> LedgerEvidence:
    """Return every row of a sweep.

    Ends are read first, then reports, then trials: so every row that is read refers to rows that
    are read too, even while a driver writes.
    """
    unreadable: list[Unreadable] = []

    def read(table: sa.Table) -> list[dict[str, Any]]:
        order = tables.ORDER.get(table)
        rows = ledger.rows(table, _column(table) == name, order=order)
        return [_parsed(table, row, unreadable) for row in rows]

    children = (tables.END, tables.RESCORE, tables.EXPORT, tables.REPORT, tables.ATTEMPT)
    rows = {table: read(table) for table in (*children, tables.DECISION)}
    trials = {row["number"]: TrialRecord(row) for row in read(tables.TRIAL)}
    cells = read(tables.CELL)
    (sweep,) = read(tables.SWEEP)
    orphans: dict[str, list[dict[str, Any]]] = {}
    for table in children:
        for row in rows[table]:
            trial = trials.get(row["trial"])
            if trial is None:
                orphans.setdefault(table.name, []).append(row)
            else:
                _file(trial, table, row)
    numbers = {cell["number"] for cell in cells}
    for row in rows[tables.DECISION]:
        if row["cell"] not in numbers:
            orphans.setdefault("decision", []).append(row)
    for trial in trials.values():
        trial.reports.sort(key=lambda row: row["epoch"])
        if trial.row["cell"] not in numbers:
            orphans.setdefault("trial", []).append(trial.row)
    return LedgerEvidence(
        sweep=sweep,
        spec=sweep["spec"] or {},
        driver_runs=read(tables.DRIVER_RUN),
        cells=cells,
        decisions=[row for row in rows[tables.DECISION] if row["cell"] in numbers],
        trials=trials,
        orphans=orphans,
        unreadable=unreadable,
    )


def _column(table: sa.Table) -> sa.Column[Any]:
    """Return the column that names the sweep."""
    return table.c.name if table is tables.SWEEP else table.c.sweep


def _file(trial: TrialRecord, table: sa.Table, row: dict[str, Any]) -> None:
    """Put a row into its list of the trial."""
    if table is tables.EXPORT:
        trial.exports[row["target"]] = row
        return
    lists: dict[sa.Table, list[dict[str, Any]]] = {
        tables.END: trial.ends,
        tables.RESCORE: trial.rescores,
        tables.REPORT: trial.reports,
        tables.ATTEMPT: trial.attempts,
    }
    lists[table].append(row)


# ---- parsing


def _parsed(table: sa.Table, row: Row, unreadable: list[Unreadable]) -> dict[str, Any]:
    """Return a row with its JSON parsed, and note what breaks its form."""
    parsed = dict(row)
    problems: list[str] = []
    for column, problem_of in _JSON.get(table, {}).items():
        try:
            parsed[column] = json.loads(row[column])
            problem = problem_of(parsed[column])
        except (TypeError, ValueError) as error:
            problem = f"is not JSON ({error})"
        if problem:
            parsed[column] = None
            problems.append(f"{column} {problem}")
    for column, words in _WORDS.get(table, {}).items():
        if row[column] not in words:
            known = ", ".join(str(word) for word in words if word is not None)
            problems.append(f"{column} must be one of {known}, got {row[column]!r}")
    if problems:
        export = (row["target"], row["trial"]) if table is tables.EXPORT else None
        unreadable.append(Unreadable(table.name, _which(table, row), "; ".join(problems), export))
    return parsed


def _which(table: sa.Table, row: Row) -> str:
    """Return which row of a table it is, for people."""
    names = ("trial", "cell", "number", "epoch", "rung", "metric", "target")
    keys = [key for key in names if key in row and not (key == "cell" and table is tables.TRIAL)]
    return ", ".join(f"{key} {row[key]}" for key in keys) or str(row.get("name", row.get("id")))


def _mapping(*keys: str) -> Callable[[Any], str]:
    """Return a function that says why a value is no mapping with these keys, "" if it is one."""

    def problem_of(value: Any) -> str:
        if not isinstance(value, dict):
            return f"must be a mapping, got {type(value).__name__}"
        missing = [key for key in keys if key not in value]
        return f"lacks {', '.join(missing)}" if missing else ""

    return problem_of


def _report_problem(body: Any) -> str:
    """Return why the body of a report has not the form that a trial sends, "" if it has."""
    problem = _mapping("epoch", "step", "metrics", "train")(body)
    if problem:
        return problem
    for group in ("metrics", "train", "final", "best"):
        numbers = body.get(group)
        if numbers is None and group in ("final", "best"):
            continue
        if not isinstance(numbers, dict) or not all(map(_is_number, numbers.values())):
            return f"must have numbers in {group}"
    return "" if isinstance(body["step"], int) else f"must have a whole step, got {body['step']!r}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_list(value: Any) -> str:
    return "" if isinstance(value, list) else f"must be a list, got {type(value).__name__}"


_JSON: Mapping[sa.Table, Mapping[str, Callable[[Any], str]]] = {
    tables.SWEEP: {
        "spec": _mapping("name", "data", "objectives", "train", "pruning", "store"),
        "software": _mapping(),
    },
    tables.CELL: {"params": _mapping(), "fields": _is_list},
    tables.TRIAL: {"config": _mapping("data", "objective", "network", "train", "fingerprint")},
    tables.REPORT: {"body": _report_problem},
    tables.RESCORE: {"body": _mapping("value", "numbers", "identity", "reason")},
}
"""Columns that hold JSON, and what their content must have."""


def _values(*enumerations: Iterable[StrEnum]) -> list[str | None]:
    return [word.value for words in enumerations for word in words]


_WORDS: Mapping[sa.Table, Mapping[str, list[str | None]]] = {
    tables.ATTEMPT: {"outcome": [None, *_values(AttemptOutcome)]},
    tables.DECISION: {"verdict": _values(Verdict)},
    tables.END: {"state": _values(ENDS), "reason": _values(EndReason)},
    tables.EXPORT: {"state": _values(TrialState, ExportState)},
}
"""Columns that hold one of a few words."""
