"""The scripts in `examples/` run as they are written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(script: str, folder: Path) -> str:
    """Run an example in a folder, and return what it prints."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / script)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_tested_here() -> None:
    tested = {"train_one_vae.py", "score_foreign_codes.py", "run_and_plot_a_sweep.py"}
    assert {path.name for path in EXAMPLES.glob("*.py")} == tested


@pytest.mark.parametrize("script", ["train_one_vae.py", "score_foreign_codes.py"])
def test_scores_are_printed_with_chance_and_ceiling(script: str, tmp_path: Path) -> None:
    printed = run(script, tmp_path)
    assert "chance" in printed
    assert "ceiling" in printed
    assert "\nmig" in printed


def test_a_sweep_runs_and_its_report_is_written(tmp_path: Path) -> None:
    printed = run("run_and_plot_a_sweep.py", tmp_path)
    assert "ended with {'COMPLETE': 4}, exit code 0" in printed
    page = Path(printed.rpartition("report: ")[2].strip())
    assert (tmp_path / page).is_file()
    assert (tmp_path / page.parent / "figures" / "scatter.png").is_file()
