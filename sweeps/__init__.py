"""Sweeps of disentangling VAEs: one YAML file in, the beta / reconstruction / TC / MIG trade-off out.

`run` and `load_runs` are the whole Python interface; both import what they need when called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from sweeps.driver.result import SweepResult

__all__ = ["load_runs", "run"]


def run(
    spec: str | Path | Mapping[str, Any],
    *,
    overrides: Sequence[str] = (),
    workspace: str | Path = "results",
    address: str | None = None,
    retry_failed: bool = False,
) -> SweepResult:
    """Run a sweep, or go on with it from where it stands; the same as `sweeps run`.

    Args:
        spec: a YAML file, the name of a bundled spec, or the spec as a mapping.
        overrides: "path=value" each, as `--set`; for a file or a name.
        workspace: folder of ledger and results.
        address: a running Ray cluster ("auto", "host:port"); None starts one on this machine.
        retry_failed: give failed trials another try.

    Raises:
        sweeps.spec_errors.SpecError: every mistake of the spec, with its line.
        sweeps.drive.SweepError: the sweep cannot run as asked.
    """
    from sweeps.driver.run import run_sweep
    from sweeps.spec import load

    if isinstance(spec, Mapping):
        if overrides:
            raise ValueError(
                "overrides go with a file or a bundled name; change the mapping itself"
            )
        loaded = load.spec_from_mapping(spec)
    else:
        loaded = load.load_spec(spec, overrides=overrides)
    return run_sweep(loaded, workspace=Path(workspace), address=address, retry=retry_failed)


def load_runs(workspace: str | Path, name: str) -> pd.DataFrame:
    """Return the run table of a sweep, one row per trial; `sweeps.runs.Runs` says what its columns hold.

    Raises:
        LookupError: the workspace has no ledger, or no sweep of this name.
    """
    from sweeps.results.run_table import load_runs as load

    return load(Path(workspace), name).table
