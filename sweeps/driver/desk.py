"""What searcher, scheduler and watchdog share while a sweep runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sweeps.driver.conductor import Conductor
from sweeps.driver.stopping import Stopper
from sweeps.storage.files import AbstractFiles


class RunningActor(NamedTuple):
    """The actor of an attempt that runs."""

    handle: Any
    node: str  # Ray's id of the node
    since: float  # monotonic time at which the driver first knew of it


def _say_nothing(message: str) -> None:
    del message


def _without_signals() -> Stopper:
    return Stopper(ends_process=False)


@dataclass
class Desk:
    """The objects that searcher, scheduler and watchdog need while a sweep runs."""

    conductor: Conductor
    files: AbstractFiles
    slots: int
    gpu: float  # share of a GPU per trial; 0 if the cluster has none
    running: set[str]  # Tune's ids of the attempts that hold a slot
    expired: set[int]  # the attempts that the watchdog ended
    say: Callable[[str], None] = _say_nothing  # prints a line to the user
    actors: dict[int, RunningActor] = field(default_factory=dict)  # by attempt
    asked: Any = None  # the call to the store that is not answered yet
    asked_at: float = 0.0  # its monotonic time
    has_answered: bool = False  # whether the store has answered since it was started
    has_said_waiting: bool = False  # that attempts wait for the cluster
    stopper: Stopper = field(default_factory=_without_signals)  # says whether the driver stops
