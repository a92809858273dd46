"""The tables of the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

META = sa.MetaData()

SWEEP = sa.Table(
    "sweep",
    META,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("software", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.String),  # of its data; NULL until a driver run has stored it
    sa.Column("cells", sa.Integer),  # that the sweep can have; NULL until a driver run stored it
)

DRIVER_RUN = sa.Table(  # one row per driver run; the budget is a sum over them
    "life",  # the name of the table in the database, since its first version
    META,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("sweep", sa.String, sa.ForeignKey("sweep.name"), nullable=False, index=True),
    sa.Column("host", sa.String, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("slots", sa.Integer, nullable=False),
    sa.Column("started", sa.Float, nullable=False),
    sa.Column("seen", sa.Float, nullable=False),
    sa.Column("outcome", sa.String),
)

LEASE = sa.Table(  # who may write the events of a sweep: the holder of the greatest token
    "lease",
    META,
    sa.Column("sweep", sa.String, primary_key=True),
    sa.Column("token", sa.Integer, nullable=False),  # grows by 1 with every holder
    sa.Column("beats", sa.Integer, nullable=False),  # grows with every sign of life of the holder
    sa.Column("holder", sa.Text, nullable=False),  # for people: process, host, start
    sa.Column("lock", sa.String, nullable=False),  # key of the file lock that the holder has
    sa.Column("released", sa.Integer, nullable=False),  # 1 once the holder has ended properly
)

CELL = sa.Table(
    "cell",
    META,
    sa.Column("sweep", sa.String, sa.ForeignKey("sweep.name"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("turn", sa.Integer, nullable=False),  # of the search; some turns yield no cell
    sa.Column("layout", sa.Integer, nullable=False),
    sa.Column("params", sa.Text, nullable=False),  # JSON: path -> value, laid out or searched
    sa.Column("bracket", sa.String, nullable=False),  # the bracket as one text, for people
    sa.Column("entry", sa.String),  # of the bracket; NULL until `upgrade` has filled old rows
    sa.Column("fields", sa.Text),  # of the bracket: JSON list of [field, value as text]
    sa.Column("asked", sa.Float, nullable=False),
)

TRIAL = sa.Table(
    "trial",
    META,
    sa.Column("sweep", sa.String, sa.ForeignKey("sweep.name"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("cell", sa.Integer, nullable=False),
    sa.Column("seed", sa.Integer, nullable=False),
    sa.Column("hash", sa.String, nullable=False, index=True),
    sa.Column("config", sa.Text, nullable=False),
    sa.Column("epochs", sa.Integer, nullable=False),
    sa.Column("reused_from", sa.String, nullable=False, default=""),
    sa.Column("asked", sa.Float, nullable=False),
    sa.UniqueConstraint("sweep", "hash"),
)

ATTEMPT = sa.Table(
    "attempt",
    META,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("sweep", sa.String, nullable=False),
    sa.Column("trial", sa.Integer, nullable=False),
    sa.Column("life", sa.Integer, nullable=False),  # the driver run
    sa.Column("started", sa.Float, nullable=False),
    sa.Column("ended", sa.Float),
    sa.Column("outcome", sa.String),  # an AttemptOutcome, NULL while it runs
    sa.Column("message", sa.Text),
    sa.Index("attempt_trial", "sweep", "trial"),
)

REPORT = sa.Table(
    "report",
    META,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("sweep", sa.String, nullable=False),
    sa.Column("trial", sa.Integer, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),  # spent in `step()`
    sa.Column("body", sa.Text, nullable=False),
    sa.UniqueConstraint("sweep", "trial", "epoch"),
    # It answers how many reports there are and which are new without reading their bodies.
    sa.Index("report_seq", "sweep", "seq", "trial", "epoch", "seconds"),
)

DECISION = sa.Table(
    "decision",
    META,
    sa.Column("sweep", sa.String, primary_key=True),
    sa.Column("cell", sa.Integer, primary_key=True),
    sa.Column("rung", sa.Integer, primary_key=True),  # index in the spec's pruning.rungs
    sa.Column("verdict", sa.String, nullable=False),  # a Verdict
    sa.Column("value", sa.Float),  # mean of the pruning metric over seeds, NULL if not finite
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
)

END = sa.Table(
    "end",
    META,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("sweep", sa.String, nullable=False),
    sa.Column("trial", sa.Integer, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("reason", sa.String),  # an EndReason; NULL until `upgrade` has filled old rows
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.UniqueConstraint("sweep", "trial"),
)

RESCORE = sa.Table(  # scores of stored codes: each is a `final/*` of its trial at its last epoch
    "rescore",
    META,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("sweep", sa.String, nullable=False),
    sa.Column("trial", sa.Integer, nullable=False),
    sa.Column("metric", sa.String, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("run", sa.String, nullable=False),  # the MLflow run that has it, "" if none has
    sa.Column("body", sa.Text, nullable=False),
    sa.UniqueConstraint("sweep", "trial", "metric"),
)

EXPORT = sa.Table(  # how far each trial is exported; if it is lost, everything is exported again
    "export",
    META,
    sa.Column("sweep", sa.String, primary_key=True),
    sa.Column("target", sa.String, primary_key=True),
    sa.Column("trial", sa.Integer, primary_key=True),
    sa.Column("run", sa.String, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("state", sa.String, nullable=False),
)

LEFT_OUT = sa.Table(  # what MLflow never takes, so that it is said and not sent again
    "left_out",
    META,
    sa.Column("sweep", sa.String, primary_key=True),
    sa.Column("trial", sa.Integer, primary_key=True),  # -1: the parent run
    sa.Column("thing", sa.String, primary_key=True),  # "metric tc", "artifact codes.npz", "run"
    sa.Column("why", sa.Text, nullable=False),
)

ORDER: dict[sa.Table, sa.Column[Any]] = {
    DRIVER_RUN: DRIVER_RUN.c.id,
    CELL: CELL.c.number,
    TRIAL: TRIAL.c.number,
    ATTEMPT: ATTEMPT.c.id,
    REPORT: REPORT.c.seq,
    DECISION: DECISION.c.at,
    END: END.c.seq,
    RESCORE: RESCORE.c.seq,
    EXPORT: EXPORT.c.trial,
    LEFT_OUT: LEFT_OUT.c.trial,
}
"""The column that orders the rows of a table, oldest first."""

Row = Mapping[str, Any]
