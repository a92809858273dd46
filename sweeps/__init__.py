"""Sweeps of disentangling VAEs: one YAML file in, the β / reconstruction / TC / MIG trade-off out.

`run`, `load_runs` and `write_report` are the Python interface. They import what they need when they
are called, so `import sweeps` is quick: it imports none of Ray, MLflow, Optuna and pandas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeps.driver.result import SweepResult
from sweeps.errors import SweepError
from sweeps.spec.errors import SpecError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SpecError", "SweepError", "SweepResult", "load_runs", "run", "write_report"]


def run(
    spec: str | Path | Mapping[str, Any],
    *,
    overrides: Sequence[str] = (),
    workspace: str | Path = "results",
    address: str | None = None,
    retry_failed: bool = False,
) -> SweepResult:
    """Run a sweep, or resume it after an interruption; the same as `sweeps run`.

    Args:
        spec: a YAML file, the name of a bundled spec, or the spec as a mapping.
        overrides: "path=value" each, as `--set`; only for a file or a name.
        workspace: folder of ledger and results, as a path or a `file://` URI.
        address: a running Ray cluster ("auto", "host:port"); None starts one on this machine.
        retry_failed: train failed trials again.

    Raises:
        SpecError: the spec has problems; it names every one with its line.
        SweepError: the spec has no problem, but the sweep cannot run as asked.
        ValueError: overrides for a mapping.
    """
    from sweeps.driver.run import run_sweep
    from sweeps.spec import load
    from sweeps.storage.workspace import workspace_path

    if isinstance(spec, Mapping):
        if overrides:
            raise ValueError(
                f"overrides need a spec from a file or a bundled name, got {list(overrides)} for a "
                "mapping; change the mapping itself"
            )
        sweep = load.spec_from_mapping(spec)
    else:
        sweep = load.load_spec(spec, overrides=overrides)
    return run_sweep(
        sweep, workspace=workspace_path(workspace), address=address, retry=retry_failed
    )


def load_runs(workspace: str | Path, name: str) -> pd.DataFrame:
    """Return the run table of a sweep, one row per trial.

    The docstring of `sweeps.results.run_table.Runs` describes the columns.

    Raises:
        LookupError: the workspace has no ledger, or no sweep of this name.
        SweepError: the workspace is no folder of this machine, or its ledger cannot be opened.
    """
    from sweeps.results import run_table
    from sweeps.storage.workspace import workspace_path

    return run_table.load_runs(workspace_path(workspace), name).table


def write_report(workspace: str | Path, name: str) -> Path:
    """Write the report of a sweep and return the path of its page; the same as `sweeps report`.

    Unlike the command it does not log the page to MLflow.

    Raises:
        LookupError: the workspace has no ledger, or no sweep of this name.
        SweepError: the workspace is no folder of this machine, or its ledger cannot be opened.
    """
    from sweeps.report import page
    from sweeps.results import run_table
    from sweeps.storage.workspace import workspace_path, writing

    folder = workspace_path(workspace)
    runs = run_table.load_runs(folder, name)
    with writing(folder):
        return page.write_report(runs)
