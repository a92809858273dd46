"""Checkpoints of a trial that several sweeps share: found by epoch, deleted only by who is past."""

import hashlib
import threading

import pytest

from sweeps.storage import retries
from sweeps.storage.checkpoints import Checkpoints
from sweeps.storage.files import LocalFiles, RemoteFiles
from sweeps.storage.store_actor import Store
from sweeps.storage.workspace import TrialPaths


def blob(text: str) -> bytes:
    body = text.encode()
    return hashlib.sha256(body).digest() + body


@pytest.fixture(params=["local", "remote"])
def files(request, tmp_path):
    return LocalFiles(tmp_path) if request.param == "local" else RemoteFiles(tmp_path.as_uri())


@pytest.fixture
def pauses(monkeypatch):
    """Return the pauses that the module would have made."""
    made = []
    monkeypatch.setattr(retries.time, "sleep", made.append)
    return made


def test_only_epochs_that_a_sweep_has_reached_are_returned(files):
    checkpoints = Checkpoints(files)
    for epoch in (9, 10):
        checkpoints.save("abc", epoch, blob(f"epoch {epoch}"))
    assert checkpoints.epochs("abc") == [10, 9]
    assert checkpoints.epochs("abc", until=9) == [9]
    assert checkpoints.epochs("abc", until=1) == []
    assert checkpoints.newest("abc", until=9) == blob("epoch 9")
    assert checkpoints.newest("abc", until=8) is None


def test_saving_deletes_older_generations_and_never_later_ones(files):
    checkpoints = Checkpoints(files)
    for epoch in (9, 10):  # of a sweep that is ahead
        checkpoints.save("abc", epoch, blob("ahead"))
    for epoch in (1, 2, 3):
        checkpoints.save("abc", epoch, blob("behind"))
    assert checkpoints.epochs("abc") == [10, 9, 3, 2]
    checkpoints.save("abc", 12, blob("past both"))
    assert checkpoints.epochs("abc") == [12, 10]


def test_more_than_six_digits_sort_as_numbers(files):
    checkpoints = Checkpoints(files)
    for epoch in (999_999, 1_000_000, 1_000_001):
        checkpoints.save("abc", epoch, blob("x"))
    assert checkpoints.epochs("abc") == [1_000_001, 1_000_000]


def test_other_files_in_the_folder_are_left_alone(files):
    files.write(TrialPaths("abc").checkpoints + "/notes.pt", b"")
    files.write(TrialPaths("abc").checkpoints + "/000001.pt.bak", b"")
    checkpoints = Checkpoints(files)
    for epoch in (1, 2, 3):
        checkpoints.save("abc", epoch, blob("x"))
    checkpoints.clear("abc")
    assert files.names(TrialPaths("abc").checkpoints) == ["000001.pt.bak", "notes.pt"]


def test_a_file_that_vanishes_after_the_listing_falls_back(files, monkeypatch):
    checkpoints = Checkpoints(files)
    checkpoints.save("abc", 1, blob("one"))
    checkpoints.save("abc", 2, blob("two"))
    epochs = checkpoints.epochs("abc")
    monkeypatch.setattr(checkpoints, "epochs", lambda *_, **__: epochs)
    files.delete(TrialPaths("abc").checkpoint(2))
    assert checkpoints.newest("abc") == blob("one")


def test_a_reading_error_is_tried_again(files, monkeypatch, pauses):
    checkpoints = Checkpoints(files)
    checkpoints.save("abc", 1, blob("one"))
    for name in ("read", "names"):
        monkeypatch.setattr(files, name, failing(getattr(files, name), times=3))
    assert checkpoints.newest("abc") == blob("one")
    assert pauses == [0.5, 1.0, 2.0] * 2  # the listing, then the file


def test_a_checkpoint_that_stays_unreadable_is_a_reason_not_an_error(tmp_path, monkeypatch, pauses):
    store = Store(tmp_path, None)
    store.save_checkpoint("abc", 1, blob("one"))
    monkeypatch.setattr(store._files, "read", failing(store._files.read, times=99))
    assert store.read_checkpoint("abc", 1) == (None, "[Errno 5] Input/output error")
    assert pauses == [0.5, 1.0, 2.0, 4.0]
    monkeypatch.undo()
    assert store.read_checkpoint("abc", 1) == (blob("one"), "")
    missing, why = store.read_checkpoint("abc", 2)
    assert missing is None
    assert "No such file" in why


def test_a_checkpoint_counts_as_saved_if_only_the_deletion_fails(files, monkeypatch):
    checkpoints = Checkpoints(files)
    monkeypatch.setattr(files, "delete", failing(files.delete, times=1))
    for epoch in (1, 2, 3):
        checkpoints.save("abc", epoch, blob("x"))
    assert checkpoints.epochs("abc") == [3, 2, 1]
    checkpoints.save("abc", 4, blob("x"))
    assert checkpoints.epochs("abc") == [4, 3]


def failing(operation, *, times):
    """Return an operation that raises an OSError the first times."""
    left = [times]

    def called(*arguments):
        if left[0]:
            left[0] -= 1
            raise OSError(5, "Input/output error")
        return operation(*arguments)

    return called


def test_writing_is_tried_again_and_then_fails(files, monkeypatch, pauses):
    checkpoints = Checkpoints(files)
    write = files.write
    monkeypatch.setattr(files, "write", failing(write, times=2))
    checkpoints.save("abc", 1, blob("one"))
    assert checkpoints.newest("abc") == blob("one")
    assert pauses == [0.5, 1.0]
    monkeypatch.setattr(files, "write", failing(write, times=99))
    with pytest.raises(OSError, match="Input/output error"):
        checkpoints.save("abc", 2, blob("two"))
    assert checkpoints.newest("abc") == blob("one")


def test_two_sweeps_that_save_the_same_trial_at_once_always_have_a_checkpoint_to_resume(files):
    """Both write the same bytes for an epoch, as training on the CPU is deterministic."""
    errors: list[BaseException] = []
    done = threading.Event()

    def train(epochs: range) -> None:
        checkpoints = Checkpoints(files)
        try:
            for epoch in epochs:
                checkpoints.save("abc", epoch, blob(f"epoch {epoch}"))
                newest = checkpoints.newest("abc", until=epoch + 1)
                # Another one may have deleted what is older than its own; what is left is whole.
                assert newest is None or newest in {blob(f"epoch {e}") for e in range(epoch + 2)}
        except BaseException as error:
            errors.append(error)

    def watch() -> None:
        checkpoints = Checkpoints(files)
        while not done.is_set():
            checkpoints.newest("abc", until=20)

    threads = [threading.Thread(target=train, args=(range(1, 40),)) for _ in range(3)]
    watcher = threading.Thread(target=watch)
    for thread in [*threads, watcher]:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    watcher.join()
    assert not errors
    checkpoints = Checkpoints(files)
    assert checkpoints.newest("abc") == blob("epoch 39")
    assert checkpoints.epochs("abc") == [39, 38]
