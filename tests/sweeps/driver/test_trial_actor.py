"""One stretch of one trial in an actor, with its store and Ray faked."""

import hashlib
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from local_actor import FakeStore, LocalStore, actor, fake_ray, step
from ray.exceptions import LocalRayletDiedError

from sweeps.driver import trial_actor
from sweeps.storage import retries
from sweeps.storage.store_actor import Store


@pytest.fixture(autouse=True)
def no_ray(monkeypatch):
    monkeypatch.setattr(trial_actor, "ray", fake_ray())


def test_a_snapshot_is_stored_with_its_epoch_before_the_checkpoint():
    store = FakeStore()
    made = actor(store)
    assert [step(made)["epoch"] for _ in range(2)] == [1, 2]
    assert store.log == ["snapshot-0001.png", "checkpoint 1", "snapshot-0002.png", "checkpoint 2"]


def test_a_trial_that_was_killed_leaves_the_same_snapshots():
    whole, cut = FakeStore(), FakeStore()
    made = actor(whole)
    reports = [step(made) for _ in range(3)]
    first = actor(cut)
    step(first)
    step(first)
    del cut.checkpoints[
        2
    ]  # as if the process had died with epoch 2's snapshot written and its checkpoint not
    again = actor(cut)
    repeated = [step(again) for _ in range(3)]
    assert [report["metrics"] for report in repeated] == [report["metrics"] for report in reports]
    snapshots = sorted(name for name in whole.files if name.startswith("snapshot-"))
    assert snapshots == ["snapshot-0001.png", "snapshot-0002.png", "snapshot-0003.png"]
    assert {name: cut.files[name] for name in snapshots} == {
        name: whole.files[name] for name in snapshots
    }


def test_the_last_report_has_the_best_epochs_numbers():
    made = actor(FakeStore())
    first, second, last = (step(made) for _ in range(3))
    migs = {report["epoch"]: report["metrics"]["mig"] for report in (first, second, last)}
    assert first["best"] is None
    assert last["best"]["epoch"] == max(migs, key=lambda epoch: migs[epoch])
    assert set(last["final"]) >= set(last["best"]) - {"epoch"}


def test_a_trial_that_diverges_in_its_first_epoch_reports_so():
    report = step(actor(FakeStore(), learning_rate=1e6, optimiser="sgd"))
    assert report["failure"] == "diverged"
    assert "epoch 1" in report["message"]


