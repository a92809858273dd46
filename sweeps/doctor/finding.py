"""One thing that is not as it should be, and what mends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from sweeps.doctor.repairs import AbstractRepair


class Level(StrEnum):
    """How much a finding matters. A note alone leaves a workspace healthy."""

    PROBLEM = "problem"  # a number is missing, wrong or out of reach
    LEFTOVER = "leftover"  # space that nothing needs
    NOTE = "note"  # worth knowing


@dataclass(frozen=True)
class Finding:
    """One departure from a rule."""

    what: str  # what is there, as a clause: "trial 3 lacks epochs 2, 3 of 4"
    trial: int | None = None  # its number, if it is about one trial
    repairs: tuple[AbstractRepair, ...] = ()  # what `--repair` does; () if nothing can be done


class Rule(NamedTuple):
    """What holds in a healthy sweep, and how to see whether it does."""

    level: Level
    statement: str  # what holds in a healthy sweep
    consequence: str  # of a departure
    remedy: str  # what the user can do
    look: Callable[[Any], Iterator[Finding]]  # of `Evidence`, or of the workspace as a whole
    at_rest: bool = False  # whether it holds only while no driver runs


def listed(values: list[int]) -> str:
    """Return whole numbers as text, runs of them shortened: `1-3, 7`."""
    parts: list[str] = []
    start = previous = None
    for value in [*sorted(values), None]:
        if previous is not None and value == previous + 1:
            previous = value
            continue
        if start is not None:
            parts.append(str(start) if start == previous else f"{start}-{previous}")
        start = previous = value
    more = [f"and {len(parts) - 6} more ranges"] if len(parts) > 6 else []
    return ", ".join([*parts[:6], *more])
