"""A small untrained model of any objective, to evaluate on the bars."""

from __future__ import annotations

from vae_core import Data
from vae_core.evaluation.forward_pass import Model
from vae_core.feed import Feed
from vae_core.likelihood import likelihood
from vae_core.networks import MLP, build_networks
from vae_core.objectives import AbstractObjective
from vae_core.random_draws import generator
from vae_core.types import Context


def model_of(data: Data, objective: AbstractObjective, *, step: int = 9) -> Model:
    """Return a model with 3 latents at a step of 10."""
    feed = Feed(data, objective.wiring)
    nets = build_networks(
        MLP(hidden=(8,), latents=3),
        objective.wiring,
        (1, 16, 16),
        likelihood=likelihood("bernoulli"),
        generator=generator(0, "weights"),
        widths=feed.widths,
    )
    return Model(nets, objective, feed, Context(step, 10, len(data)))
