"""Mutated specs: every bundled spec, changed at random by a seed, as the text of a YAML file."""

from __future__ import annotations

import copy
import functools
import io
import random
from collections.abc import Callable
from typing import Any

from ruamel.yaml import YAML

from sweeps.spec.load import bundled_specs

NUMBERS: tuple[Any, ...] = (
    *(0, -0.0, -1, 1, 2, 3, 10**3, 10**6, 10**9, 10**15, 2**31, 2**32, 2**63 - 1, -(2**63)),
    *(1e-320, 1e-30, 0.5, 1.0, 1.5, 1e3, 1e6, 1e12, 1e30, 1e308, -1e308),
    *(float("inf"), float("-inf"), float("nan")),
)
TEXTS = (
    *("", " ", "~", "null", "true", "no", "1e3", "0x10", "mig", "elbo", "grid", "dsprites", "auto"),
    *("-x", "--help", ".", "..", "../../etc/passwd", "/dev/zero", "/dev/null", "/", "~/x", "a/b"),
    *("<script>alert(1)</script>", "[b](javascript:x)", "| a | b |", "# head", "`code`", "&lt;"),
    *(
        "line\nbreak",
        "tab\tstop",
        "a\u0000b",
        "\ud800",
        "\u202e",
        "\U0001f600",
        "e\u0301",
        "\ufeff",
    ),
    *(
        "{{ 7 * 7 }}",
        "${HOME}",
        "%s%n",
        "$(id)",
        "'; DROP TABLE trial; --",
        "__class__",
        "x" * 5000,
    ),
    *(
        "http://[::1",
        "sqlite:///",
        "postgresql://",
        "file:///etc/passwd",
        "s3://",
        "2h",
        "99999999d",
    ),
)
"""Texts that mean something to YAML, a shell, a path, HTML, markdown, a URL or a database."""

LITERALS = (
    *("1" + "0" * 400, "1e400", "-.inf", ".nan", "0o777", "0x" + "f" * 40, "1_000", "2020-01-01"),
    *(
        "!!python/object:os.system x",
        "!!binary aGk=",
        "&a [*a]",
        "*none",
        "? x",
        "[",
        "}",
        "- -",
        "|",
    ),
    *("<<: 1", "@x", "%x", '"\\ud800"', '"\\0"', "'", "- {", "# x", "...", "---", "!t x"),
)
"""Pieces of YAML that are put into the text as they are."""

Node = dict[Any, Any] | list[Any]
Slot = tuple[Node, Any]
"""A list or mapping, and the key of one value of it."""


def mutated_spec(seed: int) -> str:
    """Return the text of a spec: a bundled one with one to six mutations, drawn by a seed."""
    rng = random.Random(seed)
    mapping = copy.deepcopy(rng.choice(_bundled_mappings()))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        slots = _slots(mapping)
        if slots:
            rng.choice(MUTATIONS)(rng, slots, mapping)
    text = _text(mapping)
    for _ in range(rng.choice((0, 0, 0, 0, 1, 2))):
        text = _mutated_text(rng, text)
    return text


@functools.cache
def _bundled_mappings() -> list[Any]:
    yaml = YAML(typ="safe", pure=True)
    return [yaml.load(file.read_text(encoding="utf-8")) for file in bundled_specs().values()]


def _slots(node: Any) -> list[Slot]:
    """Return every value inside a node, each shared one once."""
    slots: list[Slot] = []
    to_visit, seen = [node], {id(node)}
    while to_visit:
        outer = to_visit.pop()
        keys = list(outer) if isinstance(outer, dict) else range(len(outer))
        for key in keys:
            slots.append((outer, key))
            inner = outer[key]
            if isinstance(inner, dict | list) and id(inner) not in seen:
                seen.add(id(inner))
                to_visit.append(inner)
    return slots


def _any_value(rng: random.Random, slots: list[Slot]) -> Any:
    kind = rng.randrange(6)
    if kind == 0:
        return rng.choice(NUMBERS)
    if kind == 1:
        return rng.choice(TEXTS)
    if kind == 2:
        return rng.choice((None, True, False, [], {}))
    if kind == 3:
        space = rng.choice(("grid", "choice", "uniform", "loguniform", "int", "logint", "gird"))
        return {space: [rng.choice(NUMBERS + TEXTS) for _ in range(rng.choice((0, 1, 2, 2, 3)))]}
    if kind == 4:
        return [rng.choice(NUMBERS)] * rng.choice((1, 2, 300, 3000))
    outer, key = rng.choice(slots)
    return copy.deepcopy(outer[key])


def _replace(rng: random.Random, slots: list[Slot], _mapping: Any) -> None:
    outer, key = rng.choice(slots)
    outer[key] = _any_value(rng, slots)


