"""The report's tables: rows of words, ready for a page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import pandas as pd

from metrics import find, names
from sweeps.report import wording
from sweeps.results import cell_means, run_columns, run_series
from sweeps.results.run_table import Runs

SHOWN = ("reconstruction", "kl", "tc", "mig", "active_units")
_SHORT = {"reconstruction": "reconstr.", "tc": "TC", "active_units": "active units", "mi": "MI"}


class Cell(NamedTuple):
    """One field of a table; `kind` is its CSS class."""

    text: str
    kind: str = ""


class Head(NamedTuple):
    """A column's title."""

    text: str
    numeric: bool = False


class Row(NamedTuple):
    """One line of a table; `kind` is its CSS class."""

    cells: list[Cell]
    kind: str = ""


class Table(NamedTuple):
    """A table of words."""

    heads: list[Head]
    rows: list[Row]
    caption: str = ""


def strengths(runs: Runs) -> Table:
    """Return the trade-off as a table: a row per bracket and strength."""
    rows = cast(list[dict[str, Any]], cell_means.brackets(runs, SHOWN).to_dict("records"))
    metrics = [metric for metric in SHOWN if any(metric in row for row in rows)]
    shown = run_series.parameters(runs.table)
    counts = [
        "n",
        "pruned",
        "failed",
        *(["collapsed"] if any(row["collapsed"] for row in rows) else []),
    ]
    heads = [Head("objective"), Head(wording.strength_axis(runs), numeric=True)]
    heads += [Head(wording.parameter(column)) for column in shown]
    heads += [Head(name, numeric=True) for name in counts]
    heads += [Head(_SHORT.get(metric, wording.name(metric)), numeric=True) for metric in metrics]
    heads += [Head("chance, ceiling of MIG", numeric=True)] if "mig" in metrics else []
    body: list[Row] = []
    for row in rows:
        cells = [Cell(str(row["series"])), _number(wording.plain(row["strength"]))]
        cells += [Cell(wording.plain(row.get(column)) if row["n"] else "–") for column in shown]
        cells += [_number(str(row[name])) for name in counts]
        cells += [_number(_mean(row, metric)) for metric in metrics]
        members = runs.table.loc[runs.table["number"].isin(row["members"]).to_numpy()]
        own = runs._replace(table=members)
        levels = [
            _level(cell_means.level(own, "mig", "chance")),
            _level(cell_means.level(own, "mig", "ceiling")),
        ]
        cells += [_number(", ".join(levels) if row["n"] else "–")] if "mig" in metrics else []
        body.append(Row(cells, "" if row["n"] else "empty"))
    parts = [
        f"Means ± standard error over n seeds ({_seeds(runs)}); nats per image but for MIG and active units",
        f"measured on: {wording.measured_on(runs, metrics) or 'nothing'}",
        "the columns pruned and failed count the whole bracket",
        *(["collapsed: ended with no active unit"] if "collapsed" in counts else []),
    ]
    if any(row["complete_cells"] > 1 for row in rows):
        best = wording.name(cell_means.goals(runs)[0].metric)
        parts.append(
            f"where several cells of a bracket are complete, the one with the best mean {best}"
        )
    return Table(heads, body, "; ".join(parts) + ".")


def best(runs: Runs) -> Table | None:
    """Return the last weights beside those of the best epoch, a row per bracket; None if none were kept."""
    by = str((runs.spec.get("evaluation") or {}).get("best") or "")
    metrics = [name for name in dict.fromkeys((*SHOWN, by)) if _both(runs.table, name)]
    if not by or not metrics:
        return None
    pairs = [column for name in metrics for column in (f"final/{name}", f"best/{name}")]
    rows = cast(
        list[dict[str, Any]], cell_means.brackets(runs, [*pairs, "best/epoch"]).to_dict("records")
    )
    heads = [
        Head("objective"),
        Head(wording.strength_axis(runs), numeric=True),
        Head("n", numeric=True),
    ]
    heads += [Head("best epoch", numeric=True)]
    for name in metrics:
        short = _SHORT.get(name, wording.name(name))
        heads += [Head(f"{short}, last", numeric=True), Head(f"{short}, best", numeric=True)]
    body: list[Row] = []
    for row in rows:
        if row["n"]:
            cells = [
                Cell(str(row["series"])),
                _number(wording.plain(row["strength"])),
                _number(str(row["n"])),
            ]
            body.append(
                Row([*cells, *(_number(_mean(row, column)) for column in ("best/epoch", *pairs))])
            )
    labels = by in names() and "factors" in find(by).needs
    caption = (
        f"Last: the weights at the end; best: those of the epoch with the best {wording.name(by)} on the evaluation "
        "subset. Both scored on the whole data set."
    )
    looks = f" {wording.name(by)} looks at the labels, and so does this choice: it is no unsupervised result."
    return Table(heads, body, caption + (looks if labels else ""))


