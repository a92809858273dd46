"""Failpoints: named places at which a test may have this very process killed with SIGKILL, or hang, once.

`SWEEPS_FAILPOINT="trial.checkpointed:2=/tmp/marker"` kills the process that passes `trial.checkpointed` for the second
time, and leaves the marker file so that no later process (which inherits the variable) is killed again; with `:2:hang`
it hangs instead. Without the variable a failpoint is one dictionary look-up.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from pathlib import Path

_passed: Counter[str] = Counter()


def failpoint(name: str) -> None:
    """Kill this process if the environment asks for it here; else do nothing."""
    wanted = os.environ.get("SWEEPS_FAILPOINT")
    if not wanted:
        return
    place, _, marker = wanted.partition("=")
    target, nth, action = (
        [*place.split(":"), "1", "kill"][:3]
        if place.count(":") == 0
        else f"{place}:kill".split(":")[:3]
    )
    if target != name:
        return
    _passed[name] += 1
    if _passed[name] < int(nth):
        return
    try:
        Path(marker).touch(exist_ok=False)  # atomic: of several processes one dies
    except FileExistsError:
        return
    if action == "hang":
        threading.Event().wait()
    os.kill(os.getpid(), signal.SIGKILL)
