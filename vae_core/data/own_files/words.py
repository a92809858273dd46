"""Words that stand for a missing value, text that is a number, and lists that stay short."""

from __future__ import annotations

import re
from collections.abc import Iterable

MISSING_WORDS = frozenset(
    ("", "na", "n/a", "#n/a", "nan", "-nan", "nat", "null", "none", "<na>", "nil", "-", "?", ".")
)
"""What programs write for a missing value, in lower case."""

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
"""A number as text, without spaces."""


def listed(texts: Iterable[str], *, most: int = 10, separator: str = ", ") -> str:
    """Return texts in one line; of more than `most` only the first, and how many there are more."""
    shown = list(texts)
    if len(shown) <= most:
        return separator.join(shown)
    return separator.join(shown[:most]) + f"{separator}and {len(shown) - most} more"
