"""Real sweeps whose store, trials and nodes are killed or stopped: nothing is lost, and what is
charged to a trial is its own fault.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from mini_sweep import MINI
from test_kills import wait_for_reports

from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.spec.yaml_writer import dump

EPOCHS = 8
SPEC = {
    **MINI,
    "seeds": 1,
    "train": {"epochs": EPOCHS, "batch_size": 32, "learning_rate": {"grid": [1e-2, 1e-3]}},
    "pruning": "none",
    "checkpoint": {"every": 1, "min_seconds": 0},
}
SILENT = {**SPEC, "resources": {"trial_timeout": "15s", "retries": 50}}


@contextlib.contextmanager
def running(workspace, spec, *options, **environment):
    """Run `sweeps run` in another process; end it with the block."""
    workspace.mkdir(exist_ok=True)
    path = workspace / f"{spec['name']}.yaml"
    path.write_text(dump(spec))
    command = [sys.executable, "-m", "sweeps", "run", str(path), "--workspace", str(workspace)]
    with open(workspace / "output", "w") as output:
        process = subprocess.Popen(
            [*command, *options],
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def end_of(process, workspace, seconds=500):
    """Wait for the end of a sweep and check that it is complete."""
    code = process.wait(timeout=seconds)
    assert code == 0, output_of(workspace)


def output_of(workspace):
    return (workspace / "output").read_text()


def rows(workspace, table, sweep="mini"):
    ledger = Ledger.of_workspace(workspace)
    try:
        return ledger.of(table, sweep)
    finally:
        ledger.close()


def outcomes(workspace):
    return Counter(row["outcome"] for row in rows(workspace, tables.ATTEMPT))


def assert_every_epoch_once(workspace, sweep="mini"):
    trials = {row["number"]: row["epochs"] for row in rows(workspace, tables.TRIAL, sweep)}
    ends = {row["trial"]: row["state"] for row in rows(workspace, tables.END, sweep)}
    epochs = {number: [] for number in trials}
    for row in rows(workspace, tables.REPORT, sweep):
        epochs[row["trial"]].append(row["epoch"])
    assert ends.keys() == trials.keys()
    assert set(ends.values()) <= {"COMPLETE", "PRUNED"}, ends
    for number, reported in epochs.items():
        assert reported == list(range(1, len(reported) + 1))
        assert len(reported) == trials[number] or ends[number] == "PRUNED"


def numbers(workspace, sweep="mini"):
    """Return {(trial hash, epoch): metrics}."""
    hashes = {row["number"]: row["hash"] for row in rows(workspace, tables.TRIAL, sweep)}
    return {
        (hashes[row["trial"]], row["epoch"]): json.loads(row["body"])["metrics"]
        for row in rows(workspace, tables.REPORT, sweep)
    }


def descendants(pid):
    """Return {process id: command line} of all processes below one."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # The name in brackets may hold blanks.
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                parents[int(entry.name)] = int(fields[1])
    below = {pid}
    grown = True
    while grown:
        more = {child for child, parent in parents.items() if parent in below} - below
        below |= more
        grown = bool(more)
    lines: dict[int, str] = {}
    for child in below - {pid}:
        with contextlib.suppress(OSError):
            lines[child] = Path(f"/proc/{child}/cmdline").read_bytes().decode(errors="replace")
    return lines


