"""One table of runs: the ledger folded into data frames; what plots, reports and exports read."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from sweeps.cells import timeline
from sweeps.cells.timeline import Timeline
from sweeps.ledger import tables
from sweeps.ledger.flatten import flatten
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.replay import TrialProgress, parked_trials, read_trials
from sweeps.ledger.states import TrialState
from sweeps.spec.objective_settings import LENGTHS
from sweeps.storage.workspace import TrialPaths
from vae_core.config import TrainConfig
from vae_core.hyperparameters import registry
from vae_core.objectives import OBJECTIVES
from vae_core.objectives.abstract import AbstractObjective


class Runs(NamedTuple):
    """A sweep as tables.

    `table`, one row per trial, in the order of asking:
        trial (hash, str), number (int, from 0), cell (str), bracket (str), objective (str), strength_name (str, the
        parameter of the trade-off: the objective's declared `strength`, usually "beta", or, where only another name of
        `tradeoff.by` was laid out, that one; "" if there is none), strength (float, its value or NaN), seed (int),
        state ("COMPLETE" | "PRUNED" | "FAILED" | "RUNNING" | "WAITING" | "PARKED"), why (str, "" if nothing to say),
        epoch (last reported, 0 if none), epochs (of the whole trial), attempts (int), seconds (float, inside step()),
        reused_from (str, sweep name or ""), artifacts (str, folder of the trial's files),
        collapsed (bool: it has ended, and no latent was active at its last report), rungs (JSON list: the epochs at
        which its cell is judged),
        the flattened config: "objective.beta", "train.learning_rate", "network.latents", …,
        the last reported metrics by their key ("reconstruction", "kl", "elbo", "mi", "tc", "dimwise_kl", "mig",
        "active_units", "kl_latents/0" …), and "final/<key>" (NaN unless COMPLETE), with "final/mig_chance",
        "final/mig_ceiling" and "final/mig_error" beside "final/mig" and the same for every scored metric, by the
        trial itself or by a rescore,
        "best/<key>", the same of the best epoch's weights, with "best/epoch" (NaN unless `evaluation.best` is given),
        "identity/<metric>" (JSON: estimator, options, sizes; equal or not comparable), "reason/<metric>" (why a
        rescored value is NaN or a convention), "software/<name>".
    `curves`, one row per (trial, epoch): trial, number, epoch, step, at (unix seconds), images, seconds, the metric
        keys, "train/<term>", and of objectives with a capacity `capacity`, the C of the epoch's last step.
    `spec`: the spec as a mapping (as `SweepSpec.to_dict`); `created`: unix seconds.
    """

    name: str
    workspace: Path
    spec: dict[str, Any]
    created: float
    table: pd.DataFrame
    curves: pd.DataFrame


def load_runs(workspace: Path, name: str) -> Runs:
    """Return the tables of a sweep.

    Raises:
        LookupError: the workspace has no ledger, or no sweep of this name.
    """
    ledger = Ledger.existing(workspace)
    try:
        row = ledger.require_sweep(name)
        return _fold(ledger, workspace, name, row)
    finally:
        ledger.close()


def _fold(ledger: Ledger, workspace: Path, name: str, row: Any) -> Runs:
    trials = read_trials(ledger, name)
    attempts = ledger.of(tables.ATTEMPT, name)
    cells = {cell["number"]: cell for cell in ledger.of(tables.CELL, name)}
    by = row["spec"]["tradeoff"].get("by") or ()
    running = {attempt["trial"] for attempt in attempts if attempt["outcome"] is None}
    waiting = parked_trials(ledger, name, trials)
    courses = {
        trial.number: timeline.of_config(trial.config, trial.first_steps)
        for trial in trials
        if trial.first_steps
    }
    objectives = {trial.number: timeline.objective_of(trial.config) for trial in trials}
    pruning = row["spec"]["pruning"]
    finals: dict[int, dict[str, Any]] = {}
    curves: list[dict[str, Any]] = []
    for report in ledger.of(tables.REPORT, name):
        body = json.loads(report["body"])
        number = report["trial"]
        curves.append(
            {
                "trial": trials[number].hash,
                "number": number,
                "epoch": report["epoch"],
                "step": body["step"],
                "at": report["at"],
                "images": body["images"],
                "seconds": report["seconds"],
                **body["metrics"],
                **{f"train/{key}": value for key, value in body["train"].items()},
                **_capacity(objectives[number], courses[number], body["step"]),
            }
        )
        if body.get("final"):
            finals[number] = {f"final/{key}": value for key, value in body["final"].items()}
            finals[number] |= {
                f"best/{key}": value for key, value in (body.get("best") or {}).items()
            }
            finals[number] |= {
                f"identity/{key}": value for key, value in body.get("identity", {}).items()
            }
    for later in ledger.of(tables.RESCORE, name):
        scored = _rescored(later["metric"], json.loads(later["body"]))
        finals[later["trial"]] = scored | finals.get(later["trial"], {})
    rows: list[dict[str, Any]] = []
    for trial in trials:
        if trial.number in running and not trial.ended:
            trial.state = TrialState.RUNNING
        elif trial.number in waiting:
            trial.state = TrialState.PARKED
        rows.append(
            {
                **_identity(trial, cells[trial.cell], by, workspace),
                "attempts": sum(attempt["trial"] == trial.number for attempt in attempts),
                "rungs": json.dumps(_rungs(pruning, courses.get(trial.number))),
                **{
                    key: _scalar(value)
                    for key, value in flatten(_whole(trial.config)).items()
                    if key != "seed"
                },
                **trial.reported.get(trial.epoch, {}),
                **(finals.get(trial.number, {}) if trial.state is TrialState.COMPLETE else {}),
                **{f"software/{key}": value for key, value in json.loads(row["software"]).items()},
            }
        )
    table = pd.DataFrame(rows).sort_values("number", ignore_index=True) if rows else pd.DataFrame()
    return Runs(name, workspace, row["spec"], row["created"], table, pd.DataFrame(curves))


def _whole(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored config with the fields of training that came after it, at their defaults."""
    added = {
        key: value
        for key, value in registry.plain(TrainConfig(epochs=1)).items()
        if key not in LENGTHS
    }
    return {**config, "train": {**added, **config["train"]}}


def _rescored(metric: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of a score of stored codes; a column that training has filled stays as it is."""
    columns: dict[str, Any] = {f"final/{key}": value for key, value in body["numbers"].items()}
    columns[f"identity/{metric}"] = body["identity"]
    return columns | ({f"reason/{metric}": body["reason"]} if body["reason"] else {})


def strength(
    config: Mapping[str, Any], laid_out: Collection[str], by: Sequence[str]
) -> tuple[str, float]:
    """Return name and value of a trial's parameter of the trade-off; "" and NaN if it has none.

    Args:
        config: of the trial, with `objective`, `network` and `train`.
        laid_out: paths ("objective.beta") of what differs between the cells of its objective.
        by: `tradeoff.by` of the spec.
    """
    declared = OBJECTIVES[config["objective"]["name"]].strength
    if declared is None or f"objective.{declared}" not in laid_out:
        for field, part in itertools.product(by, ("objective", "train", "network")):
            value = config[part][field] if f"{part}.{field}" in laid_out else ""
            if value is None or isinstance(value, int | float):
                return field, math.nan if value is None else float(value)
    return ("", math.nan) if declared is None else (declared, float(config["objective"][declared]))


def _identity(
    trial: TrialProgress, cell: Mapping[str, Any], by: Sequence[str], workspace: Path
) -> dict[str, Any]:
    name, value = strength(trial.config, json.loads(cell["params"]), by)
    return {
        "trial": trial.hash,
        "number": trial.number,
        "cell": str(trial.cell),
        "bracket": cell["bracket"],
        "entry": cell["entry"],
        "bracket_fields": cell["fields"],
        "objective": trial.config["objective"]["name"],
        "strength_name": name,
        "strength": value,
        "seed": trial.seed,
        "state": trial.state.value,
        "why": trial.why,
        "end_reason": "" if trial.end_reason is None else trial.end_reason.value,
        "epoch": trial.epoch,
        "epochs": trial.epochs,
        "collapsed": trial.ended and trial.collapsed,
        "seconds": trial.seconds,
        "reused_from": trial.reused_from,
        "artifacts": str(workspace / TrialPaths(trial.hash).artifacts),
    }


def _rungs(pruning: Mapping[str, Any] | None, own: Timeline | None) -> list[int]:
    return (
        []
        if pruning is None or own is None
        else list(timeline.judged_rungs(pruning["rungs"], own).values())
    )


def _capacity(objective: AbstractObjective, own: Timeline, step: int) -> dict[str, float]:
    asked = timeline.capacity_at(objective, own, step)
    return {} if asked is None else {"capacity": asked}


def _scalar(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value
