"""Signals, and a Ray that dies: the driver ends in time, leaves nothing, and resumes."""

import os
import signal
import time

import pytest
from processes_of_a_driver import ROOM, TWO_SLOTS, name_of, start_driver
from test_kills import assert_every_number_once, assert_same_numbers, rows, run

from sweeps.ledger import tables

SIGINT, SIGTERM, SIGHUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP

AFTER_A_SIGNAL = 10.0
"""Seconds from a signal to the end of the driver: the grace of `docker stop`."""

AFTER_A_DEATH = 15.0
"""Seconds from the death of a process of Ray to the end of the driver."""


def assert_ends(driver, within, *, code=1):
    """Check exit code, time, output, processes and ledger after a stop that came just now."""
    since = time.monotonic()
    assert driver.process.wait(ROOM) == code, driver.output
    seconds = time.monotonic() - since
    left = driver.members_after_a_moment()
    print(f"ended after {seconds:.2f} s; left: {sorted(left)}; {driver.output[-300:]!r}")
    assert not left
    assert seconds < within
    assert "Traceback" not in driver.output
    assert "The same command" in driver.output
    assert "Failed to connect to GCS" not in driver.output
    if (driver.workspace / "ledger.db").exists():
        assert [row for row in rows(driver.workspace, tables.ATTEMPT) if not row["outcome"]] == []


def assert_resumes(workspace, clean):
    """Check that the same command ends the sweep with the numbers of the clean one."""
    code, output = run(workspace, TWO_SLOTS)
    assert code == 0, output
    assert_every_number_once(workspace)
    assert_same_numbers(workspace, clean, same_verdicts=False)
    assert {row["outcome"] for row in rows(workspace, tables.ATTEMPT)} <= {
        "complete",
        "pruned",
        "parked",
        "interrupted",
    }  # nothing was charged to a trial


def test_sigterm_to_the_whole_group_ends_everything(tmp_path, drivers):
    driver = start_driver(tmp_path, TWO_SLOTS)
    drivers.append(driver)
    driver.wait_for_reports(1)
    driver.signal_group(SIGTERM)
    assert_ends(driver, AFTER_A_SIGNAL)
    assert "stopped: SIGTERM. The same command resumes the sweep." in driver.output
    assert rows(tmp_path, tables.DRIVER_RUN)[0]["outcome"] == "SIGTERM"


@pytest.mark.slow
@pytest.mark.parametrize("number", [SIGTERM, SIGINT, SIGHUP], ids=name_of)
def test_a_signal_before_a_trial_ran_ends_with_one_line(tmp_path, drivers, number):
    driver = start_driver(tmp_path, TWO_SLOTS, failpoint="driver.start")
    drivers.append(driver)
    driver.wait_for_failpoint()
    driver.signal_group(number)
    assert_ends(driver, AFTER_A_SIGNAL)
    assert driver.output == (
        f"stopped by {number.name}{' (Ctrl-C)' * (number is SIGINT)} before a trial ran. "
        "The same command starts or resumes the sweep.\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize("to_all", [False, True], ids=["group", "session"])
@pytest.mark.parametrize("number", [SIGTERM, SIGINT, SIGHUP], ids=name_of)
def test_a_signal_to_all_processes_loses_nothing(tmp_path, drivers, faultless, number, to_all):
    driver = start_driver(tmp_path, TWO_SLOTS)
    drivers.append(driver)
    driver.wait_for_reports(3)
    send = driver.signal_all if to_all else driver.signal_group
    send(number)
    assert_ends(driver, AFTER_A_SIGNAL)
    assert_resumes(tmp_path, faultless)


@pytest.mark.slow
@pytest.mark.parametrize("number", [SIGTERM, SIGINT, SIGHUP, signal.SIGUSR1], ids=name_of)
def test_a_signal_to_the_driver_alone_loses_nothing(tmp_path, drivers, faultless, number):
    driver = start_driver(tmp_path, TWO_SLOTS)
    drivers.append(driver)
    driver.wait_for_reports(3)
    os.kill(driver.process.pid, number)
    assert_ends(driver, AFTER_A_SIGNAL)
    assert_resumes(tmp_path, faultless)


@pytest.mark.slow
def test_a_repeated_sigterm_changes_nothing(tmp_path, drivers, faultless):
    driver = start_driver(tmp_path, TWO_SLOTS)
    drivers.append(driver)
    driver.wait_for_reports(3)
    for _ in range(5):
        if driver.process.poll() is None:
            driver.signal_group(SIGTERM)
            time.sleep(0.05)
    assert_ends(driver, AFTER_A_SIGNAL)
    assert_resumes(tmp_path, faultless)


@pytest.mark.slow
def test_a_second_ctrl_c_ends_at_once_and_loses_nothing(tmp_path, drivers, faultless):
    driver = start_driver(tmp_path, TWO_SLOTS, failpoint="driver.ends_early")
    drivers.append(driver)
    driver.wait_for_reports(3)
    driver.signal_group(SIGINT)
    driver.wait_for_failpoint()
    time.sleep(0.7)  # not the same key press
    assert driver.process.poll() is None
    since = time.monotonic()
    driver.signal_group(SIGINT)
    assert driver.process.wait(ROOM) == 1
    print(f"ended {time.monotonic() - since:.2f} s after the second SIGINT")
    assert not driver.members_after_a_moment()
    assert "Traceback" not in driver.output
    assert_resumes(tmp_path, faultless)


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment", ["driver.data_loaded", "driver.registered", "driver.ray_started"]
)
def test_sigterm_during_the_start_loses_nothing(tmp_path, drivers, faultless, moment):
    driver = start_driver(tmp_path, TWO_SLOTS, failpoint=moment)
    drivers.append(driver)
    driver.wait_for_failpoint()
    driver.signal_group(SIGTERM)
    assert_ends(driver, AFTER_A_SIGNAL)
    assert_resumes(tmp_path, faultless)


