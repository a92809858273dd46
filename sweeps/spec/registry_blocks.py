"""Reads the sections of a spec that are dataclasses: data, network, train, objectives, evaluation.

A **block** is a mapping of a dataclass's fields. Where spaces are allowed, a `Space` may stand for
the value of a field. If the dataclass is chosen by name, the block also has the registry `name`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter

from sweeps.spec import space, type_hints
from sweeps.spec.errors import Problems, SpecPath, spell, spell_message
from sweeps.spec.space import Choice, Grid, Space
from sweeps.urls import home_expanded
from vae_core.hyperparameters import registry


def read_named(
    kind: str,
    value: Any,
    known: Mapping[str, type[Any]],
    path: SpecPath,
    problems: Problems,
    *,
    spaces: bool,
    other_keys: Collection[str] = (),
) -> dict[str, Any]:
    """Return the block of a dataclass that is chosen by name, `name` first.

    Args:
        kind: what messages call a row of the registry, as in "objective".
        value: as YAML gives it.
        known: the registry: name -> dataclass.
        path: path of the value in the spec.
        problems: gets every problem of the value.
        spaces: whether a space may stand for a value.
        other_keys: keys that are allowed beside the fields. They are not read.
    """
    if not isinstance(value, Mapping):
        value_text = type_hints.value_text(value)
        problems.add(path, f"{spell(path)} must be a mapping with a name, got {value_text}")
        return {}
    if "name" not in value:
        problems.add(path, f"{spell(path)} must have a name; known: {', '.join(known)}")
        return {}
    name = value["name"]
    if not isinstance(name, str) or name not in known:
        name_path = (*path, "name")
        problems.add(name_path, f"{spell(name_path)}: {registry.unknown_name(kind, name, known)}")
        return {}
    fields = {key: item for key, item in value.items() if key != "name" and key not in other_keys}
    block = read_fields(
        known[name],
        fields,
        path,
        problems,
        spaces=spaces,
        label=f"{kind} {name}",
        other_keys=other_keys,
    )
    return {"name": name, **block}


def with_home_folders(block: Any) -> Any:
    """Return the mapping of a data set with absolute paths in place of those that begin with `~`.

    A spec is no shell: without this `~/images` is a folder of the name `~`.
    """
    if not isinstance(block, Mapping):
        return block
    paths = {
        key: str(home_expanded(block[key]))
        for key in ("path", "table")
        # Other paths stay as they are written: the ledger compares the specs of two runs.
        if isinstance(block.get(key), str) and block[key].startswith("~")
    }
    return {**block, **paths}


def read_fields(
    cls: type,
    value: Any,
    path: SpecPath,
    problems: Problems,
    *,
    spaces: bool,
    label: str | None = None,
    shared: Mapping[str, Any] | None = None,
    other_keys: Collection[str] = (),
) -> dict[str, Any]:
    """Return the block of a dataclass; check each field, then the rules between fields.

    Args:
        cls: the dataclass.
        value: as YAML gives it.
        path: path of the value in the spec.
        problems: gets every problem of the value.
        spaces: whether a space may stand for a value.
        label: the name of the dataclass in messages; None: the path.
        shared: valid fields under this block. They count where the block does not give a field.
        other_keys: keys that are allowed beside the fields, as a suggestion for an unknown key.
    """
    field_problems = Problems()
    block = read_each_field(
        cls, value, path, field_problems, spaces=spaces, label=label, other_keys=other_keys
    )
    if not isinstance(value, Mapping):
        problems.extend(field_problems)
        return block
    shared = shared or {}
    for name in _required_fields(cls):
        if name not in value and name not in shared:
            message = f"{spell((*path, name))} is missing; {label or spell(path)} needs it"
            field_problems.add(path, message)
    problems.extend(field_problems)

    valid = {key: item for key, item in block.items() if not field_problems.any_under((*path, key))}
    # While a field is invalid or missing, keep only the problems of other fields: a problem of the
    # whole block may come from the field that is left out.
    for problem in _problems_of_samples(cls, {**shared, **valid}, path):
        if len(field_problems) == 0 or problem.path != path:
            problems.add(problem.path, problem.message)
    return block


def read_each_field(
    cls: type,
    value: Any,
    path: SpecPath,
    problems: Problems,
    *,
    spaces: bool,
    label: str | None = None,
    other_keys: Collection[str] = (),
) -> dict[str, Any]:
    """Return the block of a dataclass; check each field alone, and no rule between fields.

    The arguments are those of `read_fields`.
    """
    if not isinstance(value, Mapping):
        problems.add(path, f"{spell(path)} must be a mapping, got {type_hints.value_text(value)}")
        return {}
    adapters = type_hints.adapters(cls)
    block: dict[str, Any] = {}
    for key, item in value.items():
        field_path = (*path, key)
        if key not in adapters:
            hint = _suggest_field(key, [*adapters, *other_keys])
            rule = f"{label or spell(path)} has no such field; {hint}"
            problems.add(field_path, f"{spell(field_path)}: {rule}")
        elif spaces and isinstance(item, Mapping) and not _fits(adapters[key], item):
            block[key] = _read_space(adapters[key], item, field_path, problems)
        else:
            block[key] = type_hints.check_value(adapters[key], item, field_path, problems)
    return block


def sample_blocks(block: Mapping[str, Any]) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """Yield blocks without spaces, with the field that was varied.

    Together they hold every value to check. The first sample has the first value of every space
    (and None for the field); after it, each space takes its other values while the rest stays.
    """
    first_sample = {
        key: space.points(value)[0] if isinstance(value, Space) else value
        for key, value in block.items()
    }
    yield None, first_sample
    for key, value in block.items():
        if isinstance(value, Space):
            for point in space.points(value)[1:]:
                yield key, {**first_sample, key: point}


def block_to_dict(block: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON-ready mapping that `read_named` or `read_fields` reads back as this block."""
    mapping: dict[str, Any] = {}
    for key, value in block.items():
        if isinstance(value, Space):
            mapping[key] = space.to_dict(value)
        else:
            mapping[key] = registry.tuples_to_lists(value)
    return mapping


