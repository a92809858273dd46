"""Reads the parts of a spec that name a dataclass: the data set, networks, training, objectives, evaluation.

A block is a mapping of the dataclass's fields; in some of them a space may stand for a value.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from sweeps.spec import space, type_hints
from sweeps.spec.errors import Path, spell
from sweeps.spec.space import Grid, Space
from vae_core.hyperparameters import registry

Findings = list[tuple[Path, str]]
"""Whole sentences and the path of what each is about."""


def named(
    kind: str,
    value: Any,
    known: Mapping[str, type[Any]],
    path: Path,
    found: Findings,
    *,
    spaces: bool,
    beside: Collection[str] = (),
) -> dict[str, Any]:
    """Return the block of a registry row, `name` first, with spaces parsed; mistakes are added to `found`.

    Keys in `beside` may stand there too; they are not read.
    """
    if not isinstance(value, Mapping):
        found.append(
            (path, f"{spell(path)} must be a mapping with a name, got {type_hints.shown(value)}")
        )
        return {}
    if "name" not in value:
        found.append((path, f"{spell(path)} must have a name; known: {', '.join(known)}"))
        return {}
    name = value["name"]
    if not isinstance(name, str) or name not in known:
        found.append(
            ((*path, "name"), f"{spell((*path, 'name'))}: {registry.unknown(kind, name, known)}")
        )
        return {}
    rest = {key: item for key, item in value.items() if key != "name" and key not in beside}
    called = f"{kind} {name}"
    return {
        "name": name,
        **fields(known[name], rest, path, found, spaces=spaces, called=called, beside=beside),
    }


def fields(
    cls: type,
    value: Any,
    path: Path,
    found: Findings,
    *,
    spaces: bool,
    called: str | None = None,
    over: Mapping[str, Any] | None = None,
    beside: Collection[str] = (),
) -> dict[str, Any]:
    """Return the fields of a dataclass as its hints want them, with spaces parsed; mistakes go to `found`.

    Args:
        cls: the dataclass.
        value: as YAML gives it.
        path: of the value in the spec.
        found: gets path and sentence of every mistake.
        spaces: whether a space may stand for a value.
        called: what messages call the dataclass; the path if None.
        over: sound fields that these are laid over: what is missing is there, and both together must be sound.
        beside: keys that may stand beside the fields, to name the nearest to an unknown one.
    """
    before = len(found)
    read = partly(cls, value, path, found, spaces=spaces, called=called, beside=beside)
    if not isinstance(value, Mapping):
        return read
    beneath = over or {}
    for field in dataclasses.fields(cls):
        required = (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        if required and field.init and field.name not in value and field.name not in beneath:
            found.append(
                (path, f"{spell((*path, field.name))} is missing; {called or spell(path)} needs it")
            )
    clean = len(found) == before
    wrong = {inner[: len(path) + 1] for inner, _ in found[before:]}
    sound = {key: value for key, value in read.items() if (*path, key) not in wrong}
    # What is said of a sound field stands though others are wrong; what is said of them together may not.
    found.extend(
        row
        for row in _construct_samples(cls, {**beneath, **sound}, path)
        if clean or row[0] != path
    )
    return read


def partly(
    cls: type,
    value: Any,
    path: Path,
    found: Findings,
    *,
    spaces: bool,
    called: str | None = None,
    beside: Collection[str] = (),
) -> dict[str, Any]:
    """Return some fields of a dataclass as `fields` does, each judged alone."""
    if not isinstance(value, Mapping):
        found.append((path, f"{spell(path)} must be a mapping, got {type_hints.shown(value)}"))
        return {}
    adapters = type_hints.adapters(cls)
    read: dict[str, Any] = {}
    for key, item in value.items():
        here = (*path, key)
        if key not in adapters:
            nearest = _nearest(key, [*adapters, *beside])
            found.append(
                (here, f"{spell(here)}: {called or spell(path)} has no such field; {nearest}")
            )
        elif spaces and isinstance(item, Mapping) and not _fits(adapters[key], item):
            read[key] = _space(adapters[key], item, here, found)
        else:
            read[key] = type_hints.read(adapters[key], item, here, found)
    return read


def samples(block: Mapping[str, Any]) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """Yield blocks without spaces that together show every point to check, with the field that was varied.

    The first has the first point of every space (and no field); each space then runs alone.
    """
    base = {
        key: space.points(value)[0] if isinstance(value, Space) else value
        for key, value in block.items()
    }
    yield None, base
    for key, value in block.items():
        if isinstance(value, Space):
            for point in space.points(value)[1:]:
                yield key, {**base, key: point}


def plain(block: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mapping that `named` or `fields` reads back as this block."""
    return {
        key: space.to_dict(value) if isinstance(value, Space) else type_hints.listed(value)
        for key, value in block.items()
    }


def _construct_samples(cls: type, read: Mapping[str, Any], path: Path) -> Findings:
    """Build the dataclass at every sample: rules between fields are its own to state."""
    told: set[str] = set()
    found: Findings = []
    for varied, sample in samples(read):
        try:
            cls(**sample)
        except (ValueError, TypeError, OSError) as error:
            if str(error) not in told:
                told.add(str(error))
                found.extend(_told_apart(str(error), sample, path, varied))
    return found


def _told_apart(message: str, block: Mapping[str, Any], path: Path, varied: str | None) -> Findings:
    """Return a dataclass's message as one finding per field that it speaks of.

    A dataclass names its fields from within (`stride.pos_x must …; path must …`), a spec from the top.
    """
    starts = "|".join(re.escape(key) for key in block) or "$."
    findings: Findings = []
    for part in re.split(rf"; (?=(?:{starts})\b)", message):
        inner: list[str] = []
        place: Any = block
        for key in re.match(r"[\w.]*", part)[0].split("."):  # pyright: ignore[reportOptionalSubscript]
            if not isinstance(place, Mapping) or key not in place:
                break
            inner.append(key)
            place = place[key]
        joint = "." if inner else ": "
        at = (*path, *inner) if inner or varied is None else (*path, varied)
        findings.append((at, f"{spell(path)}{joint}{part}"))
    return findings


def _space(adapter: Any, item: Mapping[str, Any], path: Path, found: Findings) -> Any:
    try:
        parsed = space.parse(item)
    except ValueError as error:
        found.append((path, f"{spell(path)}: {error}"))
        return item
    (kind,) = item
    values = [
        type_hints.read(adapter, point, (*path, kind, at), found)
        for at, point in enumerate(space.points(parsed))
    ]
    # Values as the field holds them (1 as 1.0), so that equal trials have equal configurations.
    return type(parsed)(tuple(values)) if isinstance(parsed, Grid | space.Choice) else parsed


def _fits(adapter: Any, item: Mapping[str, Any]) -> bool:
    """Whether a mapping is a value of the field rather than a space."""
    wrong: Findings = []
    type_hints.read(adapter, item, (), wrong)
    return not set(item) & set(space.SPACES) and not wrong


def _nearest(key: str, known: Collection[str]) -> str:
    return registry.unknown("field", key, known).partition("; ")[2] if known else "it has none"
