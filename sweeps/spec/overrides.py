"""`--set path=value`: changes to a spec before it is checked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sweeps.spec import limits, yaml_reader
from sweeps.spec.errors import Locations, Problem, SpecError, SpecPath

_INDEX = re.compile(r"\[(\d+|\*)\]")
_COMMENT = re.compile(r"(^|\s)#")
_STRUCTURED = ("{", "[", '"', "'")
"""How a value begins that is no plain text: a mapping, a list, or quotes."""


def apply_overrides(
    mapping: dict[str, Any], locations: Locations, overrides: Sequence[str]
) -> list[Problem]:
    """Set every `path=value` in a spec's mapping, in order; note which override set each value.

    A path is keys and indices with dots (`objectives.0.beta` or `objectives[0].beta`). `*` means
    every key or index.

    Args:
        mapping: the spec as YAML gives it. It is changed.
        locations: where its values were written. It is changed.
        overrides: `path=value` each.

    Returns:
        a problem for each override that changes nothing: it has no `=`, its value is not YAML, or
        its path does not exist.
    """
    problems: list[Problem] = []
    if len(overrides) > limits.OVERRIDES:
        rule = f"--set must be given at most {limits.OVERRIDES} times, got {len(overrides)}"
        return [Problem(None, (), f"{rule}; write the values into the spec")]
    for override in overrides:
        problems += _apply_override(mapping, locations, override)
    return problems


class _Target(NamedTuple):
    """A value that a path names: `container[key]`."""

    container: Any  # a dict or a list
    key: Any
    path: SpecPath


def _apply_override(mapping: dict[str, Any], locations: Locations, override: str) -> list[Problem]:
    origin = f"--set {override}"
    path_text, equals, value_text = override.partition("=")
    parts = _INDEX.sub(r".\1", path_text.strip()).split(".")
    if not equals or not all(parts):
        return [Problem(None, (), "must be path=value, as in train.epochs=3", origin)]
    if len(parts) > limits.DEPTH:
        rule = f"a path must have at most {limits.DEPTH} keys, got {len(parts)}"
        return [Problem(None, (), rule, origin)]
    try:
        value = _parse_value(value_text)
    except SpecError as error:
        return [Problem(None, (), problem.message, origin) for problem in error.problems]
    try:
        for target in list(_targets(mapping, parts, ())):
            if isinstance(value, list | dict):
                # Parse again, so that two targets never share one list.
                target.container[target.key] = _parse_value(value_text)
            else:
                target.container[target.key] = value
            _note_origin(locations, target.path, origin)
    except LookupError as error:
        return [Problem(None, (), str(error.args[0]), origin)]
    return []


def _parse_value(text: str) -> Any:
    """Return the value of an override: YAML, but ` #` begins no comment in a text without quotes.

    A command line has no comments, and without this rule `path=my images #1` would be another path.
    """
    if _COMMENT.search(text) and not text.lstrip().startswith(_STRUCTURED):
        return text.strip()
    return yaml_reader.parse_value(text)


def _note_origin(locations: Locations, path: SpecPath, origin: str) -> None:
    """Note that an override set the value at a path, and the mappings around it that it made."""
    replaced = [old for old in locations.lines if old[: len(path)] == path]
    for old in replaced:
        del locations.lines[old]
    for length in range(1, len(path) + 1):
        outer = path[:length]
        if outer == path or outer not in locations.lines:
            locations.origins[outer] = origin


def _targets(node: Any, parts: list[str], path: SpecPath) -> Iterator[_Target]:
    """Yield every value that a path names; make the mappings on the way that are missing."""
    first, rest = parts[0], parts[1:]
    for key in _keys(node, first, path):
        inner_path = (*path, key)
        if not rest:
            yield _Target(node, key, inner_path)
            continue
        if isinstance(node, dict):
            node.setdefault(key, {})
        yield from _targets(node[key], rest, inner_path)


def _keys(node: Any, part: str, path: SpecPath) -> list[str | int]:
    """Return the keys or indices that one part of a path names in a dict or a list.

    Raises:
        LookupError: the node is neither, or a list without this index.
    """
    node_name = ".".join(map(str, path))
    if isinstance(node, dict):
        return list(node) if part == "*" else [part]
    if isinstance(node, list):
        if part == "*":
            return list(range(len(node)))
        if not node:
            raise LookupError(f"{node_name} is an empty list; set {node_name} itself")
        if not part.isdigit() or int(part) >= len(node):
            allowed = f"use an index from 0 to {len(node) - 1}, or *"
            raise LookupError(f"{node_name} is a list: {allowed}, got {part!r}")
        return [int(part)]
    rule = f"{node_name} is {node!r}, which has no {part!r} inside"
    raise LookupError(f"{rule}; set {node_name} itself")
