"""An objective's own settings: laid over the sections that the objectives of a spec share.

    network: {name: cascade, latents: 10}
    objectives:
      - {name: beta_vae, beta: 10, network: {latents: 5}}
      - {name: beta_vae, beta: 4}

Published tables give each method its own latents and learning rate; without this such a table is several sweeps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sweeps.spec.errors import Path
from vae_core.config import EvaluationConfig

OWN = ("network", "train", "evaluation")
"""The sections of which an entry of `objectives` may carry settings of its own."""

LENGTHS = ("epochs", "steps")

Own = Mapping[str, Mapping[str, Any]]
"""Section -> the fields that an entry gives; sections of which it gives none are absent."""


class Parts(NamedTuple):
    """What the trials of one objective are made of: fields that were given, a value or a `Space` each."""

    objective: Mapping[str, Any]
    network: Mapping[str, Any]
    train: Mapping[str, Any]
    evaluation: EvaluationConfig


def network(shared: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return an objective's network: another name replaces the shared one, fields alone are laid over it."""
    return dict(own) if replaces(shared, own) else {**shared, **own}


def replaces(shared: Mapping[str, Any], own: Mapping[str, Any]) -> bool:
    """Return whether an objective's network is another one than the shared."""
    return own.get("name", shared.get("name")) != shared.get("name")


def train(shared: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return an objective's training: its own fields over the shared ones, its own length instead of the shared."""
    return {**shared_beneath(shared, own), **own}


def shared_beneath(shared: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is left of the shared training: of a length in epochs nothing, if an objective's is in steps."""
    ends = any(own.get(length) is not None for length in LENGTHS)
    return {key: value for key, value in shared.items() if not (ends and key in LENGTHS)}


def evaluation(shared: EvaluationConfig, own: Mapping[str, Any]) -> EvaluationConfig:
    """Return what is evaluated of an objective's trials."""
    return dataclasses.replace(shared, **own)


def deciding_section(own: Sequence[Own], at: int, section: str, *fields: str) -> Path:
    """Return the section that decides about some fields of objective `at`: its own, or else the shared one."""
    given = own[at].get(section, {})
    return ("objectives", at, section) if any(field in given for field in fields) else (section,)
