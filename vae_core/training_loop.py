"""The only training loop: a config and data in, one report an epoch out."""

# torch's own hints are partial (`split`, `from_numpy`, `tolist`, `backward`).
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vae_core import random_draws
from vae_core.config import TrialConfig
from vae_core.discrete import standard_gumbel
from vae_core.errors import Diverged
from vae_core.evaluation.epoch_scores import Model, evaluate, evaluation_subset, weighted
from vae_core.evaluation.final_scores import check_final, final_evaluation, reconstructed, shown
from vae_core.feed import Feed
from vae_core.flush_denormals import flushed
from vae_core.likelihood import likelihood
from vae_core.networks import Networks, build_networks, load_weights
from vae_core.objectives import AbstractAlternating, AbstractStaged
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
    Wiring,
)

GATHERED = 1024
"""Images unpacked at once: their memory is then reused; 8,192 at once cost four times as much an image."""

CHECKED = 64
"""Steps between two looks for divergence; each waits for the device."""

SNAPSHOTS = 8
"""Epochs at most whose reconstructions are kept, of objectives with a capacity."""

_OPTIMISERS = {"adam": torch.optim.Adam, "adagrad": torch.optim.Adagrad, "sgd": torch.optim.SGD}
_FUSED = {"adam": ("cpu", "cuda"), "adagrad": ("cpu",), "sgd": ("cpu", "cuda")}
"""Where one kernel updates all weights: 0.7 ms instead of 2.6 ms for 0.7 million weights on one core."""


@dataclass
class _Trial:
    """A trial in progress; training changes networks, optimisers, memory and best in place."""

    config: TrialConfig
    data: Data
    feed: Feed
    nets: Networks
    optimisers: dict[str, torch.optim.Optimizer]
    distribution: NDArray[np.float64] | None  # p (N,) of the images; None: each once an epoch
    subset: NDArray[np.int64]
    device: torch.device
    memory: Tensor
    best: Best | None = None

    @property
    def total_steps(self) -> int:
        return self.config.train.total_steps(len(self.data))

    def model(self, step: int) -> Model:
        """Return what is evaluated after `step` steps: schedules stand where the last of them left them."""
        ctx = Context(max(step - 1, 0), self.total_steps, len(self.data), self.memory)
        return Model(self.nets, self.config.objective, self.feed, ctx)


