"""The lowest reconstruction, and the highest ELBO, that the images of a sweep allow."""

from __future__ import annotations

import numpy as np

from sweeps.report import wording
from sweeps.results import run_columns
from sweeps.results.run_columns import Source
from sweeps.results.run_table import Runs
from vae_core.epoch_metrics import FLOOR

_SIGNS = {"reconstruction": 1.0, "elbo": -1.0}
_WORDS = {"reconstruction": "floor", "elbo": "at most"}


def axis(runs: Runs, metric: str, source: Source | None = None) -> str:
    """Return the axis label of a metric, with its unit, and with its floor if it has one.

    Args:
        runs: the sweep.
        metric: of the axis.
        source: the images that it was measured on; None: those of the means over seeds.
    """
    label, limit = wording.axis(metric), limit_text(runs, metric, source)
    return f"{label.removesuffix(')')}; {limit})" if limit else label


def limit_text(runs: Runs, metric: str, source: Source | None = None) -> str:
    """Return "floor 9.17" for a reconstruction, "at most −9.17" for an ELBO; "" without a limit.

    Two limits are given if the trials differ: by likelihood, or by the distribution of the factors.
    """
    if metric not in _SIGNS:
        return ""
    if source is None:
        source = run_columns.source(runs.table, metric)
    name = f"final/{FLOOR}" if source == "final" else FLOOR
    known = run_columns.float_column(runs.table, name)
    known = _SIGNS[metric] * known[~np.isnan(known)]
    if not len(known):
        return ""
    low, high = (wording.number(float(value)) for value in (known.min(), known.max()))
    return f"{_WORDS[metric]} {low}" if low == high else f"{_WORDS[metric]} {low} to {high}"


def sentence(runs: Runs) -> str:
    """Return both limits in a sentence without its end; "" if there is none."""
    limits = [
        f"{wording.name(metric)}: {limit_text(runs, metric)}"
        for metric in _SIGNS
        if limit_text(runs, metric)
    ]
    if not limits:
        return ""
    return f"no model of these images can pass these limits, in nats per image: {'; '.join(limits)}"
