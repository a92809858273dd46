"""Puts stand-ins into the product's modules, for as long as a simulation runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

from sweeps.driver import conductor, trial_actor, tune, watchdog
from sweeps.exports import mlflow_client
from sweeps.ledger import connecting, lease, ownership, registration
from sweeps.storage import lock, store_actor

from . import training
from .clock import FakeTime, fake_time
from .faults import Gate


class CurrentDesks(dict[str, Any]):
    """Stands for `tune._DESKS`: the desk of the driver that runs now.

    In a simulation two drivers of one sweep share a process.
    """

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self._gate = gate

    def __getitem__(self, name: str) -> Any:
        driver: Any = self._gate.process
        return driver.desk


def fake_ray(gate: Gate, kill: Callable[[Any], None]) -> Any:
    """Return what stands for the module ray: references are the objects themselves."""

    class Context:
        @property
        def current_actor(self) -> Any:
            return gate.process

        def get_node_id(self) -> str:
            actor: Any = gate.process
            return actor.node

    return SimpleNamespace(
        put=lambda value: value,
        get=lambda value, timeout=None: value,
        kill=kill,
        get_runtime_context=lambda: Context(),
    )


class OneTurn:
    """Stands for the Event that ends the loop of a thread: the loop runs once."""

    def __init__(self) -> None:
        self._waited = False
        self.period = 0.0  # for which the loop wants to wait

    def wait(self, timeout: float | None = None) -> bool:
        """Return False at the first call, True at the second."""
        self.period = timeout or 0.0
        waited, self._waited = self._waited, True
        return waited

    def set(self) -> None:
        """Do nothing: no thread waits."""


class SteppedThread:
    """Stands for a thread that loops until an event: each turn of the loop is stepped."""

    on_start: Callable[[SteppedThread], None]

    def __init__(self, *, target: Any, args: tuple[Any, ...], **_: Any) -> None:
        self.target = target
        self.args = args

    def start(self) -> None:
        """Hand the thread to the simulation."""
        type(self).on_start(self)

    def turn(self) -> float:
        """Run the loop once; return for how long it wants to wait between two turns."""
        one_turn = OneTurn()
        self.target(*self.args[:-1], one_turn)
        return one_turn.period

    def join(self, timeout: float | None = None) -> None:
        """Do nothing: it does not run."""


@contextmanager
def stand_ins(
    clock: FakeTime,
    gate: Gate,
    *,
    files: Any,
    connect: Callable[..., Any],
    kill: Callable[[Any], None],
    nodes: Callable[[], list[str]],
    draw_cell: Callable[..., Any],
    on_thread: Callable[[SteppedThread], None],
) -> Iterator[None]:
    """Replace clock, Ray, training, file store and MLflow in the product's modules.

    Args:
        clock: the fake clock.
        gate: that every operation passes.
        files: the file store.
        connect: returns a client of the tracking server.
        kill: ends the process of an actor.
        nodes: returns the names of the nodes that live.
        draw_cell: in place of the conductor's.
        on_thread: is given each thread that would start.
    """
    SteppedThread.on_start = staticmethod(on_thread)
    threads = SimpleNamespace(Thread=SteppedThread, Event=OneTurn)

    def machine_key() -> str:
        return "machine a" if gate.process is None else f"machine {gate.process.root.machine}"

    ray = fake_ray(gate, kill)
    no_pickle = SimpleNamespace(dumps=lambda value: value, loads=lambda value: value)
    replaced: list[tuple[Any, str, Any]] = [
        (trial_actor, "ray", ray),
        (trial_actor, "train", training.train),
        (trial_actor, "final_artifacts", training.final_artifacts),
        (trial_actor, "snapshot_artifacts", lambda report: {}),
        (trial_actor, "gc", SimpleNamespace(collect=lambda: 0)),
        (trial_actor, "log_starts", lambda: {}),
        (trial_actor, "cloudpickle", no_pickle),
        (trial_actor, "log_tail", lambda start: ""),
        (tune, "dump", repr),  # YAML takes a fifth of the time
        (tune, "node_is_gone", lambda node: bool(node) and node not in nodes()),
        (watchdog, "ray", ray),
        (watchdog, "cloudpickle", no_pickle),
        (tune, "_DESKS", CurrentDesks(gate)),
        (store_actor, "open_files", lambda workspace, uri: files),
        (mlflow_client, "connect", connect),
        (conductor, "draw_cell", draw_cell),
        (registration, "software", lambda: {"python": "3"}),  # it starts git
        # Every ledger here has all tables; to look for them takes a sixth of the time.
        (connecting, "_missing_tables", lambda *_: []),
        (connecting, "upgrade", lambda engine: None),
        (ownership, "threading", threads),
        (lock, "machine_key", machine_key),
        (lease, "machine_key", machine_key),
    ]
    with ExitStack() as stack:
        stack.enter_context(fake_time(clock))
        for module, name, value in replaced:
            stack.enter_context(mock.patch.object(module, name, value))
        yield
