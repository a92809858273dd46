"""Reads the reports of a sweep into one table, with the scores of the whole data set beside it.

A sweep may have a million reports, so they are read in chunks, and Arrow reads the JSON of a whole
chunk.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from sweeps.ledger import report_columns
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.report_columns import CHUNK, ReportColumns
from sweeps.ledger.tables import REPORT

_SCHEMA = pa.schema([("step", pa.int64()), ("images", pa.int64())])
_NO_FINAL = '"final": null'
_SECTIONS = {"metrics": "", "train": "train/"}
"""Section of a body -> prefix of its columns."""


class ReportTable(NamedTuple):
    """The reports of a sweep, the oldest first."""

    table: pd.DataFrame
    """One row per report: number, epoch, step, at, images, seconds, the metrics, `train/…`."""

    final_bodies: dict[int, dict[str, Any]]
    """Number of a trial -> body of its report with the scores of the whole data set."""

    last_metrics: dict[int, dict[str, float]]
    """Number of a trial -> metrics of its last report."""

    metrics: tuple[str, ...]
    """The columns of `table` that are metrics of the epoch."""

    def columns(self, *names: str) -> ReportColumns:
        """Return some metrics of the reports, to give them to the trials."""
        table = self.table
        values = np.full((len(table), len(names)), math.nan)
        for index, name in enumerate(names):
            if name in self.metrics:
                values[:, index] = table[name]
        return ReportColumns(
            trial=_column(table, "number", np.int64),
            epoch=_column(table, "epoch", np.int32),
            seconds=_column(table, "seconds", np.float64),
            step=_column(table, "step", np.int64),
            metrics=names,
            values=values,
        )


def read_reports(ledger: Ledger, sweep: str) -> ReportTable:
    """Return all reports of a sweep."""
    report = REPORT.c
    query = (
        sa.select(report.trial, report.epoch, report.at, report.seconds, report.body)
        .where(report.sweep == sweep)
        .order_by(report.seq)
    )
    frames: list[pd.DataFrame] = []
    final_bodies: dict[int, dict[str, Any]] = {}
    last_reports: dict[int, tuple[int, str]] = {}  # number -> (epoch, body)
    metrics: dict[str, None] = {}
    for rows in ledger.chunks(query, CHUNK):
        for number, epoch, _, _, text in rows:
            if _NO_FINAL not in text:
                body = json.loads(text)
                if body.get("final"):
                    final_bodies[number] = body
            if number not in last_reports or epoch > last_reports[number][0]:
                last_reports[number] = (epoch, text)
        frames.append(_frame(rows, metrics))
    table = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    last_metrics = {
        number: json.loads(text)["metrics"] for number, (_, text) in last_reports.items()
    }
    return ReportTable(table, final_bodies, last_metrics, tuple(metrics))


def _column(table: pd.DataFrame, name: str, kind: type[Any]) -> Any:
    return table[name].to_numpy(kind) if name in table.columns else np.zeros(0, kind)


def _frame(rows: Sequence[Any], metrics: dict[str, None]) -> pd.DataFrame:
    """Return a chunk of reports as a table; add the names of their metrics to `metrics`."""
    bodies = [row.body for row in rows]
    table, unread = report_columns.parsed(bodies, _SCHEMA, others="infer")
    columns = None if table is None else _arrow_columns(table, metrics)
    if columns is None:
        return _json_frame(rows, range(len(rows)), metrics)
    left_out = set(unread)
    indices = [index for index in range(len(rows)) if index not in left_out]
    ordered = {
        "number": np.array([rows[index].trial for index in indices], np.int64),
        "epoch": np.array([rows[index].epoch for index in indices], np.int64),
        "step": columns.pop("step"),
        "at": np.array([rows[index].at for index in indices], np.float64),
        "images": columns.pop("images"),
        "seconds": np.array([rows[index].seconds for index in indices], np.float64),
    }
    frame = pd.DataFrame(ordered | columns, index=indices)
    if not unread:
        return frame
    return pd.concat([frame, _json_frame(rows, unread, metrics)]).sort_index()


def _arrow_columns(table: pa.Table, metrics: dict[str, None]) -> dict[str, np.ndarray] | None:
    """Return step, images and all metrics as columns; None if one of them is not a number."""
    columns = {name: table[name].to_numpy() for name in _SCHEMA.names}
    for section, prefix in _SECTIONS.items():
        kind = table.schema.field(section).type if section in table.column_names else None
        if kind is None or not pa.types.is_struct(kind):
            return None
        struct = table[section].combine_chunks()
        for field in kind:
            if not (pa.types.is_integer(field.type) or pa.types.is_floating(field.type)):
                return None
            columns[prefix + field.name] = struct.field(field.name).to_numpy(zero_copy_only=False)
            if section == "metrics":
                metrics[field.name] = None
    return columns


def _json_frame(
    rows: Sequence[Any], indices: Sequence[int], metrics: dict[str, None]
) -> pd.DataFrame:
    """Return some reports of a chunk as a table, read one by one."""
    records: list[dict[str, Any]] = []
    for index in indices:
        row = rows[index]
        body: Mapping[str, Any] = json.loads(row.body)
        record: dict[str, Any] = {
            "number": row.trial,
            "epoch": row.epoch,
            "step": body["step"],
            "at": row.at,
            "images": body["images"],
            "seconds": row.seconds,
        }
        metrics.update(dict.fromkeys(body["metrics"]))
        for section, prefix in _SECTIONS.items():
            record |= {f"{prefix}{name}": value for name, value in body[section].items()}
        records.append(record)
    return pd.DataFrame(records, index=list(indices))
