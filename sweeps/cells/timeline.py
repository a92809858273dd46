"""The course of a trial: how its steps fall into epochs, and from when on it may be judged.

While a schedule runs a trial is poor by design: C has not grown yet, a latent is not open yet. So no rung judges it and
nothing stops it before its objective's schedules have ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sweeps.spec.rungs import rung_epochs
from vae_core.config import TrainConfig
from vae_core.hyperparameters import registry
from vae_core.objectives import OBJECTIVES
from vae_core.objectives.abstract import AbstractObjective
from vae_core.types import Context


class Timeline(NamedTuple):
    """Where the epochs of a trial end, and its objective's schedules."""

    steps: int  # of the whole trial
    per_epoch: int  # of a whole epoch; the last one may be shorter
    settled: int  # the first step at which every schedule has ended; may lie after the end

    @property
    def epochs(self) -> int:
        """Return the number of epochs."""
        return -(-self.steps // self.per_epoch)

    def step(self, epoch: int) -> int:
        """Return the steps that are done at an epoch's end."""
        return min(epoch * self.per_epoch, self.steps)

    def is_settled(self, epoch: int) -> bool:
        """Return whether every schedule has ended by an epoch's end."""
        return self.step(epoch) >= self.settled


def of_trial(
    train: TrainConfig, objective: AbstractObjective, *, latents: int, per_epoch: int
) -> Timeline:
    """Return the course of a trial whose whole epochs have so many steps."""
    steps = train.steps if train.steps is not None else (train.epochs or 0) * per_epoch
    return Timeline(steps, per_epoch, objective.settled(steps, latents))


def of_config(config: Mapping[str, Any], per_epoch: int) -> Timeline:
    """Return the course of a trial from its stored config (`TrialConfig.to_dict`), without its data."""
    train = registry.construct("train", config["train"], TrainConfig)
    return of_trial(
        train, objective_of(config), latents=config["network"]["latents"], per_epoch=per_epoch
    )


def on_data(config: Mapping[str, Any], n_data: int) -> Timeline:
    """Return the course of a trial on so many images."""
    return of_config(
        config, registry.construct("train", config["train"], TrainConfig).steps_per_epoch(n_data)
    )


def objective_of(config: Mapping[str, Any]) -> AbstractObjective:
    """Return the objective of a stored config."""
    return registry.build("objective", config["objective"], OBJECTIVES)


def judged_rungs(fractions: Sequence[float], found: Timeline) -> dict[int, int]:
    """Return position in `fractions` -> epoch of the rungs that judge a trial: those at which it has settled."""
    placed = rung_epochs(fractions, found.epochs)
    return {position: epoch for position, epoch in placed.items() if found.is_settled(epoch)}


def stays_collapsed(found: Timeline, reported: Mapping[int, Mapping[str, float]]) -> bool:
    """Return whether the last two epochs had no active unit, all schedules over before the first of them.

    One such epoch is not enough: measured on the 32 px sub-grid, a beta-VAE (beta 4) had no active unit after its first
    180 steps and six after the next.
    """
    last = max(reported, default=0)
    two = [reported.get(epoch, {}).get("active_units") for epoch in (last - 1, last)]
    return two == [0, 0] and found.is_settled(last - 1)


def capacity_at(asking: AbstractObjective, found: Timeline, step: int) -> float | None:
    """Return the KL (nats) that an objective asked for in the last of `step` steps; None if it asks for none."""
    asked = asking.capacity(
        Context(max(step - 1, 0), found.steps, n_data=0)
    )  # no schedule looks at the data
    return None if asked is None else float(asked)
