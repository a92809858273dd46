"""Sweeps whose ledger, disk or clock fails for a while or for good, with real processes.

After each fault: exit code and output say what happened in one sentence, the same command resumes,
every number is that of a clean run, and ledger, MLflow and files agree.
"""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import postgres_server
import pytest
from health import assert_healthy
from mini_sweep import MINI
from sqlalchemy.exc import SQLAlchemyError

from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.status import sweep_status
from sweeps.spec.yaml_writer import dump

pytestmark = pytest.mark.slow

EPOCHS = 10
SPEC = {
    **MINI,
    "seeds": 1,
    "train": {"epochs": EPOCHS, "batch_size": 32, "learning_rate": {"grid": [1e-2, 1e-3]}},
    # The ELBO of two learning rates is never equal; MIG is 0 for both if all latents are dead.
    "pruning": {**MINI["pruning"], "metric": "elbo"},
    "checkpoint": {"every": 1, "min_seconds": 0},
    # One trial at a time: ASHA judges in order of arrival, so only then are the verdicts the same.
    "resources": {"max_concurrent": 1},
}
STATES = {"COMPLETE": 2, "PRUNED": 2}
REPORTS = 2 * EPOCHS + 2 * EPOCHS // 2
PATIENT_SECONDS = 20
IMPATIENT = {**SPEC, "store": {"patience": f"{PATIENT_SECONDS}s"}}
TIMEOUT = 400


class Run:
    """`sweeps run` in a process of its own, with its output in a file outside of the workspace."""

    def __init__(self, workspace, spec, folder, **environment):
        workspace.mkdir(exist_ok=True)
        folder.mkdir(exist_ok=True)
        self.workspace = workspace
        self.output_file = folder / f"output-{len(list(folder.iterdir()))}"
        path = folder / "spec.yaml"
        path.write_text(dump(spec))
        command = [sys.executable, "-m", "sweeps", "run", str(path), "--workspace", str(workspace)]
        with open(self.output_file, "w") as output:
            self.process = subprocess.Popen(
                command,
                env={**os.environ, **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
            )

    @property
    def output(self):
        return self.output_file.read_text(errors="replace")

    def reports(self):
        """Return how many reports the ledger has, 0 if it cannot be read now."""
        with contextlib.suppress(LookupError, SQLAlchemyError):
            ledger = Ledger.existing(self.workspace)
            try:
                return len(ledger.of(tables.REPORT, "mini"))
            finally:
                ledger.close()
        return 0

    def wait_for_reports(self, number):
        deadline = time.monotonic() + TIMEOUT
        while self.reports() < number:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, f"no {number} reports: {self.output}"
            time.sleep(0.1)

    def end(self):
        """Wait for the end; return exit code and output."""
        try:
            code = self.process.wait(timeout=TIMEOUT)
        finally:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGKILL)
                self.process.wait()
        assert "Traceback" not in self.output, self.output
        return code, self.output


def finished(workspace, spec, folder, **environment):
    """Run a sweep to its end without a fault, and check that it ends well."""
    code, output = Run(workspace, spec, folder, **environment).end()
    assert code == 0, output
    return output


def numbers(workspace):
    """Return {(trial hash, epoch): metrics}."""
    ledger = Ledger.existing(workspace)
    hashes = {row["number"]: row["hash"] for row in ledger.of(tables.TRIAL, "mini")}
    found = {
        (hashes[row["trial"]], row["epoch"]): json.loads(row["body"])["metrics"]
        for row in ledger.of(tables.REPORT, "mini")
    }
    ledger.close()
    return found


def states(workspace):
    ledger = Ledger.existing(workspace)
    ends = Counter(row["state"] for row in ledger.of(tables.END, "mini"))
    ledger.close()
    return ends


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """Return the numbers of the same sweep without a fault."""
    folder = tmp_path_factory.mktemp("clean")
    finished(folder / "results", SPEC, folder / "out")
    assert_healthy(folder / "results")
    assert states(folder / "results") == STATES
    found = numbers(folder / "results")
    assert len(found) == REPORTS
    return found


def assert_nothing_lost(workspace, clean):
    assert states(workspace) == STATES
    assert numbers(workspace) == clean  # every bit: the CPU's arithmetic is the same each time
    assert_healthy(workspace, leftovers=True)


# ---- a full disk


