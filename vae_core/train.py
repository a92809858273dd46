"""The only training loop: a config and data in, one report an epoch out."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vae_core import draws
from vae_core.config import TrainConfig, TrialConfig
from vae_core.data import ImageTable
from vae_core.errors import Diverged
from vae_core.evaluate import check_final, evaluate, evaluation_subset, final_evaluation
from vae_core.networks import Networks, build_networks, load_weights
from vae_core.types import Batch, Context, Data, EpochReport, Final, Noise, Terms, TrainState

CHUNK = 64
"""Batches gathered, and noise drawn, at once; divergence is noticed after each chunk."""

_OPTIMISERS = {"adam": torch.optim.Adam, "adagrad": torch.optim.Adagrad, "sgd": torch.optim.SGD}
_FUSED = {"adam": ("cpu", "cuda"), "adagrad": ("cpu",), "sgd": ("cpu", "cuda")}
"""Where one kernel updates all weights: 0.7 ms instead of 2.6 ms for 0.7 million weights on one core."""


class _Trial(NamedTuple):
    """A trial in progress; training changes networks and optimisers in place."""

    config: TrialConfig
    data: Data
    table: ImageTable
    nets: Networks
    optimisers: dict[str, torch.optim.Optimizer]
    subset: NDArray[np.int64]
    device: torch.device


def train(
    config: TrialConfig, data: Data, *, resume: TrainState | None = None, device: torch.device | str = "cpu"
) -> Iterator[EpochReport]:
    """Train one trial; yield a report after each epoch.

    With `resume`, the state of an earlier report, training goes on after that epoch and, on the CPU, yields
    bitwise what it would have yielded uninterrupted; nothing if that was the last epoch.

    Raises:
        ValueError: the config does not fit the data (fingerprint, image size, batch size, factors), or
            `resume` is of another trial. All are found before the first epoch, at the call.
        Diverged: while iterating, in the epoch where a loss, weight or evaluated number stopped being finite.
    """
    trial = _prepare(config, data, resume, torch.device(device))
    done, step = (resume.epoch, resume.step) if resume is not None else (0, 0)
    return _epochs(trial, done, step)


def finish(config: TrialConfig, data: Data, state: TrainState, *, device: torch.device | str = "cpu") -> Final:
    """Return the final evaluation of a trained state, as the last report of `train` has it.

    For a trial that was cut off between its last checkpoint and its end.
    """
    trial = _prepare(config, data, state, torch.device(device))
    return final_evaluation(trial.nets, data, trial.table, config=config.evaluation, moment=f"epoch {state.epoch}")


def _prepare(config: TrialConfig, data: Data, resume: TrainState | None, device: torch.device) -> _Trial:
    """Build networks and optimisers and check that everything fits."""
    if config.fingerprint and config.fingerprint != data.fingerprint:
        raise ValueError(
            f"the config is of data {config.fingerprint[:12]}…, the data given are {data.fingerprint[:12]}…"
        )
    config.train.steps_per_epoch(len(data))  # refuses a batch larger than the data
    check_final(config.evaluation, data)
    nets = build_networks(
        config.network,
        config.objective.wiring,
        data.shape,
        likelihood=config.train.likelihood,
        generator=draws.generator(config.seed, "weights"),
    ).to(device)
    optimisers = {player: _optimiser(config.train, parameters) for player, parameters in nets.players().items()}
    if resume is not None:
        load_weights(nets, resume.weights)
        _load_optimisers(optimisers, resume.optimisers)
    subset = evaluation_subset(data, config.evaluation.images, config.evaluation.seed)
    return _Trial(config, data, ImageTable(data, device), nets, optimisers, subset, device)


def _optimiser(config: TrainConfig, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
    return _OPTIMISERS[config.optimiser](
        parameters, lr=config.learning_rate, fused=parameters[0].device.type in _FUSED[config.optimiser]
    )


def _load_optimisers(optimisers: Mapping[str, torch.optim.Optimizer], states: Mapping[str, Any]) -> None:
    if optimisers.keys() != states.keys():
        raise ValueError(f"the state has optimisers of {sorted(states)}, the trial of {sorted(optimisers)}")
    for player, optimiser in optimisers.items():
        # A copy: the optimiser would take over the tensors themselves and train on in the caller's state.
        optimiser.load_state_dict(copy.deepcopy(states[player]))


def _epochs(trial: _Trial, done: int, step: int) -> Iterator[EpochReport]:
    """Yield the report of each epoch after the first `done`."""
    config, data = trial.config, trial.data
    last = config.train.total_epochs(len(data))
    for epoch in range(done + 1, last + 1):
        started = time.perf_counter()
        steps = min(config.train.steps_per_epoch(len(data)), config.train.total_steps(len(data)) - step)
        means = _train_epoch(trial, epoch, step, steps)
        step += steps
        trained = time.perf_counter()
        moment = f"epoch {epoch}, step {step}"
        measured, _ = evaluate(
            trial.nets,
            trial.table,
            trial.subset,
            config=config.evaluation,
            factors=data.factors,
            moment=moment,
        )
        evaluated = time.perf_counter()
        seconds = {"train": trained - started, "evaluate": evaluated - trained}
        final = None
        if epoch == last:
            final = final_evaluation(trial.nets, data, trial.table, config=config.evaluation, moment=moment)
            seconds["final"] = time.perf_counter() - evaluated
        yield EpochReport(
            epoch=epoch,
            step=step,
            metrics=measured,
            train=means,
            images=steps * config.train.batch_size,
            seconds=seconds,
            final=final,
            state=TrainState(
                epoch=epoch,
                step=step,
                weights=trial.nets.state_dict(),
                optimisers={player: optimiser.state_dict() for player, optimiser in trial.optimisers.items()},
            ),
        )


def _train_epoch(trial: _Trial, epoch: int, step: int, steps: int) -> dict[str, float]:
    """Take `steps` optimiser steps; return the means of the minibatch terms."""
    config, device = trial.config, trial.device
    size = config.train.batch_size
    total = config.train.total_steps(len(trial.data))
    order = torch.randperm(len(trial.data), generator=draws.generator(config.seed, "order", epoch))[: steps * size]
    normal = draws.generator(config.seed, "posterior", epoch)
    sums: Tensor | None = None
    names: tuple[str, ...] = ()
    for rows in order.split(CHUNK * size):
        images = trial.table.batch(rows).split(size)
        noises = torch.randn(len(rows), trial.nets.latents, generator=normal).to(device).split(size)
        history: list[Tensor] = []
        for pictures, epsilon in zip(images, noises, strict=True):
            terms = _step(trial, _batch(pictures), _noise(epsilon), Context(step, total, len(trial.data)))
            names = ("loss", "reconstruction", "penalty", *terms.parts)
            loss = terms.reconstruction + terms.penalty
            history.append(torch.stack([loss, terms.reconstruction, terms.penalty, *terms.parts.values()]).detach())
            step += 1
        values = torch.stack(history).double().cpu()
        _require_finite(values, names, epoch=epoch, first_step=step - len(history) + 1)
        sums = values.sum(0) if sums is None else sums + values.sum(0)
    assert sums is not None  # an epoch has at least one batch
    return {name: value / steps for name, value in zip(names, sums.tolist(), strict=True) if name != "penalty"}


def _step(trial: _Trial, batch: Batch, noise: Noise, ctx: Context) -> Terms:
    """Let each player descend its own loss once, the autoencoder first."""
    terms = trial.config.objective.terms(trial.nets, batch, noise, ctx)
    losses = {"vae": terms.reconstruction + terms.penalty, **terms.rivals}
    for player, optimiser in trial.optimisers.items():
        optimiser.zero_grad(set_to_none=True)
        losses[player].backward()
        optimiser.step()
    return terms


def _batch(images: Tensor) -> Batch:
    absent = images.new_zeros(len(images), 0)
    return Batch(images, labels=absent, factors=absent, second=images[:0])


def _noise(posterior: Tensor) -> Noise:
    return Noise(posterior, gumbel=posterior[:, :0], permutation=posterior[:0].long())


def _require_finite(values: Tensor, names: tuple[str, ...], *, epoch: int, first_step: int) -> None:
    """Raise Diverged naming the first step and term that is not finite; values (steps, terms)."""
    bad = (~values.isfinite()).nonzero()
    if len(bad):
        row, column = bad[0].tolist()
        raise Diverged(
            f"training diverged: {names[column]} is {values[row, column].item()} "
            f"at epoch {epoch}, step {first_step + row}; a lower train.learning_rate may help"
        )
