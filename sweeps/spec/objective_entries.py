"""Reads an entry of `objectives`: the objective, and the settings of its own that it carries beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path as File
from typing import Any, NamedTuple

import metrics
from sweeps.spec import objective_settings, registry_blocks, type_hints
from sweeps.spec.errors import Path, spell
from sweeps.spec.objective_settings import OWN
from sweeps.spec.registry_blocks import Findings
from vae_core.config import EvaluationConfig, TrainConfig
from vae_core.hyperparameters import registry
from vae_core.networks import NETWORKS
from vae_core.objectives import OBJECTIVES


class Shared(NamedTuple):
    """What the settings of an entry are laid over; None for a section that has a mistake."""

    network: Mapping[str, Any] | None
    train: Mapping[str, Any] | None
    network_name: str  # as it was written, "" if not at all


class Entry(NamedTuple):
    """An entry of `objectives`."""

    objective: dict[str, Any]
    own: dict[str, dict[str, Any]]


def read(value: Any, path: Path, found: Findings, shared: Shared) -> Entry:
    """Return an entry; mistakes are added to `found`."""
    objective = registry_blocks.named(
        "objective", value, OBJECTIVES, path, found, spaces=True, beside=OWN
    )
    if not isinstance(value, Mapping):
        return Entry(objective, {})
    readers = {"network": _network, "train": _train, "evaluation": _evaluation}
    own = {
        section: readers[section](value[section], (*path, section), found, shared)
        for section in OWN
        if value.get(section) is not None
    }
    return Entry(objective, {section: fields for section, fields in own.items() if fields})


def training(value: Any, path: Path, found: Findings) -> Any:
    """Return a `train` section as its fields hold it: None for `all` images, the text of a table for its path."""
    if not isinstance(value, Mapping):
        return value
    read = dict(value)
    if read.get("images_per_epoch") == "all":
        read["images_per_epoch"] = None
    if "factor_table" in read:
        before = len(found)
        read["factor_table"] = _tables(read["factor_table"], (*path, "factor_table"), found)
        if len(found) > before:  # of a file that is not there, nothing else can be said
            del read["factor_table"]
    return read


def _tables(value: Any, path: Path, found: Findings) -> Any:
    """Return a table of weights with the file's text in place of its path, in a space too.

    So the text is what the spec, the ledger and every trial hold: a trial is on the table as it was, on whatever node.
    """
    if isinstance(value, Mapping):
        return {key: _tables(item, (*path, key), found) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_tables(item, (*path, at), found) for at, item in enumerate(value)]
    if not isinstance(value, str) or "\n" in value:
        return value
    try:
        return File(value).read_text(
            encoding="utf-8-sig"
        )  # with the mark that spreadsheets put before it
    except (OSError, UnicodeDecodeError) as error:
        found.append(
            (path, f"{spell(path)} must be a CSV file, or its text, got {value!r}: {error}")
        )
        return value


def servable(names: Any, path: Path, found: Findings) -> None:
    """Add to `found` the final metrics that nobody knows, or that one trial alone cannot be scored with."""
    for at, name in enumerate(names if isinstance(names, list | tuple) else ()):
        here = (*path, at)
        if not isinstance(name, str):
            continue
        try:
            compares = "others" in metrics.find(name).needs
        except ValueError as error:
            found.append((here, f"{spell(here)}: {error}"))
            continue
        if compares:
            after = f"leave it out, and after the sweep use `sweeps rescore NAME --metrics {name}`"
            found.append((here, f"{spell(here)}: {name} compares several models; {after}"))


def _network(value: Any, path: Path, found: Findings, shared: Shared) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        found.append((path, f"{spell(path)} must be a mapping, got {type_hints.shown(value)}"))
        return {}
    if "name" in value and value["name"] != shared.network_name:
        return registry_blocks.named("network", value, NETWORKS, path, found, spaces=True)
    if shared.network_name not in NETWORKS:
        return {}  # the shared network has the mistake: which fields there are, its name would say
    named = {"name": shared.network_name} if "name" in value else {}
    rest = {key: item for key, item in value.items() if key != "name"}
    cls, called = NETWORKS[shared.network_name], f"network {shared.network_name}"
    if shared.network is None:
        return {
            **named,
            **registry_blocks.partly(cls, rest, path, found, spaces=True, called=called),
        }
    over = {key: item for key, item in shared.network.items() if key != "name"}
    return {
        **named,
        **registry_blocks.fields(cls, rest, path, found, spaces=True, called=called, over=over),
    }


def _train(value: Any, path: Path, found: Findings, shared: Shared) -> dict[str, Any]:
    written = training(value, path, found)
    if shared.train is None or not isinstance(written, Mapping):
        return registry_blocks.partly(TrainConfig, written, path, found, spaces=True)
    over = objective_settings.shared_beneath(shared.train, written)
    return registry_blocks.fields(TrainConfig, written, path, found, spaces=True, over=over)


def _evaluation(value: Any, path: Path, found: Findings, shared: Shared) -> dict[str, Any]:
    """Return an entry's final metrics: images, samples and seed stay shared, or no two scores could be compared."""
    del shared
    if not isinstance(value, Mapping):
        found.append((path, f"{spell(path)} must be a mapping, got {type_hints.shown(value)}"))
        return {}
    adapters = type_hints.adapters(EvaluationConfig)
    for key in value:
        here = (*path, key)
        if key in adapters and key != "final":
            reason = "is shared by all objectives, so that their scores can be compared"
            found.append(
                (
                    here,
                    f"{spell(here)} {reason}; give evaluation.{key}, got {type_hints.shown(value[key])}",
                )
            )
        elif key not in adapters:
            found.append((here, f"{spell(here)}: {registry.unknown('field', key, ['final'])}"))
    if "final" not in value:
        return {}
    before = len(found)
    servable(value["final"], (*path, "final"), found)
    if len(found) > before:
        return {}
    return {"final": type_hints.read(adapters["final"], value["final"], (*path, "final"), found)}
