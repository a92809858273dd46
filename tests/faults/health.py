"""`assert_healthy`: what every test of a fault checks at its end."""

from __future__ import annotations

from pathlib import Path

from sweeps.doctor.examine import examine
from sweeps.doctor.finding import Level


def assert_healthy(workspace: Path, name: str | None = None, *, leftovers: bool = False) -> None:
    """Check that ledger, MLflow and files of a workspace agree, as `sweeps doctor` does.

    Args:
        workspace: the folder.
        name: of one sweep; None for all.
        leftovers: whether files that only take space are allowed: a process that was killed while
            it wrote leaves its temporary file.
    """
    health = examine(Path(workspace), name, deep=True)
    allowed = {Level.NOTE, Level.LEFTOVER} if leftovers else {Level.NOTE}
    problems = [
        f"{each.name}: {each.finding.what}"
        for each in health.diagnoses
        if each.rule.level not in allowed
    ]
    assert not problems, "\n".join(problems)
    assert health.sweeps, "no sweep was looked at"
    assert not health.driven, f"a driver still runs {health.driven}"
