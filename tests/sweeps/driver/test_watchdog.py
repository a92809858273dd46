"""The watchdog on a fake clock, with Ray and the store faked."""

from types import SimpleNamespace

import mini_sweep
import pytest
from ray.exceptions import ActorDiedError, GetTimeoutError, RayError

from sweeps.driver import conductor as conductor_module
from sweeps.driver import watchdog
from sweeps.driver.desk import Desk
from sweeps.storage.store_actor import Store


class Clock:
    """Stands for the module time."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    def time(self):
        return self.now


class FakeStore:
    """A store whose process can be started anew, be slow or be away."""

    def __init__(self, folder):
        self._folder = folder
        self.error = None
        self.calls = 0
        self.restart()
        self.enlisted = SimpleNamespace(remote=self._ask)

    def restart(self):
        self.process = Store(self._folder, None)

    def _ask(self):
        self.calls += 1
        return self


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    for module in (watchdog, conductor_module):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def killed(monkeypatch):
    """Return the handles that were killed."""
    killed = []

    def get(store, timeout):
        assert timeout > 0
        if store.error is not None:
            raise store.error
        return store.process.enlisted()

    def kill(handle, no_restart=True):
        assert no_restart == isinstance(handle, str)  # only the store is started anew
        killed.append(handle)

    fake = SimpleNamespace(get=get, kill=kill)
    monkeypatch.setattr(watchdog, "ray", fake)
    pickle = SimpleNamespace(loads=lambda blob: blob.decode())
    monkeypatch.setattr(watchdog, "cloudpickle", pickle)
    return killed


@pytest.fixture
def store(tmp_path):
    return FakeStore(tmp_path / "store")


@pytest.fixture
def desk(tmp_path, clock, killed):
    spec = mini_sweep.spec(resources={"trial_timeout": "5s"})
    said = []
    desk = Desk(mini_sweep.conductor(spec, tmp_path), None, 2, 0.0, set(), set(), said.append)
    desk.said = said
    return desk


def begin(desk, store, actor):
    """Return a trial whose attempt has been assigned and whose actor has enlisted."""
    trial = desk.conductor.next().trial
    store.process.enlist(trial.attempt, "node", actor.encode())
    return trial


def pass_seconds(seconds, desk, store, clock):
    for _ in range(seconds):
        clock.now += 1
        watchdog.look(desk, store)


def test_a_silent_trial_is_ended_after_its_limit(desk, store, clock, killed):
    trial = begin(desk, store, "actor")
    watchdog.look(desk, store)
    pass_seconds(5, desk, store, clock)
    assert killed == []
    pass_seconds(1, desk, store, clock)
    assert killed == ["actor"]
    assert desk.expired == {trial.attempt}


def test_every_report_starts_the_clock_again(desk, store, clock, killed):
    trial = begin(desk, store, "actor")
    for epoch in (1, 2):
        pass_seconds(4, desk, store, clock)
        assert desk.conductor.record(trial.number, mini_sweep.body(trial, epoch, 0.1)) or epoch == 2
    assert killed == []


def test_an_attempt_that_waits_for_the_cluster_is_never_ended(desk, store, clock, killed):
    trial = desk.conductor.next().trial
    pass_seconds(500, desk, store, clock)
    assert killed == []
    (line,) = desk.said  # once, not 440 times
    assert line.startswith("note: 1 of 2 trials wait for a free place in the cluster")
    store.process.enlist(trial.attempt, "node", b"actor")
    pass_seconds(6, desk, store, clock)
    assert killed == []  # the clock began at the first of these six looks
    pass_seconds(1, desk, store, clock)
    assert killed == ["actor"]


def test_a_trial_is_ended_after_the_store_was_started_anew(desk, store, clock, killed):
    begin(desk, store, "actor")
    watchdog.look(desk, store)
    store.restart()
    pass_seconds(6, desk, store, clock)
    assert killed == ["actor"]


def test_a_trial_that_enlists_again_keeps_its_clock(desk, store, clock, killed):
    trial = begin(desk, store, "actor")
    watchdog.look(desk, store)
    pass_seconds(4, desk, store, clock)
    store.restart()
    store.process.enlist(trial.attempt, "node", b"actor")
    pass_seconds(2, desk, store, clock)
    assert killed == ["actor"]


@pytest.mark.parametrize("error", [GetTimeoutError(), ActorDiedError(), RayError("away")])
def test_a_store_that_does_not_answer_stops_no_kill(desk, store, clock, killed, error):
    begin(desk, store, "actor")
    watchdog.look(desk, store)
    store.error = error
    pass_seconds(6, desk, store, clock)
    assert [each for each in killed if each is not store] == ["actor"]


def test_one_call_at_a_time_waits_for_a_busy_store(desk, store, clock, killed):
    begin(desk, store, "actor")
    store.error = GetTimeoutError()
    pass_seconds(2, desk, store, clock)
    assert store.calls == 1
    store.error = None
    pass_seconds(6, desk, store, clock)
    assert killed == []


def test_a_store_that_is_slow_to_start_is_left_alone(desk, store, clock, killed):
    desk.conductor.next()
    store.error = GetTimeoutError()
    pass_seconds(500, desk, store, clock)
    assert killed == []


def test_a_store_that_hangs_is_started_anew_before_its_trials_are_ended(desk, store, clock, killed):
    begin(desk, store, "actor")
    watchdog.look(desk, store)
    store.error = GetTimeoutError()
    pass_seconds(3, desk, store, clock)
    assert killed == []
    pass_seconds(1, desk, store, clock)  # more than half of the 5 s of a trial
    assert killed == [store]
    assert desk.said == ["warning: the store has not answered for 3 s; it is started anew"]
    pass_seconds(1, desk, store, clock)
    assert killed == [store]  # not again while it starts
    store.error = None
    watchdog.look(desk, store)
    assert store.calls == 2  # one answered call, and the one that the new process answers


def test_an_actor_with_its_next_attempt_is_not_ended_for_the_last_one(desk, store, clock, killed):
    first = begin(desk, store, "actor").attempt
    watchdog.look(desk, store)
    pass_seconds(4, desk, store, clock)
    failure = {"attempt": first, "failure": "error", "message": "x", "log": ""}
    desk.conductor.record(0, failure)
    second = begin(desk, store, "actor").attempt
    store.process.enlist(first, "node", b"actor")  # a repeated call that comes late
    watchdog.look(desk, store)
    pass_seconds(5, desk, store, clock)
    assert killed == []
    pass_seconds(1, desk, store, clock)
    assert (killed, desk.expired) == (["actor"], {second})
    assert set(desk.actors) == {second}


def test_an_actor_that_is_dead_already_is_no_error(desk, store, clock, killed, monkeypatch):
    def refuse(handle, no_restart=True):
        killed.append(handle)
        raise RayError("no such actor")

    monkeypatch.setattr(watchdog.ray, "kill", refuse)
    begin(desk, store, "one")
    begin(desk, store, "two")
    pass_seconds(7, desk, store, clock)
    assert killed == ["one", "two"]


def test_without_a_limit_nothing_is_ended_and_nodes_are_known(tmp_path, store, clock, killed):
    spec = mini_sweep.spec(resources={"trial_timeout": None})
    desk = Desk(mini_sweep.conductor(spec, tmp_path), None, 2, 0.0, set(), set())
    trial = begin(desk, store, "actor")
    pass_seconds(50, desk, store, clock)
    assert killed == []
    assert desk.actors[trial.attempt].node == "node"


def test_the_thread_survives_every_error(desk, store, monkeypatch):
    looks = []

    def look(*_):
        looks.append(1)
        raise RuntimeError("anything")

    monkeypatch.setattr(watchdog, "look", look)
    turns = iter([False, False, False, True])
    watchdog.watch(desk, store, SimpleNamespace(wait=lambda _: next(turns)))
    assert len(looks) == 3
