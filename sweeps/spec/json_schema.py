"""The JSON schema of a spec, for editors: generated from the same hints that check it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

import metrics
from sweeps.spec import field_docs
from sweeps.spec.parse import REQUIRED, SECTIONS
from sweeps.spec.space import FINITE, INTERVALS
from vae_core.config import SELECTING, EvaluationConfig, TrainConfig
from vae_core.data import DATASETS
from vae_core.networks import NETWORKS
from vae_core.objectives import OBJECTIVES

Schema = dict[str, Any]


def json_schema() -> Schema:
    """Return the schema; it knows every bound of a value, and none of the rules between parts of a spec."""
    properties: Schema = {
        "name": {},
        "data": _one_of(DATASETS, spaces=False),
        "network": _one_of(NETWORKS, spaces=True),
        "train": _train(),
        "objectives": {"type": "array", "minItems": 1, "items": _entries()},
        "evaluation": _evaluation(),
    }
    definitions: Schema = {f"own_{section}": read() for section, read in _OWN.items()}
    for key, (hint, _) in SECTIONS.items():
        section = TypeAdapter(hint).json_schema()
        definitions |= section.pop("$defs", {})
        properties[key] = section if key in REQUIRED else {"anyOf": [section, {"type": "null"}]}
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
    """Return the union of objectives, each with settings of its own beside its fields."""
    entries = _one_of(OBJECTIVES, spaces=True)
    for row in entries["oneOf"]:
        row["properties"] |= {section: {"$ref": f"#/$defs/own_{section}"} for section in _OWN}
    return entries


def _one_of(registry: Mapping[str, type[Any]], *, spaces: bool) -> Schema:
    """Return the union of a registry's rows, told apart by `name`."""
    rows = [_row(cls, spaces=spaces, name=name) for name, cls in registry.items()]
    named = {"properties": {"name": {"enum": list(registry)}}, "required": ["name"]}
    return {"type": "object", **named, "oneOf": rows}


def _row(cls: type, *, spaces: bool, name: str | None = None) -> Schema:
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
    """Return what a value's schema allows, or a space of such values; intervals for numbers only."""
    kinds = {part.get("type") for part in value.get("anyOf", [value])}
    finite = {"type": "array", "items": value, "minItems": 1, "uniqueItems": True}
    spaces = [_space(kind, finite) for kind in FINITE]
    if kinds & {"number", "integer"}:
        ends = {"type": "array", "items": value, "minItems": 2, "maxItems": 2}
        whole = "number" not in kinds
        spaces += [
            _space(kind, ends) for kind in INTERVALS if not whole or kind in ("int", "logint")
        ]
    return {"anyOf": [value, *spaces]}


def _space(kind: str, values: Schema) -> Schema:
    return {
        "type": "object",
        "properties": {kind: values},
        "required": [kind],
        "additionalProperties": False,
    }


def _train() -> Schema:
    """Return the schema of `train`, where `images_per_epoch` may be spelled `all`."""
    row = _row(TrainConfig, spaces=True)
    row["properties"]["images_per_epoch"]["anyOf"].append({"const": "all"})
    return row


def _evaluation() -> Schema:
    row = _row(EvaluationConfig, spaces=False)
    row["properties"]["final"]["items"] = {"enum": _servable()}
    row["properties"]["best"] = {
        **row["properties"]["best"],
        "anyOf": [{"enum": list(SELECTING)}, {"type": "null"}],
    }
    return {"anyOf": [row, {"type": "null"}]}


def _servable() -> list[str]:
    """Return the metrics that one trial can be scored with: those that compare several models come after the sweep."""
    return [name for name in metrics.names() if "others" not in metrics.find(name).needs]


def _own_network() -> Schema:
    """Return what an objective may say of its network: some fields, and a name where it is another one."""
    parts = [_row(cls, spaces=True, name=name) for name, cls in NETWORKS.items()]
    for part in parts:
        part["required"] = []
    return {"anyOf": [*parts, {"type": "null"}]}


def _own_train() -> Schema:
    return {"anyOf": [_train(), {"type": "null"}]}


def _own_evaluation() -> Schema:
    final = _row(EvaluationConfig, spaces=False)["properties"]["final"] | {
        "items": {"enum": _servable()}
    }
    only = {"type": "object", "properties": {"final": final}, "additionalProperties": False}
    return {"anyOf": [only, {"type": "null"}]}


_OWN = {"network": _own_network, "train": _own_train, "evaluation": _own_evaluation}
