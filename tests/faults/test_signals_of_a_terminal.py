"""A driver in a terminal: Ctrl-C, and a terminal that is closed."""

import contextlib
import fcntl
import os
import subprocess
import sys
import termios
import threading

import pytest
from processes_of_a_driver import ROOM, TWO_SLOTS, Driver
from test_kills import rows

from sweeps.ledger import tables
from sweeps.spec.yaml_writer import dump

SHOW_CURSOR, HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"


class Terminal:
    """A driver whose controlling terminal is a pseudo-terminal."""

    def __init__(self, workspace):
        (workspace / "spec.yaml").write_text(dump(TWO_SLOTS))
        self.master, slave = os.openpty()
        command = [sys.executable, "-m", "sweeps", "run", str(workspace / "spec.yaml")]
        process = subprocess.Popen(
            [*command, "--workspace", str(workspace)],
            env={**os.environ, "RAY_AUTH_MODE": "disabled", "TERM": "xterm"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self.driver = Driver(process, workspace)
        (workspace / "output.txt").touch()
        self.shown = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        with contextlib.suppress(OSError):  # the terminal was closed
            while chunk := os.read(self.master, 4096):
                self.shown += chunk


@pytest.mark.slow
def test_ctrl_c_leaves_a_clean_terminal(tmp_path, drivers):
    terminal = Terminal(tmp_path)
    drivers.append(terminal.driver)
    terminal.driver.wait_for_reports(1)
    os.write(terminal.master, b"\x03")  # goes to the whole foreground group
    assert terminal.driver.process.wait(ROOM) == 1
    assert not terminal.driver.members_after_a_moment()
    text = terminal.shown.decode()
    assert HIDE_CURSOR in text
    assert text.rindex(SHOW_CURSOR) > text.rindex(HIDE_CURSOR)
    assert "stopped: SIGINT (Ctrl-C). The same command resumes the sweep." in text
    assert "Traceback" not in text


@pytest.mark.slow
def test_a_closed_terminal_ends_the_sweep_cleanly(tmp_path, drivers):
    terminal = Terminal(tmp_path)
    drivers.append(terminal.driver)
    terminal.driver.wait_for_reports(1)
    os.close(terminal.master)  # SIGHUP, and nothing can be printed any more
    assert terminal.driver.process.wait(ROOM) == 1
    assert not terminal.driver.members_after_a_moment()
    assert all(row["outcome"] for row in rows(tmp_path, tables.ATTEMPT))
    assert [row["outcome"] for row in rows(tmp_path, tables.DRIVER_RUN)] == ["SIGHUP"]
