"""Reads the parts of a spec, each on its own, so that a mistake in one hides none in another."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path as File
from typing import Any, TypeVar

from pydantic import TypeAdapter

import metrics
from sweeps import blocks, hints, spec_rules
from sweeps.blocks import Findings
from sweeps.sections import (
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
from sweeps.spec_errors import Path, spell
from vae_core import registry
from vae_core.config import EvaluationConfig, TrainConfig
from vae_core.data import DATASETS
from vae_core.data.abstract import AbstractDataset, Outline
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
}
"""The sections that pydantic reads: hint, and the model whose keys it has."""

REQUIRED = ("name", "data", "network", "train", "objectives")
KEYS = ("name", "data", "network", "train", "objectives", "evaluation", *list(SECTIONS)[1:])


def read(mapping: Mapping[str, Any], found: Findings) -> dict[str, Any]:
    """Return the fields of a `SweepSpec`; mistakes are added to `found`."""
    for key in mapping:
        if key not in KEYS:
            found.append(((key,), registry.unknown("key", key, KEYS)))
    for key in REQUIRED:
        if key not in mapping:
            found.append(((), f"{key} is missing; a spec needs {', '.join(REQUIRED)}"))
    given = {key: value for key, value in mapping.items() if value is not None or key in REQUIRED}

    data, outline = _data(given, found)
    parts: dict[str, Any] = {
        "data": data,
        "network": _block(given, "network", found, _network),
        "train": _block(given, "train", found, _train),
        "objectives": _block(given, "objectives", found, _objectives),
        "evaluation": _evaluation(given, outline, found),
    }
    values = _with_defaults(given, outline)
    parts |= {key: _section(key, values[key], found) for key in SECTIONS if key in values}
    draft = spec_rules.Draft(
        outline=outline,
        network=parts["network"],
        train=parts["train"],
        objectives=parts["objectives"],
        search=parts["search"],
        goals=parts["goal"],
        tradeoff_by=parts["tradeoff"].by if parts["tradeoff"] else None,
        names=_names(given),
        pruning=parts["pruning"],
        evaluation=parts["evaluation"],
        resources=parts["resources"],
    )
    found.extend(spec_rules.check(draft))
    return parts


def _with_defaults(given: Mapping[str, Any], outline: Outline | None) -> dict[str, Any]:
    """Return the sections' values, with those filled in whose default depends on another section."""
    metric = "mig" if outline is None or outline.factor_names else "elbo"
    filled: dict[str, Any] = {key: {} for key in SECTIONS if key != "name"}
    filled |= {"seeds": 1, "goal": {"metric": metric}, "pruning": None, **given}
    goal = filled["goal"]
    first = goal[0] if isinstance(goal, list | tuple) and goal else goal
    pruning = filled["pruning"]
    if isinstance(pruning, Mapping) and isinstance(first, Mapping) and "metric" not in pruning:
        inherited = {key: first[key] for key in ("metric", "mode") if key in first}
        filled["pruning"] = {**inherited, **pruning}
    return filled


def _block(given: Mapping[str, Any], key: str, found: Findings, read: Callable[[Any, Path, Findings], T]) -> T | None:
    """Return a block, or None if it is missing or has a mistake."""
    if key not in given:
        return None
    wrong: Findings = []
    value = read(given[key], (key,), wrong)
    found.extend(wrong)
    return None if wrong else value


def _network(value: Any, path: Path, wrong: Findings) -> dict[str, Any]:
    return blocks.named("network", value, NETWORKS, path, wrong, spaces=True)


def _train(value: Any, path: Path, wrong: Findings) -> dict[str, Any]:
    if isinstance(value, Mapping) and value.get("images_per_epoch") == "all":
        value = {**value, "images_per_epoch": None}
    if isinstance(value, Mapping) and "factor_table" in value:
        here = (*path, "factor_table")
        value = {**value, "factor_table": _tables(value["factor_table"], here, wrong)}
        if wrong:  # of a file that is not there, nothing else can be said
            value = {key: item for key, item in value.items() if key != "factor_table"}
    return blocks.fields(TrainConfig, value, path, wrong, spaces=True)


