"""Tells errors of a database that is away from errors of the program."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from sqlalchemy import exc

from sweeps.errors import SweepError

LONGEST_CAUSE = 200
"""Characters of a database's message in a notice."""


def is_outage(error: BaseException) -> bool:
    """Return whether a later try may succeed: the database is away, locked, or its disk is full."""
    if isinstance(error, exc.DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, exc.OperationalError | exc.InterfaceError | exc.TimeoutError)


def cause_text(error: Exception) -> str:
    """Return the database's own message on one line."""
    original = getattr(error, "orig", None) or error
    text = " ".join(str(original).split())
    return text if len(text) <= LONGEST_CAUSE else f"{text[:LONGEST_CAUSE]}…"


@contextlib.contextmanager
def outages_as_user_errors() -> Iterator[None]:
    """Let an outage end a command with one sentence, where nothing waits for its end.

    Raises:
        SweepError: the ledger is away.
    """
    try:
        yield
    except exc.SQLAlchemyError as error:
        if not is_outage(error):
            raise
        raise SweepError(
            f"the ledger does not answer or cannot be written to ({cause_text(error)}); nothing is "
            "lost: start the same command again once it answers"
        ) from error
