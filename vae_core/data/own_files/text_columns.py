"""Turns a column of text into numbers, booleans or times, if every value is one."""

# pyarrow has no types.
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportMissingTypeStubs=false, reportUnknownArgumentType=false

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vae_core.data.own_files.words import MISSING_WORDS, NUMBER

_WITH_DECIMAL_COMMA = re.compile(r"[+-]?\d+(,\d+)?([eE][+-]?\d+)?", re.ASCII)


class Typed(NamedTuple):
    """The values of a column, and notes on how they were read."""

    values: NDArray[Any]
    notes: list[str]


def typed(column: Any, *, decimal_comma: bool = False) -> Typed:
    """Return a column of text as numbers, booleans, times or text.

    It is text unless every value is of one of the other kinds, which are tried in this order.
    Spaces around numbers do not count.

    Args:
        column: a pyarrow array of text, or a list of text.
        decimal_comma: whether "0,5" is a number.

    Raises:
        ValueError: a row has no value: it is empty, or all others are numbers (booleans, times) and
            it is a word for a missing value, such as NA. The rule begins with a verb.
    """
    import pyarrow as pa  # slow to import, needed only here
    from pyarrow import compute

    pc: Any = compute  # its functions are created at import, so no type checker knows them
    texts: Any = pa.array(column, pa.string()) if isinstance(column, list) else column
    if not len(texts):
        return Typed(np.empty(0, np.str_), [])
    trimmed = trim(texts)
    empty = pc.indices_nonzero(pc.equal(trimmed, "")).to_pylist()
    if empty:
        raise ValueError(no_value(len(empty), len(texts), empty[0]))
    values = _not_text(trimmed)
    if values is not None:
        return Typed(values, [])
    words: list[str] = trimmed.to_pylist()
    commas = [row for row, word in enumerate(words) if "," in word]
    if commas and all(map(_WITH_DECIMAL_COMMA.fullmatch, words)):
        example = commas[0]
        if not decimal_comma:
            note = f"has numbers with commas, taken as text; write a point: {words[example]!r}"
            return Typed(np.asarray(texts.to_pylist(), np.str_), [note])
        values = np.asarray(pc.replace_substring(trimmed, ",", ".").cast(pa.float64()))
        note = f"has decimal commas: {words[example]!r} is read as {float(values[example])}"
        return Typed(values, [note])
    missing = [row for row, word in enumerate(words) if word.casefold() in MISSING_WORDS]
    rest = [word for word in words if word.casefold() not in MISSING_WORDS]
    if missing and rest and _not_text(pa.array(rest, pa.string())) is not None:
        raise ValueError(no_value(len(missing), len(words), missing[0], words[missing[0]]))
    return Typed(np.asarray(texts.to_pylist(), np.str_), _notes_on_mixed(words))


def trim(column: Any) -> Any:
    """Return a pyarrow column of text without the spaces around each value."""
    import pyarrow as pa
    from pyarrow import compute

    pc: Any = compute
    if isinstance(column, pa.ChunkedArray):
        # pyarrow 25 crashes on a chunk without rows, which its CSV reader returns for no rows.
        chunks = [chunk for chunk in column.chunks if len(chunk)]
        column = pa.chunked_array(chunks, pa.string())
    return pc.utf8_trim_whitespace(column)


def no_value(count: int, rows: int, first: int, word: str = "") -> str:
    """Return the rule that every row must have a value.

    Args:
        count: number of rows without a value.
        rows: number of all rows.
        first: the first row without a value.
        word: what is there in place of a value; "" if there is nothing.
    """
    got = f"{word!r} in" if word else "none in"
    # A table that pandas has read and written again has lost these texts.
    pandas = "" if word else " (pandas.read_csv drops the texts NA, None, null: keep_default_na)"
    return (
        f"must have a value in every row, got {got} {count} of {rows} rows, first in row {first}; "
        f"fill it in, or leave these rows out{pandas}"
    )


def _not_text(texts: Any) -> NDArray[Any] | None:
    """Return whole numbers, floats, booleans or times; None if a text is none of one kind."""
    import pyarrow as pa

    times = [pa.timestamp(unit, zone) for unit in ("us", "ns") for zone in (None, "UTC")]
    for kind in (pa.int64(), pa.float64(), pa.bool_(), *times):
        try:
            return np.asarray(texts.cast(kind))
        except pa.ArrowInvalid:
            continue
    return None


def _notes_on_mixed(texts: list[str]) -> list[str]:
    """Return a note if some texts are numbers and others are not."""
    numbers = [text for text in texts if NUMBER.fullmatch(text)]
    if not numbers or len(numbers) == len(texts):
        return []
    word = next(text for text in texts if not NUMBER.fullmatch(text))
    return [
        f"holds numbers and text, such as {numbers[0]!r} and {word!r}; "
        "all its values are taken as text"
    ]
