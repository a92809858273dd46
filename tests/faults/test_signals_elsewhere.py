"""Early ends of `sweeps.run` in Python, of drivers on a cluster of others, and by SIGKILL."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from processes_of_a_driver import ROOM, TWO_SLOTS, Driver, name_of, start_driver
from test_kills import rows
from test_signals import AFTER_A_DEATH, AFTER_A_SIGNAL, assert_ends, assert_resumes

from sweeps.ledger import tables

SERVICES = ("gcs_server", "raylet")

IN_MAIN = """
import signal, sys, sweeps
def handlers():
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
before = handlers(), signal.pthread_sigmask(signal.SIG_BLOCK, ())
result = sweeps.run(sys.argv[1], workspace=sys.argv[3])
assert before == (handlers(), signal.pthread_sigmask(signal.SIG_BLOCK, ()))
print("returned", result.exit_code, result.why, flush=True)
sys.exit(result.exit_code)
"""
IN_A_THREAD = """
import sys, threading, sweeps
def work():
    results.append(sweeps.run(sys.argv[1], workspace=sys.argv[3]))
results = []
thread = threading.Thread(target=work)
thread.start()
thread.join()
print("returned", results[0].exit_code, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=name_of)
def test_a_signal_lets_sweeps_run_return_in_python(tmp_path, drivers, faultless, number):
    driver = start_driver(tmp_path, TWO_SLOTS, script=IN_MAIN)
    drivers.append(driver)
    driver.wait_for_reports(3)
    os.kill(driver.process.pid, number)
    assert_ends(driver, ROOM)
    assert f"returned 1 {number.name}" in driver.output
    assert_resumes(tmp_path, faultless)


@pytest.mark.slow
def test_sweeps_run_in_another_thread_leaves_signals_alone(tmp_path, drivers):
    driver = start_driver(tmp_path, TWO_SLOTS, script=IN_A_THREAD)
    drivers.append(driver)
    assert driver.process.wait(ROOM) == 0
    assert "returned 0" in driver.output


@pytest.mark.slow
def test_a_group_signal_in_python_closes_the_attempts_in_time(tmp_path, drivers, faultless):
    # Ray dies too, and the main thread may wait for it until the process is ended.
    driver = start_driver(tmp_path, TWO_SLOTS, script=IN_MAIN)
    drivers.append(driver)
    driver.wait_for_reports(3)
    driver.signal_all(signal.SIGTERM)
    since = time.monotonic()
    assert driver.process.wait(ROOM) == 1, driver.output
    print(f"ended after {time.monotonic() - since:.2f} s: {driver.output[-500:]!r}")
    assert time.monotonic() - since < AFTER_A_SIGNAL
    assert not driver.members_after_a_moment()
    assert all(row["outcome"] for row in rows(tmp_path, tables.ATTEMPT))
    assert_resumes(tmp_path, faultless)


@pytest.mark.slow
def test_nothing_of_a_driver_stays_after_sigkill(tmp_path, drivers, faultless):
    driver = start_driver(tmp_path, TWO_SLOTS)
    drivers.append(driver)
    driver.wait_for_reports(3)
    os.kill(driver.process.pid, signal.SIGKILL)
    driver.process.wait(ROOM)
    since = time.monotonic()
    left = sorted(driver.members())
    while left and time.monotonic() - since < ROOM:
        now = sorted(driver.members())
        if now != left:
            print(f"{time.monotonic() - since:6.2f} s: {now}")
        left = now
        time.sleep(0.1)
    # Two agents of Ray try for 60 s to tell the dead head process that their node has died.
    assert time.monotonic() - since < 120
    assert_resumes(tmp_path, faultless)


@pytest.fixture
def cluster(tmp_path_factory):
    """Return a cluster that this test started with `ray start`, and its address."""
    folder = tmp_path_factory.mktemp("cluster")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"]
    options = [f"--port={port}", "--num-cpus=2", "--include-dashboard=false"]
    with open(folder / "output.txt", "wb") as output:
        process = subprocess.Popen(
            [*program, *options, "--node-ip-address=127.0.0.1"],
            env={**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    head = Driver(process, folder)
    head.wait_until(lambda: "Ray runtime started" in head.output, "the cluster has started")
    yield head, f"127.0.0.1:{port}"
    head.end()


@pytest.mark.slow
def test_a_cluster_of_others_survives_a_signal_to_the_driver(tmp_path, drivers, cluster):
    head, address = cluster
    before = {process.pid for name in SERVICES for process in head.members()[name]}
    driver = start_driver(tmp_path, TWO_SLOTS, "--address", address)
    drivers.append(driver)
    driver.wait_for_reports(3)
    driver.signal_group(signal.SIGTERM)
    assert_ends(driver, AFTER_A_SIGNAL)
    assert before == {process.pid for name in SERVICES for process in head.members()[name]}
    since = time.monotonic()
    while any("Train" in name or "Trial" in name or "Store" in name for name in head.members()):
        assert time.monotonic() - since < 60, head.members()
        time.sleep(0.1)
    print(f"our actors were gone {time.monotonic() - since:.2f} s later")


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["gcs_server", "raylet"])
def test_a_cluster_of_others_that_dies_is_noticed(tmp_path, drivers, cluster, victim):
    head, address = cluster
    # No trial ends by itself in the meantime.
    spec = {**TWO_SLOTS, "train": {**TWO_SLOTS["train"], "epochs": 2000}}
    driver = start_driver(tmp_path, spec, "--address", address)
    drivers.append(driver)
    driver.wait_for_reports(3)
    for process in head.members()[victim]:
        process.kill()
    assert_ends(driver, AFTER_A_DEATH)
    assert "does not answer" in driver.output
