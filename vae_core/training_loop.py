"""The training loop: it takes a config and data and yields one report per epoch."""

# torch's own hints are partial (`split`, `from_numpy`, `tolist`, `backward`).
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vae_core import random_draws
from vae_core.config import TrialConfig
from vae_core.epoch_batches import epoch_batches
from vae_core.errors import Diverged
from vae_core.evaluation.epoch_scores import evaluate, evaluation_subset
from vae_core.evaluation.final_scores import check_final, final_evaluation, pictured, reconstructed
from vae_core.evaluation.forward_pass import Model
from vae_core.evaluation.image_weights import weighted
from vae_core.feed import Feed
from vae_core.flush_denormals import flushed
from vae_core.likelihood import likelihood
from vae_core.networks import Networks, build_networks, load_weights, require_weights
from vae_core.objectives import AbstractAlternating, AbstractStaged
from vae_core.optimisers import AUTOENCODER, load_optimisers, player_optimiser
from vae_core.trial_length import TrialLength
from vae_core.types import (
    Batch,
    Best,
    Context,
    Data,
    EpochReport,
    Final,
    Noise,
    Snapshot,
    TrainState,
)

CHECKED = 64
"""Steps between two checks for divergence; each check waits for the device."""

SNAPSHOTS = 8
"""Largest number of epochs with a snapshot, for objectives with a capacity."""


@dataclass
class _Trial:
    """A trial in progress; training changes networks, optimisers, memory and best in place."""

    config: TrialConfig
    data: Data
    length: TrialLength
    feed: Feed
    nets: Networks
    optimisers: dict[str, torch.optim.Optimizer]
    distribution: NDArray[np.float64] | None
    """p (N,) of the images; None: each image at most once per epoch."""
    subset: NDArray[np.int64]
    memory: Tensor
    best: Best | None = None

    def context(self, step: int) -> Context:
        """Return the context of the step after `step` completed ones."""
        return Context(step, self.length.steps, len(self.data), self.memory)

    def model(self, step: int) -> Model:
        """Return the model to evaluate after `step` steps.

        Schedules are evaluated at the last completed step.
        """
        ctx = self.context(max(step - 1, 0))
        return Model(self.nets, self.config.objective, self.feed, ctx)

    def state(self, epoch: int, step: int) -> TrainState:
        """Return the state at the end of an epoch; it shares its tensors with the trial."""
        optimisers = {player: each.state_dict() for player, each in self.optimisers.items()}
        return TrainState(
            epoch=epoch,
            step=step,
            weights=self.nets.state_dict(),
            optimisers=optimisers,
            memory=self.memory,
            best=self.best,
        )


def train(
    config: TrialConfig,
    data: Data,
    *,
    resume: TrainState | None = None,
    device: torch.device | str = "cpu",
) -> Iterator[EpochReport]:
    """Train one trial; yield a report after each epoch.

    With `resume`, the state of an earlier report, training resumes after that epoch. On the CPU it
    then yields bitwise the reports of an uninterrupted trial, and no report if that epoch was the
    last.

    Raises:
        ValueError: the config does not fit the data (fingerprint, image size, batch size, factors),
            or `resume` is of another trial. All of this is checked at the call, before the first
            epoch.
        Diverged: while iterating, in the epoch where a loss, weight or score is not finite.
    """
    trial = _prepare(config, data, resume, torch.device(device))
    completed_epochs, completed_steps = 0, 0
    if resume is not None:
        completed_epochs, completed_steps = resume.epoch, resume.step
    return _epochs(trial, completed_epochs, completed_steps)


def seconds_of_epoch(
    config: TrialConfig, data: Data, *, device: torch.device | str = "cpu"
) -> float:
    """Return how long the steps of the first epoch take, without its evaluation.

    Raises:
        ValueError, Diverged: as `train`.
    """
    trial = _prepare(config, data, None, torch.device(device))
    started = time.perf_counter()
    _train_epoch(trial, 1, 0, trial.length.steps_per_epoch)
    return time.perf_counter() - started


def finish(
    config: TrialConfig, data: Data, state: TrainState, *, device: torch.device | str = "cpu"
) -> Final:
    """Return the final evaluation of a trained state, the same as in the last report of `train`.

    It is for a trial that was interrupted between its last checkpoint and its end.
    """
    trial = _prepare(config, data, state, torch.device(device))
    return _final(trial, state.step, moment=f"epoch {state.epoch}")