def train(
    config: TrialConfig,
    data: Data,
    *,
    resume: TrainState | None = None,
    device: torch.device | str = "cpu",
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


def finish(
    config: TrialConfig, data: Data, state: TrainState, *, device: torch.device | str = "cpu"
) -> Final:
    """Return the final evaluation of a trained state, as the last report of `train` has it.

    For a trial that was cut off between its last checkpoint and its end.
    """
    trial = _prepare(config, data, state, torch.device(device))
    return _final(trial, state.step, moment=f"epoch {state.epoch}")


def _prepare(
    config: TrialConfig, data: Data, resume: TrainState | None, device: torch.device
) -> _Trial:
    """Build networks and optimisers and check that everything fits."""
    if config.fingerprint and config.fingerprint != data.fingerprint:
        raise ValueError(
            f"the config is of data {config.fingerprint[:12]}…, the data given are {data.fingerprint[:12]}…"
        )
    config.train.steps_per_epoch(len(data))  # refuses a batch larger than the data
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
    optimisers = {player: _optimiser(config, player, own) for player, own in nets.players().items()}
    subset = evaluation_subset(data, config.evaluation.images, config.evaluation.seed)
    if distribution is not None and not distribution[subset].any():
        raise ValueError(
            f"evaluation.images must show an image that the factors' distribution has, got {len(subset)} images of "
            "weight 0; raise it"
        )
    memory = torch.tensor(config.objective.memory, device=device)
    trial = _Trial(config, data, feed, nets, optimisers, distribution, subset, device, memory)
    if resume is not None:
        load_weights(nets, resume.weights)
        _load_optimisers(optimisers, resume.optimisers)
        trial.memory = resume.memory.to(device)
        trial.best = resume.best
    return trial


def _optimiser(
    config: TrialConfig, player: str, parameters: list[torch.nn.Parameter]
) -> torch.optim.Optimizer:
    kind = config.train.optimiser if player == "vae" else "adam"
    fused = parameters[0].device.type in _FUSED[kind]
    if player != "vae":
        rival = config.objective.rivals[player]
        return torch.optim.Adam(parameters, lr=rival.learning_rate, betas=rival.betas, fused=fused)
    return _OPTIMISERS[kind](parameters, lr=config.train.learning_rate, fused=fused)


def _load_optimisers(
    optimisers: Mapping[str, torch.optim.Optimizer], states: Mapping[str, Any]
) -> None:
    if optimisers.keys() != states.keys():
        raise ValueError(
            f"the state has optimisers of {sorted(states)}, the trial of {sorted(optimisers)}"
        )
    for player, optimiser in optimisers.items():
        # A copy: the optimiser would take over the tensors themselves and train on in the caller's state.
        optimiser.load_state_dict(copy.deepcopy(states[player]))


def _epochs(trial: _Trial, done: int, step: int) -> Iterator[EpochReport]:
    """Yield the report of each epoch after the first `done`."""
    config, data = trial.config, trial.data
    last = config.train.total_epochs(len(data))
    for epoch in range(done + 1, last + 1):
        started = time.perf_counter()
        steps = min(config.train.steps_per_epoch(len(data)), trial.total_steps - step)
        means = _train_epoch(trial, epoch, step, steps)
        step += steps
        trained = time.perf_counter()
        moment = f"epoch {epoch}, step {step}"
        model = trial.model(step)
        measured, _ = evaluate(
            model,
            trial.subset,
            config=config.evaluation,
            factors=data.factors,
            best=True,
            moment=moment,
        )
        _keep_best(trial, epoch, measured)
        snapshot = None
        if config.objective.capacity(model.ctx) is not None and epoch in snapshot_epochs(last):
            snapshot = Snapshot(*reconstructed(model, shown(trial.subset)))
        evaluated = time.perf_counter()
        seconds = {"train": trained - started, "evaluate": evaluated - trained}
        final = None
        if epoch == last:
            final = _final(trial, step, moment=moment)
            seconds["final"] = time.perf_counter() - evaluated
        yield EpochReport(
            epoch=epoch,
            step=step,
            metrics=measured,
            train=means,
            images=steps * config.train.batch_size,
            seconds=seconds,
            snapshot=snapshot,
            final=final,
            state=TrainState(
                epoch=epoch,
                step=step,
                weights=trial.nets.state_dict(),
                optimisers={
                    player: optimiser.state_dict() for player, optimiser in trial.optimisers.items()
                },
                memory=trial.memory,
                best=trial.best,
            ),
        )


def snapshot_epochs(last: int) -> set[int]:
    """Return the epochs whose reconstructions are kept: at most `SNAPSHOTS`, spread evenly, the last among them."""
    return {round(epoch) for epoch in np.linspace(1, last, min(SNAPSHOTS, last)).tolist()}


def _final(trial: _Trial, step: int, *, moment: str) -> Final:
    """Return the evaluation of the last weights, with that of the best epoch's beside it."""
    model, config = trial.model(step), trial.config.evaluation
    final = final_evaluation(model, config=config, moment=moment)
    best = trial.best
    if best is None:
        return final
    nets = copy.deepcopy(trial.nets)
    load_weights(nets, best.weights)
    then = min(best.epoch * trial.config.train.steps_per_epoch(len(trial.data)), trial.total_steps)
    ctx = model.ctx._replace(step=max(then - 1, 0))
    scored = final_evaluation(
        model._replace(nets=nets, ctx=ctx), config=config, moment=f"epoch {best.epoch}"
    )
    return final._replace(best={"epoch": float(best.epoch), **scored.metrics})


def _keep_best(trial: _Trial, epoch: int, measured: Mapping[str, float]) -> None:
    """Keep a copy of the weights if the metric that selects is better than at every epoch before."""
    name = trial.config.evaluation.best
    if name is None:
        return
    if trial.best is None or measured[name] > trial.best.value:
        weights = {key: value.detach().clone() for key, value in trial.nets.state_dict().items()}
        trial.best = Best(epoch, measured[name], weights)


@flushed()
def _train_epoch(trial: _Trial, epoch: int, step: int, steps: int) -> dict[str, float]:
    """Take `steps` optimiser steps; return the means of the minibatch terms."""
    batches = _batches(trial, epoch, steps)
    names: list[str] = []
    sums: list[Tensor] = []
    for first in range(step, step + steps, CHECKED):
        rows: list[Tensor] = []
        for now, (batch, noise) in enumerate(itertools.islice(batches, CHECKED), start=first):
            recorded = _step(
                trial, batch, noise, Context(now, trial.total_steps, len(trial.data), trial.memory)
            )
            names = list(recorded)
            rows.append(torch.stack(list(recorded.values())))
        values = torch.stack(rows).double().cpu()
        _require_finite(values, names, epoch=epoch, first_step=first + 1)
        sums.append(values.sum(0))
    means = torch.stack(sums).sum(0) / steps
    return dict(zip(names, means.tolist(), strict=True))


def _batches(trial: _Trial, epoch: int, steps: int) -> Iterator[tuple[Batch, Noise]]:
    """Yield the images of an epoch in its order, with the noise that they meet."""
    seed, size, wiring = (
        trial.config.seed,
        trial.config.train.batch_size,
        trial.config.objective.wiring,
    )
    order = _order(trial, "order", epoch, steps * size)
    noises = _noises(wiring, size, trial.nets.latents, seed, epoch)
    chunk = max(GATHERED // size, 1) * size
    seconds: Iterable[Tensor | None] = itertools.repeat(None)
    if wiring.second_batch:
        seconds = _order(trial, "second order", epoch, steps * size).split(chunk)
    for rows, second in zip(order.split(chunk), seconds, strict=False):
        gathered = trial.feed.batch(rows, second)
        drawn = list(itertools.islice(noises, len(rows) // size))
        noise = Noise(*(torch.stack(draw).to(trial.device) for draw in zip(*drawn, strict=True)))
        for k in range(len(drawn)):
            batch = Batch(*(field[k * size : (k + 1) * size] for field in gathered))
            yield batch, Noise(*(draw[k] for draw in noise))


def _order(trial: _Trial, purpose: str, epoch: int, images: int) -> Tensor:
    """Return the rows of an epoch in their order: each image once, or draws from the factors' distribution."""
    # N stays the size of the set (`Context.n_data`) where rows are drawn from p. For a batch from p the mean of
    # q(z|x_b) still estimates q(z) = Σ p_n q(z|x_n), so MWS estimates what it did, its ln N a constant without a
    # gradient; MSS gives the sample's own posterior the share 1/N, where p_n would be right.
    generator = random_draws.generator(trial.config.seed, purpose, epoch)
    return random_draws.rows(images, generator, p=trial.distribution, size=len(trial.data))


def _noises(wiring: Wiring, size: int, latents: int, seed: int, epoch: int) -> Iterator[Noise]:
    """Yield the draws of an epoch, batch by batch, so that they do not depend on how many are gathered at once."""
    purposes = ("posterior", "second posterior", "gumbel", "permutation", "prior", "decoder noise")
    normal, second, gumbel, permutation, prior, decoder = (
        random_draws.generator(seed, name, epoch) for name in purposes
    )
    codes, absent = sum(wiring.infers_code), torch.zeros(0, latents)
    while True:
        yield Noise(
            torch.randn(size, latents, generator=normal),
            second=torch.randn(size, latents, generator=second) if wiring.second_batch else absent,
            gumbel=standard_gumbel((size, codes), gumbel) if codes else torch.zeros(size, 0),
            permutation=(
                torch.rand(size, latents, generator=permutation).argsort(0)
                if wiring.adversary
                else absent.long()
            ),
            prior=torch.randn(size, latents, generator=prior) if wiring.judges_images else absent,
            decoder=torch.randn(size, wiring.reads_noise, generator=decoder),
        )


def _step(trial: _Trial, batch: Batch, noise: Noise, ctx: Context) -> dict[str, Tensor]:
    """Let each player descend its own loss once, the autoencoder first; return the terms to record."""
    objective = trial.config.objective
    _set_optimiser(trial, ctx)
    if isinstance(objective, AbstractAlternating) and objective.alternates(ctx):
        batch = batch._replace(code=resolved(objective, trial.nets, batch, noise, ctx))
    terms = objective.terms(trial.nets, batch, noise, ctx)
    losses = {"vae": terms.reconstruction + terms.penalty, **terms.rivals}
    for player, optimiser in trial.optimisers.items():
        optimiser.zero_grad(set_to_none=True)
        # Into its own weights alone: the autoencoder's loss runs through the discriminator and must not move it.
        losses[player].backward(inputs=_weights(optimiser))
        optimiser.step()
    trial.memory = terms.memory.detach()
    recorded = {
        "loss": losses["vae"],
        "reconstruction": terms.reconstruction,
        **terms.parts,
        **terms.rivals,
    }
    return {name: value.detach() for name, value in recorded.items()}


def _weights(optimiser: torch.optim.Optimizer) -> list[Tensor]:
    return [weight for group in optimiser.param_groups for weight in group["params"]]


def _set_optimiser(trial: _Trial, ctx: Context) -> None:
    """Begin the autoencoder's optimiser anew where a stage begins, and set its learning rate where that decays."""
    objective, config = trial.config.objective, trial.config.train
    if ctx.step and isinstance(objective, AbstractStaged):
        before = ctx._replace(step=ctx.step - 1)
        if objective.stage(ctx, trial.nets.latents) != objective.stage(before, trial.nets.latents):
            trial.optimisers["vae"] = _optimiser(trial.config, "vae", trial.nets.players()["vae"])
    if config.learning_rate_decay != 1:
        for group in trial.optimisers["vae"].param_groups:
            group["lr"] = config.learning_rate_at(ctx.step, ctx.total_steps)


@torch.no_grad()
def resolved(
    objective: AbstractAlternating, nets: Networks, batch: Batch, noise: Noise, ctx: Context
) -> Tensor:
    """Return the code of a batch, one-hot (B, K), from the inner problem solved on the host in float64."""
    # Batch normalisation counts every pass in training mode: those of categories that are not chosen must not count.
    kept = [(buffer, buffer.clone()) for buffer in nets.buffers()]
    cost = objective.cost(nets, batch, noise, ctx)
    for buffer, before in kept:
        buffer.copy_(before)
    chosen = objective.resolve(cost.double().cpu().numpy(), ctx)
    return torch.eye(cost.shape[1], dtype=batch.code.dtype)[torch.from_numpy(chosen)].to(
        batch.code.device
    )


def _require_finite(values: Tensor, names: list[str], *, epoch: int, first_step: int) -> None:
    """Raise Diverged naming the first step and term that is not finite; values (steps, terms)."""
    bad = (~values.isfinite()).nonzero()
    if len(bad):
        row, column = bad[0].tolist()
        raise Diverged(
            f"training diverged: {names[column]} is {values[row, column].item()} "
            f"at epoch {epoch}, step {first_step + row}; a lower train.learning_rate may help"
        )