@pytest.fixture(scope="module")
def trained():
    """Return reports and checkpoints of a trial of three epochs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trial_actor, "ray", fake_ray())
        store = FakeStore()
        made = actor(store)
        return [step(made) for _ in range(3)], store.checkpoints


def store_with(checkpoints: dict[int, bytes], **changed: bytes) -> FakeStore:
    store = FakeStore()
    store.checkpoints = {**checkpoints, **{int(key[1:]): blob for key, blob in changed.items()}}
    return store


def altered(blob: bytes, change: Callable[[dict[str, Any]], Any]) -> bytes:
    """Return a checkpoint with other content and a correct checksum."""
    content = torch.load(io.BytesIO(blob[32:]), weights_only=True)
    change(content)
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return hashlib.sha256(buffer.getvalue()).digest() + buffer.getvalue()


def sealed(body: bytes) -> bytes:
    return hashlib.sha256(body).digest() + body


def reshape(content: dict[str, Any]) -> None:
    weights = content["state"]["weights"]
    name = next(iter(weights))
    weights[name] = torch.zeros(1)


def reshape_adam(content: dict[str, Any]) -> None:
    content["state"]["optimisers"]["vae"]["state"][0]["exp_avg"] = torch.zeros(1)


def reshape_best(content: dict[str, Any]) -> None:
    content["state"]["best"]["weights"].popitem()


UNUSABLE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "format": (lambda b: altered(b, lambda c: c.update(format=3)), "format must be 2, got 3"),
    "key": (lambda b: altered(b, lambda c: c["state"].pop("step")), "step is missing"),
    "new key": (lambda b: altered(b, lambda c: c["state"].update(extra=1)), "'extra' is unknown"),
    "hash": (
        lambda b: altered(b, lambda c: c.update(config_hash="0123456789abcdef")),
        "is of another trial (0123456789abcdef)",
    ),
    "no hash": (lambda b: altered(b, lambda c: c.update(config_hash="")), "without a hash"),
    "not torch": (lambda b: sealed(b"new format"), "not a checkpoint, or a damaged one"),
    "cut": (lambda b: b[:-1], "sha256 of its"),
    "empty": (lambda b: b"", "sha256 of its 0 bytes"),
    "weights": (lambda b: altered(b, reshape), "has shape (1,) instead of"),
    "optimiser": (lambda b: altered(b, reshape_adam), "exp_avg of weight 0 has shape (1,)"),
    "best": (lambda b: altered(b, reshape_best), "is missing"),
    "memory": (
        lambda b: altered(b, lambda c: c["state"].update(memory=torch.zeros(7))),
        "memory of the objective has shape (7,)",
    ),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_an_unusable_checkpoint_falls_back_a_generation_and_the_report_says_why(trained, kind):
    reports, checkpoints = trained
    damage, reason = UNUSABLE[kind]
    made = actor(store_with(checkpoints, _3=damage(checkpoints[3])))
    first, second = step(made), step(made)
    assert first["epoch"] == 2
    assert first["resumed"]["epoch"] == 2
    (skipped,) = first["resumed"]["skipped"]
    assert skipped.startswith("000003.pt: ")
    assert reason in skipped
    assert "resumed" not in second
    assert second["metrics"] == reports[2]["metrics"]


def test_without_a_usable_checkpoint_a_trial_begins_anew_and_the_report_says_why(trained):
    reports, checkpoints = trained
    renamed = store_with(checkpoints, _1=b"", _2=checkpoints[1], _3=checkpoints[2])
    first = step(actor(renamed))
    assert first["epoch"] == 1
    assert first["metrics"] == reports[0]["metrics"]
    assert first["resumed"]["epoch"] == 0
    skipped = [reason.partition(" of ")[0] for reason in first["resumed"]["skipped"]]
    assert skipped[:2] == ["000003.pt: is", "000002.pt: is"]
    assert skipped[2].startswith("000001.pt: not a checkpoint")


def test_a_checkpoint_later_than_the_next_epoch_is_not_resumed(trained):
    reports, checkpoints = trained
    for last_epoch, expected in ((0, 1), (1, 2), (2, 3), (3, 3)):
        first = step(actor(store_with(checkpoints), last_epoch=last_epoch))
        assert first["epoch"] == expected
        assert first["resumed"] == {"epoch": expected, "skipped": []}
    begun = step(actor(store_with({2: checkpoints[2]}), last_epoch=0))
    assert begun["epoch"] == 1
    assert begun["metrics"] == reports[0]["metrics"]
    assert "resumed" not in begun


def test_a_config_that_does_not_fit_the_data_is_an_error_not_a_skipped_checkpoint(trained):
    made = actor(store_with(trained[1]), batch_size=10_000)
    report = step(made)
    assert report["failure"] == "error"
    assert "batch_size" in report["message"]
    assert len(report["resumed"]["skipped"]) == 3  # they are of another trial


def test_a_checkpoint_that_cannot_be_read_or_vanishes_falls_back(trained, tmp_path, monkeypatch):
    store = Store(tmp_path, None)
    made = actor(LocalStore(store))
    for _ in range(3):
        step(made)
    (names,) = {tuple(sorted(path.name for path in tmp_path.glob("trials/*/checkpoints/*")))}
    assert names == ("000002.pt", "000003.pt")
    monkeypatch.setattr(retries.time, "sleep", lambda _: None)
    read = store._files.read

    def broken(path):
        if path.endswith("3.pt"):
            raise OSError(5, "Input/output error")
        return read(path)

    monkeypatch.setattr(store._files, "read", broken)
    first = step(actor(LocalStore(store)))
    assert first["resumed"] == {
        "epoch": 2,
        "skipped": ["000003.pt: cannot be read: [Errno 5] Input/output error"],
    }
    monkeypatch.setattr(store._files, "read", lambda path: read(f"{path}.gone"))
    first = step(actor(LocalStore(store)))
    assert first["epoch"] == 1
    assert len(first["resumed"]["skipped"]) == 2


def test_an_actor_enlists_when_it_begins_and_again_in_every_epoch():
    store = FakeStore()
    calls = []
    store.enlist.remote = lambda *arguments: calls.append(arguments)
    made = actor(store)
    step(made)
    step(made)
    made.reset_config({**made._assigned, "attempt": 7})
    assert [attempt for attempt, _, _ in calls] == [1, 1, 1, 7]
    assert {(node, actor) for _, node, actor in calls} == {("this node", made._handle)}


def test_a_huge_message_is_shortened(monkeypatch):
    made = actor(FakeStore())

    def fail():
        raise ValueError("begin" + "x" * 5_000_000 + "end")

    monkeypatch.setattr(made, "_next_report", fail)
    report = step(made)
    assert len(report["message"]) < 21_000
    assert "characters …]" in report["message"]
    assert report["message"].rstrip().endswith("end")


@pytest.mark.parametrize("method", ["save_checkpoint", "save_artifacts"])
def test_a_store_that_cannot_write_stops_the_sweep_and_is_not_the_fault_of_the_trial(method):
    store = FakeStore()

    def full(*_):
        raise OSError(28, "No space left on device")

    getattr(store, method).remote = full
    made = actor(store)
    report = step(made)
    assert report["failure"] == "storage"
    assert report["message"].startswith(
        "the files of trials could not be written for 0 s, the limit of store.patience: "
        "[Errno 28] No space left on device; make space"
    )


def test_a_failure_of_ray_is_not_a_failure_of_the_trial():
    store = FakeStore()

    def fail(*_):
        raise LocalRayletDiedError

    store.save_checkpoint.remote = fail
    made = actor(store)
    with pytest.raises(LocalRayletDiedError):
        step(made)
