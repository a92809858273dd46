"""What MLflow never takes: noted in the ledger once, said to the user, and not sent again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.status import WHOLE_RUN

PARENT = -1
"""Stands for the parent run in the place of the number of a trial."""

NAMED = 3
"""How many things, and how many trials, a sentence names."""


def read(ledger: Ledger, sweep: str) -> dict[int, dict[str, str]]:
    """Return number of a trial -> thing that MLflow does not take -> why."""
    left_out: dict[int, dict[str, str]] = {}
    for row in ledger.of(tables.LEFT_OUT, sweep):
        left_out.setdefault(row["trial"], {})[row["thing"]] = row["why"]
    return left_out


def write(ledger: Ledger, sweep: str, trial: int, things: Mapping[str, str]) -> None:
    """Write what MLflow does not take of a trial, in the place of what was written before."""
    table = tables.LEFT_OUT
    with ledger.transaction() as tx:
        tx.delete(table, table.c.sweep == sweep, table.c.trial == trial)
        for thing, why in things.items():
            tx.insert(table, sweep=sweep, trial=trial, thing=thing, why=why)


def lacks_text(things: Mapping[str, str]) -> str:
    """Return `metric a, metric b and 2 more: why`, for each reason; "" if there are no things."""
    things = dict(sorted(things.items()))
    texts: list[str] = []
    for why in dict.fromkeys(things.values()):
        names = [thing for thing, reason in things.items() if reason == why]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        texts.append(f"{', '.join(names[:NAMED])}{more}: {why}")
    return "; ".join(texts)


def trial_text(trial: str, things: Mapping[str, str]) -> str:
    """Return what MLflow does not have of a trial, as one sentence; "" if it has everything."""
    if WHOLE_RUN in things:
        return f"{trial} is not written: {things[WHOLE_RUN]}"
    return f"{trial} lacks {lacks_text(things)}" if things else ""


def first_texts(texts: Iterable[str]) -> str:
    """Return the sentences on trials as one text, the first of them in full."""
    listed = [text for text in texts if text]
    more = [f"and {len(listed) - NAMED} more trials"] if len(listed) > NAMED else []
    return "; ".join([*listed[:NAMED], *more])


def left_out_text(rows: Iterable[tables.Row]) -> str:
    """Return what MLflow never takes of a sweep as one text; "" if it takes everything.

    Args:
        rows: with `trial`, `thing` and `why`, as the state of a sweep lists them.
    """
    by_trial: dict[int, dict[str, str]] = {}
    for row in rows:
        by_trial.setdefault(row["trial"], {})[row["thing"]] = row["why"]
    texts: list[str] = []
    for trial, things in sorted(by_trial.items()):
        texts.append(trial_text("the parent run" if trial == PARENT else f"trial {trial}", things))
    return first_texts(texts)
