"""Two live drivers on one ledger, in random order: the one that was replaced never writes."""

import random
import threading

import pytest
from postgres_server import PostgresServer, why_missing
from test_lease import lock, take

from sweeps.errors import LeaseLostError
from sweeps.ledger import tables
from sweeps.ledger.lease import LeaseSeeker
from sweeps.ledger.ledger import Ledger

WRITES = 6


def interleave(url, sweep, seed):
    """Let two drivers write in threads, while one replaces the other; return what happened.

    The results are (driver, whether its transaction was written). Only the database orders the two.
    """
    rng = random.Random(seed)
    barrier = threading.Barrier(2)
    results = []
    ledgers = [Ledger(url), Ledger(url)]
    ledgers[0].lease, _ = take(ledgers[0], "a", sweep=sweep)
    pauses = [[rng.random() * 2e-3 for _ in range(WRITES)] for _ in range(2)]
    writes_before = rng.randrange(WRITES + 1)  # of driver 0, when driver 1 takes the lease
    inside = [[rng.random() * 1e-3 for _ in range(WRITES)] for _ in range(2)]

    def drive(driver):
        ledger = ledgers[driver]
        barrier.wait()
        for number, pause in enumerate(pauses[driver]):
            threading.Event().wait(pause)
            if driver == 1 and ledger.lease is None:
                while len(results) < writes_before:
                    threading.Event().wait(1e-4)
                # As after many looks without a sign of life.
                seeker = LeaseSeeker(ledger.engine, sweep, lock("b", previous=lock("a").key))
                ledger.lease = seeker.look()
                assert ledger.lease is not None
                continue
            try:
                with ledger.transaction() as tx:
                    threading.Event().wait(inside[driver][number])
                    tx.report(sweep, driver, epoch=number, at=0.0, seconds=0.0, body={})
                results.append((driver, True))
            except LeaseLostError:
                results.append((driver, False))

    threads = [threading.Thread(target=drive, args=(driver,)) for driver in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # `seq` is drawn inside the transaction, after the lease was checked.
    order = [row["trial"] for row in ledgers[0].of(tables.REPORT, sweep)]
    for ledger in ledgers:
        ledger.close()
    return order, results


def refusals(url, seeds):
    """Check every interleaving; return how many writes were refused, and in how many of them."""
    refused = 0
    mixed = 0
    for seed in seeds:
        order, results = interleave(url, f"s{seed}", seed)
        # Nothing of driver 0 comes after the first row of driver 1.
        assert order == sorted(order), (seed, order)
        written = sum(was_written for _, was_written in results)
        assert len(order) == written, (seed, order, results)
        assert len(results) == 2 * WRITES - 1, (seed, results)
        assert order.count(1) == WRITES - 1, (seed, order)
        refused += len(results) - written
        mixed += 0 < len(results) - written < WRITES
    return refused, mixed


def assert_they_met(url, seeds):
    refused, mixed = refusals(url, seeds)
    # In most interleavings driver 0 writes something and is then refused: else they never met.
    assert mixed > len(seeds) / 3, (refused, mixed)


def test_on_sqlite(tmp_path):
    assert_they_met(f"sqlite:///{tmp_path / 'ledger.db'}", range(25))


@pytest.mark.slow
def test_a_thousand_on_sqlite(tmp_path):
    assert_they_met(f"sqlite:///{tmp_path / 'ledger.db'}", range(1_000))


@pytest.mark.skipif(bool(why_missing()), reason=why_missing())
@pytest.mark.slow
def test_a_thousand_on_postgresql(tmp_path):
    with PostgresServer() as server:
        assert_they_met(server.url(), range(1_000))
