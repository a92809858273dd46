"""Reading a spec stays light: it needs none of the packages that run or report a sweep."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from sweeps.spec import published

MODULES = ["sweeps.spec.load", "sweeps.spec.json_schema", "sweeps.spec.published"]


@pytest.mark.parametrize("module", MODULES)
def test_reading_a_spec_imports_no_ray_mlflow_optuna_or_pandas(module: str) -> None:
    heavy = "{'ray', 'mlflow', 'optuna', 'pandas'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_published_numbers_are_compared_without_pandas_and_numpy() -> None:
    assert published.__file__ is not None
    tree = ast.parse(Path(published.__file__).read_text(encoding="utf-8"))
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(str(node.module))
    packages = {name.partition(".")[0] for name in imported}
    assert packages.isdisjoint({"pandas", "numpy"})
