"""Which processes belong to the Ray that this process started, and how they end."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest

from cluster.processes import LocalRay, groups_apart, orphans_adopted
from cluster.reachable import RemoteRay


@pytest.fixture
def children():
    """Return a list; the processes in it are killed after the test."""
    started = []
    yield started
    for child in started:
        child.kill()
        child.wait()


def head(tmp_path, children):
    """Start a program that is called like the head process of Ray."""
    program = tmp_path / "gcs_server"
    if not program.exists():
        shutil.copy(shutil.which("sleep"), program)
    children.append(subprocess.Popen([program, "60"]))
    wait_for(lambda: psutil.Process(children[-1].pid).name() == "gcs_server")
    return children[-1]


def wait_for(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_death_of_a_service_is_a_failure(tmp_path, children):
    ray = LocalRay()
    gcs = head(tmp_path, children)
    ray.started()
    assert ray.failure() == ""
    gcs.kill()  # nobody waits for it: it stays as a zombie
    wait_for(ray.failure)
    assert ray.failure() == f"Ray's head process (GCS), pid {gcs.pid}, has died"


def test_only_the_processes_of_the_new_cluster_are_ended(tmp_path, children):
    earlier = head(tmp_path, children)  # of a cluster that this process had before
    ray = LocalRay()
    other = subprocess.Popen(["sleep", "60"])
    children.append(other)
    gcs = head(tmp_path, children)
    assert [process.pid for process in ray.processes()] == [gcs.pid]
    assert ray.end()
    assert gcs.wait(30) in (-signal.SIGKILL, 0)  # 0: `end` has waited for it
    assert earlier.poll() is None
    assert other.poll() is None


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted on Linux only")
def test_a_worker_whose_raylet_has_died_is_found(children):
    ray = LocalRay()
    with orphans_adopted():
        # The shell is the raylet: it starts a worker and ends.
        subprocess.run(["bash", "-c", 'exec -a "ray::Worker" sleep 60 >&- 2>&- &'], check=True)
        wait_for(ray.processes)
        (worker,) = ray.processes()
        assert worker.ppid() == os.getpid()
        assert ray.end()
        assert not worker.is_running()


def test_ray_starts_in_process_groups_apart():
    with groups_apart():
        inside = subprocess.Popen(["sleep", "60"], preexec_fn=lambda: None)
    outside = subprocess.Popen(["sleep", "60"], preexec_fn=lambda: None)
    try:
        assert os.getpgid(inside.pid) == inside.pid
        assert os.getpgid(outside.pid) == os.getpgid(0)
    finally:
        for child in (inside, outside):
            child.kill()
            child.wait()


def test_a_cluster_is_away_after_some_seconds_of_refused_connections(monkeypatch):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        address = server.getsockname()
        ray = RemoteRay({"the head": address})
        assert ray.failure() == ""
    monkeypatch.setattr("cluster.reachable.REFUSED", 0.2)
    assert ray.failure() == ""  # it may come back
    wait_for(ray.failure)
    assert f"the head at 127.0.0.1:{address[1]} does not answer" in ray.failure()
