"""Brings the ledger of an older version up to date: adds new columns and fills them from the texts
beside them.

Versions before these columns stored the bracket of a cell and the end reason of a trial only as a
text. The texts are parsed here, once, and nowhere else. Versions before `${NAME}` stored passwords
of URLs with the spec.
"""

from __future__ import annotations

import json
import re
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from sweeps.ledger.states import EndReason, TrialState
from sweeps.ledger.tables import CELL, END, SWEEP
from sweeps.urls import redacted_url

ADDED: dict[sa.Table, tuple[sa.Column[Any], ...]] = {
    SWEEP: (SWEEP.c.fingerprint, SWEEP.c.cells),  # the next start of the sweep fills them
    CELL: (CELL.c.entry, CELL.c.fields),
    END: (END.c.reason,),
}
"""The columns that came after the first version of their table."""


def upgrade(engine: sa.Engine) -> None:
    """Add the columns that an older version did not have, and fill those of cells and ends."""
    for table, columns in ADDED.items():
        for column in columns:
            _add_column(engine, table, column)
    with engine.begin() as connection:
        for row in connection.execute(sa.select(CELL).where(CELL.c.entry.is_(None))).mappings():
            entry, fields = parse_bracket(row["bracket"])
            where = (CELL.c.sweep == row["sweep"]) & (CELL.c.number == row["number"])
            values = {"entry": entry, "fields": json.dumps(fields)}
            connection.execute(CELL.update().where(where).values(**values))
        for row in connection.execute(sa.select(END).where(END.c.reason.is_(None))).mappings():
            reason = parse_reason(row["state"], row["why"])
            connection.execute(
                END.update().where(END.c.seq == row["seq"]).values(reason=reason.value)
            )
        _hide_passwords(connection)


def _hide_passwords(connection: sa.Connection) -> None:
    """Hide the passwords that an older version stored with the spec of a sweep."""
    may_have_one = SWEEP.c.spec.like("%://%@%") | SWEEP.c.spec.like("%://%?%=%")
    for row in connection.execute(sa.select(SWEEP).where(may_have_one)).mappings():
        spec = json.loads(row["spec"])
        store = {
            field: redacted_url(value) if isinstance(value, str) else value
            for field, value in (spec.get("store") or {}).items()
        }
        if store != spec.get("store"):
            hidden = json.dumps({**spec, "store": store})
            where = SWEEP.c.name == row["name"]
            connection.execute(SWEEP.update().where(where).values(spec=hidden))


def parse_bracket(text: str) -> tuple[str, list[list[str]]]:
    """Return entry and fields of a bracket's text: `beta_vae beta=4` -> ("beta_vae", [["beta",
    "4"]]).
    """
    entry, *rest = re.split(r" (?=\w+=\S+(?: \w+=\S+)*$)", text)
    words = " ".join(rest).split(" ") if rest else []
    return entry, [word.split("=", 1) for word in words]


def parse_reason(state: str, why: str) -> EndReason:
    """Return the end reason that an older version wrote into the sentence beside a trial's end."""
    if state == TrialState.COMPLETE:
        return EndReason.REUSED if why.startswith("reused from sweep ") else EndReason.COMPLETED
    if state == TrialState.PRUNED:
        return EndReason.COLLAPSED if why.startswith("collapsed") else EndReason.RUNG
    kind = why.partition(":")[0]
    return EndReason(kind) if kind in set(EndReason) else EndReason.ERROR


def _add_column(engine: sa.Engine, table: sa.Table, column: sa.Column[Any]) -> None:
    if _has_column(engine, table, column):
        return
    kind = column.type.compile(engine.dialect)
    name = engine.dialect.identifier_preparer.format_table(table)
    try:
        with engine.begin() as connection:
            connection.execute(sa.text(f"ALTER TABLE {name} ADD COLUMN {column.name} {kind}"))
    except DBAPIError:
        if not _has_column(engine, table, column):  # else another process has added it meanwhile
            raise


def _has_column(engine: sa.Engine, table: sa.Table, column: sa.Column[Any]) -> bool:
    return column.name in {
        existing["name"] for existing in sa.inspect(engine).get_columns(table.name)
    }
