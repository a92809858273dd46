"""The run table: a sweep of the ledger as data frames.

The report page, its figures, `sweeps runs` and `sweeps export` read these frames.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from sweeps.cells import timeline
from sweeps.cells.timeline import Timeline
from sweeps.ledger import tables
from sweeps.ledger.damage import naming_damage, naming_row
from sweeps.ledger.flatten import flatten
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.progress import TrialProgress
from sweeps.ledger.replay import parked_trials, read_trials
from sweeps.ledger.states import TrialState
from sweeps.results.report_table import read_reports
from sweeps.spec.objective_settings import LENGTHS
from sweeps.storage.workspace import TrialPaths
from vae_core.config import TrainConfig
from vae_core.hyperparameters import registry
from vae_core.objectives import OBJECTIVES
from vae_core.objectives.abstract import AbstractObjective


class Runs(NamedTuple):
    """A sweep as data frames.

    `table` has one row per trial, in the order of their numbers. Its columns:
        trial (str): the hash.
        number (int): from 0.
        cell (str), bracket (str): the number of the cell, the bracket as one text.
        entry (str), bracket_fields (str): the bracket as data; the fields are a JSON list of
            [field, value as text].
        objective (str): its name in the registry.
        strength_name (str), strength (float): name and value of the parameter of the trade-off. It
            is the declared strength of the objective (usually "beta"). If that is not laid out but
            another field of `tradeoff.by` is, it is that field. "" and NaN if there is none.
        seed (int).
        state (str): a `TrialState`.
        why (str): the end reason in a sentence, "" if there is none.
        end_reason (str): an `EndReason`, "" for a trial that has not ended.
        epoch (int), epochs (int): the last reported epoch, 0 if none; epochs of the complete trial.
        collapsed (bool): the trial has ended, and no latent was active at its last report.
        seconds (float): spent inside `step()`.
        reused_from (str): name of the sweep that had trained the trial, or "".
        artifacts (str): the folder of the trial's files.
        attempts (int).
        rungs (str): JSON list of the epochs at which its cell is judged.
        "objective.beta", "train.learning_rate", "network.latents", …: the flattened config.
        "reconstruction", "kl", "elbo", "mi", "tc", "dimwise_kl", "mig", "active_units",
            "kl_latents/0", …: the metrics of the last report.
        "final/<key>": numbers of the whole data set, NaN unless the trial is COMPLETE. Every scored
            metric (of the trial itself or of a rescore) has "final/mig_chance",
            "final/mig_ceiling" and "final/mig_error" beside "final/mig".
        "best/<key>", "best/epoch": the same with the weights of the best epoch, and that epoch;
            only if `evaluation.best` is given.
        "identity/<metric>": JSON of estimator, options and sizes. Two scores compare only if their
            identities are equal.
        "reason/<metric>": why a rescored value is NaN or a convention.
        "software/<name>": versions.
    `curves` has one row per trial and epoch. Its columns:
        trial, number, epoch, step, at (unix seconds), images, seconds.
        The metrics of the epoch, and "train/<term>" for the terms of the training loss.
        capacity: the capacity C in nats at the last step of the epoch, for objectives with one.
    `spec` is the spec as a mapping (`SweepSpec.to_dict`), `created` is in unix seconds.
    """

    name: str
    workspace: Path
    spec: dict[str, Any]
    created: float
    table: pd.DataFrame
    curves: pd.DataFrame


def load_runs(workspace: Path, name: str) -> Runs:
    """Return a sweep of a workspace's ledger as data frames.

    Raises:
        LookupError: the workspace does not have a ledger, or the ledger does not have this sweep.
        SweepError: the ledger cannot be opened or read, or rows are damaged.
    """
    with Ledger.opened(workspace) as ledger, naming_damage(ledger):
        return _read_runs(ledger, workspace, ledger.require_sweep(name))


def _read_runs(ledger: Ledger, workspace: Path, sweep: Mapping[str, Any]) -> Runs:
    """Return a sweep, given by its row of the ledger, as data frames."""
    name, spec = sweep["name"], sweep["spec"]
    attempts = ledger.of(tables.ATTEMPT, name)
    reports = read_reports(ledger, name)

    trials = read_trials(ledger, name, reports=reports.columns("active_units"))
    parked = parked_trials(ledger, name, trials)
    running = {attempt["trial"] for attempt in attempts if attempt["outcome"] is None}
    for trial in trials:
        if trial.number in running and not trial.ended:
            trial.state = TrialState.RUNNING
        elif trial.number in parked:
            trial.state = TrialState.PARKED

    configs = [trial.config for trial in trials]
    timelines = _timelines(trials, configs)
    cells = {cell["number"]: cell for cell in ledger.of(tables.CELL, name)}
    for cell in cells.values():
        with naming_row(tables.CELL, cell):  # else the report would be the first to meet it
            _require_pairs(cell["fields"])
    attempt_counts = Counter(attempt["trial"] for attempt in attempts)
    whole_set = _whole_set_columns(reports.final_bodies)
    _add_rescored(whole_set, ledger.of(tables.RESCORE, name))
    software = json.loads(sweep["software"])

    rows: list[dict[str, Any]] = []
    for trial in trials:
        config = configs[trial.number]
        by = spec["tradeoff"].get("by") or ()
        row = _identity(trial, config, cells[trial.cell], by, workspace)
        row["attempts"] = attempt_counts[trial.number]
        row["rungs"] = json.dumps(_rungs(spec["pruning"], timelines.get(trial.number)))
        row |= _config_columns(config)
        row |= reports.last_metrics.get(trial.number, {})
        if trial.state is TrialState.COMPLETE:
            row |= whole_set.get(trial.number, {})
        row |= _prefixed("software", software)
        rows.append(row)

    table = pd.DataFrame()
    if rows:
        table = pd.DataFrame(rows).sort_values("number", ignore_index=True)
    curves = _curves(reports.table, trials, configs, timelines)
    return Runs(name, workspace, spec, sweep["created"], table, curves)


def _require_pairs(fields: str) -> None:
    """Raise ValueError unless a text is a JSON list of pairs of texts, as the fields of a bracket.

    A JSON list of another kind is not what this package writes.
    """
    for pair in json.loads(fields):
        name, value = pair
        if not isinstance(name, str) or not isinstance(value, str):
            raise ValueError(f"fields must be pairs of texts, got {pair!r:.40}")


def _timelines(
    trials: Sequence[TrialProgress], configs: Sequence[Mapping[str, Any]]
) -> dict[int, Timeline]:
    """Return number of a trial -> its timeline, for the trials that have reported an epoch."""
    timelines: dict[int, Timeline] = {}
    for trial, config in zip(trials, configs, strict=True):
        if trial.first_steps:
            timelines[trial.number] = timeline.of_config(config, trial.first_steps)
    return timelines


def _curves(
    reports: pd.DataFrame,
    trials: Sequence[TrialProgress],
    configs: Sequence[Mapping[str, Any]],
    timelines: Mapping[int, Timeline],
) -> pd.DataFrame:
    """Return `Runs.curves`: the reports with the hash of the trial and the capacity."""
    if reports.empty:
        return reports
    hashes = pd.Series([trial.hash for trial in trials])
    curves = reports.copy(deep=False)
    curves.insert(0, "trial", hashes.take(reports["number"]).array)
    capacities = _capacities(reports, configs, timelines)
    if capacities is not None:
        curves["capacity"] = capacities
    return curves


def _capacities(
    reports: pd.DataFrame,
    configs: Sequence[Mapping[str, Any]],
    timelines: Mapping[int, Timeline],
) -> list[float] | None:
    """Return the capacity (nats) at the step of every report, None if no objective has one."""
    objectives: dict[int, AbstractObjective] = {}
    for number, config in enumerate(configs):
        if number in timelines and timeline.may_have_capacity(config):
            objectives[number] = timeline.objective_of(config)
    if not objectives:
        return None
    capacities: list[float] = []
    for number, step in zip(reports["number"].tolist(), reports["step"].tolist(), strict=True):
        capacity = None
        if number in objectives:
            capacity = timeline.capacity_at(objectives[number], timelines[number], step)
        capacities.append(math.nan if capacity is None else capacity)
    return None if all(math.isnan(capacity) for capacity in capacities) else capacities


def _whole_set_columns(
    final_bodies: Mapping[int, Mapping[str, Any]],
) -> dict[int, dict[str, Any]]:
    """Return number of a trial -> its columns "final/…", "best/…" and "identity/…"."""
    columns: dict[int, dict[str, Any]] = {}
    for number, body in final_bodies.items():
        columns[number] = {
            **_prefixed("final", body["final"]),
            **_prefixed("best", body.get("best") or {}),
            **_prefixed("identity", body.get("identity", {})),
        }
    return columns


def _add_rescored(
    columns: dict[int, dict[str, Any]], rescores: Sequence[Mapping[str, Any]]
) -> None:
    """Add the scores of stored codes to the columns of their trials.

    A column that training has filled keeps its value. New columns come before the others.
    """
    for rescore in rescores:
        number = rescore["trial"]
        scored = _rescored_columns(rescore["metric"], json.loads(rescore["body"]))
        columns[number] = scored | columns.get(number, {})


def _rescored_columns(metric: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of one score of stored codes."""
    columns = _prefixed("final", body["numbers"])
    columns[f"identity/{metric}"] = body["identity"]
    if body["reason"]:
        columns[f"reason/{metric}"] = body["reason"]
    return columns


