"""Reads YAML 1.2 into plain Python and remembers the line of every value.

The scalars are those of the YAML 1.2 core schema (https://yaml.org/spec/1.2.2/, 10.3.2): `1e-3` is a number,
`on` a string, `0o17` fifteen, `1_000` a string. Keys are text always.
"""

from __future__ import annotations

import re
from pathlib import Path as File
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from sweeps.spec.errors import Path, Places, Problem, SpecError

_NULL = re.compile(r"null|Null|NULL|~|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)")
_NAN = re.compile(r"\.(nan|NaN|NAN)")

_TOO_LARGE = 2**63
_DIGITS = 4000  # more than Python reads into an int; far too large anyway

_TAGS = {
    f"tag:yaml.org,2002:{name}" for name in ("str", "map", "seq", "int", "float", "bool", "null")
}


class Document(NamedTuple):
    """A file's mapping, where its values stand, and mistakes that left it readable (doubled keys)."""

    mapping: dict[str, Any]
    places: Places
    problems: list[Problem]


def read(file: File, *, source: str | None = None) -> Document:
    """Return what a file says.

    Raises:
        SpecError: the file cannot be read, is not text, not YAML, or not a mapping.
    """
    source = source if source is not None else str(file)
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise SpecError(
            [Problem(None, (), f"cannot be read: {error.strerror}")], source=source
        ) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise SpecError(
            [Problem(line, (), f"is not UTF-8 text: {error.reason}")], source=source
        ) from error
    return parse(text, source=source)


def parse(text: str, *, source: str = "") -> Document:
    """Return what a text says; raises SpecError as `read` does."""
    value, reader = _parse(text, source)
    if isinstance(value, dict):
        return Document(value, Places(lines=reader.lines), reader.problems)
    message = (
        f"must be a mapping at the top, got {'a list' if isinstance(value, list) else repr(value)}"
    )
    if value is None:
        message = "is empty; a spec is a mapping with name, data, network, train and objectives"
    raise SpecError([*reader.problems, Problem(1, (), message)], source=source)


def scalar_or_flow(text: str, *, source: str = "") -> Any:
    """Return the value of a YAML text of any kind (`0.5`, `{grid: [1, 2]}`), as `--set` needs it."""
    value, reader = _parse(text, source)
    if reader.problems:
        raise SpecError(reader.problems, source=source)
    return value


def _parse(text: str, source: str) -> tuple[Any, _Reader]:
    try:
        events = list(YAML(typ="safe", pure=True).parse(text))
        reader = _Reader(events)
        return reader.document(), reader
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else None
        told = "; ".join(part for part in (error.context, error.problem) if part)
        raise SpecError([Problem(line, (), f"is not YAML: {told}")], source=source) from error
    except YAMLError as error:
        # A ReaderError, the only one without a mark: a character that YAML does not allow.
        position = getattr(error, "position", 0)
        line = text[:position].count("\n") + 1
        message = f"is not YAML: {getattr(error, 'reason', error)}"
        raise SpecError([Problem(line, (), message)], source=source) from error
    except RecursionError as error:
        raise SpecError([Problem(None, (), "is nested too deeply")], source=source) from error


class _Reader:
    """Builds plain values from YAML's events; one reader, one text."""

    def __init__(self, events: list[Event]) -> None:
        self.events = iter(events)
        self.lines: dict[Path, tuple[int, int]] = {}
        self.problems: list[Problem] = []
        self.anchors: dict[str, Any] = {}
        self.documents = sum(isinstance(event, DocumentStartEvent) for event in events)

    def document(self) -> Any:
        """Return the value of the one document; None if there is none."""
        if self.documents == 0:
            return None
        while not isinstance(next(self.events), DocumentStartEvent):
            pass
        value = self.value(next(self.events), ())
        if self.documents > 1:
            self.problems.append(Problem(None, (), f"must hold one document, got {self.documents}"))
        return value

    def value(self, event: Event, path: Path) -> Any:
        """Return the value that starts at an event, and note where it and its parts stand."""
        mark = event.start_mark
        line, column = mark.line + 1, mark.column + 1
        self.lines.setdefault(path, (line, column))
        if isinstance(event, AliasEvent):
            if event.anchor not in self.anchors:
                self.problems.append(Problem(line, path, f"unknown alias *{event.anchor}"))
            return self.anchors.get(event.anchor)
        assert isinstance(event, NodeEvent)
        tag = getattr(event, "tag", None)
        if tag is not None and str(tag) not in _TAGS:
            self.problems.append(
                Problem(line, path, f"unknown tag {tag}; a spec uses plain YAML values")
            )
        if isinstance(event, ScalarEvent):
            value = self._scalar(event, line, path)
        elif isinstance(event, SequenceStartEvent):
            value = self._sequence(path)
        else:
            assert isinstance(event, MappingStartEvent)
            value = self._mapping(path)
        if event.anchor is not None:
            self.anchors[event.anchor] = value
        return value

    def _sequence(self, path: Path) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self.events), SequenceEndEvent):
            items.append(self.value(event, (*path, len(items))))
        return items

    def _mapping(self, path: Path) -> dict[str, Any]:
        items: dict[str, Any] = {}
        first: dict[str, int] = {}
        merged: dict[str, Any] = {}
        while not isinstance(event := next(self.events), MappingEndEvent):
            line = event.start_mark.line + 1
            if not isinstance(event, ScalarEvent):
                self.problems.append(
                    Problem(line, path, "a key must be text, got a list, a mapping or an alias")
                )
                self.value(event, (*path, "?"))
                self.value(next(self.events), (*path, "?"))
                continue
            key = str(event.value)
            if key == "<<" and event.style is None:
                merged |= self._merged(self.value(next(self.events), (*path, "<<")), line, path)
                continue
            if key in first:
                self.problems.append(
                    Problem(
                        line,
                        (*path, key),
                        f"doubled key {key!r}, first given in line {first[key]}; keep one",
                    )
                )
                self.value(next(self.events), (*path, f"{key} again"))
                continue
            first[key] = line
            self.lines[(*path, key)] = (line, event.start_mark.column + 1)
            items[key] = self.value(next(self.events), (*path, key))
        return merged | items

    def _merged(self, value: Any, line: int, path: Path) -> dict[str, Any]:
        parts = value if isinstance(value, list) else [value]
        if not all(isinstance(part, dict) for part in parts):
            self.problems.append(
                Problem(line, path, "<< must be given a mapping or a list of mappings")
            )
            return {}
        return {key: item for part in reversed(parts) for key, item in part.items()}

    def _scalar(self, event: ScalarEvent, line: int, path: Path) -> Any:
        text = str(event.value)
        tag = getattr(event, "tag", None)
        if event.style is not None or (tag is not None and str(tag).endswith(":str")):
            return text
        value = _resolve(text)
        if isinstance(value, int) and abs(value) >= _TOO_LARGE:
            self.problems.append(
                Problem(
                    line, path, f"whole numbers must fit 64 bits, got one of {len(text)} digits"
                )
            )
            return 0
        return value


def _resolve(text: str) -> Any:
    """Return the value of a plain scalar by the core schema."""
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text):
        return True
    if _FALSE.fullmatch(text):
        return False
    if _INT.fullmatch(text):
        return int(text[:_DIGITS])
    if _OCTAL.fullmatch(text):
        return int(text[2:], 8)
    if _HEX.fullmatch(text):
        return int(text[2:], 16)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _INFINITE.fullmatch(text):
        return float(text.replace(".", ""))
    if _NAN.fullmatch(text):
        return float("nan")
    return text
