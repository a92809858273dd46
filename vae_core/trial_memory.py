"""Estimates the memory and the arithmetic of a trial from shapes alone, before anything is built.

One step of the objective runs on PyTorch's meta device: tensors there have a shape and no content.
What the step would keep for its gradients is counted at three batch sizes. Every tensor has at most
two dimensions of the size of the batch, so the three counts give the polynomial a + b·B + c·B², and
with it the count of any batch.
"""

# torch's own hints are partial (`flop_counter`, `saved_tensors_hooks`).
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from vae_core.config import EvaluationConfig, TrainConfig
from vae_core.data.abstract import Outline
from vae_core.evaluation.forward_pass import BATCH
from vae_core.likelihood import likelihood
from vae_core.networks import AbstractNetwork, Networks, Widths, shaped_networks
from vae_core.objectives import AbstractAlternating, AbstractObjective
from vae_core.types import Batch, Context, Noise, Wiring

FLOAT = 4
"""Bytes of a number in training."""

_STATES = {"adam": 2, "adagrad": 1, "sgd": 0}
"""Numbers per weight that an optimiser keeps."""

_BATCHES = (2, 4, 6)
"""Batch sizes at which a step is counted."""


class TrialMemory(NamedTuple):
    """Bytes that one trial needs beside the data, the process and its libraries."""

    weights: int  # and their gradients; the copy of the best epoch
    optimisers: int
    activations: int  # of one training step
    evaluation: int  # codes, draws and one forward pass
    checkpoint: int  # weights and optimisers once more, while they are written
    flops: float  # of one training step: multiplications and additions of its layers

    @property
    def total(self) -> int:
        """The bytes of a trial at its peak: it never trains and evaluates at the same time."""
        passing = max(self.activations, self.evaluation, self.checkpoint)
        return self.weights + self.optimisers + passing


class _Counts(NamedTuple):
    """What one step has, in numbers."""

    saved: int  # kept for the gradients
    largest: int  # the largest tensor that a layer returns


def estimate(
    network: AbstractNetwork,
    objective: AbstractObjective,
    train: TrainConfig,
    evaluation: EvaluationConfig,
    outline: Outline,
    *,
    batch_size: int | None = None,
) -> TrialMemory:
    """Return what a trial needs.

    Args:
        network: sizes of encoder and decoder.
        objective: the objective.
        train: batch size, optimiser and likelihood.
        evaluation: images and samples.
        outline: sizes of the data set.
        batch_size: another batch size than that of `train`.

    Raises:
        ValueError: the network does not take images of this shape.
    """
    rows = train.batch_size if batch_size is None else batch_size
    nets = shaped_networks(
        network,
        objective.wiring,
        outline.shape,
        likelihood=likelihood(train.likelihood, train.sigma),
        widths=input_widths(objective.wiring, outline),
    ).to("meta")
    counts = [_count_step(nets, objective, outline, size) for size in _BATCHES]
    saved = _extrapolated([each.saved for each in counts], rows)
    largest = _extrapolated([each.largest for each in counts], rows)
    flops = _flops_of_step(nets, objective, outline, _BATCHES[0]) / _BATCHES[0] * rows
    players = nets.players()
    numbers = {player: sum(each.numel() for each in players[player]) for player in players}
    all_weights = sum(numbers.values())
    states = sum(
        number * (_STATES[train.optimiser] if player == "vae" else _STATES["adam"])
        for player, number in numbers.items()
    )
    copies = 2 if evaluation.best is None else 3
    return TrialMemory(
        weights=FLOAT * copies * all_weights,
        optimisers=FLOAT * states,
        # A gradient passes through the largest tensors: it and the one that it is computed from.
        activations=FLOAT * int(saved + 2 * largest),
        evaluation=_evaluation(nets, network, counts, evaluation, outline),
        checkpoint=FLOAT * (all_weights + states),
        flops=3 * flops,  # the way back costs twice the way there
    )


def input_widths(wiring: Wiring, outline: Outline) -> Widths:
    """Return the widths of labels and factors that the networks read."""
    sizes = dict(zip(outline.factor_names, outline.factor_sizes, strict=True))
    label = 0
    if wiring.reads_label != "nowhere":
        label = sum(sizes[name] for name in wiring.label or outline.factor_names)
    one_hot = sum(sizes.values()) if wiring.reads_factors == "one_hot" else len(sizes)
    return Widths(label=label, factors=0 if wiring.reads_factors == "no" else one_hot)


def _evaluation(
    nets: Networks,
    network: AbstractNetwork,
    counts: list[_Counts],
    evaluation: EvaluationConfig,
    outline: Outline,
) -> int:
    """Return the bytes of the evaluation on all images, and of the samples of q(z)."""
    latents = network.latents + sum(nets.wiring.infers_code)
    images = min(BATCH, outline.images)
    forward = 2 * _extrapolated([each.largest for each in counts], images)
    codes = 3 * latents * outline.images  # means, log variances and a draw
    samples = 2 * (latents + 2) * evaluation.samples  # float64: two numbers of 4 bytes each
    return FLOAT * int(forward + codes + 3 * samples)


