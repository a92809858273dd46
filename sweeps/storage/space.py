"""Waits for space while a disk is full."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import TypeVar

from sweeps.errors import DiskFullError

Result = TypeVar("Result")

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a disk without space, and of a user without quota."""

PAUSE = 1.0
"""Seconds between two tries."""


def when_there_is_space(write: Callable[[], Result], patience: float) -> Result:
    """Write and return the result; while the disk is full, try again.

    What was written before the error is written again, which must do no harm.

    Args:
        write: writes files, each as a whole.
        patience: seconds, the spec's `store.patience`.

    Raises:
        DiskFullError: the disk was full for all that time.
        OSError: any other error of a file.
    """
    began = time.monotonic()
    while True:
        try:
            return write()
        except OSError as error:
            if error.errno not in FULL:
                raise
            seconds = time.monotonic() - began
            if seconds >= patience:
                raise DiskFullError(
                    f"the files of trials could not be written for {seconds:.0f} s, the limit of "
                    f"store.patience ({error}); make space, and start the same command again"
                ) from error
        time.sleep(PAUSE)
