"""Entry settings: what one entry of `objectives` lays over the settings that all entries share.

    network: {name: cascade, latents: 10}
    objectives:
      - {name: beta_vae, beta: 10, network: {latents: 5}}
      - {name: beta_vae, beta: 4}

Published tables give each method its own latents and learning rate. Without entry settings such a
table would be several sweeps.

This is the only file that knows how the two are combined.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sweeps.spec.errors import SpecPath
from vae_core.config import EvaluationConfig

ENTRY_SECTIONS = ("network", "train", "evaluation")
"""The sections that an entry of `objectives` may hold settings for."""

LENGTHS = ("epochs", "steps")
"""The fields of `train` that give the length of a trial. A trial has one of them."""

EntrySettings = Mapping[str, Mapping[str, Any]]
"""Section -> the fields that an entry gives. Sections of which it gives none are absent."""


class Parts(NamedTuple):
    """What the trials of one entry are made of: the fields that were given, a value or `Space`."""

    objective: Mapping[str, Any]
    network: Mapping[str, Any]
    train: Mapping[str, Any]
    evaluation: EvaluationConfig


def overlay(section: str, shared: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return `network` or `train` as an entry uses it: its own fields over the shared ones.

    Args:
        section: "network" or "train".
        shared: the spec's section.
        entry: the fields that the entry gives for this section.
    """
    return {**shared_fields_in_force(section, shared, entry), **entry}


def shared_fields_in_force(
    section: str, shared: Mapping[str, Any], entry: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the shared fields that still count once an entry gives some fields.

    An entry that names another network replaces the shared network, so no shared field counts. An
    entry that gives its own length (epochs or steps) replaces the shared length.
    """
    if section == "network" and _names_another(shared, entry):
        return {}
    if section == "train" and any(entry.get(length) is not None for length in LENGTHS):
        return {field: value for field, value in shared.items() if field not in LENGTHS}
    return dict(shared)


def overlay_evaluation(shared: EvaluationConfig, entry: Mapping[str, Any]) -> EvaluationConfig:
    """Return `evaluation` as an entry uses it: its own fields over the shared ones."""
    return dataclasses.replace(shared, **entry)


def deciding_section(
    entry_settings: Sequence[EntrySettings], index: int, section: str, *fields: str
) -> SpecPath:
    """Return the path of the section that decides about some fields of one entry.

    That is the entry's section if it gives any of the fields, or else the shared section.

    Args:
        entry_settings: the settings of every entry.
        index: index of the entry in `objectives`.
        section: "network", "train" or "evaluation".
        fields: names of fields of this section.
    """
    fields_of_entry = entry_settings[index].get(section, {})
    if any(field in fields_of_entry for field in fields):
        return ("objectives", index, section)
    return (section,)


def _names_another(shared: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    return "name" in entry and entry["name"] != shared.get("name")