def _tables(value: Any, path: Path, wrong: Findings) -> Any:
    """Return a table of weights with the file's text in place of its path, in a space too.

    So the text is what the spec, the ledger and every trial hold: a trial is on the table as it was, on whatever node.
    """
    if isinstance(value, Mapping):
        return {key: _tables(item, (*path, key), wrong) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_tables(item, (*path, at), wrong) for at, item in enumerate(value)]
    if not isinstance(value, str) or "\n" in value:
        return value
    try:
        return File(value).read_text()
    except (OSError, UnicodeDecodeError) as error:
        wrong.append((path, f"{spell(path)} must be a CSV file, or its text, got {value!r}: {error}"))
        return value


def _objectives(value: Any, path: Path, wrong: Findings) -> tuple[dict[str, Any], ...]:
    if not isinstance(value, list | tuple) or not value:
        wrong.append((path, f"objectives must be a list of at least one mapping with a name, got {hints.shown(value)}"))
        return ()
    return tuple(
        blocks.named("objective", item, OBJECTIVES, (*path, at), wrong, spaces=True) for at, item in enumerate(value)
    )


def _data(given: Mapping[str, Any], found: Findings) -> tuple[AbstractDataset | None, Outline | None]:
    """Return the data set and its outline, None if there is a mistake."""

    def read(value: Any, path: Path, wrong: Findings) -> tuple[AbstractDataset, Outline] | None:
        block = blocks.named("data set", value, DATASETS, path, wrong, spaces=False)
        if wrong:
            return None
        try:
            data = registry.build("data set", block, DATASETS)
            if missing := data.missing():  # "path must …"
                wrong.append(((*path, "path"), f"data.{missing}"))
                return None
            return data, data.outline()
        except (ValueError, OSError) as error:
            wrong.append((path, f"data: {error}"))
            return None

    return _block(given, "data", found, read) or (None, None)


def _evaluation(given: Mapping[str, Any], outline: Outline | None, found: Findings) -> EvaluationConfig | None:
    """Return what is evaluated; without ground truth, and unless stated, no metric of the whole set."""
    wrong: Findings = []
    value = given.get("evaluation", {})
    final = value.get("final", ()) if isinstance(value, Mapping) else ()
    for at, name in enumerate(final if isinstance(final, list | tuple) else ()):
        path = ("evaluation", "final", at)
        if not isinstance(name, str):
            continue
        try:
            compares = "others" in metrics.find(name).needs
        except ValueError as error:
            wrong.append((path, f"{spell(path)}: {error}"))
            continue
        if compares:
            after = f"leave it out, and after the sweep use `sweeps rescore NAME --metrics {name}`"
            wrong.append((path, f"{spell(path)}: {name} compares several models; {after}"))
    checked = {key: item for key, item in value.items() if key != "final"} if wrong else value
    fields = blocks.fields(EvaluationConfig, checked, ("evaluation",), wrong, spaces=False)
    found.extend(wrong)
    if outline is not None and not outline.factor_names:
        fields = {"final": (), **fields}
    return None if wrong else EvaluationConfig(**fields)


def _names(given: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what may span a trade-off: fields of the objectives, of training, of the network."""
    objectives, network = given.get("objectives"), given.get("network")
    rows: list[Any] = list(objectives) if isinstance(objectives, list | tuple) else []
    classes = [OBJECTIVES.get(_name(row)) for row in rows] + [TrainConfig, NETWORKS.get(_name(network))]
    return tuple(dict.fromkeys(field for cls in classes if cls is not None for field in hints.adapters(cls)))


def _name(block: Any) -> str:
    return str(block.get("name")) if isinstance(block, Mapping) else ""


def _section(key: str, value: Any, found: Findings) -> Any:
    """Return a section as its model; None if it has a mistake."""
    wrong: Findings = []
    model = SECTIONS[key][1]
    known = () if model is None else model.model_fields
    read = hints.read(_adapter(key), value, (key,), wrong, known=known)
    found.extend(wrong)
    return None if wrong else read


@functools.cache
def _adapter(key: str) -> TypeAdapter[Any]:
    return TypeAdapter(SECTIONS[key][0])