def _extrapolated(counts: list[int], rows: int) -> float:
    """Return the value at `rows` of the parabola through the counts at `_BATCHES`."""
    total = 0.0
    for k, size in enumerate(_BATCHES):
        others = [other for other in _BATCHES if other != size]
        total += counts[k] * math.prod((rows - other) / (size - other) for other in others)
    return max(total, 0.0)


def _count_step(
    nets: Networks, objective: AbstractObjective, outline: Outline, rows: int
) -> _Counts:
    """Return the counts of one step on the meta device."""
    batch, noise = _meta_batch(nets, objective.wiring, outline, rows)
    ctx = _context(objective, outline, rows)
    largest = 0
    saved: dict[int, Tensor] = {}  # by storage, kept alive so that no address is used twice
    weights = {_storage(parameter) for parameter in nets.parameters()}

    def measure(_module: nn.Module, _inputs: Any, output: Any) -> None:
        nonlocal largest
        if isinstance(output, Tensor):
            largest = max(largest, output.numel())

    def keep(tensor: Tensor) -> Tensor:
        if _storage(tensor) not in weights:
            saved[_storage(tensor)] = tensor
        return tensor

    nets.squared_slope = functools.partial(_squared_slope, nets)  # pyright: ignore[reportAttributeAccessIssue]
    leaves = [module for module in nets.modules() if not list(module.children())]
    hooks = [module.register_forward_hook(measure) for module in leaves]
    try:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            _step(nets, objective, batch, noise, ctx)
    finally:
        for hook in hooks:
            hook.remove()
    numbers = sum(tensor.untyped_storage().nbytes() // FLOAT for tensor in saved.values())
    return _Counts(saved=numbers, largest=largest)


def _storage(tensor: Tensor) -> int:
    """Return what tells storages apart; on the meta device every `data_ptr()` is 0."""
    return int(tensor.untyped_storage()._cdata)  # pyright: ignore[reportPrivateUsage]


def _flops_of_step(
    nets: Networks, objective: AbstractObjective, outline: Outline, rows: int
) -> int:
    """Return the multiplications and additions of the layers in the way there of one step."""
    batch, noise = _meta_batch(nets, objective.wiring, outline, rows)
    with FlopCounterMode(display=False) as flops, torch.no_grad():
        _step(nets, objective, batch, noise, _context(objective, outline, rows))
    return flops.get_total_flops()


def _step(
    nets: Networks, objective: AbstractObjective, batch: Batch, noise: Noise, ctx: Context
) -> None:
    """Compute what one step of training computes, up to the gradients."""
    if isinstance(objective, AbstractAlternating):
        with torch.no_grad():
            objective.cost(nets, batch, noise, ctx)
    objective.terms(nets, batch, noise, ctx)


def _context(objective: AbstractObjective, outline: Outline, rows: int) -> Context:
    memory = torch.empty(len(objective.memory), device="meta")
    return Context(0, 1, max(outline.images, rows), memory)


def _squared_slope(nets: Networks, images: Tensor) -> Tensor:
    """Return numbers of the shape of `Networks.squared_slope`, from as many passes.

    Neither hooks nor the counter of FLOPs work inside `torch.func.grad`. The gradient of the slope
    needs what two passes of the discriminator keep: the pass itself, and its way back.
    """
    there, back = nets.discriminate(images), nets.discriminate(images)
    return (there[:, 0] - back[:, 1]).square()


def _meta_batch(nets: Networks, wiring: Wiring, outline: Outline, rows: int) -> tuple[Batch, Noise]:
    """Return a batch and its noise, of shapes only."""
    widths, latents = input_widths(wiring, outline), nets.latents

    def empty(*shape: int) -> Tensor:
        return torch.empty(*shape, device="meta")

    second = rows if wiring.second_batch else 0
    batch = Batch(
        empty(rows, *outline.shape),
        labels=empty(rows, widths.label),
        factors=empty(rows, widths.factors),
        second=empty(second, *outline.shape),
        code=empty(rows, sum(wiring.reads_code)),
        noise=empty(rows, wiring.reads_noise),
    )
    permuted = rows if wiring.adversary else 0
    noise = Noise(
        empty(rows, latents),
        second=empty(second, latents),
        gumbel=empty(rows, sum(wiring.infers_code)),
        permutation=torch.empty(permuted, latents, dtype=torch.int64, device="meta"),
        prior=empty(rows if wiring.judges_images else 0, latents),
        decoder=empty(rows, wiring.reads_noise),
    )
    return batch, noise
