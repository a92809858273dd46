"""Ends the process of a trial that hangs, and that of the store.

The clock of an attempt begins when its process has enlisted with the store, and again at every
report. An attempt that waits for a free place in the cluster, or whose process still starts, is
never ended. The driver keeps the handles of the actors, so it can end a trial also after Ray has
started the store anew, which then has forgotten them.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import ray
from ray import cloudpickle
from ray.exceptions import GetTimeoutError, RayError

from sweeps.driver.desk import Desk, RunningActor
from sweeps.ledger.replay import TrialProgress
from sweeps.ledger.states import TrialState

log = logging.getLogger(__name__)

PERIOD = 1.0
"""Seconds between two looks."""

ANSWER = 2.0
"""Seconds that a look waits for the store; a later look takes a late answer."""

STORE_SILENT = 600.0
"""Seconds after which a store that does not answer is started anew; half of `trial_timeout` if
that is shorter.
"""

LONG_WAIT = 60.0
"""Seconds after which the user is told that attempts wait for the cluster."""


def watch(desk: Desk, store: Any, stop: threading.Event) -> None:
    """Look at the running trials every second until `stop` is set."""
    while not stop.wait(PERIOD):
        try:
            look(desk, store)
        except Exception:  # without its thread a trial that hangs would hang for ever
            log.exception("the watchdog could not look at the trials; it tries again")


def look(desk: Desk, store: Any) -> None:
    """Learn which actors run the attempts, and end those that have been silent for too long."""
    running = _running_trials(desk)
    _forget_ended(desk, running)
    _take_enlisted(desk, store, {trial.attempt for trial in running})
    _end_silent(desk)
    _say_who_waits(desk, running)


def _running_trials(desk: Desk) -> list[TrialProgress]:
    with desk.conductor.lock:
        return [trial for trial in desk.conductor.trials if trial.state is TrialState.RUNNING]


def _forget_ended(desk: Desk, running: list[TrialProgress]) -> None:
    attempts = {trial.attempt for trial in running}
    for attempt in list(desk.actors):
        if attempt not in attempts:
            del desk.actors[attempt]
    desk.expired &= attempts


def _take_enlisted(desk: Desk, store: Any, attempts: set[int]) -> None:
    """Keep the handles of running attempts that have enlisted since the last look."""
    try:
        if desk.asked is None:
            desk.asked, desk.asked_at = store.enlisted.remote(), time.monotonic()
        enlisted = ray.get(desk.asked, timeout=ANSWER)
    except GetTimeoutError:
        _restart_silent_store(desk, store)
        return
    except RayError as error:
        log.info("the store does not say which actors run: %s", error)
        desk.asked = None
        return
    desk.asked, desk.has_answered = None, True
    now = time.monotonic()
    for attempt, node, actor in enlisted:
        if attempt in attempts and attempt not in desk.actors:
            desk.actors[attempt] = RunningActor(cloudpickle.loads(actor), node, now)


def _restart_silent_store(desk: Desk, store: Any) -> None:
    """Let Ray start the store anew if it hangs: else every trial hangs with it, and is charged.

    A store that is only busy gets half the time of a trial, and one that starts gets any time. What
    the trials have asked for meanwhile is done by the new process.
    """
    limit = desk.conductor.spec.resources.trial_timeout
    patience = STORE_SILENT if limit is None else min(limit / 2, STORE_SILENT)
    seconds = time.monotonic() - desk.asked_at
    if seconds <= patience or not desk.has_answered:
        return
    desk.say(f"warning: the store has not answered for {seconds:.0f} s; it is started anew")
    desk.has_answered = False
    ray.kill(store, no_restart=False)


def _end_silent(desk: Desk) -> None:
    """End the processes that have not reported for `resources.trial_timeout`."""
    limit = desk.conductor.spec.resources.trial_timeout
    if limit is None:
        return
    # With the lock nobody gives the actor another trial between the check and the kill.
    with desk.conductor.lock:
        for trial in _running_trials(desk):
            actor = desk.actors.get(trial.attempt)
            if actor is None or time.monotonic() - max(trial.since, actor.since) <= limit:
                continue
            desk.expired.add(trial.attempt)
            try:
                ray.kill(actor.handle)
            except RayError as error:  # it has died meanwhile; Tune reports that by itself
                log.info("trial %d has hung and cannot be ended: %s", trial.number, error)


def _say_who_waits(desk: Desk, running: list[TrialProgress]) -> None:
    """Tell the user once if attempts have waited long for a place in the cluster."""
    if desk.asked is not None:
        return  # the store has not said yet who has begun
    now = time.monotonic()
    numbers: list[int] = []
    for trial in running:
        if trial.attempt not in desk.actors and now - trial.since > LONG_WAIT:
            numbers.append(trial.number)
    if numbers and not desk.has_said_waiting:
        desk.say(
            f"note: {len(numbers)} of {desk.slots} trials wait for a free place in the cluster, or "
            f"for their process to start: {', '.join(map(str, numbers[:10]))}; waiting is not "
            "charged to them, and they start when a node has room"
        )
    desk.has_said_waiting = bool(numbers)
