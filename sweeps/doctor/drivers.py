"""Says whether a driver runs a sweep now, on this machine or elsewhere."""

from __future__ import annotations

import time
from pathlib import Path

import sqlalchemy as sa

from sweeps.ledger.lease import BEAT_PERIOD
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.tables import LEASE, Row
from sweeps.storage.lock import is_locked, machine_key


def unreleased_lease(ledger: Ledger, sweep: str) -> Row | None:
    """Return the lease of a sweep if its holder did not say that it ended, else None."""
    rows = ledger.select(sa.select(LEASE).where(LEASE.c.sweep == sweep))
    return rows[0] if rows and not rows[0]["released"] else None


def is_driven(ledger: Ledger, workspace: Path, sweep: str) -> bool:
    """Return whether a driver holds a sweep.

    On this machine the kernel knows it at once. A holder elsewhere gives a sign of life at least
    every `BEAT_PERIOD` seconds, so this waits two of them.
    """
    if is_locked(workspace, sweep):
        return True
    lease = unreleased_lease(ledger, sweep)
    if lease is None or lease["lock"].startswith(f"{machine_key()}/"):
        return False
    end = time.monotonic() + 2 * BEAT_PERIOD
    while time.monotonic() < end:
        now = unreleased_lease(ledger, sweep)
        if now is None:
            return False
        if (now["token"], now["beats"]) != (lease["token"], lease["beats"]):
            return True
        time.sleep(0.5)
    return False
