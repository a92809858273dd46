"""One table of runs: the ledger folded into data frames; what plots, reports and exports read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd


class Runs(NamedTuple):
    """A sweep as tables.

    `table`, one row per trial, in the order of asking:
        trial (hash, str), number (int, from 0), cell (str), bracket (str), objective (str), strength (float, NaN if the
        objective has none: the value of its `strength` knob, usually beta), seed (int),
        state ("COMPLETE" | "PRUNED" | "FAILED" | "RUNNING" | "WAITING" | "PARKED"), why (str, "" if nothing to say),
        epoch (last reported, 0 if none), epochs (of the whole trial), attempts (int), seconds (float, inside step()),
        reused_from (str, sweep name or ""), artifacts (str, folder of the trial's files),
        the flattened config: "objective.beta", "train.learning_rate", "network.latents", …,
        the last reported metrics by their key ("reconstruction", "kl", "elbo", "mi", "tc", "dimwise_kl", "mig",
        "active_units", "kl_latents/0" …), and "final/<key>" (NaN unless COMPLETE), with "final/mig_chance",
        "final/mig_ceiling" and "final/mig_error" beside "final/mig" and the same for every scored metric.
    `curves`, one row per (trial, epoch): trial, number, epoch, step, at (unix seconds), images, seconds, the metric keys,
        "train/<term>".
    `spec`: the spec as a mapping (as `SweepSpec.to_dict`); `created`: unix seconds.
    """

    name: str
    workspace: Path
    spec: dict[str, Any]
    created: float
    table: pd.DataFrame
    curves: pd.DataFrame
