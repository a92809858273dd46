"""Holds a sweep: the file lock of its workspace and the lease in its ledger, while a block runs."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from sweeps.errors import LeaseLostError
from sweeps.ledger.lease import BEAT_PERIOD, take_lease
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.outage import outages_as_user_errors
from sweeps.storage.lock import one_driver

log = logging.getLogger(__name__)


@contextlib.contextmanager
def held_sweep(
    name: str, workspace: Path, ledger: Ledger, *, say: Callable[[str], None]
) -> Iterator[None]:
    """Let this process alone write the events of a sweep through `ledger`.

    Args:
        name: of the sweep.
        workspace: the folder, with the file lock.
        ledger: its transactions check the lease from now on, until the block ends.
        say: shows a notice to the user.

    Raises:
        SweepError: another process holds the sweep, or the ledger is away and the block did not
            wait for it.
    """
    with one_driver(name, workspace) as lock, outages_as_user_errors():
        ledger.lease = take_lease(ledger.engine, name, lock, say=say)
        stop = threading.Event()
        thread = threading.Thread(target=_beat, args=(ledger, stop), daemon=True, name="lease")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(BEAT_PERIOD)
            release(ledger)
            ledger.lease = None


def _beat(ledger: Ledger, stop: threading.Event) -> None:
    """Give signs of life until `stop`. If the lease is lost, the next event finds it out."""
    while not stop.wait(BEAT_PERIOD):
        try:
            with ledger.transaction():
                pass
        except LeaseLostError:
            return
        except SQLAlchemyError:
            log.debug("no sign of life could be given", exc_info=True)


def release(ledger: Ledger) -> None:
    """Let the next driver take the lease without waiting; what follows is still checked."""
    lease = ledger.lease
    assert lease is not None
    try:
        with ledger.engine.begin() as connection:
            lease.release(connection)
    except SQLAlchemyError:  # the next driver waits for a sign of life instead
        log.debug("the lease was not released", exc_info=True)