def store_of(process, *, other_than=0, seconds=60):
    """Return the process id of the store actor of a sweep, as soon as there is one."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        for pid, line in descendants(process.pid).items():
            if line.startswith("ray::Store") and pid != other_than:
                return pid
        time.sleep(0.02)
    return None


def last_pid(workspace):
    """Return the process id of the trial that reported last."""
    return json.loads(rows(workspace, tables.REPORT)[-1]["body"])["pid"]


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """Return the numbers of the same sweep without a fault."""
    workspace = tmp_path_factory.mktemp("clean")
    with running(workspace, SPEC) as process:
        end_of(process, workspace)
    return numbers(workspace)


@pytest.mark.slow
def test_a_trial_stopped_after_the_store_was_killed_is_ended_and_resumes(tmp_path):
    spec = {
        **SPEC,
        "objectives": [{"name": "beta_vae", "beta": 4}],
        # On a busy machine also an epoch may take so long; that costs attempts, not numbers.
        "resources": {"trial_timeout": "10s", "retries": 50},
    }
    with running(tmp_path, spec) as process:
        wait_for_reports(tmp_path, 3, seconds=300)
        store = store_of(process)
        os.kill(store, signal.SIGKILL)
        victim = last_pid(tmp_path)
        os.kill(victim, signal.SIGSTOP)
        end_of(process, tmp_path)
    assert not is_running(victim)
    assert_every_epoch_once(tmp_path)
    ended = [row for row in rows(tmp_path, tables.ATTEMPT) if row["outcome"] == "timeout"]
    assert "no report for 10 s (resources.trial_timeout)" in ended[0]["message"]


@pytest.mark.slow
def test_a_store_killed_again_and_again_loses_nothing(tmp_path, clean):
    kills, store = 0, 0
    with running(tmp_path, SPEC) as process:
        wait_for_reports(tmp_path, 1, seconds=300)
        while process.poll() is None and kills < 8:
            store = store_of(process, other_than=store)
            if store is None:
                break
            time.sleep(0.05 * kills)  # at another moment of its work each time
            with contextlib.suppress(ProcessLookupError):
                os.kill(store, signal.SIGKILL)
                kills += 1
        end_of(process, tmp_path)
    assert kills >= 3
    assert outcomes(tmp_path) == {"complete": 4}  # no attempt was lost with it
    assert_every_epoch_once(tmp_path)
    assert numbers(tmp_path) == clean


@pytest.mark.slow
def test_store_and_trials_stopped_and_killed_together_lose_nothing(tmp_path, clean):
    with running(tmp_path, SILENT) as process:
        for reports in (2, 7, 12):
            wait_for_reports(tmp_path, reports, seconds=300)
            victim = last_pid(tmp_path)
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGSTOP)
            store = store_of(process)
            os.kill(store, signal.SIGKILL)
        end_of(process, tmp_path)
    assert set(outcomes(tmp_path)) <= {"complete", "timeout"}
    assert outcomes(tmp_path)["timeout"] >= 1
    assert_every_epoch_once(tmp_path)
    assert numbers(tmp_path) == clean


@pytest.mark.slow
def test_a_store_that_is_stopped_is_started_anew_and_no_trial_is_charged(tmp_path, clean):
    spec = {**SPEC, "resources": {"trial_timeout": "60s", "retries": 0}}
    with running(tmp_path, spec) as process:
        wait_for_reports(tmp_path, 3, seconds=300)
        store = store_of(process)
        os.kill(store, signal.SIGSTOP)
        end_of(process, tmp_path)
    assert not is_running(store)
    assert re.search(
        r"the store has not answered for 3\d s; it is started anew", output_of(tmp_path)
    )
    assert outcomes(tmp_path) == {"complete": 4}
    assert numbers(tmp_path) == clean


SLOW_START = """
import sys, time

class SlowImport:
    def find_spec(self, name, *_):
        if name == "sweeps.driver.trial_actor":
            time.sleep(30)

if any("default_worker" in word for word in sys.orig_argv):
    sys.meta_path.insert(0, SlowImport())
"""


@pytest.mark.slow
def test_a_short_timeout_does_not_end_processes_that_start(tmp_path, clean):
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "sitecustomize.py").write_text(SLOW_START)
    paths = os.pathsep.join([str(tmp_path / "slow"), os.environ.get("PYTHONPATH", "")])
    spec = {**SPEC, "resources": {"trial_timeout": "15s", "retries": 0}}
    started = time.monotonic()
    with running(tmp_path, spec, PYTHONPATH=paths) as process:
        end_of(process, tmp_path)
    assert time.monotonic() - started > 30  # the start of a process took longer than the limit
    assert outcomes(tmp_path) == {"complete": 4}
    assert numbers(tmp_path) == clean


@pytest.fixture
def cluster(monkeypatch):
    """Return a cluster whose head runs no trials; its processes are ended by their ids."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    yield cluster
    cluster.shutdown()


