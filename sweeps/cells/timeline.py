"""The timeline of a trial: how its steps form epochs, and the step at which it is settled.

While a schedule runs, a trial is poor by design: C has not grown yet, or a latent is not open yet.
So no rung compares the trial, and `stop_collapsed` does not stop it, before all schedules of its
objective have ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sweeps.spec.rungs import rung_epochs
from vae_core.config import TrainConfig
from vae_core.hyperparameters import registry
from vae_core.objectives import OBJECTIVES
from vae_core.objectives.abstract import AbstractObjective
from vae_core.trial_length import TrialLength
from vae_core.types import Context


class Timeline(NamedTuple):
    """The length of a trial in steps and epochs, and the step at which the trial is settled."""

    length: TrialLength
    settled: int  # the first step at which every schedule has ended; may lie after the end

    @property
    def steps(self) -> int:
        """The steps of the complete trial."""
        return self.length.steps

    @property
    def epochs(self) -> int:
        """The number of epochs; the last one may be shorter."""
        return self.length.epochs

    def is_settled(self, epoch: int) -> bool:
        """Return whether every schedule has ended by the end of an epoch."""
        return self.length.steps_after(epoch) >= self.settled


def of_trial(
    train: TrainConfig, objective: AbstractObjective, *, latents: int, steps_per_epoch: int
) -> Timeline:
    """Return the timeline of a trial.

    Args:
        train: gives the length in steps or epochs.
        objective: gives the schedules.
        latents: number of latents; some objectives open them one by one.
        steps_per_epoch: steps of a complete epoch.
    """
    length = train.length(steps_per_epoch)
    return Timeline(length, objective.settled(length.steps, latents))


def of_config(config: Mapping[str, Any], steps_per_epoch: int) -> Timeline:
    """Return the timeline of a trial from its stored config (`TrialConfig.to_dict`).

    The data set is not read: `steps_per_epoch` is the number of steps of a complete epoch.
    """
    train = registry.construct("train", config["train"], TrainConfig)
    return _of_train(train, config, steps_per_epoch)


def on_data(config: Mapping[str, Any], n_data: int) -> Timeline:
    """Return the timeline of a trial from its stored config, on a data set of n_data images."""
    train = registry.construct("train", config["train"], TrainConfig)
    return _of_train(train, config, train.steps_per_epoch(n_data))


def _of_train(train: TrainConfig, config: Mapping[str, Any], steps_per_epoch: int) -> Timeline:
    latents = config["network"]["latents"]
    return of_trial(train, objective_of(config), latents=latents, steps_per_epoch=steps_per_epoch)


def objective_of(config: Mapping[str, Any]) -> AbstractObjective:
    """Return the objective of a stored config."""
    return registry.build("objective", config["objective"], OBJECTIVES)


def settled_rungs(fractions: Sequence[float], timeline: Timeline) -> dict[int, int]:
    """Return index in `fractions` -> epoch, of the rungs at which a trial has settled.

    The other rungs are skipped: a schedule still runs there.
    """
    epochs = rung_epochs(fractions, timeline.epochs)
    return {index: epoch for index, epoch in epochs.items() if timeline.is_settled(epoch)}


def stays_collapsed(timeline: Timeline, reported: Mapping[int, Mapping[str, float]]) -> bool:
    """Return whether the last two epochs had no active unit, all schedules over before the first.

    One such epoch is not enough: measured on the 32 px sub-grid, a beta-VAE (beta 4) had no active
    unit after its first 180 steps, and six after the next 180.

    Args:
        timeline: of the trial.
        reported: epoch -> metrics of its report.
    """
    last = max(reported, default=0)
    active_units = [reported.get(epoch, {}).get("active_units") for epoch in (last - 1, last)]
    return active_units == [0, 0] and timeline.is_settled(last - 1)


def may_have_capacity(config: Mapping[str, Any]) -> bool:
    """Return whether the objective of a stored config is of a class that defines a capacity."""
    return OBJECTIVES[config["objective"]["name"]].capacity is not AbstractObjective.capacity


def capacity_at(objective: AbstractObjective, timeline: Timeline, step: int) -> float | None:
    """Return the KL (nats) that an objective asks for in the last of `step` steps; None if none."""
    context = Context(max(step - 1, 0), timeline.steps, n_data=0)  # no schedule uses n_data
    capacity = objective.capacity(context)
    return None if capacity is None else float(capacity)
