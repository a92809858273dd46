"""Failpoints: named places at which a test may have this very process killed with SIGKILL, once.

`SWEEPS_FAILPOINT="trial.checkpointed:2=/tmp/marker"` kills the process that passes `trial.checkpointed` for the second
time, and leaves the marker file so that no later process (which inherits the variable) is killed again. Without the
variable a failpoint is one dictionary look-up.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

_passed: Counter[str] = Counter()


def failpoint(name: str) -> None:
    """Kill this process if the environment asks for it here; else do nothing."""
    wanted = os.environ.get("SWEEPS_FAILPOINT")
    if not wanted:
        return
    place, _, marker = wanted.partition("=")
    target, _, nth = place.partition(":")
    if target != name:
        return
    _passed[name] += 1
    if _passed[name] < int(nth or 1):
        return
    try:
        Path(marker).touch(exist_ok=False)  # atomic: of several processes one dies
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