def _prepare(
    config: TrialConfig, data: Data, resume: TrainState | None, device: torch.device
) -> _Trial:
    """Check that config, data and state fit; build networks and optimisers."""
    if config.fingerprint and config.fingerprint != data.fingerprint:
        raise ValueError(
            f"the data must be those of the config (fingerprint {config.fingerprint[:12]}…), got "
            f"other ones ({data.fingerprint[:12]}…); load the data of the config, or give the "
            "config the fingerprint of these data"
        )
    length = config.train.length_on(len(data))
    wiring = config.objective.wiring
    distribution = config.train.distribution(data.factors)
    data = weighted(data, distribution)
    check_final(config.evaluation, data, wiring)
    feed = Feed(data, wiring, device)
    nets = build_networks(
        config.network,
        wiring,
        data.shape,
        likelihood=likelihood(config.train.likelihood, config.train.sigma),
        generator=random_draws.generator(config.seed, "weights"),
        widths=feed.widths,
        initialisation=config.train.initialisation,
    ).to(device)
    optimisers = {
        player: player_optimiser(config, player, parameters)
        for player, parameters in nets.players().items()
    }
    subset = evaluation_subset(data, config.evaluation.images, config.evaluation.seed)
    if distribution is not None and not distribution[subset].any():
        raise ValueError(
            "evaluation.images must show an image that the factors' distribution has, "
            f"got {len(subset)} images of weight 0; raise it"
        )
    memory = torch.tensor(config.objective.memory, device=device)
    trial = _Trial(config, data, length, feed, nets, optimisers, distribution, subset, memory)
    if resume is not None:
        _require_state_of(trial, resume)
        load_weights(nets, resume.weights)
        load_optimisers(optimisers, resume.optimisers)
        trial.memory = resume.memory.to(device)
        trial.best = resume.best
    return trial


def _require_state_of(trial: _Trial, state: TrainState) -> None:
    """Raise ValueError unless epoch, step, memory and best weights can be those of the trial."""
    length = trial.length
    if not 0 < state.epoch <= length.epochs or state.step != length.steps_after(state.epoch):
        raise ValueError(
            f"the state is of epoch {state.epoch}, step {state.step}; the trial has "
            f"{length.epochs} epochs and {length.steps} steps"
        )
    if state.memory.shape != trial.memory.shape:
        shapes = f"{tuple(state.memory.shape)} instead of {tuple(trial.memory.shape)}"
        raise ValueError(f"the memory of the objective has shape {shapes}")
    if (state.best is None) != (trial.config.evaluation.best is None):
        raise ValueError("only a trial with evaluation.best has the weights of its best epoch")
    if state.best is not None:
        require_weights(trial.nets, state.best.weights)


def _epochs(trial: _Trial, completed_epochs: int, step: int) -> Iterator[EpochReport]:
    """Yield the report of each epoch after the completed ones, from the completed step on."""
    config, last = trial.config, trial.length.epochs
    for epoch in range(completed_epochs + 1, last + 1):
        started = time.perf_counter()
        steps = min(trial.length.steps_per_epoch, trial.length.steps - step)
        means = _train_epoch(trial, epoch, step, steps)
        step += steps
        trained = time.perf_counter()
        moment = f"epoch {epoch}, step {step}"
        model = trial.model(step)
        scores, _ = evaluate(
            model,
            trial.subset,
            config=config.evaluation,
            factors=trial.data.factors,
            best=True,
            moment=moment,
        )
        _keep_best(trial, epoch, scores)
        snapshot = None
        if config.objective.capacity(model.ctx) is not None and epoch in snapshot_epochs(last):
            snapshot = Snapshot(*reconstructed(model, pictured(trial.subset)))
        evaluated = time.perf_counter()
        seconds = {"train": trained - started, "evaluate": evaluated - trained}
        final = None
        if epoch == last:
            final = _final(trial, step, moment=moment)
            seconds["final"] = time.perf_counter() - evaluated
        yield EpochReport(
            epoch=epoch,
            step=step,
            metrics=scores,
            train=means,
            images=steps * config.train.batch_size,
            seconds=seconds,
            snapshot=snapshot,
            final=final,
            state=trial.state(epoch, step),
        )


def snapshot_epochs(last: int) -> set[int]:
    """Return the epochs with a snapshot: at most `SNAPSHOTS`, evenly spread, with the last one."""
    epochs = np.linspace(1, last, min(SNAPSHOTS, last)).tolist()
    return {round(epoch) for epoch in epochs}


def _final(trial: _Trial, step: int, *, moment: str) -> Final:
    """Return the evaluation of the last weights, and of the best epoch's weights if it was kept."""
    model, config = trial.model(step), trial.config.evaluation
    final = final_evaluation(model, config=config, moment=moment)
    best = trial.best
    if best is None:
        return final
    nets = copy.deepcopy(trial.nets)
    load_weights(nets, best.weights)
    best_step = trial.length.steps_after(best.epoch)
    ctx = model.ctx._replace(step=max(best_step - 1, 0))
    best_final = final_evaluation(
        model._replace(nets=nets, ctx=ctx), config=config, moment=f"epoch {best.epoch}"
    )
    return final._replace(best={"epoch": float(best.epoch), **best_final.metrics})


