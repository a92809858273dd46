"""Runs tests in several processes: which tests share a process, and in which order they start."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # As many test processes as cores: more threads per process would only wait for each other.
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")

TESTS = Path(__file__).parent
RAY_FOLDERS = ("faults", "e2e")
"""Folders of tests that start Ray or whole sweeps: they use every core, so one process runs them.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group tests by module, so that a module's fixtures are made once; start the longest first."""
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        group = "ray" if folder in RAY_FOLDERS else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: item.path.relative_to(TESTS).parts[0] not in RAY_FOLDERS)
