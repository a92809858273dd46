"""The largest sizes that a spec may have, and the check of a mapping against them.

Every limit lies far above what a sweep needs. Beyond it a spec is a slip of the pen or an attack,
and is refused before anything is built from it: so every spec is answered within seconds. Limits of
one field stand in its annotation (`sections`, `vae_core.hyperparameters.limits`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sweeps.spec.errors import Problems, SpecPath, spell_message

BYTES = 1024 * 1024
"""Bytes of a file."""

VALUES = 20_000
"""Values of a spec: every item of a list and every key, also inside others.

An alias counts as often as it is used, and `network` and `train` count once for each of
`objectives`, which are all checked with them.
"""

DEPTH = 20
"""Lists and mappings inside each other."""

KEY_CHARACTERS = 200
"""Characters of a key."""

TEXT_CHARACTERS = 256 * 1024
"""Characters of a text. The largest one is a factor table."""

NAME_CHARACTERS = 249
"""Characters of a sweep's name.

File systems take names of 255 bytes, and the file that a driver locks is `.NAME.lock`: 6 more.
"""

OVERRIDES = 200
"""Overrides (`--set`) of one command."""

ENTRIES = 200
"""Entries of `objectives`."""

SPACE_VALUES = 1000
"""Values of one grid or choice."""

CELLS = 10_000
"""Cells of a sweep."""

SEEDS = 1000
"""Seeds of a sweep."""

TRIALS = 100_000
"""Trials of a sweep: its cells times its seeds."""

RUNGS = 100
"""Rungs of a pruning."""

GOALS = 20
"""Goals of a sweep."""

TRADEOFF_FIELDS = 20
"""Parameters of `tradeoff.by`."""

PUBLISHED_TABLES = 100
"""Tables of published numbers."""

PUBLISHED_ROWS = 1000
"""Rows of one published table."""

WHOLE_NUMBER = 2**63
"""Whole numbers must be smaller: 64 bits hold them."""

_NOT_ALLOWED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
"""Characters that no text may hold: they change what a terminal shows, end a text in C, or cannot
be written as UTF-8.
"""


def problems_of_size(mapping: Mapping[Any, Any]) -> Problems:
    """Return the problem of a mapping that is too large or too deep, and those of its values.

    Nothing is copied, and the walk ends at the first limit of the whole: so a mapping that holds
    itself, or the same list a billion times, is answered at once.
    """
    problems = Problems()
    entries = mapping.get("objectives")
    repeats = max(len(entries), 1) if isinstance(entries, list | tuple) else 1
    count = 0
    checked: set[int] = set()  # an alias may repeat a long text many times
    to_visit: list[tuple[SpecPath, Any]] = [((), mapping)]
    while to_visit:
        path, value = to_visit.pop()
        count += repeats if path[:1] in (("network",), ("train",)) else 1
        if count > VALUES + 1:  # the mapping itself is no value of it
            problems.add((), _too_many(repeats))
            return problems
        if isinstance(value, Mapping | list | tuple):
            if len(path) >= DEPTH:
                rule = f"must be nested at most {DEPTH} levels deep"
                problems.add(path, spell_message(path[:3], f"{rule}, got more; write it flatter"))
                return problems
            items = value.items() if isinstance(value, Mapping) else enumerate(value)
            if len(value) > VALUES:
                problems.add((), _too_many(repeats))
                return problems
            for key, item in items:
                if isinstance(value, Mapping) and not _check_key(key, path, problems):
                    return problems
                to_visit.append(((*path, key), item))
        elif id(value) not in checked:
            checked.add(id(value))
            _check_scalar(value, path, problems)
    return problems


def text_problem(text: str) -> str | None:
    """Return the rule that a text of a spec breaks, None if it breaks none."""
    if len(text) > TEXT_CHARACTERS:
        rule = f"a text must have at most {TEXT_CHARACTERS} characters, got {len(text)}"
        return f"{rule}; keep it in a file of its own"
    match = _NOT_ALLOWED.search(text)
    if match is not None:
        rule = "a text must not hold control characters or halves of a character"
        return f"{rule}, got U+{ord(match[0]):04X}; leave it out"
    return None


def cells_problem(cells: int, seeds: int) -> str | None:
    """Return the rule that a number of cells or trials breaks, None if it breaks none."""
    remedy = "lay out fewer values, or search some of them with search: {name: random, trials: N}"
    if cells > CELLS:
        return f"a sweep must have at most {CELLS} cells, got {_large(cells)}; {remedy}"
    if cells * seeds > TRIALS:
        got = f"got {cells} cells with {seeds} seeds each: {_large(cells * seeds)}"
        return f"a sweep must have at most {TRIALS} trials, {got}; give fewer cells or seeds"
    return None


def _large(count: int) -> str:
    """Return a count in full, or as a power of ten if it has many digits."""
    return str(count) if count < 10**15 else f"about 10^{len(str(count)) - 1}"


def _too_many(repeats: int) -> str:
    rule = f"a spec must hold at most {VALUES} values, got more"
    if repeats > 1:
        rule += f" (network and train count once for each of {repeats} objectives)"
    return f"{rule}; an alias counts as often as it is used; split the sweep"


def _check_key(key: Any, path: SpecPath, problems: Problems) -> bool:
    """Return whether a key can be part of a path; add its problem if not."""
    if not isinstance(key, str):
        rule = f"a key must be text, got {type(key).__name__}"
    elif len(key) > KEY_CHARACTERS:
        rule = f"a key must have at most {KEY_CHARACTERS} characters, got {len(key)}"
    elif (problem := text_problem(key)) is not None:
        rule = problem.replace("a text", "a key", 1)
    else:
        return True
    problems.add(path, spell_message(path, rule))
    return False


def _check_scalar(value: Any, path: SpecPath, problems: Problems) -> None:
    if isinstance(value, str):
        rule = text_problem(value)
        if rule is not None:
            problems.add(path, spell_message(path, rule))
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) >= WHOLE_NUMBER:
        rule = f"whole numbers must fit 64 bits, got one of {value.bit_length()} bits"
        problems.add(path, spell_message(path, rule))
