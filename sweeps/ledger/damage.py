"""Says which rows of a ledger are damaged, when reading them has failed.

Rows are not checked while they are read: there are a hundred thousand of them, and a database keeps
what was written to it. Only if a reader fails are all rows looked at, so that the error names the
rows and not a line of this package.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError, OperationalError

from sweeps.cells import timeline
from sweeps.errors import LedgerDamagedError
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.states import AttemptOutcome, EndReason, TrialState, Verdict

LISTED = 5
"""Damaged rows that a message names."""

_JSON: dict[tuple[str, str], type] = {
    ("sweep", "spec"): dict,
    ("sweep", "software"): dict,
    ("cell", "params"): dict,
    ("cell", "fields"): list,
    ("trial", "config"): dict,
    ("report", "body"): dict,
    ("rescore", "body"): dict,
}
"""Columns that hold JSON, and what it must be."""

_KEYS: dict[tuple[str, str], dict[str, type]] = {
    ("sweep", "spec"): {"data": dict, "network": dict, "train": dict, "objectives": list},
    ("trial", "config"): {
        **{"data": dict, "network": dict, "train": dict, "objective": dict},
        **{"evaluation": dict, "seed": int, "fingerprint": str},
    },
    ("report", "body"): {"metrics": dict, "train": dict, "step": int, "images": int},
    ("rescore", "body"): {"numbers": dict},
}
"""Keys that such a mapping must have, and the kind of their values."""

_WORDS: dict[tuple[str, str], set[str]] = {
    ("end", "state"): {state.value for state in TrialState},
    ("end", "reason"): {reason.value for reason in EndReason},
    ("decision", "verdict"): {verdict.value for verdict in Verdict},
    ("attempt", "outcome"): {outcome.value for outcome in AttemptOutcome},
}
"""Columns that hold one of a few words."""

_EPOCHS = ("epoch", "epochs")
MOST_EPOCHS = 2**31 - 1
"""Columns that hold epochs, and the largest number that a reader takes."""

_REFERENCES = {
    ("trial", "cell"): tables.CELL,
    ("report", "trial"): tables.TRIAL,
    ("attempt", "trial"): tables.TRIAL,
    ("end", "trial"): tables.TRIAL,
    ("rescore", "trial"): tables.TRIAL,
    ("decision", "cell"): tables.CELL,
}
"""Columns that hold the number of a trial or cell of the same sweep."""

_COUNTS = {
    *(("report", "epoch"), ("rescore", "epoch"), ("trial", "epochs"), ("decision", "rung")),
    ("export", "epoch"),
}
"""Columns that count something from 0."""

_MOST_COUNTED = 2**31 - 1
"""Readers keep epochs in 32 bits; a spec has far fewer."""

_FAILURES = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError)
"""What readers raise if a row is not as they expect it."""


_SOME_STEPS = 1000
"""Steps of an epoch, in place of those of the data set, which is not read."""


class UnfitRowError(ValueError):
    """A row whose values are of the right kind, and do not fit the spec of its sweep."""


@contextmanager
def naming_row(table: sa.Table, row: Mapping[str, Any]) -> Iterator[None]:
    """Turn an error of using a row into one that names the row.

    Raises:
        UnfitRowError: the row does not fit; `naming_damage` makes an error of the user from it.
    """
    try:
        yield
    except _FAILURES as error:
        reason = f"{type(error).__name__}: {error}"
        raise UnfitRowError(
            f"{table.name} {_key(table, row)}: does not fit the spec of the sweep ({reason:.200})"
        ) from error


@contextmanager
def naming_damage(ledger: Ledger) -> Iterator[None]:
    """Turn an error of reading into one that names the damaged rows, if there are any.

    Raises:
        LedgerDamagedError: rows are damaged, or the database cannot be read.
    """
    try:
        yield
    except OperationalError:  # locked, or away: nothing is damaged
        raise
    except DatabaseError as error:
        reason = str(error.orig).splitlines()[0] if str(error.orig) else type(error.orig).__name__
        raise LedgerDamagedError(f"the ledger cannot be read: {reason}; {_REMEDY}") from error
    except _FAILURES as error:
        if type(error) is LookupError:  # an error of the user: there is no such sweep
            raise
        damaged = damaged_rows(ledger)
        if not damaged and isinstance(error, UnfitRowError):
            damaged = [str(error)]
        if not damaged:
            raise
        lines = [f"  {line}" for line in damaged[:LISTED]]
        if len(damaged) > LISTED:
            lines.append(f"  and {len(damaged) - LISTED} more")
        head = "rows of the ledger are damaged:"
        raise LedgerDamagedError("\n".join([head, *lines, _REMEDY])) from error


_REMEDY = "restore ledger.db from a copy, or name another workspace with --workspace"


def damaged_rows(ledger: Ledger) -> list[str]:
    """Return a sentence for every damaged row: its table, its key, its column, the rule."""
    sentences: list[str] = []
    numbers: dict[tuple[str, str], set[Any]] = {}
    contents = {table: _rows(ledger, table, sentences) for table in (tables.SWEEP, *tables.ORDER)}
    for table in (tables.CELL, tables.TRIAL):
        for row in contents[table]:
            key = (table.name, str(row["sweep"]))
            numbers.setdefault(key, set()).add(row["number"])
    for key, each in numbers.items():
        if each != set(range(len(each))):
            sentences.append(f"{key[0]} of sweep {key[1]!r}: numbers must be 0 to {len(each) - 1}")
    for table, rows in contents.items():
        for row in rows:
            rule = _broken_rule(table, row, numbers)
            if rule is not None:
                sentences.append(f"{table.name} {_key(table, row)}: {rule}")
    return sentences


def _rows(ledger: Ledger, table: sa.Table, sentences: list[str]) -> list[Mapping[str, Any]]:
    try:
        return list(ledger.rows(table))
    except (DatabaseError, ValueError, TypeError) as error:
        reason = str(getattr(error, "orig", error)).splitlines()[0]
        sentences.append(f"{table.name}: its rows cannot be read: {reason}")
        return []


def _key(table: sa.Table, row: Mapping[str, Any]) -> str:
    """Return the primary key of a row as text: `sweep='x', number=3`."""
    return ", ".join(f"{column.name}={row[column.name]!r}" for column in table.primary_key)


def _broken_rule(
    table: sa.Table, row: Mapping[str, Any], numbers: Mapping[tuple[str, str], set[Any]]
) -> str | None:
    """Return the first rule that a row breaks, None if it breaks none."""
    for column in table.columns:
        value, where = row[column.name], (table.name, column.name)
        if value is None:
            if not column.nullable:
                return f"{column.name} must be given, got NULL"
            continue
        rule = _broken_type(column, value)
        if rule is None and where in _COUNTS and not 0 <= value <= _MOST_COUNTED:
            rule = f"must be between 0 and {_MOST_COUNTED}, got {value!r:.40}"
        if rule is None and where in _WORDS and value not in _WORDS[where]:
            rule = f"must be one of {', '.join(sorted(_WORDS[where]))}, got {value!r:.40}"
        if rule is None and where in _REFERENCES:
            other = _REFERENCES[where].name
            if value not in numbers.get((other, str(row["sweep"])), set()):
                rule = f"must be the number of a {other} of the sweep, got {value!r:.40}"
        if rule is None and column.name in _EPOCHS and not 0 <= value <= MOST_EPOCHS:
            rule = f"must be a number of epochs from 0 to {MOST_EPOCHS}, got {value}"
        if rule is None and where in _JSON:
            rule = _broken_json(where, value)
        if rule is not None:
            return f"{column.name} {rule}"
    return None


def _broken_type(column: sa.Column[Any], value: Any) -> str | None:
    if isinstance(column.type, sa.Integer):
        fits, kind = isinstance(value, int), "a whole number"
    elif isinstance(column.type, sa.Float):
        fits, kind = isinstance(value, int | float), "a number"
    else:
        fits, kind = isinstance(value, str), "text"
    return None if fits else f"must be {kind}, got {value!r:.40}"


def _broken_json(where: tuple[str, str], text: str) -> str | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return f"must be JSON, got {text[:40]!r}"
    if not isinstance(value, _JSON[where]):
        return f"must be a JSON {_JSON[where].__name__}, got {text[:40]!r}"
    for key, kind in _KEYS.get(where, {}).items():
        stored = value.get(key)
        if not isinstance(stored, kind):
            return f"must have {key} ({kind.__name__}), got {stored!r:.40}"
        if isinstance(stored, int) and not -(2**63) <= stored < 2**63:
            return f"must have {key} in 64 bits, got {stored!r:.40}"
    return _unreadable_config(value) if where == ("trial", "config") else None


def _unreadable_config(config: Mapping[str, Any]) -> str | None:
    """Return why this version cannot read the config of a trial, None if it can."""
    try:
        timeline.of_config(config, _SOME_STEPS)
    except _FAILURES as error:
        return f"must be a config that this version writes ({type(error).__name__}: {error!s:.200})"
    return None