def _keep_best(trial: _Trial, epoch: int, scores: Mapping[str, float]) -> None:
    """Keep a copy of the weights if the selecting metric is better than in every earlier epoch."""
    name = trial.config.evaluation.best
    if name is None:
        return
    if trial.best is None or scores[name] > trial.best.value:
        weights = {key: value.detach().clone() for key, value in trial.nets.state_dict().items()}
        trial.best = Best(epoch, scores[name], weights)


@flushed()
def _train_epoch(trial: _Trial, epoch: int, step: int, steps: int) -> dict[str, float]:
    """Take `steps` optimiser steps; return the means of the minibatch terms."""
    batches = epoch_batches(
        trial.config,
        trial.feed,
        latents=trial.nets.latents,
        distribution=trial.distribution,
        epoch=epoch,
        steps=steps,
    )
    names: list[str] = []
    sums: list[Tensor] = []
    for first in range(step, step + steps, CHECKED):
        rows: list[Tensor] = []
        for now, (batch, noise) in enumerate(itertools.islice(batches, CHECKED), start=first):
            recorded = _step(trial, batch, noise, trial.context(now))
            names = list(recorded)
            rows.append(torch.stack(list(recorded.values())))
        values = torch.stack(rows).double().cpu()
        _require_finite(values, names, epoch=epoch, first_step=first + 1)
        sums.append(values.sum(0))
    means = torch.stack(sums).sum(0) / steps
    return dict(zip(names, means.tolist(), strict=True))


def _step(trial: _Trial, batch: Batch, noise: Noise, ctx: Context) -> dict[str, Tensor]:
    """Let each player descend its own loss once, the autoencoder first; return the terms."""
    objective = trial.config.objective
    _set_optimiser(trial, ctx)
    if isinstance(objective, AbstractAlternating) and objective.alternates(ctx):
        batch = batch._replace(code=resolved_code(objective, trial.nets, batch, noise, ctx))
    terms = objective.terms(trial.nets, batch, noise, ctx)
    losses = {AUTOENCODER: terms.reconstruction + terms.penalty, **terms.rivals}
    for player, optimiser in trial.optimisers.items():
        optimiser.zero_grad(set_to_none=True)
        # Gradients of this player's weights only: the autoencoder's loss depends on the
        # discriminator too, but must not change it.
        losses[player].backward(inputs=_weights(optimiser))
        optimiser.step()
    trial.memory = terms.memory.detach()
    recorded = {
        "loss": losses[AUTOENCODER],
        "reconstruction": terms.reconstruction,
        **terms.parts,
        **terms.rivals,
    }
    return {name: value.detach() for name, value in recorded.items()}


def _weights(optimiser: torch.optim.Optimizer) -> list[Tensor]:
    weights: list[Tensor] = []
    for group in optimiser.param_groups:
        weights += group["params"]
    return weights


def _set_optimiser(trial: _Trial, ctx: Context) -> None:
    """Replace the autoencoder's optimiser at the start of a stage; set a decaying learning rate."""
    objective, config = trial.config.objective, trial.config.train
    if ctx.step and isinstance(objective, AbstractStaged):
        before = ctx._replace(step=ctx.step - 1)
        if objective.stage(ctx, trial.nets.latents) != objective.stage(before, trial.nets.latents):
            parameters = trial.nets.players()[AUTOENCODER]
            trial.optimisers[AUTOENCODER] = player_optimiser(trial.config, AUTOENCODER, parameters)
    if config.learning_rate_decay != 1:
        for group in trial.optimisers[AUTOENCODER].param_groups:
            group["lr"] = config.learning_rate_at(ctx.step, ctx.total_steps)


@torch.no_grad()
def resolved_code(
    objective: AbstractAlternating, nets: Networks, batch: Batch, noise: Noise, ctx: Context
) -> Tensor:
    """Return the code of a batch, one-hot (B, K).

    It solves the objective's inner problem, on the CPU in float64.
    """
    # Batch normalisation counts every forward pass in training mode, but the passes with categories
    # that are not chosen must not count.
    buffers = [(buffer, buffer.clone()) for buffer in nets.buffers()]
    cost = objective.cost(nets, batch, noise, ctx)
    for buffer, before in buffers:
        buffer.copy_(before)
    categories = objective.resolve(cost.double().cpu().numpy(), ctx)
    one_hot = torch.eye(cost.shape[1], dtype=batch.code.dtype)[torch.from_numpy(categories)]
    return one_hot.to(batch.code.device)


def _require_finite(values: Tensor, names: list[str], *, epoch: int, first_step: int) -> None:
    """Raise Diverged for the first step and term that is not finite; values (steps, terms)."""
    not_finite = (~values.isfinite()).nonzero()
    if len(not_finite):
        row, column = not_finite[0].tolist()
        raise Diverged(
            f"training diverged: {names[column]} is {values[row, column].item()} "
            f"at epoch {epoch}, step {first_step + row}; a lower train.learning_rate may help"
        )
