"""Reads the parts of a spec, each on its own, so that a mistake in one hides none in another."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter

from sweeps.spec import objective_entries, published, registry_blocks, rules, type_hints
from sweeps.spec.errors import Path
from sweeps.spec.published import Published, PublishedTables
from sweeps.spec.registry_blocks import Findings
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
"""The sections that pydantic reads: hint, and the model whose keys it has."""

REQUIRED = ("name", "data", "network", "train", "objectives")
KEYS = ("name", "data", "network", "train", "objectives", "evaluation", *list(SECTIONS)[1:])


def read(mapping: Mapping[str, Any], found: Findings, *, files: bool = True) -> dict[str, Any]:
    """Return the fields of a `SweepSpec`; mistakes are added to `found`, one of them a missing file if `files`."""
    for key in mapping:
        if key not in KEYS:
            found.append(((key,), registry.unknown("key", key, KEYS)))
    for key in REQUIRED:
        if key not in mapping:
            found.append(((), f"{key} is missing; a spec needs {', '.join(REQUIRED)}"))
    given = {key: value for key, value in mapping.items() if value is not None or key in REQUIRED}

    data, outline = _data(given, found, files=files)
    network, train = (
        _block(given, "network", found, _network),
        _block(given, "train", found, _train),
    )
    shared = objective_entries.Shared(network, train, _name(given.get("network")))
    listed = _block(given, "objectives", found, functools.partial(_objectives, shared=shared))
    parts: dict[str, Any] = {
        "data": data,
        "network": network,
        "train": train,
        "objectives": None if listed is None else tuple(entry.objective for entry in listed),
        "own": None if listed is None else tuple(entry.own for entry in listed),
        "evaluation": _evaluation(given, outline, found),
    }
    values = _with_defaults(given, outline)
    parts |= {key: _section(key, values[key], found) for key in SECTIONS if key in values}
    draft = rules.Draft(
        outline=outline,
        network=parts["network"],
        train=parts["train"],
        objectives=parts["objectives"],
        own=parts["own"],
        search=parts["search"],
        goals=parts["goal"],
        tradeoff_by=parts["tradeoff"].by if parts["tradeoff"] else None,
        names=_names(given),
        pruning=parts["pruning"],
        evaluation=parts["evaluation"],
        resources=parts["resources"],
    )
    found.extend(rules.check(draft))
    if parts["published"] and parts["objectives"]:
        names = [str(objective["name"]) for objective in parts["objectives"]]
        found.extend(published.check(parts["published"], names, draft.names))
    return parts


def _with_defaults(given: Mapping[str, Any], outline: Outline | None) -> dict[str, Any]:
    """Return the sections' values, with those filled in whose default depends on another section."""
    metric = "mig" if outline is None or outline.factor_names else "elbo"
    filled: dict[str, Any] = {key: {} for key in SECTIONS if key != "name"}
    filled |= {"seeds": 1, "goal": {"metric": metric}, "pruning": None, "published": (), **given}
    goal = filled["goal"]
    first = goal[0] if isinstance(goal, list | tuple) and goal else goal
    pruning = filled["pruning"]
    if isinstance(pruning, Mapping) and isinstance(first, Mapping) and "metric" not in pruning:
        inherited = {key: first[key] for key in ("metric", "mode") if key in first}
        filled["pruning"] = {**inherited, **pruning}
    return filled


def _block(
    given: Mapping[str, Any], key: str, found: Findings, read: Callable[[Any, Path, Findings], T]
) -> T | None:
    """Return a block, or None if it is missing or has a mistake."""
    if key not in given:
        return None
    wrong: Findings = []
    value = read(given[key], (key,), wrong)
    found.extend(wrong)
    return None if wrong else value


def _network(value: Any, path: Path, wrong: Findings) -> dict[str, Any]:
    return registry_blocks.named("network", value, NETWORKS, path, wrong, spaces=True)


def _train(value: Any, path: Path, wrong: Findings) -> dict[str, Any]:
    return registry_blocks.fields(
        TrainConfig, objective_entries.training(value, path, wrong), path, wrong, spaces=True
    )


def _objectives(
    value: Any, path: Path, wrong: Findings, *, shared: objective_entries.Shared
) -> tuple[objective_entries.Entry, ...]:
    if not isinstance(value, list | tuple) or not value:
        wrong.append(
            (
                path,
                f"objectives must be a list of at least one mapping with a name, got {type_hints.shown(value)}",
            )
        )
        return ()
    return tuple(
        objective_entries.read(item, (*path, at), wrong, shared) for at, item in enumerate(value)
    )


def _data(
    given: Mapping[str, Any], found: Findings, *, files: bool
) -> tuple[AbstractDataset | None, Outline | None]:
    """Return the data set and its outline, None if there is a mistake."""

    def read(value: Any, path: Path, wrong: Findings) -> tuple[AbstractDataset, Outline] | None:
        block = registry_blocks.named("data set", value, DATASETS, path, wrong, spaces=False)
        if wrong:
            return None
        try:
            data = registry.build("data set", block, DATASETS)
            if files and (missing := data.missing()):  # "path must …"
                wrong.append(((*path, "path"), f"data.{missing}"))
                return None
            return data, data.outline()
        except (ValueError, OSError) as error:
            wrong.append((path, f"data: {error}"))
            return None

    return _block(given, "data", found, read) or (None, None)


def _evaluation(
    given: Mapping[str, Any], outline: Outline | None, found: Findings
) -> EvaluationConfig | None:
    """Return what is evaluated; without ground truth, and unless stated, no metric of the whole set."""
    wrong: Findings = []
    value = given.get("evaluation", {})
    objective_entries.servable(
        value.get("final") if isinstance(value, Mapping) else (), ("evaluation", "final"), wrong
    )
    checked = {key: item for key, item in value.items() if key != "final"} if wrong else value
    fields = registry_blocks.fields(EvaluationConfig, checked, ("evaluation",), wrong, spaces=False)
    found.extend(wrong)
    if outline is not None and not outline.factor_names:
        fields = {"final": (), **fields}
    return None if wrong else EvaluationConfig(**fields)


def _names(given: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what may span a trade-off: fields of the objectives, of training, of the network."""
    objectives = given.get("objectives")
    rows: list[Any] = list(objectives) if isinstance(objectives, list | tuple) else []
    networks = [
        given.get("network"),
        *(row.get("network") for row in rows if isinstance(row, Mapping)),
    ]
    classes = [*(OBJECTIVES.get(_name(row)) for row in rows), TrainConfig]
    classes += [NETWORKS.get(_name(network)) for network in networks]
    return tuple(
        dict.fromkeys(
            field for cls in classes if cls is not None for field in type_hints.adapters(cls)
        )
    )


def _name(block: Any) -> str:
    return str(block.get("name")) if isinstance(block, Mapping) else ""


def _section(key: str, value: Any, found: Findings) -> Any:
    """Return a section as its model; None if it has a mistake."""
    wrong: Findings = []
    model = SECTIONS[key][1]
    known = () if model is None else model.model_fields
    read = type_hints.read(_adapter(key), value, (key,), wrong, known=known)
    found.extend(wrong)
    return None if wrong else read


@functools.cache
def _adapter(key: str) -> TypeAdapter[Any]:
    return TypeAdapter(SECTIONS[key][0])