def test_sigterm_while_modules_are_imported_ends_with_one_line(tmp_path, drivers):
    driver = start_driver(tmp_path, TWO_SLOTS)
    drivers.append(driver)
    driver.wait_until(lambda: blocks(driver.process.pid, SIGTERM), "the driver listens")
    assert not (tmp_path / "ledger.db").exists()
    driver.signal_group(SIGTERM)
    assert_ends(driver, AFTER_A_SIGNAL)
    assert driver.output.count("\n") == 1


@pytest.mark.slow
def test_sigterm_while_ray_starts_leaves_nothing(tmp_path, drivers, faultless):
    driver = start_driver(tmp_path, TWO_SLOTS)
    drivers.append(driver)
    driver.wait_until(lambda: "gcs_server" in driver.members(), "Ray starts")
    driver.signal_group(SIGTERM)
    assert_ends(driver, AFTER_A_SIGNAL)
    assert_resumes(tmp_path, faultless)


@pytest.mark.slow
def test_sigterm_during_the_exports_ends_and_they_are_made_later(tmp_path, drivers, faultless):
    driver = start_driver(tmp_path, TWO_SLOTS, "--json", failpoint="driver.exporting")
    drivers.append(driver)
    driver.wait_for_failpoint()
    driver.signal_group(SIGTERM)
    assert_ends(driver, AFTER_A_SIGNAL)
    assert "The same command brings the exports up to date" in driver.output
    assert '"why": "SIGTERM"' in driver.output
    assert_resumes(tmp_path, faultless)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["gcs_server", "raylet"])
def test_a_dead_process_of_ray_is_noticed_and_nothing_is_lost(tmp_path, drivers, faultless, victim):
    driver = start_driver(tmp_path, TWO_SLOTS)
    drivers.append(driver)
    driver.wait_for_reports(3)
    (process,) = driver.members()[victim]
    process.kill()
    assert_ends(driver, AFTER_A_DEATH)
    assert f"({'GCS' if victim == 'gcs_server' else 'raylet'}), pid {process.pid}, has died" in (
        driver.output
    )
    assert_resumes(tmp_path, faultless)


def blocks(pid, number):
    """Return whether the main thread of a process blocks a signal: then a thread waits for it."""
    try:
        with open(f"/proc/{pid}/status") as file:
            mask = next(line for line in file if line.startswith("SigBlk"))
    except (OSError, StopIteration):
        return False
    return bool(int(mask.split()[1], 16) >> (number - 1) & 1)