def _delete(rng: random.Random, slots: list[Slot], _mapping: Any) -> None:
    outer, key = rng.choice(slots)
    del outer[key]


def _add(rng: random.Random, slots: list[Slot], _mapping: Any) -> None:
    outer, _ = rng.choice(slots)
    if isinstance(outer, list):
        outer.insert(rng.randrange(len(outer) + 1), _any_value(rng, slots))
    else:
        outer[rng.choice((*TEXTS, *(key for _, key in slots), 1, None, 1.5))] = _any_value(
            rng, slots
        )


def _swap(rng: random.Random, slots: list[Slot], _mapping: Any) -> None:
    (one, first), (other, second) = rng.choice(slots), rng.choice(slots)
    copies = copy.deepcopy(one[first]), copy.deepcopy(other[second])
    other[second], one[first] = copies


def _rename(rng: random.Random, slots: list[Slot], _mapping: Any) -> None:
    outer, key = rng.choice(slots)
    if isinstance(outer, dict):
        name = rng.choice((*TEXTS, str(key)[:-1], f"{key}s", f" {key}", str(key).upper()))
        outer[name] = outer.pop(key)


def _nest(rng: random.Random, slots: list[Slot], _mapping: Any) -> None:
    outer, key = rng.choice(slots)
    for _ in range(rng.choice((1, 1, 2, 30))):
        outer[key] = [outer[key]] if rng.random() < 0.5 else {str(key): outer[key]}


def _unnest(rng: random.Random, slots: list[Slot], _mapping: Any) -> None:
    outer, key = rng.choice(slots)
    inner = outer[key]
    if isinstance(inner, dict) and inner:
        outer[key] = rng.choice(list(inner.values()))
    elif isinstance(inner, list) and inner:
        outer[key] = rng.choice(inner)


def _alias(rng: random.Random, slots: list[Slot], _mapping: Any) -> None:
    (one, first), (other, second) = rng.choice(slots), rng.choice(slots)
    if isinstance(one[first], dict | list) and not _holds(one[first], other):
        other[second] = [one[first]] * rng.choice((1, 2, 50))


def _repeat(rng: random.Random, slots: list[Slot], _mapping: Any) -> None:
    outer, key = rng.choice(slots)
    inner = outer[key]
    if isinstance(inner, list):
        outer[key] = [*inner, *copy.deepcopy(inner)] * rng.choice((1, 2, 100))
    else:
        outer[key] = [copy.deepcopy(inner) for _ in range(rng.choice((1, 2, 250)))]


def _scale(rng: random.Random, slots: list[Slot], _mapping: Any) -> None:
    numbers = [
        (outer, key)
        for outer, key in slots
        if isinstance(outer[key], int | float) and not isinstance(outer[key], bool)
    ]
    if numbers:
        outer, key = rng.choice(numbers)
        outer[key] = rng.choice(
            (outer[key] * -1, outer[key] * 1000, outer[key] * 10**9, NUMBERS[7])
        )


MUTATIONS: tuple[Callable[[random.Random, list[Slot], Any], None], ...] = (
    *(_replace, _replace, _replace, _delete, _add, _swap, _rename, _nest, _unnest),
    *(_alias, _repeat, _scale, _scale),
)


def _holds(node: Any, inner: Any) -> bool:
    """Return whether a node is another one or holds it: an alias to it would make a circle."""
    return node is inner or any(outer[key] is inner for outer, key in _slots(node))


def _text(mapping: Any) -> str:
    """Return a mapping as YAML, with aliases for shared values."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None
    yaml.sort_base_mapping_type_on_output = False  # pyright: ignore[reportAttributeAccessIssue]
    yaml.width = 10_000
    stream = io.StringIO()
    try:
        yaml.dump(mapping, stream)
    except Exception:  # a value that YAML cannot write: its text is as good
        return repr(mapping)
    return stream.getvalue()


def _mutated_text(rng: random.Random, text: str) -> str:
    """Return a text with a few characters removed, doubled, or replaced by a piece of YAML."""
    start = rng.randrange(len(text) + 1)
    stop = min(len(text), start + rng.choice((0, 1, 5, 200)))
    kind = rng.randrange(4)
    if kind == 0:
        return text[:start] + text[stop:]
    if kind == 1:
        return text[:stop] + text[start:]
    if kind == 2:
        return text[:start] + rng.choice((" ", "\n", "\t", ":", ",", "\u00a0")) + text[start:]
    end = text.find("\n", start)
    end = len(text) if end < 0 else end
    return text[:start] + rng.choice(LITERALS) + text[end:]
