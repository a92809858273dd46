"""The YAML reader: values by the core schema of YAML 1.2, and the line of each."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from sweeps.spec import yaml_reader
from sweeps.spec.errors import SpecError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("-7", -7),
        ("007", 7),
        ("0o17", 15),
        ("0x1F", 31),
        ("-.inf", -math.inf),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("no", "no"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("0b11", "0b11"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("!!str 1", "1"),
        ("2h", "2h"),
        ("mss-published", "mss-published"),
    ],
)
def test_scalars_are_those_of_the_core_schema(text: str, value: object) -> None:
    parsed = yaml_reader.parse(f"key: {text}\n").mapping["key"]
    assert parsed == value
    assert type(parsed) is type(value)


def test_nan_is_a_number() -> None:
    assert math.isnan(yaml_reader.parse("key: .nan").mapping["key"])


def test_every_value_has_its_line_and_column() -> None:
    lines = yaml_reader.parse("a: 1\nb:\n  - {c: 2,\n     d: 3}\n").locations.lines
    assert lines[("a",)] == (1, 1)
    assert lines[("b", 0, "c")] == (3, 6)
    assert lines[("b", 0, "d")] == (4, 6)


def test_every_doubled_key_is_reported_with_both_lines() -> None:
    document = yaml_reader.parse("a: 1\nb: {c: 1, c: 2}\na: 3\na: 4\n")
    assert [problem.line for problem in document.problems] == [2, 3, 4]
    assert document.problems[1].message == "doubled key 'a', first given in line 1; keep one"


def test_keys_are_text() -> None:
    assert yaml_reader.parse("{1: a, on: b, null: c}").mapping == {"1": "a", "on": "b", "null": "c"}


def test_an_anchor_is_repeated_and_merged() -> None:
    text = "base: &base {x: 1, y: 2}\nsame: *base\nmore: {<<: *base, y: 3}\n"
    assert yaml_reader.parse(text).mapping["same"] == {"x": 1, "y": 2}
    assert yaml_reader.parse(text).mapping["more"] == {"x": 1, "y": 3}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "empty"),
        ("# only a comment\n", 1, "empty"),
        ("- a\n- b\n", 1, "must be a mapping at the top, got a list"),
        ("just text\n", 1, "got 'just text'"),
        ("a: 1\n\tb: 2\n", 2, "not YAML"),
        ("a: [1, 2\nb: 3\n", 2, "not YAML"),
        ("a: 1\nb: @x\n", 2, "not YAML"),
        ("a: 1\nb: \x07\n", 2, "not YAML"),
        ("a: {b: *nowhere}\n", 1, "unknown alias"),
        ("a: &a {b: *a}\n", 1, "unknown alias"),
        ("a: 1\nb: !python/object x\n", 2, "unknown tag"),
        ("a: 1\n? [b]\n: 2\n", 2, "a key must be text"),
        ("a: 1\n---\nb: 2\n", None, "one document"),
        ("a: " + "9" * 5000, 1, "must fit 64 bits"),
        ("a: " + "[" * 600 + "]" * 600, 1, "nested at most 20 levels deep"),
    ],
)
def test_a_text_that_is_no_spec_is_reported_with_its_line(
    text: str, line: int | None, message: str
) -> None:
    try:
        problems = yaml_reader.parse(text).problems
    except SpecError as error:
        problems = error.problems
    assert problems[0].line == line
    assert message in problems[0].message


def test_a_file_that_cannot_be_read_is_a_spec_error(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"name: x\n\xff\xfe")
    with pytest.raises(SpecError, match=r"binary\.yaml:2: is not UTF-8 text: .*; save it as UTF-8"):
        yaml_reader.read(tmp_path / "binary.yaml")
    with pytest.raises(SpecError, match="is a folder; a spec is a file of text"):
        yaml_reader.read(tmp_path)
    with pytest.raises(SpecError, match="cannot be read: No such file"):
        yaml_reader.read(tmp_path / "none.yaml")