def scores(runs: Runs) -> Table | None:
    """Return what else was scored on the whole set, with chance and ceiling, a row per bracket; None if nothing was."""
    metrics = [metric for metric in _scored(runs, most=100) if metric not in SHOWN]
    rows = cast(
        list[dict[str, Any]],
        cell_means.brackets(runs, [f"final/{name}" for name in metrics]).to_dict("records"),
    )
    rows = [row for row in rows if row["n"]]
    if not metrics or not rows:
        return None
    heads = [
        Head("objective"),
        Head(wording.strength_axis(runs), numeric=True),
        Head("n", numeric=True),
    ]
    heads += [Head(wording.name(metric), numeric=True) for metric in metrics]
    body: list[Row] = []
    for row in rows:
        cells = [
            Cell(str(row["series"])),
            _number(wording.plain(row["strength"])),
            _number(str(row["n"])),
        ]
        cells += [
            _number(_mean(row, name) if name in row else "–")
            for name in (f"final/{name}" for name in metrics)
        ]
        body.append(Row(cells))
    for which in ("chance", "ceiling"):
        levels = [_number(_levels(runs, metric, which)) for metric in metrics]
        body.append(Row([Cell(which), _number(""), _number(""), *levels], "empty"))
    return Table(
        heads, body, "Further scores of the whole data set: means ± standard error over n seeds."
    )


def trials(runs: Runs) -> Table:
    """Return every trial: what it was, how it ended, its last numbers."""
    rows = cast(list[dict[str, Any]], runs.table.to_dict("records"))
    shown = run_series.parameters(runs.table)
    last = [metric for metric in SHOWN if metric in runs.table.columns]
    final = _scored(runs)
    heads = [
        Head("#", numeric=True),
        Head("trial"),
        Head("objective"),
        Head(wording.strength_axis(runs), numeric=True),
    ]
    heads += [Head(wording.parameter(column)) for column in shown]
    heads += [
        Head("seed", numeric=True),
        Head("state"),
        Head("epoch", numeric=True),
        Head("seconds", numeric=True),
    ]
    heads += [Head(_SHORT.get(metric, wording.name(metric)), numeric=True) for metric in last]
    heads += [
        Head(f"final {_SHORT.get(metric, wording.name(metric))}", numeric=True) for metric in final
    ]
    chosen = [metric for metric in final if f"best/{metric}" in runs.table.columns]
    heads += [
        Head(f"best {_SHORT.get(metric, wording.name(metric))}", numeric=True) for metric in chosen
    ]
    heads += [Head("why")]
    lost = run_columns.collapsed(runs.table)
    body: list[Row] = []
    for place, row in enumerate(rows):
        cells = [
            _number(str(row["number"])),
            Cell(str(row["trial"]), "hash"),
            Cell(str(row["objective"])),
        ]
        cells += [_number(wording.plain(float(row["strength"])))]
        cells += [Cell(wording.plain(row[column])) for column in shown]
        cells += [_number(str(row["seed"])), Cell(str(row["state"]).lower(), "state")]
        cells += [
            _number(f"{row['epoch']}/{row['epochs']}"),
            _number(wording.number(float(row["seconds"]))),
        ]
        cells += [_number(wording.number(_float(row[metric]))) for metric in last]
        cells += [_number(wording.number(_float(row[f"final/{metric}"]))) for metric in final]
        cells += [_number(wording.number(_float(row[f"best/{metric}"]))) for metric in chosen]
        why = str(row["why"] or "")
        reused = f"reused from {row['reused_from']}" if row.get("reused_from") else ""
        collapsed = "collapsed" if lost[place] and "collapsed" not in why else ""
        cells += [Cell("; ".join(part for part in (why, collapsed, reused) if part), "why")]
        body.append(Row(cells, str(row["state"])))
    caption = (
        "Numbers of the last reported epoch, on the evaluation subset; final: on the whole data set"
    )
    caption += "; best: there, too, with the weights of the best epoch." if chosen else "."
    return Table(heads, body, caption)


def estimators(runs: Runs) -> Table:
    """Return each metric's definition, where it was measured, and its stored identity."""
    scored = [metric for metric in _scored(runs, most=100) if metric not in wording.DEFINITIONS]
    metrics = [
        metric
        for metric in (*wording.DEFINITIONS, *scored)
        if run_columns.source(runs.table, metric)
    ]
    heads = [
        Head("metric"),
        Head("unit"),
        Head("what it is"),
        Head("means measured on"),
        Head("estimator"),
    ]
    body = [
        Row(
            [
                Cell(wording.name(metric)),
                Cell(wording.UNITS.get(metric, "–")),
                Cell(wording.DEFINITIONS.get(metric, "–")),
                Cell(wording.measured_on(runs, [metric])),
                Cell(estimator(metric, runs)),
            ]
        )
        for metric in metrics
    ]
    return Table(heads, body)


