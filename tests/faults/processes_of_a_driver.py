"""Drivers in sessions of their own: start, signal, and what is left of them afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from test_kills import SPEC, rows

from sweeps.ledger import tables
from sweeps.spec.yaml_writer import dump

TWO_SLOTS = {**SPEC, "resources": {"max_concurrent": 2}}
"""A sweep of two trials at once. It has no time-out: on a loaded machine a start takes a minute."""

ROOM = 240.0
"""Seconds that anything may take on a loaded machine that is not promised to be quick."""


def name_of(number: signal.Signals) -> str:
    """Return the name of a signal, for the id of a test."""
    return number.name


class Driver(NamedTuple):
    """A `sweeps run` in a session of its own: the session's processes are its own and Ray's."""

    process: subprocess.Popen[bytes]
    workspace: Path

    @property
    def output(self) -> str:
        """Return what it has printed so far."""
        return (self.workspace / "output.txt").read_text()

    def members(self) -> dict[str, list[psutil.Process]]:
        """Return name -> living processes of the session, the driver as `driver`."""
        members: dict[str, list[psutil.Process]] = {}
        for process in psutil.process_iter():
            try:
                if os.getsid(process.pid) != self.process.pid:
                    continue
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                name = "driver" if process.pid == self.process.pid else process.name()
            except (ProcessLookupError, psutil.Error):
                continue
            members.setdefault(name, []).append(process)
        return members

    def members_after_a_moment(self, seconds: float = 2.0) -> dict[str, list[psutil.Process]]:
        """Return the living processes; one that was killed may need a moment to end."""
        deadline = time.monotonic() + seconds
        members = self.members()
        while members and time.monotonic() < deadline:
            time.sleep(0.02)
            members = self.members()
        return members

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to every process of the session, as systemd and Slurm do."""
        for processes in self.members().values():
            for process in processes:
                with_no_error(lambda process=process: process.send_signal(number))

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the process group, as a terminal and `timeout` do."""
        os.killpg(self.process.pid, number)

    def wait_until(self, condition: Callable[[], Any], what: str) -> Any:
        """Return what the condition returns as soon as it is true."""
        deadline = time.monotonic() + ROOM
        while time.monotonic() < deadline:
            value = condition()
            if value:
                return value
            assert self.process.poll() is None, (what, self.output)
            time.sleep(0.02)
        raise AssertionError(f"not in {ROOM:.0f} s: {what}\n{self.output}")

    def wait_for_reports(self, number: int) -> None:
        """Return when the ledger has so many reports."""

        def enough() -> bool:
            ledger = self.workspace / "ledger.db"
            return ledger.exists() and len(rows(self.workspace, tables.REPORT)) >= number

        self.wait_until(enough, f"{number} reports")

    def wait_for_failpoint(self) -> None:
        """Return when the driver hangs at its failpoint."""
        self.wait_until((self.workspace / "killed").exists, "the failpoint")

    def end(self) -> None:
        """Kill what is left, so that no test leaves anything behind."""
        for processes in self.members().values():
            for process in processes:
                with_no_error(process.kill)
        self.process.wait(ROOM)


def with_no_error(action: Callable[[], object]) -> None:
    """Run an action on a process that may have ended meanwhile."""
    try:
        action()
    except (ProcessLookupError, psutil.Error):
        return


def start_driver(
    workspace: Path,
    spec: dict[str, Any],
    *options: str,
    failpoint: str | None = None,
    script: str | None = None,
) -> Driver:
    """Start `sweeps run` in a session of its own; a failpoint may make it hang.

    A script in Python takes its place; it gets the same arguments: spec, --workspace, folder.
    """
    workspace.mkdir(exist_ok=True)
    (workspace / "spec.yaml").write_text(dump(spec))
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled"}
    if failpoint is not None:
        environment["SWEEPS_FAILPOINT"] = f"{failpoint}:1:hang={workspace / 'killed'}"
    program = ["-m", "sweeps", "run"] if script is None else ["-c", script]
    command = [sys.executable, *program, str(workspace / "spec.yaml")]
    with open(workspace / "output.txt", "wb") as output:
        process = subprocess.Popen(
            [*command, "--workspace", str(workspace), *options],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Driver(process, workspace)
