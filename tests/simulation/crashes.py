"""One small sweep that dies at a chosen operation and is run again: it must end the same."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from .files import FilesOnDisk
from .scenario import BASE, Scenario, Sweep
from .world import FOLDER, World

KINDS = frozenset({"commit", "rename", "fsync", "mlflow", "call"})
"""Operations at which the sweep dies: what lasts, and what leaves the process."""

SPEC: dict[str, Any] = {
    **BASE,
    "name": "crashing",
    "train": {"epochs": 4, "batch_size": 32, "learning_rate": {"grid": [1e-2, 3e-3, 1e-3]}},
    "objectives": [{"name": "beta_vae", "beta": 4}],
    "seeds": 2,
    "pruning": {"name": "asha", "metric": "reconstruction", "rungs": [0.5], "reduction": 2},
    "goal": [{"metric": "mig"}],
    "resources": {"retries": 1, "trial_timeout": 400},
    "checkpoint": {"every": 1, "min_seconds": 0},
}
"""Six trials. With one slot the order of arrival at the rung is always the same."""


class Ending(NamedTuple):
    """What a sweep leaves behind, without times."""

    broken: list[str]
    numbers: dict[tuple[int, int], Any]  # trial, epoch -> metrics, train, final
    ends: dict[int, tuple[str, str]]  # trial -> state, reason
    verdicts: dict[tuple[int, int], str]  # cell, rung -> verdict
    operations: int  # of the first driver run
    driver_runs: int


@contextmanager
def _world() -> Iterator[World]:
    scenario = Scenario(
        seed=1,
        sweeps=[Sweep("crashing", SPEC)],
        faults=set(),
        horizon=0.0,
        slots=1,
        epoch_seconds=20.0,
        outages=[],
        lost_answers={},
        rate=0.0,
    )
    world = World(scenario)
    world.gate.counted = KINDS
    with tempfile.TemporaryDirectory(prefix="crashes-", dir=FOLDER) as folder:
        world.files = FilesOnDisk(world.gate, Path(folder))
        with world.files.gated():
            yield world


def ending(operation: int = 0, *, after: bool = False) -> Ending:
    """Return how the sweep ends if its first driver dies before or after an operation; 0: never."""
    with _world() as world:
        world.first_dies_at, world.first_dies_after = operation, after
        outcome = world.run()
    history = world.histories["crashing"]
    keys = ("metrics", "train", "final")
    return Ending(
        broken=outcome.broken,
        numbers={
            (row["trial"], row["epoch"]): {key: row["body"][key] for key in keys}
            for row in history.reports
        },
        ends={trial: (row["state"], row["reason"]) for trial, row in history.ends.items()},
        verdicts={key: row["verdict"] for key, row in history.decisions.items()},
        operations=world.drivers[0].operations,
        driver_runs=len(world.drivers),
    )
