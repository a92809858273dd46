"""`--set path=value`: changes to a spec before it is checked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from sweeps.spec import yaml_reader
from sweeps.spec.errors import Path, Places, Problem, SpecError

_INDEX = re.compile(r"\[(\d+|\*)\]")


def apply_overrides(
    mapping: dict[str, Any], places: Places, overrides: Sequence[str]
) -> list[Problem]:
    """Set every `path=value` in a spec's mapping, in order, and note where the values now come from.

    A path is keys and indices with dots (`objectives.0.beta` or `objectives[0].beta`); `*` stands for all.

    Returns:
        those that change nothing: without `=`, a value that is not YAML, a path that leads nowhere.
    """
    problems: list[Problem] = []
    for override in overrides:
        origin = f"--set {override}"
        text, equals, value = override.partition("=")
        parts = _INDEX.sub(r".\1", text.strip()).split(".")
        if not equals or not all(parts):
            problems.append(Problem(None, (), "must be path=value, as in train.epochs=3", origin))
            continue
        try:
            parsed = yaml_reader.scalar_or_flow(value)
        except SpecError as error:
            problems.extend(
                Problem(None, (), problem.message, origin) for problem in error.problems
            )
            continue
        try:
            # Each place gets a value of its own: two of them must not share one list.
            for target, key, path in list(_targets(mapping, parts, ())):
                target[key] = (
                    yaml_reader.scalar_or_flow(value) if isinstance(parsed, list | dict) else parsed
                )
                for old in [place for place in places.lines if place[: len(path)] == path]:
                    del places.lines[old]
                for length in range(1, len(path) + 1):
                    if length == len(path) or path[:length] not in places.lines:
                        places.origins[path[:length]] = origin
        except LookupError as error:
            problems.append(Problem(None, (), str(error.args[0]), origin))
    return problems


def _targets(node: Any, parts: list[str], path: Path) -> Iterator[tuple[Any, Any, Path]]:
    """Yield (container, key, path) of every place that a path names; missing mappings are made."""
    head, rest = parts[0], parts[1:]
    for key in _keys(node, head, path):
        here = (*path, key)
        if not rest:
            yield node, key, here
            continue
        if isinstance(node, dict):
            node.setdefault(key, {})
        yield from _targets(node[key], rest, here)


def _keys(node: Any, head: str, path: Path) -> list[str | int]:
    where = ".".join(map(str, path)) or "the spec"
    if isinstance(node, dict):
        return list(node) if head == "*" else [head]
    if isinstance(node, list):
        if head == "*":
            return list(range(len(node)))
        if not head.isdigit() or int(head) >= len(node):
            last = len(node) - 1
            raise LookupError(
                f"{where} is a list: use an index from 0 to {last}, or *, got {head!r}"
            )
        return [int(head)]
    raise LookupError(f"{where} is {node!r}, which has no {head!r} inside")
