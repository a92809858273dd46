"""A message of Tune that says nothing true about a sweep of ours."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def without_open_trials() -> Iterator[None]:
    """Drop "Trials did not complete" of Tune while the block runs.

    A trial of Tune is one attempt of ours. Tune lists every attempt that was lost, as an error, at
    the end of a sweep in which another attempt has completed the trial. Which trials failed is said
    at the end of the sweep. All other messages of Tune stay.
    """
    tune_log = logging.getLogger("ray.tune.tune")
    message = _OpenTrials()
    tune_log.addFilter(message)
    try:
        yield
    finally:
        tune_log.removeFilter(message)


class _OpenTrials(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("Trials did not complete")
