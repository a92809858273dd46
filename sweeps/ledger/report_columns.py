"""Reads the reports of a sweep as columns: a million of them takes seconds.

A body is JSON. Arrow reads the metrics of many bodies at once, several times faster than one call
per body. It does not know NaN and Infinity, which Python writes into JSON; the bodies that hold
them are read one by one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from numpy.typing import NDArray
from pyarrow import json as arrow_json

from sweeps.ledger.ledger import Ledger
from sweeps.ledger.progress import SHOWN_METRICS, ReportedMetrics, TrialProgress
from sweeps.ledger.tables import REPORT

CHUNK = 2_000
"""Reports that are read at once."""

BLOCK_BYTES = 1 << 24
"""Bytes of bodies that Arrow reads at once; no body is longer."""


class ReportColumns(NamedTuple):
    """The reports of a sweep, the oldest first: one element, or row, per report."""

    trial: NDArray[np.int64]  # number
    epoch: NDArray[np.int32]
    seconds: NDArray[np.float64]
    step: NDArray[np.int64]  # optimiser steps
    metrics: tuple[str, ...]
    values: NDArray[np.float64]  # (reports, metrics), NaN where a report lacks a metric

    def some(self, metrics: Sequence[str]) -> NDArray[np.float64]:
        """Return the values of some of the metrics, (reports, metrics)."""
        return self.values[:, [self.metrics.index(name) for name in metrics]]


def read_columns(ledger: Ledger, sweep: str, metrics: tuple[str, ...]) -> ReportColumns:
    """Return the reports of a sweep with some of their metrics."""
    report = REPORT.c
    query = (
        sa.select(report.trial, report.epoch, report.seconds, report.body)
        .where(report.sweep == sweep)
        .order_by(report.seq)
    )
    parts = [_columns_of(rows, metrics) for rows in ledger.chunks(query, CHUNK)]
    if not parts:
        parts = [_columns_of([], metrics)]
    return ReportColumns(
        trial=np.concatenate([part.trial for part in parts]),
        epoch=np.concatenate([part.epoch for part in parts]),
        seconds=np.concatenate([part.seconds for part in parts]),
        step=np.concatenate([part.step for part in parts]),
        metrics=metrics,
        values=np.concatenate([part.values for part in parts]),
    )


def no_reports() -> ReportColumns:
    """Return the columns of no report, for readers of trials that do not ask how far they are."""
    return _columns_of([], ())


def add_reports(
    trials: Sequence[TrialProgress], reports: ReportColumns, metrics: tuple[str, ...]
) -> None:
    """Give every trial its reports.

    Args:
        trials: in the order of their numbers, from 0.
        reports: of all trials, with `metrics`, and with `SHOWN_METRICS` if these are to be kept.
        metrics: that the trials keep of every report.

    Raises:
        ValueError: a report is of none of the trials.
    """
    n_trials = len(trials)
    # `bincount` would take memory for all trials up to the largest number.
    if len(reports.trial) and not 0 <= reports.trial.min() <= reports.trial.max() < n_trials:
        raise ValueError(f"reports must be of trials 0 to {n_trials - 1}")
    # `bincount` adds in the order of the reports, as a driver does that receives them.
    seconds = np.bincount(reports.trial, reports.seconds, n_trials)
    order = np.lexsort((reports.epoch, reports.trial))
    ends = np.searchsorted(reports.trial[order], np.arange(n_trials), side="right")
    epochs = reports.epoch[order]
    values = reports.some(metrics)[order]
    last = order[np.maximum(ends - 1, 0)] if len(order) else order
    has_shown = set(SHOWN_METRICS) <= set(reports.metrics)
    shown = reports.some(SHOWN_METRICS)[last].tolist() if has_shown and len(order) else []
    is_first = reports.epoch == 1
    first_steps = dict(
        zip(reports.trial[is_first].tolist(), reports.step[is_first].tolist(), strict=True)
    )
    start = 0
    for trial, end, trial_seconds in zip(trials, ends.tolist(), seconds.tolist(), strict=True):
        trial.reports = ReportedMetrics(
            metrics,
            epochs[start:end].tobytes(),
            values[start:end].tobytes(),
            shown[trial.number] if shown and end > start else (),
        )
        trial.seconds = trial_seconds
        trial.first_steps = first_steps.get(trial.number, 0)
        start = end


def _columns_of(rows: Sequence[Any], metrics: tuple[str, ...]) -> ReportColumns:
    """Return rows of (trial, epoch, seconds, body) as columns."""
    trials, epochs, seconds, bodies = zip(*rows, strict=True) if rows else ((), (), (), ())
    schema = pa.schema(
        [
            ("step", pa.int64()),
            ("metrics", pa.struct([(name, pa.float64()) for name in metrics])),
        ]
    )
    step = np.zeros(len(rows), np.int64)
    values = np.full((len(rows), len(metrics)), math.nan)
    slow: Sequence[int] = range(len(rows))
    table, unread = parsed(bodies, schema)
    if table is not None:
        slow = unread
        is_read = np.ones(len(rows), dtype=bool)
        is_read[unread] = False
        step[is_read] = _array(table["step"], 0)
        read = table["metrics"].combine_chunks()
        for index, name in enumerate(metrics):
            values[is_read, index] = _array(read.field(name), math.nan)
    for index in slow:
        body = json.loads(bodies[index])
        step[index] = body["step"]
        values[index] = [body["metrics"].get(name, math.nan) for name in metrics]
    return ReportColumns(
        trial=np.array(trials, np.int64),
        epoch=np.array(epochs, np.int32),
        seconds=np.array(seconds, np.float64),
        step=step,
        metrics=metrics,
        values=values,
    )


def parsed(
    bodies: Sequence[str], schema: pa.Schema, *, others: str = "ignore"
) -> tuple[pa.Table | None, list[int]]:
    """Return bodies as an Arrow table, and the indices of those that it leaves out.

    These hold NaN or Infinity, or what looks like them. The table is None if Arrow cannot read the
    bodies, or there are none.

    Args:
        bodies: JSON texts.
        schema: columns and their types.
        others: "ignore" leaves out the fields that the schema does not name, "infer" adds them.
    """
    text = "\n".join(bodies)
    unread: list[int] = []
    if "NaN" in text or "Infinity" in text:
        texts = []
        for index, body in enumerate(bodies):
            if "NaN" in body or "Infinity" in body:
                unread.append(index)
            else:
                texts.append(body)
        text = "\n".join(texts)
    if len(unread) == len(bodies):
        return None, unread
    try:
        table = arrow_json.read_json(
            pa.py_buffer(text.encode()),
            read_options=arrow_json.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
            parse_options=arrow_json.ParseOptions(schema, unexpected_field_behavior=others),
        )
    except pa.ArrowInvalid:
        return None, unread
    return table, unread


def _array(column: Any, missing: float) -> NDArray[Any]:
    """Return an Arrow column as an array, with a number where it has none."""
    return np.asarray(column.fill_null(missing))
