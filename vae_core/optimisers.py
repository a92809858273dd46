"""The optimisers of the players: the config chooses the autoencoder's, the objective the others."""

# torch's own hints are partial (`load_state_dict`).
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vae_core.config import TrialConfig

AUTOENCODER = "vae"
"""The player that `train.optimiser` and `train.learning_rate` are about."""

_OPTIMISERS = {"adam": torch.optim.Adam, "adagrad": torch.optim.Adagrad, "sgd": torch.optim.SGD}
_FUSED = {"adam": ("cpu", "cuda"), "adagrad": ("cpu",), "sgd": ("cpu", "cuda")}
"""Devices on which one kernel updates all weights of an optimiser.

For 0.7 million weights on one core this takes 0.7 ms instead of 2.6 ms."""

_STATE_KEYS: dict[type[torch.optim.Optimizer], set[str]] = {
    torch.optim.Adam: {"step", "exp_avg", "exp_avg_sq"},
    torch.optim.Adagrad: {"step", "sum"},
    torch.optim.SGD: set(),  # without momentum it keeps nothing
}
"""What each optimiser keeps for each weight."""


def player_optimiser(
    config: TrialConfig, player: str, parameters: list[nn.Parameter]
) -> torch.optim.Optimizer:
    """Return a new optimiser of one player's parameters; it is Adam for the other players."""
    kind = config.train.optimiser if player == AUTOENCODER else "adam"
    fused = parameters[0].device.type in _FUSED[kind]
    if player != AUTOENCODER:
        rival = config.objective.rivals[player]
        return torch.optim.Adam(parameters, lr=rival.learning_rate, betas=rival.betas, fused=fused)
    return _OPTIMISERS[kind](parameters, lr=config.train.learning_rate, fused=fused)


def load_optimisers(
    optimisers: Mapping[str, torch.optim.Optimizer], states: Mapping[str, Any]
) -> None:
    """Copy the states of optimisers, one per player, into the optimisers.

    Raises:
        ValueError: the states are of other players, of another optimiser or of other weights.
    """
    if optimisers.keys() != states.keys():
        raise ValueError(
            f"the state has optimisers of {sorted(states)}, the trial of {sorted(optimisers)}"
        )
    for player, optimiser in optimisers.items():
        try:
            _require_entries(optimiser, states[player])
            options = [group.keys() for group in optimiser.param_groups]
            # A copy: the optimiser would use the caller's tensors and change them while training.
            optimiser.load_state_dict(copy.deepcopy(states[player]))
            for expected, group in zip(options, optimiser.param_groups, strict=True):
                if not expected <= group.keys():
                    raise ValueError(f"no {sorted(expected - group.keys())}")
        except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
            raise ValueError(f"the optimiser of {player} has another state: {error!r}") from error


def _require_entries(optimiser: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Raise ValueError unless what is kept for each weight has the optimiser's names and shapes.

    torch does not check this: training would fail at its next step.
    """
    for current, stored in zip(optimiser.param_groups, state["param_groups"], strict=True):
        for index, weight in zip(stored["params"], current["params"], strict=True):
            entry = state["state"].get(index)
            if entry is None:
                continue  # a weight that has had no gradient yet
            if not _STATE_KEYS[type(optimiser)] <= entry.keys():
                raise ValueError(f"weight {index} has only {sorted(entry)}")
            for name, value in entry.items():
                if isinstance(value, Tensor) and value.shape not in (weight.shape, torch.Size()):
                    shapes = f"{tuple(value.shape)} instead of {tuple(weight.shape)}"
                    raise ValueError(f"{name} of weight {index} has shape {shapes}")
