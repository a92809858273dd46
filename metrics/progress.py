"""Progress of a long computation, for a caller that shows it; metrics themselves print nothing.

A metric wraps its outer loop in `steps`; a caller that wants to know wraps the call in `listening`.
The functions in between pass nothing on. Without a listener, `steps` is the plain loop.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")

Listener = Callable[[str, int, int], None]
"""listener(what, done, total), called before the first step and after each step."""

_listener: ContextVar[Listener | None] = ContextVar("progress", default=None)


@contextmanager
def listening(listener: Listener) -> Generator[None]:
    """Call a listener on the progress of the metrics that are computed inside the block."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def steps(items: Sequence[T], what: str) -> Iterator[T]:
    """Yield the items one by one, and call the listener when each is done.

    Args:
        items: what the loop runs over.
        what: what one step is, for the listener.
    """
    listener = _listener.get()
    if listener is None:
        yield from items
        return
    listener(what, 0, len(items))
    for done, item in enumerate(items, start=1):
        yield item
        listener(what, done, len(items))
