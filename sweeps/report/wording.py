"""Words and numbers of figures and tables, so that both use one name, one unit and one rounding."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sweeps.ledger.states import TrialState
from sweeps.results import run_columns, run_series
from sweeps.results.run_table import Runs
from vae_core.epoch_metrics import EPOCH_METRICS

_SYMBOLS = {
    "beta": "β",
    "gamma": "γ",
    "lambda": "λ",
    "alpha": "α",
    "lambda_od": "λ_od",
    "lambda_d": "λ_d",
    "lambda_mmd": "λ",
    "beta_l": "β_l",
    "gamma_z": "γ_z",
    "c_max": "C_max",
    "set_point": "C",
}
_SOURCES = {"final": "whole data set", "epoch": "evaluation subset, last epoch"}
_MOST_DECIMALS = 6


def name(metric: str) -> str:
    """Return the name of a metric in words."""
    if metric in EPOCH_METRICS:
        return EPOCH_METRICS[metric].title
    return metric.replace("_", " ")


def axis(metric: str) -> str:
    """Return the axis label of a metric, with its unit if it has one."""
    unit = EPOCH_METRICS[metric].unit if metric in EPOCH_METRICS else ""
    return f"{name(metric)} ({unit})" if unit else name(metric)


def symbol(strength: str) -> str:
    """Return the symbol of a strength (β for beta), or its name in words if it has no symbol."""
    return _SYMBOLS.get(strength, strength.replace("_", " "))


def strength_axis(runs: Runs) -> str:
    """Return the label of an axis of strengths.

    If the objectives have two or three different strengths, the label says which objective has
    which.
    """
    symbols = list(dict.fromkeys(map(symbol, run_series.strength_names(runs))))
    if not symbols:
        return "no strength"
    if len(symbols) == 1:
        return symbols[0]
    if len(symbols) > 3:
        return "strength"
    pairs = dict.fromkeys(zip(runs.table["strength_name"], runs.table["objective"], strict=True))
    if len({objective for _, objective in pairs}) == 1:
        return f"strength: {', '.join(symbols)}"
    parts = [f"{symbol(str(strength))} of {objective}" for strength, objective in pairs if strength]
    return f"strength: {', '.join(parts)}"


def parameter(column: str) -> str:
    """Return a config column in words: "train.learning_rate" is "learning rate"."""
    return column.partition(".")[2].replace("_", " ")


def value_text(value: object) -> str:
    """Return the value of a parameter as text.

    A float has no trailing zeros (4, not 4.0), and four digits if it has more than six. None, NaN
    and the empty list are a dash. Of a text of several lines only the first is shown.
    """
    if value is None or value == "[]" or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, str) and "\n" in value:
        first_line = value.partition("\n")[0]
        return f"{first_line} …"
    if not isinstance(value, float):
        return str(value)
    is_short = float(f"{value:g}") == value
    return f"{value:g}" if is_short else f"{value:.4g}"


def number(value: float, error: float = math.nan) -> str:
    """Return a number as text, up to the second digit of its error.

    Without an error it has three digits. NaN is a dash. With few seeds the error itself is
    uncertain, so a number never has more than five digits, even if its error is very small.
    """
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    # `z` writes a number that rounds to zero without a sign.
    return f"{value:z.{_decimals(value, error)}f}".replace("-", "−")


def with_error(value: float, error: float) -> str:
    """Return "0.312 ± 0.021", or the value alone if the error is not known."""
    if not math.isfinite(value) or not math.isfinite(error):
        return number(value)
    return f"{number(value, error)} ± {error_text(value, error)}"


def error_text(value: float, error: float) -> str:
    """Return the error of a number, with as many decimals as `number` shows of the number."""
    return f"{error:.{_decimals(value, error)}f}"


ESTIMATOR_ALONE, SEEDS_ALONE = "†", "‡"
"""Marks of a ± that holds one of its two parts only."""


def mean_text(row: Mapping[str, Any], metric: str) -> str:
    """Return the mean of a metric with its standard error, from a row of cells or brackets.

    A mark follows where the error holds only one of its parts, see `marks_note`.
    """
    text = with_error(row[metric], row[f"{metric}_se"])
    if "±" not in text:
        return text
    if int(row[f"{metric}_n"]) == 1:
        return f"{text}{ESTIMATOR_ALONE}"
    return f"{text}{SEEDS_ALONE}" if math.isnan(row[f"{metric}_error"]) else text


def marks_note(texts: Iterable[str]) -> str:
    """Return what the marks in some texts mean, "" if there are none."""
    all_texts = "".join(texts)
    notes: list[str] = []
    if ESTIMATOR_ALONE in all_texts:
        notes.append(f"{ESTIMATOR_ALONE} one seed: ± is the estimator's error alone")
    if SEEDS_ALONE in all_texts:
        notes.append(
            f"{SEEDS_ALONE} the estimator's error is not known: ± is the spread over seeds alone"
        )
    return "; ".join(notes)


def bars(rows: pd.DataFrame, metrics: Sequence[str]) -> str:
    """Return what the error bars of some means hold, "" if there are none.

    Args:
        rows: cells or brackets, see `cell_means`.
        metrics: the metrics that are drawn.
    """
    errors = np.array([run_columns.float_column(rows, f"{metric}_se") for metric in metrics])
    counts = np.array([run_columns.float_column(rows, f"{metric}_n") for metric in metrics])
    of_estimator = np.array(
        [run_columns.float_column(rows, f"{metric}_error") for metric in metrics]
    )
    if not (np.nan_to_num(errors) > 0).any():
        return ""
    if counts.max() == 1:
        return "the estimator's error alone"
    if (np.isnan(of_estimator) & (counts > 1)).any():
        return "standard error, of seeds alone where the estimator's error is not known"
    return "standard error of seeds and estimator"


def _decimals(value: float, error: float) -> int:
    """Return how many decimals to show of a number with an error (NaN if not known)."""
    if value == round(value) and not error > 0:  # a count
        return 0
    error_is_known = math.isfinite(error) and error > 0
    if error_is_known:
        by_error = 1 - math.floor(math.log10(error))  # to the second digit of the error
        digits = 5
    else:
        by_error = _MOST_DECIMALS
        digits = 3 if abs(value) >= 0.01 else 2
    by_value = _MOST_DECIMALS
    if value:
        by_value = digits - 1 - math.floor(math.log10(abs(value)))
    return min(max(min(by_error, by_value), 0), _MOST_DECIMALS)


def strengths(rows: pd.DataFrame) -> list[str]:
    """Return "β 4" for every row of cells or brackets."""
    labels: list[str] = []
    for strength_name, value in zip(rows["strength_name"], rows["strength"], strict=True):
        labels.append(f"{symbol(str(strength_name))} {value_text(float(value))}")
    return labels


def span(counts: Sequence[int]) -> str:
    """Return "2", or "1–2" if the counts differ."""
    low, high = min(counts, default=0), max(counts, default=0)
    return str(low) if low == high else f"{low}–{high}"


def seed_list(seeds: Sequence[int]) -> str:
    """Return "0, 1", or "0–9" for three or more consecutive seeds."""
    is_range = len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1))
    return f"{seeds[0]}–{seeds[-1]}" if is_range else ", ".join(map(str, seeds))


def and_list(names: Sequence[str]) -> str:
    """Return "a", "a and b" or "a, b and c"."""
    parts = [", ".join(names[:-1]), *names[-1:]]
    return " and ".join(part for part in parts if part)


def mapping_text(mapping: Mapping[str, object]) -> str:
    """Return a mapping in words: "name dsprites, stride (scale 2, orientation 4)"."""
    return ", ".join(f"{key} {_value_text(value)}" for key, value in mapping.items())


def _value_text(value: object) -> str:
    """Return a value of a mapping in words."""
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return f"({mapping_text(value)})"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(str(item) for item in value) or "none"
    return str(value)


def states(table: pd.DataFrame) -> str:
    """Return "20 complete, 18 pruned, 2 failed", without the states that no trial has."""
    counts = run_columns.counts(table)
    words = [f"{n} {state.lower()}" for state, n in counts.items() if n]
    return ", ".join(words) or "none"


def left_out(table: pd.DataFrame) -> str:
    """Return which trials the means leave out, "" if none."""
    is_pruned = (table["state"] == TrialState.PRUNED).to_numpy()
    n_collapsed = int((run_columns.collapsed(table) & is_pruned).sum())
    words: list[str] = []
    for state, n in run_columns.counts(table).items():
        if state == TrialState.COMPLETE or not n:
            continue
        word = f"{n} {state.lower()}"
        if state == TrialState.PRUNED and n_collapsed:
            word += f" ({n_collapsed} of them collapsed)"
        words.append(word)
    return f"not shown: {', '.join(words)}" if words else ""


def measured_on(runs: Runs, metrics: Sequence[str]) -> str:
    """Return which images the numbers of the metrics were measured on, "" if on none."""
    sources = dict.fromkeys(run_columns.source(runs.table, metric) for metric in metrics)
    return ", ".join(_SOURCES[source] for source in sources if source)


def cell(row: Mapping[str, object], runs: Runs) -> str:
    """Return what distinguishes a cell: "beta_tcvae, β = 4, learning rate 0.001"."""
    strength = str(row["strength_name"])
    parts = [str(row["objective"])]
    if strength:
        parts.append(f"{symbol(strength)} = {value_text(row['strength'])}")
    for column in run_series.parameters(runs.table):
        value = value_text(row.get(column))
        if column != f"objective.{strength}" and value != "–":
            parts.append(f"{parameter(column)} {value}")
    return ", ".join(parts)
