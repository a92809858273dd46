"""What the scores of a sweep are compared with: the chance of the best trials, and too few rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import metrics
from metrics import Codes, Factors, Score
from metrics.information.few_rows import LARGE, SMALL
from sweeps.report import wording
from sweeps.report.definitions import scored_metrics
from sweeps.report.figures import traversals
from sweeps.report.table_parts import (
    Table,
    TableCell,
    TableHead,
    TableRow,
    number_cell,
    number_head,
)
from sweeps.results import run_columns
from sweeps.results.run_table import Runs
from vae_core.data.own_files.array_files import open_npz

MOST_ROWS = 50_000
"""Images up to which a report scores permuted codes; more take too long for a page."""

_KEYS = ("mean", "logvar", "discrete", "factors", "factor_names", "factor_sizes", "weights")
"""The arrays of a trial's file of codes that are compared."""

_UNREADABLE = (OSError, ValueError, TypeError, LookupError)
"""What the reader raises for a damaged file, and `Codes` and `Factors` for arrays of other kinds.

So does a metric of codes and factors that do not fit together.
"""


class _OfTrial(NamedTuple):
    """A best trial and the score of its stored codes."""

    trial: Mapping[str, Any]
    metric: str
    score: Score


def few_rows(runs: Runs) -> list[str]:
    """Return, for each score that few rows may change much, how much and in how many trials."""
    complete = run_columns.complete(runs.table)
    sentences: list[str] = []
    for metric in scored_metrics(runs):
        values = run_columns.float_column(complete, f"final/{metric}")
        effects = run_columns.float_column(complete, f"final/{metric}_few_rows")
        is_large = (effects > LARGE * np.abs(values)) & (effects > SMALL)
        if is_large.any():
            sentences.append(
                f"Posteriors are sharp for so few images: {wording.name(metric)} may be wrong by "
                f"up to {wording.number(float(effects[is_large].max()))} in "
                f"{int(is_large.sum())} of {len(values)} trials, because a latent that tells "
                "single images apart seems to know every factor. The ± contains it."
            )
    return sentences


def own_chance(runs: Runs) -> Table | None:
    """Return the scores of the best trials beside those of their codes with permuted rows.

    Under the hypothesis that codes and factors are independent, score and permuted scores have the
    same distribution. The table has the best trial of each objective and the fast scores of the
    whole data set. Its caption names files of codes that cannot be read. None if no best trial has
    stored codes of at most `MOST_ROWS` images.
    """
    every_score, unreadable = _scored(runs)
    scored = [one for one in every_score if not math.isnan(one.score.value)]
    if not scored and not unreadable:
        return None
    heads = [TableHead("best trial"), number_head("seed"), TableHead("score")]
    heads += [number_head(title) for title in ("value", "own chance", "p")]
    rows: list[TableRow] = []
    for trial, metric, score in scored:
        chance = score.chance if score.chance is not None else math.nan
        sd = score.chance_sd if score.chance_sd is not None else math.nan
        rows.append(
            TableRow(
                [
                    TableCell(wording.cell(trial, runs)),
                    number_cell(str(trial["seed"])),
                    TableCell(wording.name(metric)),
                    number_cell(wording.with_error(score.value, score.error or 0.0)),
                    number_cell(wording.with_error(chance, sd)),
                    number_cell(f"{score.details['p_value']:.2g}"),
                ]
            )
        )
    caption = (
        "The best trial of each objective, by the first goal: chosen, not typical. Own chance: the "
        f"same codes against {metrics.PERMUTATIONS} permutations of the rows of the factors, mean "
        "± standard deviation of one; p: the share of these scores, and of the score itself, that "
        f"are at least as good (at best 1/{metrics.PERMUTATIONS + 1}). The chance of the other "
        "tables is that of Gaussian noise, the same for all trials."
    )
    if unreadable:
        caption += f" Left out, because their codes cannot be read: {'; '.join(unreadable)}."
    return Table(heads, rows, caption)


def _scored(runs: Runs) -> tuple[list[_OfTrial], list[str]]:
    """Return the fast scores of the best trial of each objective, with their own chance.

    Returns:
        The scores, and the trials with a file of codes that cannot be read.
    """
    names = [metric for metric in scored_metrics(runs) if _is_fast(metric)]
    scored: list[_OfTrial] = []
    unreadable: list[str] = []
    for picture in traversals.best_pictures(runs, file="codes.npz").values():
        try:
            stored = _codes(picture.path)
        except _UNREADABLE as error:
            unreadable.append(f"{wording.cell(picture.trial, runs)} ({error})")
            continue
        if stored is None or len(stored[0]) > MOST_ROWS:
            continue
        codes, factors = stored
        for name in names:
            # A rescore may have a score for some objectives only: those with discrete codes.
            if not _is_number(picture.trial.get(f"final/{name}")):
                continue
            try:
                score = metrics.score(name, codes, factors, chance="own")
            except _UNREADABLE as error:
                unreadable.append(f"{wording.cell(picture.trial, runs)} ({error})")
                break
            scored.append(_OfTrial(picture.trial, name, score))
    return scored, unreadable


def _is_number(value: object) -> bool:
    """Return whether a cell of the run table holds a number; NaN and None are none."""
    return isinstance(value, int | float) and not math.isnan(value)


def _is_fast(metric: str) -> bool:
    """Return whether a metric compares codes with factors in well under a second."""
    if metric not in metrics.names() or metric.endswith(".monte_carlo"):
        return False
    row = metrics.find(metric)
    return row.tier == "epoch" and "factors" in row.needs


def _codes(path: Path) -> tuple[Codes, Factors] | None:
    """Return the codes and the factors of a trial's file; None without factors."""
    with open_npz(path) as stored:
        if "factors" not in stored:
            return None
        arrays: dict[str, Any] = {}
        for key, array in stored.items():
            if key in _KEYS:
                if not array.shape:
                    raise ValueError(f"{key} must have one row per image, got a single value")
                arrays[key] = array.read_rows(0, array.shape[0])
    discrete = arrays.get("discrete")
    codes = Codes(arrays["mean"], arrays.get("logvar"), discrete)
    factors = Factors(
        arrays["factors"],
        [str(name) for name in arrays["factor_names"]],
        [int(size) for size in arrays["factor_sizes"]],
        arrays.get("weights"),
    )
    return codes, factors
