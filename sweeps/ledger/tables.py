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
)


LIFE = sa.Table(  # one per driver process: the budget is a sum over lives
    "life",
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


CELL = sa.Table(
    "cell",
    META,
    sa.Column("sweep", sa.String, sa.ForeignKey("sweep.name"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column(
        "turn", sa.Integer, nullable=False
    ),  # of the search; a turn that only repeats a cell is given up
    sa.Column("layout", sa.Integer, nullable=False),
    sa.Column(
        "params", sa.Text, nullable=False
    ),  # path -> value of everything laid out or searched
    sa.Column("bracket", sa.String, nullable=False),
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
    sa.Column("life", sa.Integer, nullable=False),
    sa.Column("started", sa.Float, nullable=False),
    sa.Column("ended", sa.Float),
    sa.Column(
        "outcome", sa.String
    ),  # parked, complete, pruned, lost, timeout, error, diverged, interrupted
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
    sa.Column("seconds", sa.Float, nullable=False),  # inside step()
    sa.Column("body", sa.Text, nullable=False),
    sa.UniqueConstraint("sweep", "trial", "epoch"),
)


DECISION = sa.Table(
    "decision",
    META,
    sa.Column("sweep", sa.String, primary_key=True),
    sa.Column("cell", sa.Integer, primary_key=True),
    sa.Column("rung", sa.Integer, primary_key=True),  # position in the spec's pruning.rungs
    sa.Column("verdict", sa.String, nullable=False),  # "go" or "prune"
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
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.UniqueConstraint("sweep", "trial"),
)


RESCORE = sa.Table(  # scores of stored codes after the sweep: each a `final/*` of its trial, at its last epoch
    "rescore",
    META,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("sweep", sa.String, nullable=False),
    sa.Column("trial", sa.Integer, nullable=False),
    sa.Column("metric", sa.String, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column(
        "run", sa.String, nullable=False
    ),  # the MLflow run that has it, "" as long as none has
    sa.Column("body", sa.Text, nullable=False),
    sa.UniqueConstraint("sweep", "trial", "metric"),
)


EXPORT = sa.Table(  # how far each trial has reached MLflow and Optuna's dashboard; losing it costs a replay, no more
    "export",
    META,
    sa.Column("sweep", sa.String, primary_key=True),
    sa.Column("target", sa.String, primary_key=True),
    sa.Column("trial", sa.Integer, primary_key=True),
    sa.Column("run", sa.String, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("state", sa.String, nullable=False),
)


ORDER: dict[sa.Table, sa.Column[Any]] = {
    LIFE: LIFE.c.id,
    CELL: CELL.c.number,
    TRIAL: TRIAL.c.number,
    ATTEMPT: ATTEMPT.c.id,
    REPORT: REPORT.c.seq,
    DECISION: DECISION.c.at,
    END: END.c.seq,
    RESCORE: RESCORE.c.seq,
    EXPORT: EXPORT.c.trial,
}


Row = Mapping[str, Any]
