"""What is wrong with a spec: every mistake at once, each with its line, rule, value and remedy."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

Path = tuple[str | int, ...]
"""Where a value stands in a spec: keys and indices from the top."""


@dataclass(frozen=True)
class Problem:
    """One mistake.

    Args:
        line: in the file, from 1; None when the value came from somewhere else.
        path: of the value.
        message: rule, value and remedy, naming the value as the user wrote it.
        origin: what the value came from if not from the file (`--set seeds=0`).
    """

    line: int | None
    path: Path
    message: str
    origin: str | None = None


class SpecError(ValueError):
    """A spec that cannot be run; `str()` has one line per problem, in the order of the file."""

    def __init__(self, problems: Iterable[Problem], *, source: str = "") -> None:
        self.problems = sorted(dict.fromkeys(problems), key=lambda problem: problem.line or 0)
        self.source = source
        super().__init__("\n".join(self._sentence(problem) for problem in self.problems))

    def _sentence(self, problem: Problem) -> str:
        place = problem.origin or self.source
        if problem.line is not None and problem.origin is None:
            place = f"{place}:{problem.line}"
        return f"{place}: {problem.message}" if place else problem.message


@dataclass(frozen=True)
class Places:
    """Where each value of a spec was written: lines of the file, or the override that set it."""

    lines: dict[Path, tuple[int, int]] = dataclasses.field(default_factory=dict)
    origins: dict[Path, str] = dataclasses.field(default_factory=dict)

    def problem(self, path: Path, message: str) -> Problem:
        """Return the problem of a value, placed at it or at the nearest value around it that was written."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.origins:
                return Problem(None, path, message, self.origins[path[:length]])
            if path[:length] in self.lines:
                return Problem(self.lines[path[:length]][0], path, message)
        return Problem(None, path, message)


def spell(path: Path) -> str:
    """Return a path as a user writes it: `objectives[1].beta`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")
