"""Takes over the reports that other sweeps of a ledger have of the same trial.

The hash of a trial names its numbers: data, objective, network, training, seed. So a trial that
another sweep has trained, or has begun to train, is not trained again up to there.
"""

from __future__ import annotations

import json
from typing import NamedTuple

import sqlalchemy as sa

from sweeps.ledger.ledger import Transaction
from sweeps.ledger.progress import TrialProgress
from sweeps.ledger.states import TrialState
from sweeps.ledger.tables import END, REPORT, TRIAL, Row


class Twin(NamedTuple):
    """The same trial in another sweep."""

    sweep: str
    number: int
    state: str | None  # how it ended there; None if it has not


def take_reports(tx: Transaction, sweep: str, trial: TrialProgress) -> Twin | None:
    """Copy into a trial the reports that other sweeps have and it lacks.

    Only epochs that follow without a gap are copied, with their times. The trial then goes on
    after them, from a checkpoint of the other sweep if there is one.

    Args:
        tx: the transaction.
        sweep: of the trial.
        trial: it gets the reports too.

    Returns:
        A twin that is complete, then the twin that was copied from; None if nothing was copied.
    """
    twins = _twins(tx, sweep, trial.hash)
    source: Twin | None = None
    for twin in twins:
        for row in _reports_after(tx, twin, trial.unbroken):
            if row["epoch"] != trial.unbroken + 1:
                break
            copied = {key: row[key] for key in ("epoch", "at", "seconds", "body")}
            tx.insert(REPORT, sweep=sweep, trial=trial.number, **copied)
            trial.add_report(row["epoch"], json.loads(row["body"])["metrics"], row["seconds"])
            source = source or twin
    complete = [twin for twin in twins if twin.state == TrialState.COMPLETE]
    if complete and trial.unbroken >= trial.epochs:
        return complete[0]
    return source


def _twins(tx: Transaction, sweep: str, trial_hash: str) -> list[Twin]:
    """Return the same trial in other sweeps: complete ones first, then the oldest sweeps."""
    ends = sa.and_(END.c.sweep == TRIAL.c.sweep, END.c.trial == TRIAL.c.number)
    query = (
        sa.select(TRIAL.c.sweep, TRIAL.c.number, END.c.state)
        .join(END, ends, isouter=True)
        .where(TRIAL.c.hash == trial_hash, TRIAL.c.sweep != sweep)
        .order_by(TRIAL.c.asked, TRIAL.c.sweep)
    )
    twins = [Twin(row["sweep"], row["number"], row["state"]) for row in tx.rows(query)]
    return sorted(twins, key=lambda twin: twin.state != TrialState.COMPLETE)


def _reports_after(tx: Transaction, twin: Twin, epoch: int) -> list[Row]:
    of_twin = (REPORT.c.sweep == twin.sweep) & (REPORT.c.trial == twin.number)
    query = sa.select(REPORT).where(of_twin, REPORT.c.epoch > epoch).order_by(REPORT.c.epoch)
    return tx.rows(query)
