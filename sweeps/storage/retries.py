"""Tries a reading or writing again for a few seconds: a network file system may answer again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

log = logging.getLogger(__name__)

PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds between two tries."""

Result = TypeVar("Result")


def retried(operation: Callable[[], Result]) -> Result:
    """Return what the operation returns; try again after an OSError, except for a missing file.

    Raises:
        OSError: of the last try.
    """
    for pause in PAUSES:
        try:
            return operation()
        except FileNotFoundError:
            raise
        except OSError as error:
            log.warning("%s; trying again in %g s", error, pause)
            time.sleep(pause)
    return operation()
