"""The stopper ends a process in time, whatever its main thread does. Without Ray: small scripts."""

import signal
import subprocess
import sys
import time

import pytest

from sweeps.driver.stopping import SIGNALS, Stopper, bounded

ROOM = 60.0  # seconds; nothing here takes one on an idle machine

STUCK = """
import ctypes, sys, time
from sweeps.driver import stopping
{before}
stopper = stopping.Stopper(ends_process={ends_process})
with stopper.listening():
    print("ready", flush=True)
    {main}
print("returned", flush=True)
"""
IN_C = "ctypes.CDLL(None).sleep(60)"  # no handler written in Python could run
IN_PYTHON = "time.sleep(60)"


def start(*, main=IN_C, before="", ends_process=True, shell=""):
    """Start a script; return its process when it listens to signals."""
    script = STUCK.format(main=main, before=before, ends_process=ends_process)
    command = [sys.executable, "-c", script]
    if shell:
        command = ["sh", "-c", f'{shell}; exec "$@"', "sh", *command]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.fixture
def scripts():
    """Return a list; the processes in it are killed after the test."""
    started = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU"])
def test_a_signal_ends_a_process_whose_main_thread_is_stuck(scripts, name):
    process = start()
    scripts.append(process)
    process.send_signal(signal.Signals[name])
    output, errors = process.communicate(timeout=ROOM)
    assert process.returncode == 1
    assert (output, errors.count("\n")) == ("", 1)
    assert errors.startswith(f"stopped by {name}")
    assert "before a trial ran. The same command starts or resumes the sweep." in errors


def test_a_closing_that_hangs_has_a_deadline(scripts):
    before = "stopping.DEADLINE = 0.3"
    main = "stopper.close = lambda why: time.sleep(60); " + IN_C
    process = start(before=before, main=main)
    scripts.append(process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(ROOM) == 1


def test_children_that_cannot_be_ended_do_not_keep_the_process(scripts):
    main = "stopper.end_children = lambda: time.sleep(60); " + IN_C
    process = start(main=main)
    scripts.append(process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(ROOM) == 1


def test_a_second_ctrl_c_ends_at_once_unless_it_is_the_same_key(scripts):
    main = "stopper.close = lambda why: time.sleep(60); " + IN_C
    process = start(main=main)
    scripts.append(process)
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)  # the launcher passes it on
    time.sleep(0.6)
    assert process.poll() is None
    since = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(ROOM) == 1
    assert time.monotonic() - since < 5  # the closing would take 8 s


def test_a_signal_that_nohup_ignores_stays_ignored(scripts):
    process = start(shell="trap '' HUP", main="time.sleep(0.5)")
    scripts.append(process)
    process.send_signal(signal.SIGHUP)
    output, errors = process.communicate(timeout=ROOM)
    assert (process.returncode, output, errors) == (0, "returned\n", "")


def test_a_handler_of_the_program_is_left_alone(scripts):
    before = "import signal; signal.signal(signal.SIGUSR1, lambda *_: print('handled', flush=True))"
    process = start(before=before, main="time.sleep(0.5)", ends_process=False)
    scripts.append(process)
    process.send_signal(signal.SIGUSR1)
    output, _ = process.communicate(timeout=ROOM)
    assert output == "handled\nreturned\n"


def test_in_a_program_a_signal_is_only_noted_and_a_second_ctrl_c_raises(scripts):
    before = "stopping.ONE_KEY = 0.0; close = lambda why: print('closed', why, flush=True)"
    main = "stopper.close = close; print('set', flush=True)\n"
    main += (
        "    try:\n        for _ in range(600): time.sleep(0.1)\n    except KeyboardInterrupt:\n"
    )
    main += "        print('raised', stopper.requested, flush=True)"
    process = start(before=before, main=main, ends_process=False)
    scripts.append(process)
    assert process.stdout.readline() == "set\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "closed SIGINT (Ctrl-C)\n"
    time.sleep(0.5)  # the main thread has seen the first one
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=ROOM)
    assert output == "raised True\nreturned\n"
    assert process.returncode == 0


def test_in_a_program_a_signal_that_another_thread_takes_is_noted(scripts):
    before = "import threading; threading.Thread(target=time.sleep, args=(2,), daemon=True).start()"
    main = "stopper.close = lambda why: print('closed', why, flush=True); time.sleep(1)"
    process = start(before=before, main=main, ends_process=False)
    scripts.append(process)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=ROOM)
    assert (process.returncode, output) == (0, "closed SIGTERM\nreturned\n")


def test_a_program_that_does_not_return_ends_after_sigterm_but_not_after_ctrl_c(scripts):
    before = "stopping.DEADLINE = 0.3"
    stubborn = start(before=before, ends_process=False, main="time.sleep(0.8)")
    scripts.append(stubborn)
    stubborn.send_signal(signal.SIGINT)
    assert stubborn.wait(ROOM) == 0
    ended = start(before=before, main=IN_PYTHON, ends_process=False)
    scripts.append(ended)
    ended.send_signal(signal.SIGTERM)
    assert ended.wait(ROOM) == 1


def test_a_forked_child_takes_the_signals_that_its_parent_blocks(scripts):
    # Ray starts its processes with a `preexec_fn`, and ends them with SIGTERM.
    main = (
        "import subprocess; "
        "child = subprocess.Popen(['sleep', '60'], preexec_fn=lambda: None); "
        "child.terminate(); print(child.wait(), flush=True)"
    )
    process = start(main=main)
    scripts.append(process)
    assert process.communicate(timeout=ROOM)[0] == "-15\nreturned\n"


@pytest.mark.parametrize("ends_process", [True, False])
def test_handlers_and_mask_are_as_before_after_the_block(ends_process):
    def state():
        handlers = [signal.getsignal(number) for number in SIGNALS]
        return handlers, signal.pthread_sigmask(signal.SIG_BLOCK, ())

    before = state()
    with Stopper(ends_process=ends_process).listening():
        assert state() != before
    assert state() == before


def test_only_the_first_request_counts():
    reasons = []
    stopper = Stopper(ends_process=False)
    stopper.close = reasons.append
    stopper.request("Ray has died", deadline=False)
    stopper.request("SIGTERM", deadline=False)
    assert stopper.is_near(ROOM)
    assert stopper.why == "Ray has died"
    assert bounded(lambda: wait_for(lambda: reasons == ["Ray has died"]), ROOM)


def test_an_action_that_fails_or_is_late_has_not_succeeded():
    assert bounded(lambda: None, ROOM)
    assert not bounded(lambda: 1 / 0, ROOM)
    assert not bounded(lambda: time.sleep(30), 0.05)


def wait_for(condition):
    while not condition():
        time.sleep(0.01)
