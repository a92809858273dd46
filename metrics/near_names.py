"""The hint that messages about an unknown name give: the nearest known name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Return "; did you mean 'x'?" with the nearest known name, or ";" if no name is near.

    A message puts the hint between the unknown name and the known ones:
    f"unknown metric {name!r}{did_you_mean(name, known)} known: …".

    Args:
        name: the unknown name.
        known: the names to choose from.
        cutoff: least similarity of a hint, in [0, 1], as in `difflib.get_close_matches`.
    """
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=cutoff)
    return f"; did you mean {nearest[0]!r}?" if nearest else ";"
