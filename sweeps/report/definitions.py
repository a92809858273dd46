"""How the numbers were made: the definition and estimator of each metric, sizes and versions."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import pandas as pd

from sweeps.report import floors, wording
from sweeps.report.table_parts import Table, TableCell, TableHead, TableRow
from sweeps.results import run_columns
from sweeps.results.run_table import Runs
from vae_core.epoch_metrics import EPOCH_METRICS


def metric_table(runs: Runs) -> Table:
    """Return the definition of each metric, where it was measured, and its stored identity."""
    scored = [metric for metric in scored_metrics(runs) if metric not in EPOCH_METRICS]
    rows: list[TableRow] = []
    for metric in (*EPOCH_METRICS, *scored):
        if not run_columns.source(runs.table, metric):
            continue
        properties = EPOCH_METRICS.get(metric)
        texts = (
            wording.name(metric),
            properties.unit or "–" if properties else "–",
            _definition(metric, runs),
            wording.measured_on(runs, [metric]),
            estimator(metric, runs),
            _error_range(metric, runs),
        )
        rows.append(TableRow([TableCell(text) for text in texts]))
    titles = ("metric", "unit", "what it is", "means measured on", "estimator", "its error e")
    return Table([TableHead(title) for title in titles], rows)


STANDARD_ERROR = (
    "±: the standard error of a mean over n seeds, √(sd²/n + e²). sd is the standard deviation "
    "over seeds (with n − 1), and e is the error of the estimator for one trial, the root mean "
    "square over the n trials. e counts in full and is not divided by n: the trials of a sweep "
    "share the draws of their estimator, so a mean over seeds does not average it out. Exact "
    "numbers have e = 0. With one seed ± is e alone. Where e is not known, ± is sd/√n and says so. "
    "± does not hold the choice of the images."
)
"""The definition of every ± and every error bar of the report."""


def _error_range(metric: str, runs: Runs) -> str:
    """Return the estimator's error of one trial, or its range over the complete trials."""
    is_measured = ~np.isnan(run_columns.values(runs.table, metric))
    errors = run_columns.errors(runs.table, metric)[is_measured]
    if np.isnan(errors).any():
        return "not known"
    low, high = f"{errors.min():.2g}", f"{errors.max():.2g}"
    if float(errors.max()) == 0:
        return "0: exact"
    return low if low == high else f"{low} to {high}"


def _definition(metric: str, runs: Runs) -> str:
    """Return the definition of a metric, and the limit that no model of these images can pass."""
    if metric not in EPOCH_METRICS:
        return "–"
    definition, limit = EPOCH_METRICS[metric].definition, floors.limit_text(runs, metric)
    return f"{definition}; {limit} for any model of these images" if limit else definition


def facts_table(runs: Runs, versions: Mapping[str, str]) -> Table:
    """Return the data, the evaluation and the software of a sweep, one fact per row.

    Args:
        runs: the sweep.
        versions: name -> version of the packages that make the report.
    """
    facts = {
        "sweep": runs.name,
        "data": wording.mapping_text(runs.spec.get("data") or {}),
        "evaluation": wording.mapping_text(runs.spec.get("evaluation") or {}),
    }
    prefix = "software/"
    for column in map(str, runs.table.columns):
        if column.startswith(prefix):
            facts[column.removeprefix(prefix)] = _distinct_values(runs.table, column) or "–"
    facts["report made with"] = wording.mapping_text(versions)
    rows = [TableRow([TableCell(name), TableCell(text)]) for name, text in facts.items()]
    return Table([TableHead("what"), TableHead("value")], rows)


def estimator(metric: str, runs: Runs) -> str:
    """Return the stored identity of a metric, or its estimator by the spec if none is stored."""
    identity = _identity(runs.table, metric)
    if identity:
        return identity
    evaluation = runs.spec.get("evaluation") or {}
    source = run_columns.source(runs.table, metric)
    samples, seed = evaluation.get("samples", "–"), evaluation.get("seed", 0)
    match metric:
        case "mi" | "tc" | "dimwise_kl":
            of_whole_set = _decomposition(runs) if source == "final" else ""
            return of_whole_set or f"{samples} samples of q(z), seed {seed}"
        case "reconstruction":
            return f"seed {seed}"
        case "mig":
            return "quadrature of the posterior mixtures"
        case "kl":
            return "closed form"
        case _:
            return "–"


def _decomposition(runs: Runs) -> str:
    """Return the identity of MI, TC and dimension-wise KL on the whole data set, and the number of
    samples that the trials needed; "" if none is stored.
    """
    identity = _identity(runs.table, "decomposition")
    if not identity:
        return ""
    used = run_columns.float_column(runs.table, "final/decomposition_samples")
    counts = [int(count) for count in used[~np.isnan(used)]]
    return f"{identity}; samples drawn: {wording.span(counts)}"


def scored_metrics(runs: Runs) -> list[str]:
    """Return the metrics that were scored on the whole data set.

    Those that the spec asks for (`evaluation.final`) come first, then those of a rescore.
    """
    evaluation = runs.spec.get("evaluation") or {}
    names = [str(name) for name in evaluation.get("final") or ()]
    prefix = "identity/"
    for column in map(str, runs.table.columns):
        if column.startswith(prefix):
            names.append(column.removeprefix(prefix))
    return [name for name in dict.fromkeys(names) if f"final/{name}" in runs.table.columns]


def _identity(table: pd.DataFrame, metric: str) -> str:
    """Return the stored identities of a metric in words.

    If there are several, the scores of the trials do not compare.
    """
    column = f"identity/{metric}"
    if column not in table.columns:
        return ""
    texts: list[str] = []
    for stored in dict.fromkeys(str(value) for value in table[column].dropna()):
        identity = json.loads(stored)
        identity.pop("metric", None)
        texts.append(wording.mapping_text(identity))
    return " | ".join(texts)


def _distinct_values(table: pd.DataFrame, column: str) -> str:
    """Return the different values of a column, without empty ones."""
    texts = [str(value) for value in table[column].dropna()]
    return "; ".join(dict.fromkeys(text for text in texts if text))