def _required_fields(cls: type) -> list[str]:
    """Return the names of the fields without a default."""
    return [
        field.name
        for field in dataclasses.fields(cls)
        if field.init
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]


def _problems_of_samples(cls: type, block: Mapping[str, Any], path: SpecPath) -> Problems:
    """Return the problems that the dataclass itself finds at any sample of a block.

    The rules between fields are written in the dataclass, so it is built at every sample.
    """
    problems = Problems()
    messages: set[str] = set()
    for varied_field, sample in sample_blocks(block):
        try:
            cls(**sample)
        except (ValueError, TypeError, OSError) as error:
            if str(error) not in messages:
                messages.add(str(error))
                problems.extend(_split_message(str(error), sample, path, varied_field))
    return problems


def _split_message(
    message: str, sample: Mapping[str, Any], path: SpecPath, varied_field: str | None
) -> Problems:
    """Return one problem for each field that a dataclass's message names.

    A dataclass names its fields without the path in the spec, and joins its messages by "; ":
    `stride.pos_x must …; path must …`. A part that names no field belongs to the field that was
    varied, or else to the whole block.
    """
    problems = Problems()
    names = "|".join(re.escape(key) for key in sample) or "$."
    for part in re.split(rf"; (?=(?:{names})\b)", message):
        inner_path = _leading_path(part, sample)
        if inner_path:
            text = f"{spell(path)}.{part}" if path else part
            problems.add((*path, *inner_path), text)
        else:
            text = spell_message(path, part)
            problems.add(path if varied_field is None else (*path, varied_field), text)
    return problems


def _leading_path(message: str, sample: Mapping[str, Any]) -> SpecPath:
    """Return the path of the field that a message begins with: ("stride", "pos_x"), or ()."""
    match = re.match(r"[\w.]*", message)
    keys = match[0].split(".") if match else []
    path: list[str | int] = []
    inner: Any = sample
    for key in keys:
        if not isinstance(inner, Mapping) or key not in inner:
            break
        path.append(key)
        inner = inner[key]
    return tuple(path)


def _read_space(
    adapter: TypeAdapter[Any], mapping: Mapping[str, Any], path: SpecPath, problems: Problems
) -> Any:
    """Return the space of a mapping, its values checked by the field's hint."""
    try:
        parsed = space.parse(mapping)
    except ValueError as error:
        problems.add(path, f"{spell(path)}: {error}")
        return mapping
    (kind,) = mapping
    values = [
        type_hints.check_value(adapter, point, (*path, kind, index), problems)
        for index, point in enumerate(space.points(parsed))
    ]
    if isinstance(parsed, Grid | Choice):
        # Keep the values as the field holds them (1 as 1.0): equal trials then have equal hashes.
        return type(parsed)(tuple(values))
    return parsed


def _fits(adapter: TypeAdapter[Any], mapping: Mapping[str, Any]) -> bool:
    """Return whether a mapping is a value of the field, and not a space."""
    if set(mapping) & set(space.SPACES):
        return False
    problems = Problems()
    type_hints.check_value(adapter, mapping, (), problems)
    return len(problems) == 0


def _suggest_field(key: str, known: Collection[str]) -> str:
    """Return `did you mean 'epochs'? known: …` for an unknown field."""
    if not known:
        return "it has no fields"
    return registry.unknown_name("field", key, known).partition("; ")[2]
