"""Waits in a trial while the store cannot write: its disk is full, or its server is away."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable

PAUSE = 1.0
"""Seconds between two tries."""

LASTING = frozenset(
    {
        *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR),
        *(errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL),
    }
)
"""Errors that come again however often a file is written."""


class StorageError(Exception):
    """The store cannot write a file: no trial of the sweep can go on."""


def when_it_can(write: Callable[[], object], patience: float | None) -> None:
    """Write; try again for some time if that fails.

    What was written before the error is written again, which must do no harm.

    Args:
        write: lets the store write whole files, and waits for it.
        patience: seconds; None for ever.

    Raises:
        StorageError: it failed for all that time, or for a reason that lasts.
    """
    began = time.monotonic()
    while True:
        try:
            write()
            return
        except OSError as error:  # of the store: Ray raises it here, with the store's traceback
            cause = getattr(error, "cause", error)
            seconds = time.monotonic() - began
            if getattr(cause, "errno", None) in LASTING:
                raise StorageError(
                    f"the files of trials cannot be written: {cause}; mend the store, and give the "
                    "same command again"
                ) from error
            if patience is not None and seconds >= patience:
                raise StorageError(
                    f"the files of trials could not be written for {seconds:.0f} s, the limit of "
                    f"store.patience: {cause}; make space or mend the store, and give the same "
                    "command again"
                ) from error
        time.sleep(PAUSE)
