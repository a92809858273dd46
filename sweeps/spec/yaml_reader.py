"""Reads YAML 1.2 into Python's dicts, lists and scalars, and notes the line of every value.

Scalars follow the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/, 10.3.2): `1e-3` is a
number, `on` is text, `0o17` is fifteen, `1_000` is text. Keys are always text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
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

from sweeps.spec import limits
from sweeps.spec.errors import Locations, Problem, SpecError, SpecPath
from sweeps.spec.spec_file import read_bytes

_NULL = re.compile(r"null|Null|NULL|~|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)")
_NAN = re.compile(r"\.(nan|NaN|NAN)")

_DIGITS = 4000  # Python refuses to read longer integers; any of this length is too large

_TAGS = {
    f"tag:yaml.org,2002:{name}" for name in ("str", "map", "seq", "int", "float", "bool", "null")
}


class Document(NamedTuple):
    """The content of a file.

    `problems` are those that leave the file readable, as a key that is given twice.
    """

    mapping: dict[str, Any]
    locations: Locations
    problems: list[Problem]


def read(file: Path, *, source: str | None = None) -> Document:
    """Return the content of a file.

    Args:
        file: the file.
        source: the name that messages use for it; None: its path.

    Raises:
        SpecError: the file cannot be read, or is no text, no YAML or no mapping.
    """
    source = source if source is not None else str(file)
    try:
        text = read_bytes(file).decode("utf-8-sig")
    except OSError as error:
        problem = Problem(None, (), f"cannot be read: {error.strerror}")
        raise SpecError([problem], source=source) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        message = f"is not UTF-8 text: {error.reason}; save it as UTF-8"
        raise SpecError([Problem(line, (), message)], source=source) from error
    except ValueError as error:
        raise SpecError([Problem(None, (), str(error))], source=source) from error
    return parse(text, source=source)


def parse(text: str, *, source: str = "") -> Document:
    """Return the content of a text; raise SpecError as `read` does."""
    value, reader = _parse(text, source)
    if isinstance(value, dict):
        return Document(value, Locations(lines=reader.lines), reader.problems)
    if value is None:
        message = "is empty; a spec is a mapping with name, data, network, train and objectives"
    else:
        kind = "a list" if isinstance(value, list) else repr(value)
        message = f"must be a mapping at the top, got {kind}"
    raise SpecError([*reader.problems, Problem(1, (), message)], source=source)


def parse_value(text: str, *, source: str = "") -> Any:
    """Return the value of a YAML text of any kind (`0.5`, `{grid: [1, 2]}`), for `--set`.

    Raises:
        SpecError: the text is no YAML.
    """
    value, reader = _parse(text, source)
    if reader.problems:
        raise SpecError(reader.problems, source=source)
    return value


def _parse(text: str, source: str) -> tuple[Any, _Reader]:
    """Return the value of a text, and the reader with its lines and problems."""
    try:
        reader = _Reader(_limited(YAML(typ="safe", pure=True).parse(text)))
        return reader.read_document(), reader
    except _BeyondLimitError as error:
        raise SpecError([Problem(error.line, (), str(error))], source=source) from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else None
        reason = "; ".join(part for part in (error.context, error.problem) if part)
        raise SpecError([Problem(line, (), f"is not YAML: {reason}")], source=source) from error
    except YAMLError as error:
        # A ReaderError, the only one without a mark: a character that YAML does not allow.
        line = text[: getattr(error, "position", 0)].count("\n") + 1
        message = f"is not YAML: {getattr(error, 'reason', error)}"
        raise SpecError([Problem(line, (), message)], source=source) from error


class _BeyondLimitError(Exception):
    """A text with more values than a spec may have, or nested deeper."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def _limited(events: Iterable[Event]) -> Iterator[Event]:
    """Yield events as they are read; raise _BeyondLimitError at the first one beyond a limit.

    So a text that is nested a million deep, which the scanner reads in quadratic time, is refused
    after its first levels. A key is an event too: hence twice the number of values.
    """
    values, depth = 0, 0
    for event in events:
        line, _ = _line_and_column(event)
        values += isinstance(event, NodeEvent)
        if values > 2 * limits.VALUES + 1:
            raise _BeyondLimitError(line, _TOO_MANY)
        if isinstance(event, SequenceStartEvent | MappingStartEvent):
            depth += 1
        elif isinstance(event, SequenceEndEvent | MappingEndEvent):
            depth -= 1
        if depth > limits.DEPTH:
            rule = f"must be nested at most {limits.DEPTH} levels deep"
            raise _BeyondLimitError(line, f"{rule}, got more; write it flatter")
        yield event


_TOO_MANY = f"a spec must hold at most {limits.VALUES} values, got more; split the sweep"


