"""Objectives, networks and training settings of one entry, at the samples of its spaces."""

from __future__ import annotations

from typing import NamedTuple

from sweeps.spec import registry_blocks
from sweeps.spec.sweep_spec import SweepSpec
from vae_core.config import TrainConfig
from vae_core.hyperparameters import registry
from vae_core.networks import NETWORKS, AbstractNetwork
from vae_core.objectives import OBJECTIVES, AbstractObjective


class EntrySamples(NamedTuple):
    """What the trials of an entry can have, one object per sample."""

    trains: list[TrainConfig]
    objectives: list[AbstractObjective]
    networks: list[AbstractNetwork]


def entry_samples(spec: SweepSpec, index: int) -> EntrySamples:
    """Return the samples of an entry of `objectives`."""
    parts = spec.parts(index)
    return EntrySamples(
        [TrainConfig(**sample) for _, sample in registry_blocks.sample_blocks(parts.train)],
        [
            registry.build("objective", sample, OBJECTIVES)
            for _, sample in registry_blocks.sample_blocks(parts.objective)
        ],
        [
            registry.build("network", sample, NETWORKS)
            for _, sample in registry_blocks.sample_blocks(parts.network)
        ],
    )
