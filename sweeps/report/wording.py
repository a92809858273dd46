"""Words and numbers of figures and tables: one name, one unit, one rounding everywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from sweeps.results import run_columns, run_series
from sweeps.results.run_table import Runs

NAMES = {
    "reconstruction": "reconstruction",
    "kl": "KL",
    "kl_discrete": "KL of the discrete codes",
    "elbo": "ELBO",
    "mi": "mutual information",
    "tc": "total correlation",
    "dimwise_kl": "dimension-wise KL",
    "mig": "MIG",
    "active_units": "active units",
}
UNITS: dict[str, str] = dict.fromkeys(
    ("reconstruction", "kl", "kl_discrete", "elbo", "mi", "tc", "dimwise_kl"), "nats per image"
)
DEFINITIONS = {
    "reconstruction": "−E log p(x|z), one z per image",
    "kl": "KL(q(z|x) ‖ p(z)) in closed form, mean over images",
    "kl_discrete": "KL of the discrete codes' probabilities from uniform ones, mean over images",
    "elbo": "−(reconstruction + KL), of discrete codes too",
    "mi": "I(x; z) under q, from the full mixture over the images",
    "tc": "KL(q(z) ‖ Π q(z_j)), from the full mixture over the images",
    "dimwise_kl": "Σ KL(q(z_j) ‖ p(z_j)), from the full mixture over the images",
    "mig": "gap between the two most informative latents of a factor, over its entropy, mean over factors",
    "active_units": "number of latents that carry information on the image",
}

_GREEK = {
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
_STATES = {
    "COMPLETE": "complete",
    "PRUNED": "pruned",
    "FAILED": "failed",
    "RUNNING": "running",
    "WAITING": "waiting",
    "PARKED": "parked",
}


def name(metric: str) -> str:
    """Return a metric's name in words."""
    return NAMES.get(metric, metric.replace("_", " "))


def axis(metric: str) -> str:
    """Return a metric's axis label, with its unit if it has one."""
    unit = UNITS.get(metric)
    return f"{name(metric)} ({unit})" if unit else name(metric)


def symbol(strength: str) -> str:
    """Return a strength's letter: β for beta; the name itself where it is not a Greek letter."""
    return _GREEK.get(strength, strength.replace("_", " "))


def strength_axis(runs: Runs) -> str:
    """Return the label of the axis of strengths; of two or three, it says which objective has which."""
    letters = list(dict.fromkeys(map(symbol, run_series.strength_names(runs))))
    if len(letters) < 2:
        return letters[0] if letters else "no strength"
    if len(letters) > 3:
        return "strength"
    pairs = dict.fromkeys(zip(runs.table["strength_name"], runs.table["objective"], strict=True))
    if len({objective for _, objective in pairs}) == 1:
        return f"strength: {', '.join(letters)}"
    parts = (f"{symbol(str(strength))} of {objective}" for strength, objective in pairs if strength)
    return "strength: " + ", ".join(parts)


def parameter(column: str) -> str:
    """Return a config column in words: "train.learning_rate" is "learning rate"."""
    return column.partition(".")[2].replace("_", " ")


def plain(value: object) -> str:
    """Return a parameter's value: 4 rather than 4.0, four digits of one that was drawn, a dash for none.

    A text of several lines is told by its first.
    """
    if value is None or value == "[]" or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, str) and "\n" in value:
        return f"{value.partition(chr(10))[0]} …"
    if not isinstance(value, float):
        return str(value)
    return f"{value:g}" if float(f"{value:g}") == value else f"{value:.4g}"


def number(value: float, error: float = math.nan) -> str:
    """Return a number to the second digit of its error, or to three digits where there is none; a dash for NaN.

    Of a few seeds the error itself is uncertain, so however small it is, five digits of the number are enough.
    """
    if not math.isfinite(value):
        return "–" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    return f"{value:.{_decimals(value, error)}f}".replace("-", "−")


def with_error(value: float, error: float) -> str:
    """Return "0.312 ± 0.021", or the value alone where the error is not known."""
    if not math.isfinite(value) or not math.isfinite(error):
        return number(value)
    return f"{number(value, error)} ± {error:.{_decimals(value, error)}f}"


def _decimals(value: float, error: float) -> int:
    if value == round(value) and not error > 0:  # a count, or none
        return 0
    known = math.isfinite(error) and error > 0
    by_error = 1 - math.floor(math.log10(error)) if known else 6
    digits = 5 if known else (3 if abs(value) >= 0.01 else 2)
    by_value = digits - 1 - math.floor(math.log10(abs(value))) if value else 6
    return min(max(min(by_error, by_value), 0), 6)


def strengths(rows: pd.DataFrame) -> list[str]:
    """Return "β 4" for every row of cells or brackets."""
    letters = [symbol(str(name)) for name in rows["strength_name"]]
    return [
        f"{letter} {plain(float(value))}"
        for letter, value in zip(letters, rows["strength"], strict=True)
    ]


def span(counts: Sequence[int]) -> str:
    """Return "2", or "1–2" where they differ."""
    low, high = min(counts, default=0), max(counts, default=0)
    return str(low) if low == high else f"{low}–{high}"


def listed(names: Sequence[str]) -> str:
    """Return "a", "a and b" or "a, b and c"."""
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def states(table: pd.DataFrame) -> str:
    """Return "20 complete, 18 pruned, 2 failed", without the states that no trial is in."""
    found = run_columns.counts(table)
    return ", ".join(f"{n} {_STATES[state]}" for state, n in found.items() if n) or "none"


def left_out(table: pd.DataFrame) -> str:
    """Return which trials the means leave out, "" if none."""
    found = {
        state: n for state, n in run_columns.counts(table).items() if state != "COMPLETE" and n
    }
    lost = int((run_columns.collapsed(table) & (table["state"] == "PRUNED").to_numpy()).sum())
    of_these = {"PRUNED": f" ({lost} of them collapsed)" if lost else ""}
    words = ", ".join(
        f"{n} {_STATES[state]}{of_these.get(state, '')}" for state, n in found.items()
    )
    return f"not shown: {words}" if words else ""


def measured_on(runs: Runs, metrics: Sequence[str]) -> str:
    """Return on what the metrics' numbers were measured."""
    places = list(dict.fromkeys(run_columns.source(runs.table, metric) for metric in metrics))
    words = {"final": "whole data set", "epoch": "evaluation subset, last epoch"}
    return ", ".join(words[place] for place in places if place)


def cell(row: Mapping[str, object], runs: Runs) -> str:
    """Return what tells a cell from the others: "beta_tcvae, β = 4, learning rate 0.001"."""
    strength = str(row["strength_name"])
    parts = [str(row["objective"])]
    parts += [f"{symbol(strength)} = {plain(row['strength'])}"] if strength else []
    shown = [
        column for column in run_series.parameters(runs.table) if column != f"objective.{strength}"
    ]
    parts += [
        f"{parameter(column)} {plain(row.get(column))}"
        for column in shown
        if plain(row.get(column)) != "–"
    ]
    return ", ".join(parts)