class _Reader:
    """Builds values from the events of one text.

    An event is the start of a value, or the end of a list or mapping. Methods that build a value
    get its first event, and take the other events of the value from `events`.
    """

    def __init__(self, events: Iterator[Event]) -> None:
        self.events = events
        self.lines: dict[SpecPath, tuple[int, int]] = {}
        self.problems: list[Problem] = []
        self.values_by_anchor: dict[str, Any] = {}
        self.merged = 0  # keys that `<<` copied so far

    def read_document(self) -> Any:
        """Return the value of the one document; None if there is none."""
        if not self._goes_to_document():
            return None
        value = self._read_value(next(self.events), ())
        others = 0
        while self._goes_to_document():
            others += 1
        if others:
            message = f"must hold one document, got {others + 1}; keep one"
            self.problems.append(Problem(None, (), message))
        return value

    def _goes_to_document(self) -> bool:
        """Take the events up to the start of a document; return whether there is one."""
        return any(isinstance(event, DocumentStartEvent) for event in self.events)

    def _read_value(self, event: Event, path: SpecPath) -> Any:
        """Return the value that starts at an event; note the lines of the value and its parts."""
        line, column = _line_and_column(event)
        self.lines.setdefault(path, (line, column))
        if isinstance(event, AliasEvent):
            return self._read_alias(event, line, path)
        assert isinstance(event, NodeEvent)
        tag = _tag(event)
        if tag is not None and tag not in _TAGS:
            self._add_problem(line, path, f"unknown tag {tag}; a spec uses plain YAML values")
        if isinstance(event, ScalarEvent):
            value = self._read_scalar(event, line, path)
        elif isinstance(event, SequenceStartEvent):
            value = self._read_sequence(path)
        else:
            assert isinstance(event, MappingStartEvent)
            value = self._read_mapping(path)
        if event.anchor is not None:
            self.values_by_anchor[event.anchor] = value
        return value

    def _add_problem(self, line: int, path: SpecPath, message: str) -> None:
        self.problems.append(Problem(line, path, message))

    def _read_alias(self, event: AliasEvent, line: int, path: SpecPath) -> Any:
        anchor = event.anchor
        if anchor not in self.values_by_anchor:
            self._add_problem(line, path, f"unknown alias *{anchor}; define &{anchor} before it")
        return self.values_by_anchor.get(anchor)

    def _read_sequence(self, path: SpecPath) -> list[Any]:
        items: list[Any] = []
        event = next(self.events)
        while not isinstance(event, SequenceEndEvent):
            items.append(self._read_value(event, (*path, len(items))))
            event = next(self.events)
        return items

    def _read_mapping(self, path: SpecPath) -> dict[str, Any]:
        """Return a mapping: what `<<` merges into it, under its keys."""
        items: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        first_lines: dict[str, int] = {}
        event = next(self.events)
        while not isinstance(event, MappingEndEvent):
            if not isinstance(event, ScalarEvent):
                self._skip_item(event, path)
            elif event.value == "<<" and event.style is None:
                merged |= self._read_merge(event, path)
            elif str(event.value) in first_lines:
                self._skip_repeated_key(event, first_lines[str(event.value)], path)
            else:
                key = str(event.value)
                key_location = _line_and_column(event)
                first_lines[key] = key_location[0]
                self.lines[(*path, key)] = key_location
                items[key] = self._read_value(next(self.events), (*path, key))
            event = next(self.events)
        return merged | items

    def _skip_item(self, event: Event, path: SpecPath) -> None:
        """Read past a key that is not text, and its value."""
        line, _ = _line_and_column(event)
        self._add_problem(line, path, "a key must be text, got a list, a mapping or an alias")
        self._read_value(event, (*path, "?"))
        self._read_value(next(self.events), (*path, "?"))

    def _skip_repeated_key(self, event: ScalarEvent, first_line: int, path: SpecPath) -> None:
        """Read past the value of a key that the mapping has already."""
        line, _ = _line_and_column(event)
        key = str(event.value)
        message = f"doubled key {key!r}, first given in line {first_line}; keep one"
        self._add_problem(line, (*path, key), message)
        self._read_value(next(self.events), (*path, f"{key} again"))

    def _read_merge(self, event: ScalarEvent, path: SpecPath) -> dict[str, Any]:
        """Return the mapping that `<<` merges: one mapping, or several of which the first wins."""
        line, _ = _line_and_column(event)
        value = self._read_value(next(self.events), (*path, "<<"))
        mappings = value if isinstance(value, list) else [value]
        if not all(isinstance(mapping, dict) for mapping in mappings):
            self._add_problem(line, path, "<< must be given a mapping or a list of mappings")
            return {}
        merged: dict[str, Any] = {}
        for mapping in reversed(mappings):
            self.merged += len(mapping)
            if self.merged > limits.VALUES:
                raise _BeyondLimitError(line, _TOO_MANY)
            merged |= mapping
        return merged

    def _read_scalar(self, event: ScalarEvent, line: int, path: SpecPath) -> Any:
        text = str(event.value)
        tag = _tag(event)
        is_quoted = event.style is not None
        if is_quoted or (tag is not None and tag.endswith(":str")):
            return text
        value = _resolve(text)
        if isinstance(value, int) and abs(value) >= limits.WHOLE_NUMBER:
            rule = "whole numbers must fit 64 bits"
            self._add_problem(line, path, f"{rule}, got one of {len(text)} digits")
            return 0
        return value


def _line_and_column(event: Event) -> tuple[int, int]:
    """Return where an event starts, both from 1."""
    return event.start_mark.line + 1, event.start_mark.column + 1


def _tag(event: Event) -> str | None:
    tag = getattr(event, "tag", None)
    return None if tag is None else str(tag)


def _resolve(text: str) -> Any:
    """Return the value of a scalar without quotes, by the core schema."""
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
