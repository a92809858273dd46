"""The end of a worker's output, also of output that is very long or that Ray rotates."""

import os
import subprocess
import sys

from sweeps.driver import worker_log
from sweeps.driver.worker_log import LOG_TAIL, shortened

PRINTING = """
import sys, time
from sweeps.driver.worker_log import log_starts, log_tail
print("earlier trial")
sys.stdout.flush()
starts = log_starts()
for _ in range(int(sys.argv[2])):
    sys.stdout.write("x" * 2**20)
print("the last line")
sys.stdout.flush()
started = time.process_time()
tail = log_tail(starts)
with open(sys.argv[1], "w") as file:
    file.write(f"{time.process_time() - started}\\n{tail}")
"""


def tail_after(tmp_path, mebibytes):
    """Return (CPU seconds of log_tail, the tail) after a process has printed."""
    with open(tmp_path / "worker.out", "wb") as out:
        command = [sys.executable, "-c", PRINTING, str(tmp_path / "tail"), str(mebibytes)]
        subprocess.run(command, stdout=out, stderr=subprocess.DEVNULL, check=True)
    seconds, _, tail = (tmp_path / "tail").read_text().partition("\n")
    return float(seconds), tail


def test_the_tail_begins_where_the_trial_began(tmp_path):
    assert tail_after(tmp_path, 0)[1] == "the last line\n"


def test_the_tail_of_long_output_is_its_end(tmp_path):
    _, tail = tail_after(tmp_path, 20)
    assert len(tail) == LOG_TAIL
    assert tail.endswith("xxx" + "the last line\n")


def test_after_a_rotation_the_tail_goes_back_into_the_file_before(tmp_path, monkeypatch):
    path = tmp_path / f"worker-{os.getpid()}.out"
    before = tmp_path / f"{path.name}.1"
    before.write_text("rotated before the trial\n")
    os.utime(before, ns=(10, 10))
    path.write_text("earlier trial\n")
    os.utime(path, ns=(20, 20))
    monkeypatch.setattr(worker_log, "_log_files", lambda: [str(path)])
    starts = worker_log.log_starts()
    with path.open("a") as file:
        file.write("first\n")
    assert worker_log.log_tail(starts) == "first\n"
    path.rename(before)
    path.write_text("second\n")
    assert worker_log.log_tail(starts) == "first\nsecond\n"
    path.rename(before)
    path.write_text("third\n")
    assert worker_log.log_tail(starts) == "second\nthird\n"
    inode = path.stat().st_ino  # a file system may give a new file the number of a deleted one
    reused = {str(path): starts[str(path)]._replace(inode=inode, size=2)}
    assert worker_log.log_tail(reused) == "second\nird\n"
    path.unlink()  # Ray renames it at this moment
    assert worker_log.log_tail(starts) == "second\n"


def test_a_shortened_text_keeps_beginning_and_end():
    assert shortened("abc", 3) == "abc"
    assert shortened("a" * 50 + "b" * 50, 20) == "a" * 10 + "\n[… 80 characters …]\n" + "b" * 10
