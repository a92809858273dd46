"""All inputs of one step of any objective, in float64: networks, batch, noise and context."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vae_core import discrete
from vae_core.likelihood import likelihood
from vae_core.networks import MLP, AbstractNetwork, Burgess, Networks, Widths, build_networks
from vae_core.objectives import AbstractAlternating, AbstractObjective
from vae_core.training_loop import resolved_code
from vae_core.types import Batch, Context, Noise, Wiring

B, N = 8, 100
LABELS, FACTORS = 4, 5
NETWORKS: dict[str, tuple[AbstractNetwork, tuple[int, int, int]]] = {
    "mlp": (MLP(hidden=(20,), latents=3), (1, 8, 8)),
    "burgess": (Burgess(latents=3), (1, 32, 32)),
}


class Case(NamedTuple):
    """The inputs of one step of one trial."""

    nets: Networks
    batch: Batch
    noise: Noise
    ctx: Context


def make(
    objective: AbstractObjective,
    network: str = "mlp",
    *,
    seed: int = 0,
    step: int = 3,
    total: int = 10,
) -> Case:
    """Return a case; its code solves the objective's inner problem, or is random without one."""
    sizes, shape = NETWORKS[network]
    wiring = objective.wiring
    draw = torch.Generator().manual_seed(seed)
    nets = build_networks(
        sizes,
        wiring,
        shape,
        likelihood=likelihood("bernoulli"),
        generator=draw,
        widths=Widths(label=LABELS, factors=FACTORS),
    ).double()
    case = Case(
        nets,
        batch_of(wiring, shape, draw),
        noise_of(wiring, nets.latents, draw),
        Context(step, total, N, torch.tensor(objective.memory).double()),
    )
    return solved(objective, case)


def solved(objective: AbstractObjective, case: Case) -> Case:
    """Return the case with the code that solves the objective's inner problem, if it has one."""
    nets, batch, noise, ctx = case
    if not isinstance(objective, AbstractAlternating) or not objective.alternates(ctx):
        return case
    return case._replace(
        batch=batch._replace(code=resolved_code(objective, nets, batch, noise, ctx))
    )


def batch_of(wiring: Wiring, shape: tuple[int, int, int], draw: torch.Generator) -> Batch:
    """Return B random images with the other inputs that the wiring reads."""

    def images() -> Tensor:
        return (torch.rand(B, *shape, generator=draw, dtype=torch.float64) < 0.3).double()

    def one_hot(width: int) -> Tensor:
        return torch.eye(width, dtype=torch.float64)[torch.randint(width, (B,), generator=draw)]

    first = images()
    return Batch(
        first,
        labels=one_hot(LABELS) if wiring.reads_label != "nowhere" else first.new_zeros(B, 0),
        factors=one_hot(FACTORS) if wiring.reads_factors != "no" else first.new_zeros(B, 0),
        second=images() if wiring.second_batch else first[:0],
        code=torch.cat([first.new_zeros(B, 0), *(one_hot(size) for size in wiring.reads_code)], 1),
        noise=first.new_zeros(B, wiring.reads_noise),
    )


def noise_of(wiring: Wiring, latents: int, draw: torch.Generator) -> Noise:
    """Return the random draws that the wiring needs."""

    def normal() -> Tensor:
        return torch.randn(B, latents, generator=draw, dtype=torch.float64)

    first = normal()
    order = (
        torch.rand(B, latents, generator=draw).argsort(0) if wiring.adversary else first[:0].long()
    )
    return Noise(
        first,
        second=normal() if wiring.second_batch else first[:0],
        gumbel=discrete.standard_gumbel((B, sum(wiring.infers_code)), draw).double(),
        permutation=order,
        prior=normal() if wiring.judges_images else first[:0],
        decoder=torch.randn(B, wiring.reads_noise, generator=draw, dtype=torch.float64),
    )