def _prefixed(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with "prefix/" before each key."""
    return {f"{prefix}/{key}": value for key, value in values.items()}


def _config_columns(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flattened config without the seed; lists are JSON texts.

    A stored config does not have the fields of training that were added to the code later. They
    get their defaults.
    """
    train = _default_train() | config["train"]

    columns: dict[str, Any] = {}
    for key, value in flatten({**config, "train": train}).items():
        if key != "seed":
            columns[key] = json.dumps(value) if isinstance(value, list | dict) else value
    return columns


@functools.cache
def _default_train() -> dict[str, Any]:
    """Return the default of every field of training but its length."""
    fields = registry.fields_of(TrainConfig(epochs=1))
    return {name: value for name, value in fields.items() if name not in LENGTHS}


def strength(
    config: Mapping[str, Any], laid_out: Collection[str], by: Sequence[str]
) -> tuple[str, float]:
    """Return name and value of the parameter of a trial's trade-off; "" and NaN if it has none.

    It is the declared strength of the objective, unless that is not laid out and a numeric field of
    `by` is.

    Args:
        config: config of the trial, with `objective`, `network` and `train`.
        laid_out: paths ("objective.beta") that differ between the cells of its objective.
        by: `tradeoff.by` of the spec.
    """
    declared = OBJECTIVES[config["objective"]["name"]].strength
    if declared is None or f"objective.{declared}" not in laid_out:
        for field, section in itertools.product(by, ("objective", "train", "network")):
            if f"{section}.{field}" not in laid_out:
                continue
            value = config[section][field]
            if value is None:
                return field, math.nan
            if isinstance(value, int | float):
                return field, float(value)
    if declared is None:
        return "", math.nan
    return declared, float(config["objective"][declared])


def _identity(
    trial: TrialProgress,
    config: Mapping[str, Any],
    cell: Mapping[str, Any],
    by: Sequence[str],
    workspace: Path,
) -> dict[str, Any]:
    """Return the columns that say which trial a row is and how far the trial is."""
    strength_name, strength_value = strength(config, json.loads(cell["params"]), by)
    return {
        "trial": trial.hash,
        "number": trial.number,
        "cell": str(trial.cell),
        "bracket": cell["bracket"],
        "entry": cell["entry"],
        "bracket_fields": cell["fields"],
        "objective": config["objective"]["name"],
        "strength_name": strength_name,
        "strength": strength_value,
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


def _rungs(pruning: Mapping[str, Any] | None, trial_timeline: Timeline | None) -> list[int]:
    """Return the epochs of the rungs that judge a trial; [] before its first report."""
    if pruning is None or trial_timeline is None:
        return []
    return list(timeline.settled_rungs(pruning["rungs"], trial_timeline).values())
