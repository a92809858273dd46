"""The hint that messages about an unknown name give: the nearest known name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST_NAME = 100
"""Characters of the longest name that is compared with the known ones: no known name is longer."""


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the known name that is most similar to an unknown one, None if no name is near.

    Args:
        name: the unknown name.
        known: the names to choose from.
        cutoff: least similarity, in [0, 1], as in `difflib.get_close_matches`.
    """
    if len(name) > LONGEST_NAME:
        return None
    matches = difflib.get_close_matches(name, known, n=1, cutoff=cutoff)
    return matches[0] if matches else None


def did_you_mean(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Return "; did you mean 'x'?" with the nearest known name, or ";" if no name is near.

    A message puts the hint between the unknown name and the known ones:
    f"unknown metric {name!r}{did_you_mean(name, known)} known: …".

    Args:
        name: the unknown name.
        known: the names to choose from.
        cutoff: least similarity of a hint, see `nearest`.
    """
    near = nearest(name, known, cutoff=cutoff)
    return ";" if near is None else f"; did you mean {near!r}?"
