"""Failpoints: named points of the code at which a test can kill or stop a process, once.

The environment variable names the failpoint, the pass and a marker file:

    SWEEPS_FAILPOINT="trial.checkpointed:2=/tmp/marker"

The process that passes `trial.checkpointed` for the second time kills itself with SIGKILL. It
first creates the marker file, so that no later process, which inherits the variable, is killed
again. With `trial.checkpointed:2:hang` the process hangs instead. Without the variable a failpoint
is one dictionary look-up.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from pathlib import Path

_passes: Counter[str] = Counter()


def failpoint(name: str) -> None:
    """Kill or stop this process if `SWEEPS_FAILPOINT` names this failpoint; else do nothing."""
    setting = os.environ.get("SWEEPS_FAILPOINT")
    if not setting:
        return
    target, _, marker = setting.partition("=")
    # "name", "name:2" or "name:2:hang"; the defaults are the first pass and "kill".
    target_name, _, options = target.partition(":")
    nth, _, action = options.partition(":")
    if target_name != name:
        return
    _passes[name] += 1
    if _passes[name] < int(nth or "1"):
        return
    try:
        Path(marker).touch(exist_ok=False)  # atomic: of several processes only one dies
    except FileExistsError:
        return
    if action == "hang":
        threading.Event().wait()
    os.kill(os.getpid(), signal.SIGKILL)
