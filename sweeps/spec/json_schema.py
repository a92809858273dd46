"""The JSON schema of a spec, for editors. It is made from the same hints that check a spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

import metrics
from sweeps.spec import field_docs
from sweeps.spec.parse import REQUIRED, SECTIONS
from sweeps.spec.space import FINITE, INTERVALS
from vae_core.config import SELECTION_METRICS, EvaluationConfig, TrainConfig
from vae_core.data import DATASETS
from vae_core.networks import NETWORKS
from vae_core.objectives import OBJECTIVES

Schema = dict[str, Any]


def json_schema() -> Schema:
    """Return the schema. It has every bound of a value, and no rule between sections."""
    properties: Schema = {
        "name": {},
        "data": _one_of(DATASETS, spaces=False),
        "network": _one_of(NETWORKS, spaces=True),
        "train": _train(),
        "objectives": {"type": "array", "minItems": 1, "items": _entries()},
        "evaluation": _evaluation(),
    }
    definitions: Schema = {}
    for section, make_schema in _ENTRY_SECTIONS.items():
        definitions[f"own_{section}"] = make_schema()
    for key, (hint, _) in SECTIONS.items():
        schema = TypeAdapter(hint).json_schema()
        definitions |= schema.pop("$defs", {})
        properties[key] = schema if key in REQUIRED else {"anyOf": [schema, {"type": "null"}]}
    properties["goal"]["anyOf"].append({"$ref": "#/$defs/Goal"})
    properties["pruning"]["anyOf"].append({"const": "none"})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A sweep of disentangling VAEs",
        "type": "object",
        "properties": properties,
        "required": list(REQUIRED),
        "additionalProperties": False,
        "$defs": definitions,
    }


def _entries() -> Schema:
    """Return the union of objectives, each with the entry settings beside its fields."""
    entries = _one_of(OBJECTIVES, spaces=True)
    for row in entries["oneOf"]:
        for section in _ENTRY_SECTIONS:
            row["properties"][section] = {"$ref": f"#/$defs/own_{section}"}
    return entries


def _one_of(registry: Mapping[str, type[Any]], *, spaces: bool) -> Schema:
    """Return the union of a registry's dataclasses. The value of `name` chooses one of them."""
    rows = [_row(cls, spaces=spaces, name=name) for name, cls in registry.items()]
    return {
        "type": "object",
        "properties": {"name": {"enum": list(registry)}},
        "required": ["name"],
        "oneOf": rows,
    }


def _row(cls: type, *, spaces: bool, name: str | None = None) -> Schema:
    """Return the schema of a dataclass's fields, with `name` if it is a row of a registry."""
    properties: Schema = {"name": {"const": name}} if name is not None else {}
    required = list(properties)
    for field in field_docs.fields(cls):
        allowed = _with_spaces(field.schema) if spaces else dict(field.schema)
        if field.meaning:
            allowed["description"] = field.meaning
        if field.required:
            required.append(field.name)
        else:
            allowed["default"] = field.default
        properties[field.name] = allowed
    return {
        "type": "object",
        "description": field_docs.summary(cls),
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _with_spaces(value: Schema) -> Schema:
    """Return the schema of a value or a space of such values. Only numbers have intervals."""
    types = {branch.get("type") for branch in value.get("anyOf", [value])}
    finite = {"type": "array", "items": value, "minItems": 1, "uniqueItems": True}
    spaces = [_space(kind, finite) for kind in FINITE]
    intervals: list[str] = []
    if "number" in types:
        intervals = list(INTERVALS)
    elif "integer" in types:
        intervals = ["int", "logint"]
    ends = {"type": "array", "items": value, "minItems": 2, "maxItems": 2}
    spaces += [_space(kind, ends) for kind in intervals]
    return {"anyOf": [value, *spaces]}


def _space(kind: str, values: Schema) -> Schema:
    return {
        "type": "object",
        "properties": {kind: values},
        "required": [kind],
        "additionalProperties": False,
    }


def _train() -> Schema:
    """Return the schema of `train`, in which `images_per_epoch` may be the word `all`."""
    row = _row(TrainConfig, spaces=True)
    row["properties"]["images_per_epoch"]["anyOf"].append({"const": "all"})
    return row


def _evaluation() -> Schema:
    row = _row(EvaluationConfig, spaces=False)
    row["properties"]["final"]["items"] = {"enum": _final_metrics()}
    row["properties"]["best"] = {
        **row["properties"]["best"],
        "anyOf": [{"enum": list(SELECTION_METRICS)}, {"type": "null"}],
    }
    return {"anyOf": [row, {"type": "null"}]}


def _final_metrics() -> list[str]:
    """Return the metrics that one trial can be scored with: all but those that compare models."""
    return [name for name in metrics.names() if "others" not in metrics.find(name).needs]


def _entry_network() -> Schema:
    """Return what an entry may give of its network: any fields, and a name if it is another one."""
    rows = [_row(cls, spaces=True, name=name) for name, cls in NETWORKS.items()]
    for row in rows:
        row["required"] = []
    return {"anyOf": [*rows, {"type": "null"}]}


def _entry_train() -> Schema:
    return {"anyOf": [_train(), {"type": "null"}]}


def _entry_evaluation() -> Schema:
    """Return what an entry may give of its evaluation: the final metrics."""
    final = _row(EvaluationConfig, spaces=False)["properties"]["final"]
    final["items"] = {"enum": _final_metrics()}
    only_final = {
        "type": "object",
        "properties": {"final": final},
        "additionalProperties": False,
    }
    return {"anyOf": [only_final, {"type": "null"}]}


_ENTRY_SECTIONS = {
    "network": _entry_network,
    "train": _entry_train,
    "evaluation": _entry_evaluation,
}
"""Section of the entry settings -> the function that makes its schema."""