@pytest.fixture
def small_disk(tmp_path):
    """Mount a small file system in memory, and yield its folder."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def full(folder):
    """Keep a disk full while the block runs: what others free is taken at once."""
    file = folder / "filler"
    stop = threading.Event()

    def fill():
        with open(file, "ab", buffering=0) as stream:
            while not stop.is_set():
                for size in (65536, 512):
                    with contextlib.suppress(OSError):
                        while not stop.is_set():
                            stream.write(b"\0" * size)
                stop.wait(0.02)

    thread = threading.Thread(target=fill, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        file.unlink()


def test_a_disk_that_is_full_for_8_seconds_stops_nothing(small_disk, tmp_path, clean):
    workspace = small_disk / "results"
    run = Run(workspace, SPEC, tmp_path / "out")
    run.wait_for_reports(3)
    with full(small_disk):
        time.sleep(8)
    code, output = run.end()
    assert code == 0, output
    assert_nothing_lost(workspace, clean)


def test_a_disk_that_stays_full_ends_the_sweep_and_the_same_command_resumes_it(
    small_disk, tmp_path, clean
):
    workspace = small_disk / "results"
    run = Run(workspace, IMPATIENT, tmp_path / "out")
    run.wait_for_reports(3)
    with full(small_disk):
        code, output = run.end()
        assert code == 1, output
        assert "store.patience" in output
        assert "full" in output or "No space left" in output
        again, output = Run(workspace, IMPATIENT, tmp_path / "out").end()
        assert again == 2, output
    finished(workspace, IMPATIENT, tmp_path / "out")
    assert_nothing_lost(workspace, clean)


# ---- a database that is away


@pytest.fixture
def postgres():
    reason = postgres_server.why_missing()
    if reason:
        pytest.skip(reason)
    with postgres_server.PostgresServer() as server:
        yield server


def on_postgres(server, **store):
    return {**SPEC, "store": {"ledger": server.url(), **store}}


def test_a_database_that_is_down_for_30_seconds_stops_nothing(postgres, tmp_path, clean):
    workspace, spec = tmp_path / "results", on_postgres(postgres)
    run = Run(workspace, spec, tmp_path / "out")
    run.wait_for_reports(3)
    with postgres.restarted_after(30, mode="immediate"):
        pass
    code, output = run.end()
    assert code == 0, output
    assert "the ledger cannot be written to" in output
    assert "the ledger answers again after" in output
    assert_nothing_lost(workspace, clean)


def test_a_database_that_is_killed_for_good_ends_the_sweep_and_a_new_start_resumes_it(
    postgres, tmp_path, clean
):
    spec = on_postgres(postgres, patience=f"{PATIENT_SECONDS}s")
    workspace = tmp_path / "results"
    run = Run(workspace, spec, tmp_path / "out")
    run.wait_for_reports(3)
    os.kill(postgres.pid, signal.SIGKILL)
    code, output = run.end()
    assert code == 1, output
    assert "stopped: the ledger could not be written to for" in output
    assert "The same command resumes the sweep" in output
    again, output = Run(workspace, spec, tmp_path / "out").end()  # it is still away
    assert again == 2, output
    (postgres.folder / "data" / "postmaster.pid").unlink()
    postgres.start()
    finished(workspace, spec, tmp_path / "out")
    assert_nothing_lost(workspace, clean)


# ---- a lock that another process holds

HOLD = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
connection.execute(sys.argv[2])
print("held", flush=True)
time.sleep(float(sys.argv[3]))
connection.execute("COMMIT")
"""


@contextlib.contextmanager
def held(workspace, seconds, begin):
    """Hold the write lock of the ledger in another process for some seconds."""
    command = [sys.executable, "-c", HOLD, str(workspace / "ledger.db"), begin, str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        yield


@pytest.mark.parametrize(
    ("seconds", "begin"),
    [(30, "BEGIN IMMEDIATE"), (30, "BEGIN EXCLUSIVE"), (90, "BEGIN EXCLUSIVE")],
)
def test_a_ledger_that_another_process_locks_stops_nothing(tmp_path, clean, seconds, begin):
    workspace = tmp_path / "results"
    run = Run(workspace, SPEC, tmp_path / "out")
    run.wait_for_reports(3)
    with held(workspace, seconds, begin):
        before = run.reports()
        time.sleep(5)
        assert run.reports() == before  # the lock works: nothing is written
    code, output = run.end()
    assert code == 0, output
    assert "the ledger cannot be written to (database is locked)" in output
    assert "the ledger answers again after" in output
    assert_nothing_lost(workspace, clean)


def test_a_start_on_a_ledger_that_is_locked_ends_with_one_sentence(tmp_path):
    workspace = tmp_path / "results"
    finished(workspace, SPEC, tmp_path / "out")
    with held(workspace, 100, "BEGIN EXCLUSIVE"):
        code, output = Run(workspace, SPEC, tmp_path / "out").end()
    assert code == 2, output
    assert "the ledger does not answer or cannot be written to (database is locked)" in output
    finished(workspace, SPEC, tmp_path / "out")
    assert_healthy(workspace)


# ---- a clock that jumps

# Every Python process of the sweep reads the clock of the wall through this. libfaketime 0.9.10
# does not serve here: with the monotonic clock left alone, its `clock_nanosleep` refuses the
# absolute times with which Python 3.11 sleeps.
OTHER_CLOCK = """
import os, time

real = time.time

def shifted():
    try:
        with open(os.environ["OFFSET_FILE"]) as file:
            return real() + float(file.read() or 0)
    except (OSError, ValueError, KeyError):
        return real()

time.time = shifted
"""


@pytest.mark.parametrize("jump", [3600, -3600])
def test_a_clock_that_jumps_by_an_hour_changes_no_number(tmp_path, clean, jump):
    offset = tmp_path / "offset"
    offset.write_text("0")
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(OTHER_CLOCK)
    environment = {
        "OFFSET_FILE": str(offset),
        "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]),
    }
    workspace = tmp_path / "results"
    began = time.monotonic()
    run = Run(workspace, SPEC, tmp_path / "out", **environment)
    run.wait_for_reports(3)
    offset.write_text(str(jump))
    code, output = run.end()
    wall = time.monotonic() - began
    assert code == 0, output
    assert_nothing_lost(workspace, clean)
    ledger = Ledger.existing(workspace)
    at = [row["at"] for row in ledger.of(tables.REPORT, "mini")]
    seconds = [row["seconds"] for row in ledger.of(tables.REPORT, "mini")]
    ledger.close()
    steps = [after - before for before, after in itertools.pairwise(at)]
    assert any(abs(step - jump) < 600 for step in steps), "the clock did not jump"
    assert all(0 <= each < wall for each in seconds)
    (status,) = sweep_status(workspace, "mini")
    assert 0 <= status["wall_seconds"] <= wall  # the budget counts it