def facts(runs: Runs, made_with: Mapping[str, str]) -> Table:
    """Return sizes, versions and names, one a row."""
    evaluation = runs.spec.get("evaluation") or {}
    rows = {"sweep": runs.name, "data": joined(runs.spec.get("data") or {})}
    rows["evaluation"] = joined(evaluation)
    prefix = "software/"
    for column in runs.table.columns:
        if str(column).startswith(prefix):
            rows[str(column).removeprefix(prefix)] = _distinct(runs.table, str(column)) or "–"
    rows["report made with"] = joined(made_with)
    return Table(
        [Head("what"), Head("value")],
        [Row([Cell(key), Cell(value)]) for key, value in rows.items()],
    )


def _seeds(runs: Runs) -> str:
    seeds = [int(seed) for seed in runs.spec.get("seeds") or sorted(set(runs.table["seed"]))]
    return seed_list(seeds)


def seed_list(seeds: Sequence[int]) -> str:
    """Return "0, 1", or "0–9" for three or more in a row."""
    in_row = len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1))
    return f"{seeds[0]}–{seeds[-1]}" if in_row else ", ".join(map(str, seeds))


def estimator(metric: str, runs: Runs) -> str:
    """Return a metric's stored identity, or how the spec has it estimated where none is stored."""
    if stored := _identity(runs.table, metric):
        return stored
    evaluation = runs.spec.get("evaluation") or {}
    if metric in ("mi", "tc", "dimwise_kl"):
        return f"{evaluation.get('samples', '–')} samples of q(z), seed {evaluation.get('seed', 0)}"
    known = {
        "reconstruction": f"seed {evaluation.get('seed', 0)}",
        "mig": "quadrature of the posterior mixtures",
    }
    return known.get(metric, "closed form" if metric == "kl" else "–")


def _scored(runs: Runs, *, most: int = 8) -> list[str]:
    """Return the metrics of the whole set that the spec asked for, then those of a rescore; as many as have room."""
    asked = [str(name) for name in (runs.spec.get("evaluation") or {}).get("final") or ()]
    known = [
        str(column).removeprefix("identity/")
        for column in runs.table.columns
        if str(column)[:9] == "identity/"
    ]
    found = dict.fromkeys((*asked, *known))
    return [name for name in found if f"final/{name}" in runs.table.columns][:most]


def _both(table: pd.DataFrame, metric: str) -> bool:
    """Return whether a metric was measured with the last weights and with the best ones."""
    rows = run_columns.complete(table)
    return not any(
        np.isnan(run_columns.floats(rows, f"{which}/{metric}")).all() for which in ("final", "best")
    )


def _identity(table: pd.DataFrame, metric: str) -> str:
    """Return the stored identities of a metric in words; more than one means that its scores do not compare."""
    stored = table.get(f"identity/{metric}")
    identities = (
        [] if stored is None else list(dict.fromkeys(str(value) for value in stored.dropna()))
    )
    return " | ".join(
        joined({k: v for k, v in json.loads(text).items() if k != "metric"}) for text in identities
    )


def _distinct(table: pd.DataFrame, column: str) -> str:
    if column not in table.columns:
        return ""
    return "; ".join(dict.fromkeys(str(value) for value in table[column].dropna() if str(value)))


def joined(mapping: Mapping[str, object]) -> str:
    """Return a mapping in words."""
    return ", ".join(f"{key} {_listed(value)}" for key, value in mapping.items())


def _listed(value: object) -> str:
    if isinstance(value, Mapping):
        return f"({joined(value)})"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(str(item) for item in value) or "none"
    return "none" if value is None else str(value)


def _mean(row: Mapping[str, Any], metric: str) -> str:
    """Return a mean with its error, and its n where a trial lacks the number."""
    n = int(row[f"{metric}_n"])
    words = wording.with_error(row[metric], row[f"{metric}_se"])
    return words if n in (0, row["n"]) else f"{words} (n = {n})"


def _number(words: str) -> Cell:
    return Cell(words, "n")


def _levels(runs: Runs, metric: str, which: Literal["chance", "ceiling"]) -> str:
    """Return a level of all trials, or its span where they are not of one distribution."""
    column = run_columns.floats(run_columns.complete(runs.table), f"final/{metric}_{which}")
    known = column[~np.isnan(column)]
    ends = [_level(float(end)) for end in (known.min(), known.max())] if len(known) else ["–"]
    return " to ".join(dict.fromkeys(ends))


def _level(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2g}"


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
