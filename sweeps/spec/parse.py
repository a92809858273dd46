"""Reads the sections of a spec, each alone: a problem of one hides no problem of another."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter

from sweeps.spec import limits, objective_entries, published, registry_blocks, rules, type_hints
from sweeps.spec.draft import Draft
from sweeps.spec.errors import Problems
from sweeps.spec.objective_entries import Entry, Shared
from sweeps.spec.published import Published, PublishedTables
from sweeps.spec.sections import (
    BudgetSpec,
    CheckpointSpec,
    Goal,
    Goals,
    Name,
    Pruning,
    PruningSpec,
    ResourceSpec,
    SearchSpec,
    Section,
    Seeds,
    StoreSpec,
    TradeoffSpec,
)
from vae_core.config import EvaluationConfig, TrainConfig
from vae_core.data import DATASETS
from vae_core.data.abstract import AbstractDataset, Outline
from vae_core.hyperparameters import registry
from vae_core.networks import NETWORKS
from vae_core.objectives import OBJECTIVES

T = TypeVar("T")

SECTIONS: dict[str, tuple[Any, type[Section] | None]] = {
    "name": (Name, None),
    "seeds": (Seeds, None),
    "search": (SearchSpec, SearchSpec),
    "goal": (Goals, Goal),
    "tradeoff": (TradeoffSpec, TradeoffSpec),
    "pruning": (Pruning, PruningSpec),
    "resources": (ResourceSpec, ResourceSpec),
    "budget": (BudgetSpec, BudgetSpec),
    "checkpoint": (CheckpointSpec, CheckpointSpec),
    "store": (StoreSpec, StoreSpec),
    "published": (PublishedTables, Published),
}
"""The sections that pydantic reads: their hint, and the model that has their keys."""

REQUIRED = ("name", "data", "network", "train", "objectives")
KEYS = ("name", "data", "network", "train", "objectives", "evaluation", *list(SECTIONS)[1:])


def read(mapping: Mapping[str, Any], problems: Problems, *, files: bool = True) -> dict[str, Any]:
    """Return the fields of a `SweepSpec`; None for a section that has a problem.

    Args:
        mapping: the spec as YAML gives it.
        problems: gets every problem of the spec.
        files: whether it is a problem if a file of the data set is missing.
    """
    _check_keys(mapping, problems)
    # A null section is one that is not given, except where a section is required.
    given = {key: value for key, value in mapping.items() if value is not None or key in REQUIRED}

    data, outline = _read_data(given, problems, files=files)
    network = _read_network(given, problems)
    train = _read_train(given, problems)
    shared = Shared(network, train, network_name=_name_of(given.get("network")))
    entries = _read_entries(given, problems, shared)
    sections: dict[str, Any] = {
        "data": data,
        "network": network,
        "train": train,
        "objectives": None if entries is None else tuple(entry.objective for entry in entries),
        "entry_settings": None if entries is None else tuple(entry.settings for entry in entries),
        "evaluation": _read_evaluation(given, outline, problems),
    }
    for key, value in _with_defaults(given, outline).items():
        if key in SECTIONS:
            sections[key] = _read_section(key, value, problems)

    draft = _draft(sections, outline, _parameter_names(given))
    rules.check(draft, problems)
    if sections["published"] and sections["objectives"]:
        names = [str(objective["name"]) for objective in sections["objectives"]]
        published.check(sections["published"], names, draft.parameters, problems)
    return sections


def _check_keys(mapping: Mapping[str, Any], problems: Problems) -> None:
    for key in mapping:
        if key not in KEYS:
            problems.add((key,), registry.unknown_name("key", key, KEYS))
    for key in REQUIRED:
        if key not in mapping:
            problems.add((), f"{key} is missing; a spec needs {', '.join(REQUIRED)}")


def _draft(
    sections: Mapping[str, Any], outline: Outline | None, parameters: tuple[str, ...]
) -> Draft:
    return Draft(
        outline=outline,
        network=sections["network"],
        train=sections["train"],
        objectives=sections["objectives"],
        entry_settings=sections["entry_settings"],
        seeds=sections["seeds"],
        search=sections["search"],
        goals=sections["goal"],
        tradeoff_by=sections["tradeoff"].by if sections["tradeoff"] else None,
        parameters=parameters,
        pruning=sections["pruning"],
        evaluation=sections["evaluation"],
        resources=sections["resources"],
    )


def _with_defaults(given: Mapping[str, Any], outline: Outline | None) -> dict[str, Any]:
    """Return the values of `SECTIONS`, in their order, with defaults for those not given.

    Only defaults that depend on another section are filled in here; the models have the others.
    The goal is MIG if the data set has factors, or else the ELBO. Pruning takes metric and mode
    from the first goal.
    """
    metric = "mig" if outline is None or outline.factor_names else "elbo"
    values: dict[str, Any] = {key: {} for key in SECTIONS if key != "name"}
    values |= {"seeds": 1, "goal": {"metric": metric}, "pruning": None, "published": (), **given}
    in_order = {key: values[key] for key in SECTIONS if key in values}
    in_order["pruning"] = _pruning_with_goal(values["pruning"], values["goal"])
    return in_order


def _pruning_with_goal(pruning: Any, goal: Any) -> Any:
    """Return a `pruning` section with the metric and mode of the first goal, if it has none."""
    first_goal = goal[0] if isinstance(goal, list | tuple) and goal else goal
    if not isinstance(pruning, Mapping) or not isinstance(first_goal, Mapping):
        return pruning
    if "metric" in pruning:
        return pruning
    inherited = {key: first_goal[key] for key in ("metric", "mode") if key in first_goal}
    return {**inherited, **pruning}


def _unless_problem(key: str, value: T, problems: Problems) -> T | None:
    """Return the value of a section, or None if the section has a problem."""
    return None if problems.any_under((key,)) else value


def _read_data(
    given: Mapping[str, Any], problems: Problems, *, files: bool
) -> tuple[AbstractDataset | None, Outline | None]:
    """Return the data set and its outline; None for both if there is a problem."""
    if "data" not in given:
        return None, None
    block = registry_blocks.read_named(
        "data set",
        registry_blocks.with_home_folders(given["data"]),
        DATASETS,
        ("data",),
        problems,
        spaces=False,
    )
    if problems.any_under(("data",)):
        return None, None
    try:
        data = registry.build("data set", block, DATASETS)
        missing_file = data.missing() if files else None
        if missing_file is None:
            return data, data.outline()
        option = missing_file.partition(" ")[0]  # of "path must …", or "table must …"
        problems.add(("data", option), f"data.{missing_file}")
    except (ValueError, OSError) as error:
        problems.add(("data",), f"data: {error}")
    return None, None


def _read_network(given: Mapping[str, Any], problems: Problems) -> dict[str, Any] | None:
    if "network" not in given:
        return None
    block = registry_blocks.read_named(
        "network", given["network"], NETWORKS, ("network",), problems, spaces=True
    )
    return _unless_problem("network", block, problems)


def _read_train(given: Mapping[str, Any], problems: Problems) -> dict[str, Any] | None:
    if "train" not in given:
        return None
    path = ("train",)
    resolved = objective_entries.resolve_train(given["train"], path, problems)
    block = registry_blocks.read_fields(TrainConfig, resolved, path, problems, spaces=True)
    return _unless_problem("train", block, problems)


def _read_entries(
    given: Mapping[str, Any], problems: Problems, shared: Shared
) -> list[Entry] | None:
    """Return the entries of `objectives`; None if one of them has a problem."""
    if "objectives" not in given:
        return None
    value = given["objectives"]
    if not isinstance(value, list | tuple) or not value:
        rule = "objectives must be a list of at least one mapping with a name"
        problems.add(("objectives",), f"{rule}, got {type_hints.value_text(value)}")
        return None
    if len(value) > limits.ENTRIES:
        rule = f"objectives must have at most {limits.ENTRIES} entries, got {len(value)}"
        problems.add(("objectives",), f"{rule}; split the sweep")
        return None
    entries = [
        objective_entries.read(item, ("objectives", index), problems, shared)
        for index, item in enumerate(value)
    ]
    return _unless_problem("objectives", entries, problems)


def _read_evaluation(
    given: Mapping[str, Any], outline: Outline | None, problems: Problems
) -> EvaluationConfig | None:
    """Return the shared evaluation.

    Without ground-truth factors there are by default no final metrics.
    """
    path = ("evaluation",)
    value = given.get("evaluation", {})
    if isinstance(value, Mapping):
        objective_entries.check_final_metrics(value.get("final"), (*path, "final"), problems)
        if problems.any_under(path):  # `EvaluationConfig` would find the same problems again
            value = {key: item for key, item in value.items() if key != "final"}
    block = registry_blocks.read_fields(EvaluationConfig, value, path, problems, spaces=False)
    if problems.any_under(path):
        return None
    if outline is not None and not outline.factor_names:
        block = {"final": (), **block}
    return EvaluationConfig(**block)


def _parameter_names(given: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what `tradeoff.by` may name: fields of the objectives, of training, of networks."""
    objectives = given.get("objectives")
    entries: list[Any] = list(objectives) if isinstance(objectives, list | tuple) else []
    networks = [given.get("network")]
    for entry in entries:
        if isinstance(entry, Mapping):
            networks.append(entry.get("network"))

    classes: list[type[Any] | None] = [OBJECTIVES.get(_name_of(entry)) for entry in entries]
    classes.append(TrainConfig)
    classes += [NETWORKS.get(_name_of(network)) for network in networks]
    names: dict[str, None] = {}  # a set that keeps the order
    for cls in classes:
        if cls is not None:
            names |= dict.fromkeys(type_hints.adapters(cls))
    return tuple(names)


def _name_of(block: Any) -> str:
    """Return the `name` of a block, as the user wrote it; "" if it is no block."""
    return str(block.get("name")) if isinstance(block, Mapping) else ""


def _read_section(key: str, value: Any, problems: Problems) -> Any:
    """Return a section of `SECTIONS` as its model; None if it has a problem."""
    model = SECTIONS[key][1]
    known_keys = () if model is None else model.model_fields
    section = type_hints.check_value(_adapter(key), value, (key,), problems, known_keys=known_keys)
    return _unless_problem(key, section, problems)


@functools.cache
def _adapter(key: str) -> TypeAdapter[Any]:
    return TypeAdapter(SECTIONS[key][0])
