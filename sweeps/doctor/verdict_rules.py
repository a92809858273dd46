"""Rules on the verdicts: a plain replay of ASHA gives the same ones."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from sweeps.cells import timeline
from sweeps.doctor.evidence import Evidence
from sweeps.doctor.finding import Finding
from sweeps.doctor.ledger_evidence import TrialRecord
from sweeps.ledger.states import TrialState
from sweeps.search import halving


def other_verdicts(evidence: Evidence) -> Iterator[Finding]:
    """Yield the verdicts that ASHA does not give on the values that had been judged before."""
    pruning = evidence.ledger.spec.get("pruning")
    if not pruning:
        return
    brackets = {
        cell["number"]: (cell["entry"], json.dumps(cell["fields"]))
        for cell in evidence.ledger.cells
    }
    before: dict[tuple[Any, int], list[float]] = {}
    for row in sorted(evidence.ledger.decisions, key=lambda row: row["at"]):
        value = math.nan if row["value"] is None else row["value"]
        others = before.setdefault((brackets[row["cell"]], row["rung"]), [])
        verdict, why = halving.judge(
            value, others, reduction=pruning["reduction"], mode=pruning["mode"]
        )
        others.append(value)
        if verdict.value != row["verdict"]:
            text = f"cell {row['cell']} at rung {row['rung'] + 1}: the ledger has"
            yield Finding(f"{text} {row['verdict']!r}, a replay gives {verdict.value!r} ({why})")


def other_values(evidence: Evidence) -> Iterator[Finding]:
    """Yield verdicts whose value is not the mean of the reports at their rung.

    A seed that has failed may have done so before the rung was judged or after it: both means are
    right.
    """
    pruning = evidence.ledger.spec.get("pruning")
    if not pruning:
        return
    by_cell: dict[int, list[TrialRecord]] = {}
    for trial in evidence.ledger.trials.values():
        by_cell.setdefault(trial.row["cell"], []).append(trial)
    for row in evidence.ledger.decisions:
        trials = by_cell.get(row["cell"], [])
        epoch = _rung_epoch(trials, pruning["rungs"], row["rung"])
        if epoch is None:
            continue
        means = _means(trials, epoch, pruning["metric"])
        value = math.nan if row["value"] is None else row["value"]
        if means and not any(_is_close(value, mean) for mean in means):
            text = f"cell {row['cell']} at rung {row['rung'] + 1} (epoch {epoch}): the verdict is"
            yield Finding(
                f"{text} on {pruning['metric']} {value:.6g}, its reports have {means[0]:.6g}"
            )


def _rung_epoch(trials: list[TrialRecord], rungs: list[float], rung: int) -> int | None:
    """Return the epoch of a rung of a cell, None if it cannot be computed."""
    for trial in trials:
        first = trial.body(1)
        if first is None or trial.config is None:
            continue
        try:
            cell_timeline = timeline.of_config(trial.config, first["step"])
        except (ValueError, TypeError, KeyError):
            continue  # the config cannot be read, which another rule says
        return timeline.settled_rungs(rungs, cell_timeline).get(rung)
    return None


def _means(trials: list[TrialRecord], epoch: int, metric: str) -> list[float]:
    """Return the means that a verdict may have used, [] if a report of them is missing."""
    values: dict[str, list[float]] = {"all": [], "not failed": []}
    for trial in trials:
        body = trial.body(_seen_at(trial, epoch))
        failed = trial.state == TrialState.FAILED
        if body is None:
            if failed:
                continue
            return []
        value = float(body["metrics"].get(metric, math.nan))
        values["all"].append(value)
        if not failed:
            values["not failed"].append(value)
    return [sum(group) / len(group) for group in values.values() if group]


def _seen_at(trial: TrialRecord, epoch: int) -> int:
    """Return the epoch whose report counts at a rung: a collapsed trial keeps its last one."""
    collapsed = trial.end is not None and trial.end["reason"] == "collapsed"
    return min(epoch, trial.last) if collapsed else epoch


def _is_close(left: float, right: float) -> bool:
    """Return whether two means are equal but for the order of their sums."""
    if math.isnan(left) or math.isnan(right):
        return not math.isfinite(left) and not math.isfinite(right)
    return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-12)
