"""Words for a missing value, text that is a number, and lists in messages that stay short."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

MISSING_WORDS = frozenset(
    ("", "na", "n/a", "#n/a", "nan", "-nan", "nat", "null", "none", "<na>", "nil", "-", "?", ".")
)
"""What programs write for a missing value, in lower case."""

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
"""A number as text, without spaces."""
_MOST_NOTES = 20
"""The most notes or problems of a file that are reported one by one."""


def shortened(text: str, most: int = 1000) -> str:
    """Return a text; of one with more than `most` characters the beginning and the end.

    A name or a value in a message may be of any length.
    """
    if len(text) <= most:
        return text
    return f"{text[: most * 2 // 3]} … {text[-most // 4 :]}"


def listed(texts: Iterable[str], *, most: int = 10, separator: str = ", ") -> str:
    """Return texts in one line; of more than `most` only the first, and how many there are more.

    A long name is shortened, and so is a long sentence.
    """
    longest = 200 if separator == ", " else 1000
    shown = [shortened(text, longest) for text in texts]
    if len(shown) <= most:
        return separator.join(shown)
    return separator.join(shown[:most]) + f"{separator}and {len(shown) - most} more"


def capped(texts: Sequence[str], kind: str) -> tuple[str, ...]:
    """Return notes or problems; of very many only the first, and how many there are more.

    Args:
        texts: the notes or problems. Those that name a likely typo are kept before others.
        kind: what they are, in the plural.
    """
    texts = [shortened(text) for text in texts]
    if len(texts) <= _MOST_NOTES:
        return tuple(texts)
    first = sorted(texts, key=lambda text: "did you mean" not in text)[:_MOST_NOTES]
    return (*first, f"… and {len(texts) - _MOST_NOTES} more {kind}")
