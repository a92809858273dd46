"""Reads back every number that MLflow has of a run, to compare it with the ledger.

A database is read with SQL: a sweep of 1,000 trials has a million numbers, and MLflow's client
returns those of one run and one metric per call. A server is asked through its client.
"""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

from sweeps.exports.mlflow_client import Point, is_database
from sweeps.storage.workspace import WorkspacePaths

CALLS_AT_ONCE = 8
"""Requests to a server that wait at the same time."""

_METRICS = sa.table(
    "metrics",
    *(sa.column(name) for name in ("run_uuid", "key", "step", "timestamp", "value", "is_nan")),
)


class StoredPoint(NamedTuple):
    """A number as MLflow stores it."""

    key: str
    step: int
    at: int  # unix milliseconds
    value: float


def as_stored(points: Iterable[Point]) -> set[StoredPoint]:
    """Return points as MLflow stores them: those that are not finite are not sent."""
    return {
        StoredPoint(point.key, point.epoch, int(1000 * point.at), float(point.value))
        for point in points
        if math.isfinite(point.value)
    }


@contextlib.contextmanager
def opened(
    client: Any, workspace: Path, server: str | None
) -> Iterator[Callable[[Any], Counter[StoredPoint]]]:
    """Yield a function from a run of MLflow to its points, each with how often it is there."""
    if not is_database(server):
        with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
            yield lambda run: _asked(client, run, pool)
        return
    engine = sa.create_engine(WorkspacePaths(workspace.resolve()).tracking_uri(server))
    try:
        with engine.connect() as connection:
            yield lambda run: _selected(connection, run.info.run_id)
    finally:
        engine.dispose()


def _selected(connection: sa.Connection, run: str) -> Counter[StoredPoint]:
    """Return the points of a run from MLflow's table."""
    column = _METRICS.c
    query = sa.select(column.key, column.step, column.timestamp, column.value, column.is_nan)
    rows = connection.execute(query.where(column.run_uuid == run))
    return Counter(
        StoredPoint(key, step, at, math.nan if is_nan else float(value))
        for key, step, at, value, is_nan in rows
    )


def _asked(client: Any, run: Any, pool: ThreadPoolExecutor) -> Counter[StoredPoint]:
    """Return the points of a run from a server, which answers for one metric at a time."""
    histories = pool.map(
        lambda key: client.get_metric_history(run.info.run_id, key), sorted(run.data.metrics)
    )
    return Counter(
        StoredPoint(point.key, point.step, point.timestamp, point.value)
        for history in histories
        for point in history
    )
