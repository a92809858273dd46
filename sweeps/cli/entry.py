"""The command `sweeps`: what must be done before anything large is imported."""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress

from sweeps.driver.stopping import Stopper, process_stopper


def main() -> None:
    """Run the command line; `sweeps run` answers to signals from here on."""
    if sys.argv[1:2] != ["run"]:
        _run_app()
        return
    stopper = Stopper(ends_process=True)
    process_stopper.append(stopper)
    with stopper.listening():
        code = 1
        try:
            _run_app()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
        except BaseException:
            stopper.hold()
            traceback.print_exc()
        stopper.over()
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        # Exit handlers of Ray may wait for ever. All that must be closed is closed.
        os._exit(code)


def _run_app() -> None:
    from sweeps.cli import app

    app.main()
