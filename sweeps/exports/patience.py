"""How long a command waits for MLflow: bounded, whatever the server does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

SILENCE = 20.0
"""Seconds without an answer to one call after which nobody waits for a server any longer."""

EXPORT_PATIENCE = 120.0
"""Seconds that a command waits for MLflow in all, if it answers."""

UPLOADS = ("log_artifact", "log_artifacts", "log_dict")
"""Calls that may take long because they send much."""

GLANCE = 0.05
"""Seconds between two looks at work that is waited for."""

Answer = TypeVar("Answer")


class NoAnswerError(Exception):
    """MLflow did not answer in time."""


class Patience:
    """Notes since when a call waits for its answer."""

    def __init__(self) -> None:
        self._since: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether one call has had no answer for `SILENCE`."""
        since = self._since  # another thread may change it
        return since is not None and time.monotonic() - since > SILENCE

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Note that the block waits for an answer."""
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._since = None

    def watch(self, client: Any) -> Any:
        """Return a client whose calls are noted."""
        return _WatchedClient(client, self)


class _WatchedClient:
    """Forwards every call to MLflow's client."""

    def __init__(self, client: Any, patience: Patience) -> None:
        self._client = client
        self._patience = patience

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if name in UPLOADS:
            return method

        def call(*arguments: Any, **options: Any) -> Any:
            with self._patience.waiting():
                return method(*arguments, **options)

        return call


def wait_for(thread: threading.Thread, patience: Patience, seconds: float) -> bool:
    """Wait until a thread ends; return False if it takes too long or its server is silent."""
    deadline = time.monotonic() + seconds
    while thread.is_alive():
        left = deadline - time.monotonic()
        if left <= 0 or patience.is_over:
            return False
        thread.join(min(GLANCE, left))
    return True


def answer_in_time(
    work: Callable[[Patience], Answer], *, seconds: float = EXPORT_PATIENCE
) -> Answer:
    """Return what `work` returns. It runs in a thread, which is left behind if it takes too long.

    Args:
        work: work(patience), which watches its client with the patience.
        seconds: the longest time.

    Raises:
        NoAnswerError: it takes longer, or one call has had no answer for `SILENCE`.
        Exception: what `work` raises.
    """
    patience = Patience()
    answers: list[Answer] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            answers.append(work(patience))
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="mlflow-call", daemon=True)
    began = time.monotonic()
    thread.start()
    if not wait_for(thread, patience, seconds):
        raise NoAnswerError(f"no answer after {time.monotonic() - began:.0f} s")
    if errors:
        raise errors[0]
    return answers[0]
