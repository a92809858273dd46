"""Two ways to learn of signals in a thread of its own, whatever the main thread does."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator

Notify = Callable[[signal.Signals], None]

_END = 0
"""No signal has this number: it ends a thread that reads numbers of signals."""

_blocked: set[signal.Signals] = set()  # signals that a forked process must let in again
_hooked: list[bool] = []  # a hook of `os.register_at_fork` stays for ever


@contextlib.contextmanager
def blocked_signals(numbers: set[signal.Signals], notify: Notify) -> Iterator[None]:
    """Block signals while the block runs; a thread waits for them and calls `notify`.

    No handler runs, whoever installs one. It must be called before any other thread is started, as
    only threads that start afterwards block the signals too. Forked processes take them again: a
    child inherits what its parent blocks, and Ray ends its processes with SIGTERM.
    """
    if not _hooked:
        _hooked.append(True)
        os.register_at_fork(after_in_child=_unblock)
    _blocked.update(numbers)
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    ended = threading.Event()

    def wait() -> None:
        while True:
            number = signal.Signals(signal.sigwait(numbers))
            if ended.is_set():
                return
            notify(number)

    thread = threading.Thread(target=wait, name="signals", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        signal.pthread_kill(thread.ident or 0, next(iter(numbers)))
        thread.join()
        _blocked.clear()
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def _unblock() -> None:
    if _blocked:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _blocked)


@contextlib.contextmanager
def handled_signals(
    numbers: set[signal.Signals], handler: Callable[[int, object], None], notify: Notify
) -> Iterator[None]:
    """Handle signals while the block runs.

    The main thread calls `handler` when it runs Python again; a thread calls `notify` at once, also
    while the main thread waits in C. Another handler that is installed meanwhile replaces `handler`
    only. Afterwards all handlers are as before. To be called in the main thread.
    """
    reading, writing = socket.socketpair()
    writing.setblocking(False)

    def read() -> None:
        while True:
            for number in reading.recv(64):
                if number == _END:
                    return
                if number in numbers:
                    notify(signal.Signals(number))

    thread = threading.Thread(target=read, name="signals", daemon=True)
    thread.start()
    previous_fd = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    previous = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous_fd)
        writing.send(bytes([_END]))
        thread.join()
        for number, earlier in previous.items():  # last: the thread may still call `handler`
            signal.signal(number, earlier)
        reading.close()
        writing.close()