@pytest.mark.slow
def test_trials_of_a_dead_node_wait_for_a_new_one_and_are_not_charged(tmp_path, cluster, clean):
    worker = cluster.add_node(num_cpus=2)
    spec = {**SPEC, "resources": {"retries": 0, "trial_timeout": "30s"}}
    with running(tmp_path, spec, "--address", cluster.address) as process:
        wait_for_reports(tmp_path, 4, seconds=300)
        os.kill(worker.all_processes["raylet"][0].process.pid, signal.SIGKILL)
        deadline = time.monotonic() + 240
        while not outcomes(tmp_path)["node"]:
            assert time.monotonic() < deadline, output_of(tmp_path)
            time.sleep(0.5)
        time.sleep(40)  # longer than trial_timeout: waiting for a node is not charged
        assert process.poll() is None, output_of(tmp_path)
        reports = len(rows(tmp_path, tables.REPORT))
        assert reports < 4 * EPOCHS
        cluster.add_node(num_cpus=2)
        end_of(process, tmp_path)
    assert set(outcomes(tmp_path)) == {"complete", "node"}
    assert 1 <= outcomes(tmp_path)["node"] <= 2
    for row in rows(tmp_path, tables.ATTEMPT):
        assert row["outcome"] == "complete" or "the node on which it ran died" in row["message"]
    assert_every_epoch_once(tmp_path)
    assert numbers(tmp_path) == clean


@pytest.mark.slow
@pytest.mark.parametrize("notice", [signal.SIGINT, signal.SIGKILL])
def test_a_sweep_that_shares_trials_with_an_interrupted_one_gets_every_epoch(
    tmp_path, clean, notice
):
    free = {**SPEC, "name": "mini"}
    judged = {**SPEC, "name": "judged", "pruning": {**MINI["pruning"], "metric": "elbo"}}
    with running(tmp_path, free) as process:
        wait_for_reports(tmp_path, 7, seconds=300)
        process.send_signal(notice)
        process.wait(timeout=240)
    with running(tmp_path, judged) as process:
        end_of(process, tmp_path)
    assert_every_epoch_once(tmp_path, "judged")
    assert len(rows(tmp_path, tables.DECISION, "judged")) == 4
    assert numbers(tmp_path, "judged").items() <= clean.items()
    with running(tmp_path, free) as process:
        end_of(process, tmp_path)
    assert_every_epoch_once(tmp_path)
    assert numbers(tmp_path) == clean


PRINTING = """
import json, os, resource, sys, time
import ray
from cluster import connect

connect.connect(None)

@ray.remote
class Printing:
    def begin(self):
        from sweeps.driver import worker_log
        self.log, self.starts = worker_log, worker_log.log_starts()

    def print(self, mebibytes):
        line = "x" * 1023 + "\\n"
        for _ in range(mebibytes * 1024):
            sys.stdout.write(line)
        print("the last line")
        started = time.process_time()
        tail = self.log.log_tail(self.starts)
        return time.process_time() - started, tail

def folder_bytes():
    total = 0
    for root, _, names in os.walk(ray._private.worker._global_node.get_logs_dir_path()):
        for name in names:
            total += os.path.getsize(os.path.join(root, name))
    return total

actor = Printing.remote()
ray.get(actor.begin.remote())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
seconds, tail = ray.get(actor.print.remote(1024))
time.sleep(3)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"tail": tail, "seconds": seconds, "grown": after - before,
                  "folder": folder_bytes()}))
"""


@pytest.mark.slow
def test_a_gigabyte_of_output_costs_neither_memory_nor_disk(tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", PRINTING], capture_output=True, text=True, check=True, timeout=400
    )
    seen = json.loads(result.stdout.splitlines()[-1])
    assert len(seen["tail"]) == 8_000
    assert seen["tail"].endswith("xxx\nthe last line\n")
    assert seen["grown"] < 50_000  # kibibytes of the driver; it gets 8 of them
    # Two files of 32 MiB of this process; the rest are logs of Ray itself.
    assert seen["folder"] < 2 * 2**25 + 2**24
