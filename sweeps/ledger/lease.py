"""The lease of a sweep: at most one driver writes its events, wherever the drivers run.

A driver takes the lease of its sweep before its first write. The lease has a token that grows with
every holder, and every transaction of a driver checks in the database that the token is still its
own. So a driver that was taken for dead (its machine slept, its network was cut) writes nothing
once another one has taken over; it need not know the time, nor whether the other one lives.

A holder gives signs of life: the number `beats` grows with each of its transactions, and at least
every `BEAT_PERIOD` seconds. A driver that finds a holder looks at that number. If it does not
change in `LOOKS` looks, a second apart, the holder is gone and the lease is taken. No two clocks
are compared: a clock that is wrong or jumps changes nothing, and a look that fails, because the
database is away, does not count, as the holder could not write then either.

On one machine it need not wait: the kernel frees a file lock when its holder dies
(`sweeps.storage.lock`).
"""

from __future__ import annotations

import time
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from sweeps.errors import LeaseLostError, SweepError
from sweeps.ledger.tables import LEASE
from sweeps.storage.lock import HeldLock, machine_key

BEAT_PERIOD = 5.0
"""Seconds between two signs of life of a holder that writes nothing else."""

LOOKS = 30
"""Looks without a sign of life after which a holder is taken for dead."""

LOOK_PERIOD = 1.0
"""Seconds between two looks."""


class Lease:
    """The right to write the events of one sweep."""

    def __init__(self, sweep: str, token: int) -> None:
        self.sweep = sweep
        self.token = token
        self._is_mine = (LEASE.c.sweep == sweep) & (LEASE.c.token == token)
        # Made once: it is part of every transaction.
        self._beat = LEASE.update().where(self._is_mine).values(beats=LEASE.c.beats + 1)

    def check(self, connection: sa.Connection) -> None:
        """Give a sign of life in a transaction, and keep others from the lease until it ends.

        It is a write, so that the database orders it: a driver that takes over waits for the end
        of this transaction, and a transaction that comes after the change finds another token.

        Raises:
            LeaseLostError: another driver has taken the lease.
        """
        if connection.execute(self._beat).rowcount != 1:
            query = sa.select(LEASE.c.holder).where(LEASE.c.sweep == self.sweep)
            holder = connection.execute(query).scalar() or "nobody: its row is gone"
            raise LeaseLostError(
                f"sweep {self.sweep!r} was taken over by another driver ({holder}), because this "
                "one gave no sign of life; this one has written nothing since, and stops"
            )

    def release(self, connection: sa.Connection) -> None:
        """Let the next driver take the lease without waiting."""
        connection.execute(LEASE.update().where(self._is_mine).values(released=1))


class LeaseSeeker:
    """Takes the lease of a sweep, look by look."""

    def __init__(self, engine: sa.Engine, sweep: str, lock: HeldLock) -> None:
        self._engine = engine
        self._sweep = sweep
        self._lock = lock
        self._first_seen: tuple[int, int] | None = None  # token and beats of the holder
        self.looks = 0  # without a sign of life of the holder
        self.holder = ""  # for people

    def look(self) -> Lease | None:
        """Take the lease if it is free; return None if its holder may still live.

        Raises:
            SweepError: the holder lives.
        """
        try:
            with self._engine.begin() as connection:
                return self._take(connection)
        except IntegrityError:  # another driver inserted the first lease a moment ago
            return None

    def _take(self, connection: sa.Connection) -> Lease | None:
        of_sweep = LEASE.c.sweep == self._sweep
        # A write comes first: so SQLite gives the lock before anything is read.
        connection.execute(LEASE.update().where(of_sweep).values(holder=LEASE.c.holder))
        row = connection.execute(sa.select(LEASE).where(of_sweep)).mappings().first()
        columns = {
            "beats": 0,
            "holder": self._lock.holder,
            "lock": self._lock.key,
            "released": 0,
        }
        if row is None:
            connection.execute(LEASE.insert().values(sweep=self._sweep, token=1, **columns))
            return Lease(self._sweep, 1)
        seen = (int(row["token"]), int(row["beats"]))
        self.holder = row["holder"]
        if not (row["released"] or self._had_this_file(row["lock"])):
            if self._first_seen not in (None, seen):
                raise SweepError(
                    f"sweep {self._sweep!r} is being driven by {self.holder}; end that one first"
                )
            self._first_seen = seen
            self.looks += 1
            if self.looks <= LOOKS:
                return None
        token = seen[0] + 1
        connection.execute(LEASE.update().where(of_sweep).values(token=token, **columns))
        return Lease(self._sweep, token)

    def _had_this_file(self, lock: str) -> bool:
        """Return whether the holder had the lock file that this process holds, on this machine."""
        return lock == self._lock.previous_key and lock.startswith(f"{machine_key()}/")


def take_lease(
    engine: sa.Engine, sweep: str, lock: HeldLock, *, say: Callable[[str], None]
) -> Lease:
    """Take the lease of a sweep; wait until it is certain that an earlier holder is gone.

    Raises:
        SweepError: the holder lives.
    """
    seeker = LeaseSeeker(engine, sweep, lock)
    while True:
        lease = seeker.look()
        if lease is not None:
            return lease
        if seeker.looks == 2:
            say(
                f"the last driver of sweep {sweep!r} ({seeker.holder}) did not say that it ended; "
                f"waiting {LOOKS * LOOK_PERIOD:.0f} s for a sign of life before this one takes over"
            )
        time.sleep(LOOK_PERIOD)
