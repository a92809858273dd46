"""How far a long computation is, for whoever wants to show it; metrics themselves print nothing.

A metric wraps its outer loop in `steps`; a caller that wants to know wraps the call in `listening`. Nothing is passed
through the functions in between, and without a listener `steps` is the loop itself.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")

Listener = Callable[[str, int, int], None]
"""listener(what, done, total), called before the first step and after each."""

_listener: ContextVar[Listener | None] = ContextVar("progress", default=None)


@contextmanager
def listening(listener: Listener) -> Generator[None]:
    """Tell a function how far the metrics computed inside are."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def steps(items: Sequence[T], what: str) -> Iterator[T]:
    """The items one by one, telling the listener after each that it is done; `what` says what a step is."""
    listener = _listener.get()
    if listener is None:
        yield from items
        return
    listener(what, 0, len(items))
    for done, item in enumerate(items, start=1):
        yield item
        listener(what, done, len(items))
