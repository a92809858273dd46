"""Problems of a spec: all of them at once, each with its line and a message.

A message states the rule, the value that breaks it, and the remedy.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sweeps.urls import redacted

SpecPath = tuple[str | int, ...]
"""Keys and indices from the top of a spec to a value: `("objectives", 1, "beta")`."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a spec. Passwords in its texts are hidden.

    Args:
        line: line in the file, from 1; None if it is not known or the value is not from the file.
        path: path of the value.
        message: rule, value and remedy, with the path as the user wrote it.
        origin: the override that set the value (`--set seeds=0`); None if the file did.
    """

    line: int | None
    path: SpecPath
    message: str
    origin: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", redacted(self.message))
        if self.origin is not None:
            object.__setattr__(self, "origin", redacted(self.origin))


MOST_PROBLEMS = 200
"""Problems that are looked for: a spec with more of them is mended step by step."""

MOST_CHARACTERS = 2000
"""Characters of a message. A longer one, with a long value in it, is shortened in the middle."""


VALUE_CHARACTERS = 200
"""Characters of an override in a message, and of a value."""


class TooManyProblemsError(Exception):
    """There are more problems than are looked for; it has those that are known."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        super().__init__()
        self.problems = list(problems)


class Problems:
    """Collects the problems of a spec while its sections are read.

    Every reader gets the collector and adds to it instead of raising, so that a problem of one
    value hides no problem of another. Lines are not known here; `Locations.locate` adds them.
    """

    def __init__(self) -> None:
        self._problems: list[Problem] = []

    def add(self, path: SpecPath, message: str) -> None:
        """Add a problem of the value at a path.

        Raises:
            TooManyProblemsError: there are `MOST_PROBLEMS` already.
        """
        self.extend([Problem(None, path, message)])

    def extend(self, problems: Iterable[Problem]) -> None:
        """Add the problems of another collector or list; raise as `add` does."""
        for problem in problems:
            if len(self._problems) == MOST_PROBLEMS:
                raise TooManyProblemsError(self._problems)
            self._problems.append(problem)

    def any_under(self, path: SpecPath) -> bool:
        """Return whether the value at a path, or any value inside it, has a problem."""
        return any(problem.path[: len(path)] == path for problem in self._problems)

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._problems)

    def __len__(self) -> int:
        return len(self._problems)


class SpecError(ValueError):
    """A spec that cannot be run.

    Args:
        problems: its problems. They are kept in the order of their lines, each once.
        source: name of the file or bundled spec, for the text of the error.

    `str()` has one line per problem.
    """

    def __init__(self, problems: Iterable[Problem], *, source: str = "") -> None:
        distinct = dict.fromkeys(_shortened(problem) for problem in problems)
        more = Problem(None, (), MORE_PROBLEMS)
        has_more = more in distinct or len(distinct) > MOST_PROBLEMS
        distinct.pop(more, None)
        self.problems = sorted(distinct, key=lambda problem: problem.line or 0)[:MOST_PROBLEMS]
        if has_more:
            self.problems.append(more)
        self.source = source
        super().__init__("\n".join(self._line_of_text(problem) for problem in self.problems))

    def _line_of_text(self, problem: Problem) -> str:
        if problem.origin is not None:
            return f"{problem.origin}: {problem.message}"
        where = self.source
        if problem.line is not None:
            where = f"{where}:{problem.line}"
        return f"{where}: {problem.message}" if where else problem.message


MORE_PROBLEMS = f"there are more than {MOST_PROBLEMS} problems; mend these first"


def _shortened(problem: Problem) -> Problem:
    """Return a problem whose message and origin can be read, however long its value is."""
    origin = None if problem.origin is None else shortened(problem.origin, VALUE_CHARACTERS)
    return dataclasses.replace(problem, message=shortened(problem.message), origin=origin)


def shortened(text: str, most: int = MOST_CHARACTERS) -> str:
    """Return a text, or if it has more than `most` characters its beginning and its end."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]} … ({len(text) - 2 * half} more characters) … {text[-half:]}"


@dataclass(frozen=True)
class Locations:
    """Where each value of a spec was written.

    Args:
        lines: path -> (line, column) in the file, both from 1.
        origins: path -> the override that set the value. Such a path has no line.
    """

    lines: dict[SpecPath, tuple[int, int]] = dataclasses.field(default_factory=dict)
    origins: dict[SpecPath, str] = dataclasses.field(default_factory=dict)

    def locate(self, problem: Problem) -> Problem:
        """Return a problem with the line or the override of its value.

        If the value itself was not written (a missing key), the nearest value around it counts.
        """
        path = problem.path
        for length in range(len(path), -1, -1):
            outer = path[:length]
            if outer in self.origins:
                return dataclasses.replace(problem, origin=self.origins[outer])
            if outer in self.lines:
                return dataclasses.replace(problem, line=self.lines[outer][0])
        return problem


def spell(path: SpecPath) -> str:
    """Return a path as a user writes it: `objectives[1].beta`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def spell_message(path: SpecPath, message: str) -> str:
    """Return a message with its path before it (`data.path: …`), or alone if the path is empty."""
    return f"{spell(path)}: {message}" if path else message
