"""Images on disk that change while a sweep runs stop the sweep before a trial trains on them."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from local_actor import LOADED, FakeStore, actor, fake_ray, step
from mini_sweep import conductor, play, spec

from sweeps.driver import data_guard, trial_actor
from sweeps.driver.conductor import Assignment
from sweeps.driver.data_guard import DataChangedError, DataGuard, file_stamp
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from vae_core.data.cache import mapped
from vae_core.data.make_data import make_data
from vae_core.types import Data


@pytest.fixture(autouse=True)
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_actor, "ray", fake_ray())


def on_disk(path: Path) -> Data:
    """Return the small data set of the actor's tests with its images mapped from a file."""
    images, sha256 = mapped.map_or_make(path, LOADED.images.shape, lambda: [LOADED.images])
    data = make_data(
        LOADED.name,
        images,
        LOADED.shape,
        levels=LOADED.levels,
        factors=LOADED.factors,
        sha256=sha256,
    )
    assert data.fingerprint == LOADED.fingerprint
    return data


def change_in_place(path: Path) -> None:
    """Change one byte of the last image; size and inode stay."""
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        byte = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(1, 1))  # as a copy that keeps times would; the clock may not have ticked


def replace(path: Path) -> None:
    """Put another file of the same size in the place of the first."""
    other = path.with_name("other.npy")
    other.write_bytes(path.read_bytes())
    change_in_place(other)
    other.replace(path)


def in_another_process(data: Data) -> Data:
    """Return the data as a trial's process gets them: the file is opened there by its name."""
    return pickle.loads(pickle.dumps(data))


def test_data_in_memory_need_no_check() -> None:
    assert file_stamp(LOADED) is None
    DataGuard(LOADED, None).check()


@pytest.mark.parametrize("change", [change_in_place, replace])
def test_a_process_that_opens_another_file_is_stopped(tmp_path: Path, change: Any) -> None:
    data = on_disk(tmp_path / "images.npy")
    stamp = file_stamp(data)
    change(tmp_path / "images.npy")
    guard = DataGuard(in_another_process(data), stamp)
    for _ in range(2):
        with pytest.raises(DataChangedError, match=r"images\.npy has another content now"):
            guard.check()


def test_a_copy_on_another_node_is_read_once_and_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = on_disk(tmp_path / "images.npy")
    reads: list[int] = []
    digest = data_guard.digest
    monkeypatch.setattr(data_guard, "digest", lambda images: (reads.append(1), digest(images))[1])
    unchanged = DataGuard(data, file_stamp(data))
    unchanged.check()
    assert reads == []
    copy = DataGuard(data, None)  # the stamp of another node's file never equals that of this one
    for _ in range(3):
        copy.check()
    assert reads == [1]


def test_a_running_process_keeps_a_file_that_is_replaced_and_refuses_one_that_changes(
    tmp_path: Path,
) -> None:
    path = tmp_path / "images.npy"
    data = on_disk(path)
    guard = DataGuard(data, file_stamp(data))
    replace(path)
    guard.check()  # the map is still that of the first file
    path.unlink()
    guard.check()
    fresh = on_disk(path)
    guard = DataGuard(fresh, file_stamp(fresh))
    os.truncate(path, 200)
    with pytest.raises(DataChangedError, match="is shorter now"):
        guard.check()


def test_an_actor_trains_on_no_other_data_and_reports_no_epoch_of_them(tmp_path: Path) -> None:
    path = tmp_path / "images.npy"
    data = on_disk(path)
    store = FakeStore()
    made = actor(store, data, file_stamp(data))
    assert step(made)["epoch"] == 1
    change_in_place(path)
    before = list(store.log)
    report = step(made)
    assert report["failure"] == "data"
    assert "the data changed while the sweep ran" in report["message"]
    assert store.log == before
    # The next trial of the same process, and one of a new process.
    for loaded in (data, in_another_process(data)):
        next_trial = actor(store, loaded, file_stamp(LOADED))
        assert step(next_trial)["failure"] == "data"
    assert store.log == before


def test_an_actor_refuses_data_that_are_not_those_of_its_trial() -> None:
    other = make_data("other", LOADED.images[::-1].copy(), LOADED.shape, levels=16, factors=None)
    report = step(actor(FakeStore(), other))
    assert report["failure"] == "error"
    assert "the data must be those of the config" in report["message"]


@pytest.mark.parametrize("kind", ["data", "storage"])
def test_changed_data_or_a_full_disk_stop_the_sweep_and_charge_no_trial(
    tmp_path: Path, kind: str
) -> None:
    sweep = conductor(spec(pruning="none"), tmp_path)
    first, second = sweep.next(), sweep.next()
    assert isinstance(first, Assignment)
    assert isinstance(second, Assignment)
    message = "the data changed while the sweep ran: images.npy"
    failure = {"failure": kind, "message": message, "log": ""}
    assert not sweep.record(first.trial.number, {"attempt": first.trial.attempt, **failure})
    assert sweep.stopping == message
    assert sweep.next() == "finished"
    failure = {"failure": kind, "message": message, "log": ""}
    assert not sweep.record(second.trial.number, {"attempt": second.trial.attempt, **failure})
    rows = Ledger.of_workspace(tmp_path).of(tables.ATTEMPT, "mini")
    assert [(row["outcome"], row["message"]) for row in rows] == [("interrupted", message)] * 2
    again = conductor(spec(pruning="none"), tmp_path)
    assert [trial.charged for trial in again.trials[:2]] == [0, 0]
    play(again)
    assert again.finished
    assert json.loads(Ledger.of_workspace(tmp_path).of(tables.REPORT, "mini")[0]["body"])
