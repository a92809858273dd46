"""The Python interface: what `import sweeps` offers, and what it does not import."""

from __future__ import annotations

import subprocess
import sys

import pytest

import sweeps


def test_the_package_offers_what_it_lists() -> None:
    errors_and_results = ["SpecError", "SweepError", "SweepResult"]
    assert sorted(sweeps.__all__) == [*errors_and_results, "load_runs", "run", "write_report"]
    assert all(hasattr(sweeps, name) for name in sweeps.__all__)


def test_the_package_imports_neither_ray_mlflow_optuna_nor_pandas() -> None:
    code = (
        "import sys, sweeps;print(sorted({'ray', 'mlflow', 'optuna', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_overrides_of_a_mapping_are_refused() -> None:
    with pytest.raises(ValueError, match="change the mapping itself"):
        sweeps.run({"name": "x"}, overrides=["seeds=1"])
