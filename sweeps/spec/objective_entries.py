"""Reads an entry of `objectives`: the objective, and the entry settings beside its fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import metrics
from sweeps.spec import registry_blocks, type_hints
from sweeps.spec.errors import Problems, SpecPath, spell
from sweeps.spec.objective_settings import ENTRY_SECTIONS, shared_fields_in_force
from sweeps.spec.spec_file import read_bytes
from sweeps.urls import home_expanded
from vae_core.config import EvaluationConfig, TrainConfig
from vae_core.hyperparameters import registry
from vae_core.hyperparameters.limits import FINAL_METRICS, TABLE_CHARACTERS
from vae_core.networks import NETWORKS
from vae_core.objectives import OBJECTIVES


class Shared(NamedTuple):
    """The sections that all entries share; None for a section that has a problem."""

    network: Mapping[str, Any] | None
    train: Mapping[str, Any] | None
    network_name: str  # as the user wrote it, even if it is unknown; "" if there is none


class Entry(NamedTuple):
    """An entry of `objectives`."""

    objective: dict[str, Any]
    settings: dict[str, dict[str, Any]]  # section -> the fields that the entry gives


def read(value: Any, path: SpecPath, problems: Problems, shared: Shared) -> Entry:
    """Return the entry at a path; its problems are added to `problems`."""
    objective = registry_blocks.read_named(
        "objective", value, OBJECTIVES, path, problems, spaces=True, other_keys=ENTRY_SECTIONS
    )
    settings: dict[str, dict[str, Any]] = {}
    if not isinstance(value, Mapping):
        return Entry(objective, settings)
    for section in ENTRY_SECTIONS:
        if value.get(section) is None:
            continue
        fields = _read_section(section, value[section], (*path, section), problems, shared)
        if fields:
            settings[section] = fields
    return Entry(objective, settings)


def resolve_train(value: Any, path: SpecPath, problems: Problems) -> Any:
    """Return a `train` section as `TrainConfig` holds it.

    `images_per_epoch: all` becomes None. The path of a factor table becomes the text of the file.
    A factor table that cannot be read is left out: nothing else can be checked about it.
    """
    if not isinstance(value, Mapping):
        return value
    resolved = dict(value)
    if resolved.get("images_per_epoch") == "all":
        resolved["images_per_epoch"] = None
    if "factor_table" in resolved:
        table_problems = Problems()
        table_path = (*path, "factor_table")
        text = _read_tables(resolved["factor_table"], table_path, table_problems)
        resolved["factor_table"] = text
        if len(table_problems) > 0:
            del resolved["factor_table"]
        problems.extend(table_problems)
    return resolved


def check_final_metrics(names: Any, path: SpecPath, problems: Problems) -> None:
    """Add a problem for every final metric that is unknown or that compares several models.

    One trial has one model, so it cannot be scored with a metric that compares models.
    """
    if not isinstance(names, list | tuple):
        return
    if len(names) > FINAL_METRICS:
        rule = f"{spell(path)} must be a list of at most {FINAL_METRICS}"
        problems.add(path, f"{rule}, got {len(names)} items")
        return
    for index, name in enumerate(names):
        name_path = (*path, index)
        if not isinstance(name, str):
            continue
        try:
            compares_models = "others" in metrics.find(name).needs
        except ValueError as error:
            problems.add(name_path, f"{spell(name_path)}: {error}")
            continue
        if compares_models:
            remedy = f"leave it out, and after the sweep use `sweeps rescore NAME --metrics {name}`"
            message = f"{spell(name_path)}: {name} compares several models; {remedy}"
            problems.add(name_path, message)


def _read_tables(value: Any, path: SpecPath, problems: Problems) -> Any:
    """Return a factor table with the text of the file in place of its path, inside a space too.

    The spec, the ledger and every trial then hold the text. So a trial uses the table as it was
    when the sweep began, on every node.
    """
    if isinstance(value, Mapping):
        return {key: _read_tables(item, (*path, key), problems) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_read_tables(item, (*path, index), problems) for index, item in enumerate(value)]
    if not isinstance(value, str) or "\n" in value:  # a text of several lines is a table already
        return value
    try:
        content = read_bytes(home_expanded(value), most=TABLE_CHARACTERS, what="a factor table")
        # utf-8-sig: spreadsheets put a byte order mark before the text.
        return content.decode("utf-8-sig")
    except (OSError, ValueError) as error:  # ValueError: no text, no file, or too large
        rule = "must be the path of a CSV file, or its text"
        problems.add(path, f"{spell(path)} {rule}, got {value!r}: {error}")
        return value


def _read_section(
    section: str, value: Any, path: SpecPath, problems: Problems, shared: Shared
) -> dict[str, Any]:
    """Return the fields that an entry gives for one of `ENTRY_SECTIONS`."""
    if section == "network":
        return _read_network(value, path, problems, shared)
    if section == "train":
        return _read_train(value, path, problems, shared)
    return _read_evaluation(value, path, problems)


def _read_network(value: Any, path: SpecPath, problems: Problems, shared: Shared) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        problems.add(path, f"{spell(path)} must be a mapping, got {type_hints.value_text(value)}")
        return {}
    if "name" in value and value["name"] != shared.network_name:
        return registry_blocks.read_named("network", value, NETWORKS, path, problems, spaces=True)
    if shared.network_name not in NETWORKS:
        return {}  # the shared network is unknown, so it is not known which fields there are
    named = {"name": shared.network_name} if "name" in value else {}
    fields = {key: item for key, item in value.items() if key != "name"}
    cls = NETWORKS[shared.network_name]
    label = f"network {shared.network_name}"
    if shared.network is None:
        block = registry_blocks.read_each_field(
            cls, fields, path, problems, spaces=True, label=label
        )
        return {**named, **block}
    in_force = shared_fields_in_force("network", shared.network, value)
    shared_fields = {key: item for key, item in in_force.items() if key != "name"}
    block = registry_blocks.read_fields(
        cls, fields, path, problems, spaces=True, label=label, shared=shared_fields
    )
    return {**named, **block}


def _read_train(value: Any, path: SpecPath, problems: Problems, shared: Shared) -> dict[str, Any]:
    resolved = resolve_train(value, path, problems)
    if shared.train is None or not isinstance(resolved, Mapping):
        return registry_blocks.read_each_field(TrainConfig, resolved, path, problems, spaces=True)
    shared_fields = shared_fields_in_force("train", shared.train, resolved)
    return registry_blocks.read_fields(
        TrainConfig, resolved, path, problems, spaces=True, shared=shared_fields
    )


def _read_evaluation(value: Any, path: SpecPath, problems: Problems) -> dict[str, Any]:
    """Return the final metrics of an entry.

    Images, samples and seed stay shared by all entries, or no two scores could be compared.
    """
    if not isinstance(value, Mapping):
        problems.add(path, f"{spell(path)} must be a mapping, got {type_hints.value_text(value)}")
        return {}
    adapters = type_hints.adapters(EvaluationConfig)
    for key in value:
        key_path = (*path, key)
        if key not in adapters:
            unknown = registry.unknown_name("field", key, ["final"])
            problems.add(key_path, f"{spell(key_path)}: {unknown}")
        elif key != "final":
            rule = "is shared by all objectives, so that their scores can be compared"
            remedy = f"set evaluation.{key} instead, got {type_hints.value_text(value[key])}"
            problems.add(key_path, f"{spell(key_path)} {rule}; {remedy}")
    if "final" not in value:
        return {}
    final_path = (*path, "final")
    metric_problems = Problems()
    check_final_metrics(value["final"], final_path, metric_problems)
    problems.extend(metric_problems)
    if len(metric_problems) > 0:
        return {}
    return {
        "final": type_hints.check_value(adapters["final"], value["final"], final_path, problems)
    }
