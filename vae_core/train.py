"""The only training loop: a config and data in, one report an epoch out."""

# torch's own hints are partial (`split`, `from_numpy`, `tolist`, `backward`).
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import copy
import itertools
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
from vae_core.denormals import flushed
from vae_core.errors import Diverged
from vae_core.evaluate import check_final, evaluate, evaluation_subset, final_evaluation
from vae_core.networks import Networks, build_networks, load_weights
from vae_core.types import Batch, Context, Data, EpochReport, Final, Noise, TrainState

GATHERED = 1024
"""Images unpacked at once: their memory is then reused; 8,192 at once cost four times as much an image."""

CHECKED = 64
"""Steps between two looks for divergence; each waits for the device."""

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


@flushed()
def _train_epoch(trial: _Trial, epoch: int, step: int, steps: int) -> dict[str, float]:
    """Take `steps` optimiser steps; return the means of the minibatch terms."""
    total, n_data = trial.config.train.total_steps(len(trial.data)), len(trial.data)
    batches = _batches(trial, epoch, steps)
    names: list[str] = []
    sums: list[Tensor] = []
    for first in range(step, step + steps, CHECKED):
        rows: list[Tensor] = []
        for now, (batch, noise) in enumerate(itertools.islice(batches, CHECKED), start=first):
            recorded = _step(trial, batch, noise, Context(now, total, n_data))
            names = list(recorded)
            rows.append(torch.stack(list(recorded.values())))
        values = torch.stack(rows).double().cpu()
        _require_finite(values, names, epoch=epoch, first_step=first + 1)
        sums.append(values.sum(0))
    means = torch.stack(sums).sum(0) / steps
    return dict(zip(names, means.tolist(), strict=True))


def _batches(trial: _Trial, epoch: int, steps: int) -> Iterator[tuple[Batch, Noise]]:
    """Yield the images of an epoch in its order, with the noise that they meet."""
    seed, size = trial.config.seed, trial.config.train.batch_size
    order = torch.randperm(len(trial.data), generator=draws.generator(seed, "order", epoch))[: steps * size]
    normal = draws.generator(seed, "posterior", epoch)
    for rows in order.split(max(GATHERED // size, 1) * size):
        images = trial.table.batch(rows).split(size)
        # Batch by batch, so that the numbers do not depend on how many are gathered at once.
        noises = torch.stack([torch.randn(size, trial.nets.latents, generator=normal) for _ in images])
        for pictures, posterior in zip(images, noises.to(trial.device), strict=True):
            absent = pictures.new_zeros(size, 0)
            yield (
                Batch(pictures, labels=absent, factors=absent, second=pictures[:0]),
                Noise(posterior, gumbel=absent, permutation=posterior[:0].long()),
            )


def _step(trial: _Trial, batch: Batch, noise: Noise, ctx: Context) -> dict[str, Tensor]:
    """Let each player descend its own loss once, the autoencoder first; return the terms to record."""
    terms = trial.config.objective.terms(trial.nets, batch, noise, ctx)
    losses = {"vae": terms.reconstruction + terms.penalty, **terms.rivals}
    for player, optimiser in trial.optimisers.items():
        optimiser.zero_grad(set_to_none=True)
        losses[player].backward()
        optimiser.step()
    recorded = {"loss": losses["vae"], "reconstruction": terms.reconstruction, **terms.parts}
    return {name: value.detach() for name, value in recorded.items()}


def _require_finite(values: Tensor, names: list[str], *, epoch: int, first_step: int) -> None:
    """Raise Diverged naming the first step and term that is not finite; values (steps, terms)."""
    bad = (~values.isfinite()).nonzero()
    if len(bad):
        row, column = bad[0].tolist()
        raise Diverged(
            f"training diverged: {names[column]} is {values[row, column].item()} "
            f"at epoch {epoch}, step {first_step + row}; a lower train.learning_rate may help"
        )
