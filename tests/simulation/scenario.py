"""What happens in a simulation, drawn from its seed: the sweeps, and the faults they meet."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from .faults import Outage

BASE: dict[str, Any] = {
    "data": {
        "name": "dsprites",
        "resolution": 16,
        "stride": {"scale": 3, "orientation": 10, "pos_x": 8, "pos_y": 8},
    },
    "network": {"name": "mlp", "hidden": [8], "latents": 3},
    "evaluation": {"images": 64, "samples": 4, "final": ["mig"]},
}

FAULTS = (
    "driver dies at an operation",
    "driver dies at a time",
    "driver gets SIGTERM",
    "trial dies",
    "trial hangs",
    "trial raises",
    "report repeated",
    "report late",
    "node dies",
    "store dies",
    "MLflow away",
    "MLflow answer lost",
    "MLflow refuses a run",
    "files away",
    "files full",
    "checkpoint damaged",
    "two sweeps",
    "spec changes",
    "clock jumps",
    "ledger away",
    "ledger answer lost",
    "second driver",
    "driver freezes",
    "driver cut off",
    "checkpoint late",
    "budget",
)
"""Each simulation has some of these faults: a fault that always happens would hide others."""


@dataclass
class Sweep:
    """One sweep of a simulation."""

    name: str
    spec: dict[str, Any]
    begins: float = 0.0
    driver_runs: int = 0  # begun so far
    changes: list[dict[str, Any]] = field(default_factory=list)  # of sections, one per driver run

    def spec_of(self, driver_run: int) -> dict[str, Any]:
        """Return the spec that the user gives at a driver run, from 0."""
        spec = dict(self.spec)
        for change in self.changes[:driver_run]:
            for section, values in change.items():
                merged = {**(spec.get(section) or {}), **values}
                spec[section] = merged
        return spec


@dataclass
class Scenario:
    """The sweeps and faults of one seed."""

    seed: int
    sweeps: list[Sweep]
    faults: set[str]
    horizon: float  # seconds; no fault begins after it
    slots: int
    epoch_seconds: float
    outages: list[Outage]
    lost_answers: dict[str, float]
    rate: float  # of the faults of trials, per epoch


def draw(seed: int) -> Scenario:
    """Return the scenario of a seed."""
    rng = random.Random(f"scenario {seed}")
    faults = {fault for fault in FAULTS if rng.random() < 0.35}
    if seed % 10 == 0:
        faults = set()  # the sweep alone must work, too
    epochs = rng.choice([3, 4, 4, 5, 6])
    first = Sweep("alpha", _spec(rng, "alpha", epochs))
    sweeps = [first]
    if "two sweeps" in faults:
        sweeps.append(_second(rng, first))
    epoch_seconds = rng.choice([15.0, 40.0, 90.0])
    horizon = epoch_seconds * epochs * rng.uniform(2, 8)
    for sweep in sweeps:
        sweep.spec["store"] = {"patience": rng.choice([30, 200, 600])}
        if "budget" in faults:
            sweep.spec["budget"] = {"hours": rng.uniform(0.2, 1) * horizon / 3600}
        sweep.begins = 0.0 if sweep is first else rng.uniform(0, horizon)
        if "spec changes" in faults:
            sweep.changes = [_change(rng, sweep.spec) for _ in range(3)]
    outages: list[Outage] = []
    modes = {"MLflow away": ("mlflow", "away"), "files away": ("files", "away")}
    modes["files full"] = ("files", "full")
    for fault, (target, mode) in modes.items():
        if fault in faults:
            for _ in range(rng.randint(1, 3)):
                outages.append(_outage(rng, horizon, target, mode))
    if "ledger away" in faults:
        for _ in range(rng.randint(1, 3)):
            mode = rng.choice(["away", "locked", "full", "slow"])
            outages.append(_outage(rng, horizon, "ledger", mode))
    lost: dict[str, float] = {}
    if "ledger answer lost" in faults:
        lost["ledger"] = rng.choice([0.005, 0.02])
    if "MLflow answer lost" in faults:
        lost["mlflow"] = rng.choice([0.02, 0.1])
    return Scenario(
        seed=seed,
        sweeps=sweeps,
        faults=faults,
        horizon=horizon,
        slots=rng.randint(1, 4),
        epoch_seconds=epoch_seconds,
        outages=outages,
        lost_answers=lost,
        rate=rng.choice([0.05, 0.15, 0.3]),
    )


def _outage(rng: random.Random, horizon: float, target: Any, mode: Any) -> Outage:
    """Return an outage before the horizon."""
    start = rng.uniform(0, horizon)
    length = min(rng.choice([5.0, 60.0, 600.0]), horizon - start)
    return Outage(target, mode, start, start + length)


def _spec(rng: random.Random, name: str, epochs: int) -> dict[str, Any]:
    """Return a small spec: 2 to 12 trials."""
    sampler = rng.choices(["grid", "random", "qmc", "tpe"], [5, 3, 2, 1])[0]
    betas = rng.choice([[1], [1], [1, 4]])
    train: dict[str, Any] = {"epochs": epochs, "batch_size": 32}
    search: dict[str, Any] = {"name": sampler}
    if sampler == "grid":
        train["learning_rate"] = {"grid": [1e-2, 1e-3, 3e-3][: rng.choice([1, 2, 2, 3])]}
    else:
        choice = {"choice": [1e-2, 3e-3, 1e-3]}
        interval = {"loguniform": [1e-4, 1e-2]}
        train["learning_rate"] = rng.choice([choice, interval, interval])
        search |= {"trials": rng.randint(2, 3), "seed": rng.randint(0, 9)}
    pruning: Any = "none"
    if rng.random() < 0.7:
        pruning = {
            "name": "asha",
            "metric": rng.choice(["mig", "mig", "reconstruction"]),
            "rungs": rng.choice([[0.5], [0.3, 0.6] if epochs >= 4 else [0.4], [0.3]]),
            "reduction": rng.choice([2, 3]),
            "stop_collapsed": rng.random() < 0.5,
        }
    return {
        **BASE,
        "name": name,
        "train": train,
        "objectives": [{"name": "beta_vae", "beta": {"grid": betas}}],
        "seeds": rng.choice([1, 1, 1, 2, 2, 3]),
        "search": search,
        "pruning": pruning,
        "goal": [{"metric": "mig"}],
        "resources": {"retries": rng.randint(1, 4), "trial_timeout": 400},
        "checkpoint": {"every": rng.choice([1, 1, 2, 3]), "min_seconds": rng.choice([0, 0, 60])},
    }


def _second(rng: random.Random, first: Sweep) -> Sweep:
    """Return another sweep that has trials in common with the first."""
    spec = {**first.spec, "name": "beta"}
    if rng.random() < 0.5:
        spec["pruning"] = "none"
    if rng.random() < 0.3:
        spec["objectives"] = [{"name": "beta_vae", "beta": {"grid": [4, 8]}}]
    return Sweep("beta", spec)


def _change(rng: random.Random, spec: dict[str, Any]) -> dict[str, Any]:
    """Return a change of a spec with which a sweep may resume."""
    change: dict[str, Any] = {}
    if rng.random() < 0.5:
        change["resources"] = {"retries": rng.randint(1, 5)}
    if rng.random() < 0.3:
        change["checkpoint"] = {"every": rng.randint(1, 3)}
    if spec["search"].get("trials") and rng.random() < 0.4:
        change["search"] = {"trials": 4}
    return change
