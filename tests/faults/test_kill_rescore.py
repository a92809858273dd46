"""A rescore killed by SIGKILL resumes with the same command and stores every number once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from stored_codes import finished, points, values

from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger

KEYS = {f"final/mig_hist20{part}" for part in ("", "_error", "_chance", "_ceiling")} | {
    "final/gaussian_tc"
}


def rescore(workspace: Path, failpoint: str = "") -> int:
    """Run `sweeps rescore` in another process; return its exit code."""
    command = [
        sys.executable,
        "-m",
        "sweeps",
        "rescore",
        "mini",
        "--metrics",
        "mig_hist20,gaussian_tc",
    ]
    environment = dict(os.environ)
    if failpoint:
        environment["SWEEPS_FAILPOINT"] = f"{failpoint}={workspace / 'killed'}"
    process = subprocess.run(
        [*command, "--workspace", str(workspace)],
        env=environment,
        capture_output=True,
        timeout=240,
        check=False,
    )
    return process.returncode


def assert_every_number_once(workspace: Path, trials: int) -> None:
    counts_of_trials = points(workspace)
    assert len(counts_of_trials) == trials
    for counted in counts_of_trials.values():
        assert set(counted.values()) == {1}
        assert {step for _, step in counted} == {2}
        assert {key for key, _ in counted} >= KEYS


def scored(workspace: Path) -> list[tuple[int, str, float, str]]:
    rows = Ledger.existing(workspace).of(tables.RESCORE, "mini")
    return [(row["trial"], row["metric"], row["at"], row["body"]) for row in rows]


def test_killed_between_ledger_and_mlflow_it_resumes_at_the_same_score(tmp_path: Path) -> None:
    trials = len(finished(tmp_path).trials)
    assert rescore(tmp_path, "track.before_rescored:2") == -signal.SIGKILL
    before = scored(tmp_path)
    assert rescore(tmp_path) == 0
    assert_every_number_once(tmp_path, trials)
    after = scored(tmp_path)
    assert after[: len(before)] == before  # stored scores are not computed again
    assert len(after) == 2 * trials


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment", ["rescore.before_record:3", "rescore.recorded:3", "track.rescored:2"]
)
def test_killed_at_other_moments_no_number_is_lost_repeated_or_changed(
    moment: str, tmp_path: Path
) -> None:
    clean, killed = tmp_path / "clean", tmp_path / "killed_often"
    trials = len(finished(clean).trials)
    finished(killed)
    assert rescore(clean) == 0
    for _ in range(2):
        (killed / "killed").unlink(missing_ok=True)
        assert rescore(killed, moment) == -signal.SIGKILL
    assert rescore(killed) == 0
    assert_every_number_once(killed, trials)
    for number in range(trials):
        ours, theirs = values(killed, number), values(clean, number)
        assert {key: ours[key] for key in KEYS} == {key: theirs[key] for key in KEYS}
