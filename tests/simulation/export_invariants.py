"""What MLflow must hold after the last event: what the ledger holds, once, and nothing else."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sweeps.exports.mlflow_writer import MlflowWriter
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.tables import EXPORT

from .history import History
from .invariants import same
from .mlflow_server import Server

if TYPE_CHECKING:
    from .world import World

STATUS = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAILED": "FAILED"}
"""MLflow's status of a run by the state of its trial."""


def mlflow_has_what_the_ledger_has(world: World, histories: dict[str, History]) -> Iterator[str]:
    """Each (run, metric, step) is in MLflow once, with value and time of the ledger, no others."""
    for name, history in histories.items():
        runs: dict[int, Any] = {}
        for run in world.server.runs_of(name):
            trial = run.tags.get("sweep.trial")
            if trial is None:
                continue
            number = int(trial.rpartition("/")[2])
            if number in runs:
                yield f"{name}: trial {number} has two runs"
            runs[number] = run
        parents = [r for r in world.server.runs_of(name) if "sweep.parent" in r.tags]
        if len(parents) != 1:
            yield f"{name}: there are {len(parents)} parent runs"
        refused = world.server.forbidden_runs
        yield from _compare_runs(name, history, runs, refused)


def _compare_runs(
    name: str, history: History, runs: dict[int, Any], refused: set[str]
) -> Iterator[str]:
    for number, row in history.trials.items():
        run = runs.get(number)
        if run is None:
            yield f"{name}: trial {number} has no run"
            continue
        if run.run_id in refused:
            continue
        expected: set[tuple[str, float, int, int]] = set()
        for epoch, report in history.by_trial[number].items():
            numbers = _numbers(report)
            at = int(1000 * report["at"])
            expected |= {(k, v, at, epoch) for k, v in numbers.items() if math.isfinite(v)}
        points = [
            (key, value, at, step)
            for key, stored in run.points.items()
            for step, at, value, _ in stored
        ]
        logged = set(points)
        if len(points) != len({(key, step) for key, _, _, step in points}):
            yield f"{name}: trial {number} has a step of a metric twice"
        for missing in sorted(expected - logged)[:2]:
            yield f"{name}: MLflow lacks {missing} of trial {number}"
        for extra in sorted(logged - expected)[:2]:
            yield f"{name}: MLflow has {extra} of trial {number}, the ledger does not"
        end = history.ends.get(number)
        state = None if end is None else end["state"]
        if end is not None and (run.status, run.tags.get("state")) != (STATUS[state], state):
            yield f"{name}: trial {number} is {state}, its run {run.status} {run.tags['state']}"
        if run.tags.get("config_hash") != row["hash"]:
            yield f"{name}: the run of trial {number} is that of another hash"


def _numbers(report: dict[str, Any]) -> dict[str, float]:
    """Return the numbers of a report by the key that MLflow shows."""
    body = report["body"]
    return {
        **body["metrics"],
        **{f"train/{key}": value for key, value in body["train"].items()},
        **{f"final/{key}": value for key, value in (body["final"] or {}).items()},
        "seconds": report["seconds"],
    }


def a_lost_export_is_made_again_equal(world: World, histories: dict[str, History]) -> Iterator[str]:
    """A fresh MLflow that is filled from the ledger equals the one that was filled on the way."""
    server = Server()
    refused = world.server.forbidden_runs
    world.server, live = server, world.server
    ledger = Ledger.of_workspace(world.workspace)
    try:
        with ledger.transaction() as tx:
            tx.delete(EXPORT)
        for name in histories:
            writer = MlflowWriter(name, ledger, world.files, world.workspace, None, {"python": "3"})
            writer.step(last=True)
    finally:
        ledger.close()
        world.server = live
    shared = Counter(row["hash"] for h in histories.values() for row in h.trials.values())
    for name in histories:
        fresh = {run.run_name: _content(run) for run in server.runs_of(name)}
        for run in live.runs_of(name):
            ours = _content(run)
            theirs = fresh.pop(run.run_name, None)
            if run.run_id in refused:
                continue
            if theirs is None:
                yield f"{name}: run {run.run_name} is not made again"
                continue
            if shared[run.tags.get("config_hash", "")] > 1:
                ours["artifacts"] = theirs["artifacts"]  # another sweep may have added some since
            for key in ours:
                if not same(ours[key], theirs[key]):
                    yield f"{name}: {key} of run {run.run_name}: {ours[key]}, anew {theirs[key]}"
        yield from (f"{name}: run {run} is made again, and was not there" for run in fresh)


def _content(run: Any) -> dict[str, Any]:
    """Return what a run holds, without ids."""
    tags = {k: v for k, v in run.tags.items() if k not in ("mlflow.parentRunId", "why")}
    return {
        "tags": dict(sorted(tags.items())),
        "params": run.params,
        "points": {key: sorted(points) for key, points in sorted(run.points.items())},
        "artifacts": sorted(run.files),
        "status": run.status,
    }
